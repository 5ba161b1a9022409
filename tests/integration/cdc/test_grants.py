"""The DBA's script on a real server: what the roles can do, what they cannot, and that nothing stays."""

import subprocess

import psycopg
import pytest
from psycopg import errors

from pipeline.demo.database import FIRST_UUID
from pipeline.errors import Misconfigured
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.entities import MEMBERSHIP_TABLE, REMEMBERED_TABLES
from pipeline.omero.epoch import EPOCH_SQL
from pipeline.omero.grants import apply, print_sql
from pipeline.omero.lookups import Wanted, look_up, owned_tables, read_epoch
from pipeline.omero.removal import leftovers, uninstall, uninstall_sql
from pipeline.settings.model import OmeroSettings, Settings
from pipeline.state.fill import describe

from .capture import CANARY, PASSWORDS, settings_for

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(postgres, omero_database) -> Settings:
    return settings_for(omero_database, host=postgres.host, port=postgres.port)


@pytest.fixture
def admin(postgres, omero_database):
    with psycopg.connect(postgres.dsn(omero_database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(settings):
    """A connection as one of the roles; "mq" or "cdc"."""
    made = []

    def connected(which: str):
        user = settings.omero.user if which == "mq" else settings.cdc.user
        omero = settings.omero
        made.append(
            psycopg.connect(
                host=omero.host,
                port=omero.port,
                dbname=omero.database,
                user=user,
                password=PASSWORDS[f"{which}_password"],
                autocommit=True,
            )
        )
        return made[-1]

    yield connected
    for one in made:
        one.close()


def psql(postgres, settings, script: str, *variables: str) -> str:
    flags = [word for variable in variables for word in ("-v", variable)]
    done = subprocess.run(
        ["psql", "-X", "-q", "-d", postgres.dsn(settings.omero.database), *flags, "-f", "-"],
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_script_and_the_program_make_the_same(postgres, settings, admin):
    version = admin.info.server_version // 10_000
    psql(postgres, settings, print_sql(settings, version), *(f"{name}={value}" for name, value in PASSWORDS.items()))
    made = leftovers(admin, settings, with_state_database=True)
    psql(postgres, settings, uninstall_sql(settings, with_state_database=True))
    assert leftovers(admin, settings, with_state_database=True) == []
    apply(admin, settings, PASSWORDS)
    assert leftovers(admin, settings, with_state_database=True) == made
    assert len(made) > 100, "rights on every table with owners are among them"


def test_both_can_be_run_again(postgres, settings, admin, role):
    apply(admin, settings, PASSWORDS)
    apply(admin, settings, PASSWORDS)
    script = print_sql(settings, admin.info.server_version // 10_000)
    psql(postgres, settings, script)  # without passwords: those in use stay
    assert role("mq").execute("SELECT 1").fetchone() == (1,)
    uninstall(admin, settings, with_state_database=True)
    uninstall(admin, settings, with_state_database=True)
    assert leftovers(admin, settings, with_state_database=True) == []


def test_a_publication_that_somebody_widened_is_narrowed_again(settings, admin):
    apply(admin, settings, PASSWORDS)
    name = settings.cdc.eventlog_publication
    admin.execute(f"ALTER PUBLICATION {name} ADD TABLE public.password")
    admin.execute(f"ALTER PUBLICATION {name} SET (publish = 'insert, update')")
    apply(admin, settings, PASSWORDS)
    assert admin.execute(
        "SELECT tablename::text, pubinsert, pubupdate FROM pg_publication_tables t JOIN pg_publication p USING (pubname)"
        " WHERE pubname = %s",
        (name,),
    ).fetchall() == [("eventlog", True, False)]


SECRETS = (
    "SELECT uuid FROM session",
    "SELECT * FROM session",
    "SELECT uuid FROM node",
    "SELECT hash FROM password",
    "SELECT value FROM configuration",
    "SELECT email FROM experimenter",
    "SELECT name, value FROM experimenter_config",
    "SELECT name FROM image",
    "SELECT textvalue FROM annotation",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_create_logical_replication_slot('stolen', 'pgoutput')",
    "SELECT rolpassword FROM pg_authid",
)
CHANGES = (
    "INSERT INTO eventlog (id, permissions, entityid, entitytype, action, event) VALUES (1, 1, 1, 'x', 'x', 0)",
    "DELETE FROM _reindexing_required",
    "UPDATE experimentergroup SET permissions = -1",
    "SELECT ome_nextval('seq_eventlog')",
    "SELECT updated_entities_note_reindex()",
    "DROP TABLE eventlog",
)


def test_the_reader_cannot_read_secrets(settings, admin, role):
    apply(admin, settings, PASSWORDS)
    reader = role("mq")
    for query in SECRETS:
        with pytest.raises(errors.InsufficientPrivilege):
            reader.execute(query)


def test_the_reader_cannot_write_even_when_it_lifts_its_own_bolt(settings, admin, role):
    apply(admin, settings, PASSWORDS)
    reader = role("mq")
    for bolt in ("on", "off"):
        reader.execute(f"SET default_transaction_read_only = {bolt}")
        for statement in CHANGES:
            with pytest.raises((errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege)) as refused:
                reader.execute(statement)
            assert bolt == "on" or refused.type is errors.InsufficientPrivilege


def test_the_reader_can_read_what_events_need(settings, admin, role):
    apply(admin, settings, PASSWORDS)
    reader = role("mq")
    for query in (
        EPOCH_SQL,
        "SELECT e.id, e.experimenter, t.value, e.time FROM event e JOIN eventtype t ON t.id = e.type",
        "SELECT e.id, s.sudoer FROM event e LEFT JOIN session s ON s.id = e.session",
        "SELECT id, parent, child FROM groupexperimentermap",
        "SELECT id, permissions FROM experimentergroup",
        "SELECT id, action, permissions, entityid, entitytype, external_id, event FROM eventlog",
        *(
            f"SELECT id, owner_id, group_id FROM {table}"
            for table in ("image", "annotation", "imageannotationlink", "wellsample")
        ),
    ):
        reader.execute(query)
    [(uuid,)] = reader.execute("SELECT omero_mq_db_uuid()").fetchall()
    assert uuid == admin.execute("SELECT value FROM configuration WHERE name = 'omero.db.uuid'").fetchone()[0]


def test_what_the_relay_really_asks_is_granted(settings, admin):
    apply(admin, settings, PASSWORDS)
    database = OmeroDatabase(settings.omero, service="test")
    tables = owned_tables(database)
    everything = Wanted(events=[0], objects={table: [1] for table in tables}, memberships=[0, 1], rows=[1])
    facts = look_up(database, everything, tables=tables)
    assert facts.events[0].actor == 0
    assert facts.epoch == read_epoch(database)
    assert facts.epoch.omero_uuid == FIRST_UUID
    with database.connected() as connection:
        for kind in describe(connection, (REMEMBERED_TABLES & tables) | {MEMBERSHIP_TABLE}):
            connection.execute(kind.sql, (-1, 1))
    database.close()
    assert len(tables) > 80, "nearly all tables with owners are here"


def test_the_readers_function_cannot_be_turned_against_its_owner(settings, admin, role):
    apply(admin, settings, PASSWORDS)
    reader = role("mq")
    reader.execute("SET default_transaction_read_only = off")
    reader.execute("CREATE TEMP TABLE configuration (name text, value text)")
    reader.execute("INSERT INTO pg_temp.configuration VALUES ('omero.db.uuid', 'forged')")
    reader.execute("SET search_path = pg_temp, public")
    assert reader.execute("SELECT public.omero_mq_db_uuid()").fetchone()[0] != "forged"


def test_the_streaming_role_reads_no_table_and_executes_no_function_of_ours(settings, admin, role):
    apply(admin, settings, PASSWORDS)
    streaming = role("cdc")
    for query in ("SELECT id FROM eventlog", "SELECT uuid FROM session", "SELECT omero_mq_db_uuid()"):
        with pytest.raises(errors.InsufficientPrivilege):
            streaming.execute(query)


def test_passwords_are_kept_as_verifiers_and_never_sent_as_text(settings, admin):
    apply(admin, settings, PASSWORDS)
    kept = admin.execute(
        "SELECT rolpassword FROM pg_authid WHERE rolname = ANY(%s)",
        ([settings.cdc.user, settings.omero.user, settings.state.user],),
    ).fetchall()
    assert [one[0][:14] for one in kept] == ["SCRAM-SHA-256$"] * 3


def test_the_state_database_is_kept_unless_told_otherwise(settings, admin):
    apply(admin, settings, PASSWORDS)
    uninstall(admin, settings)
    assert leftovers(admin, settings) == []
    assert leftovers(admin, settings, with_state_database=True) == [
        f"role {settings.state.user}",
        f"database {settings.state.database}",
    ]


def test_a_role_that_owns_omeros_tables_is_never_narrowed_or_dropped(postgres, settings, admin):
    omero = OmeroSettings(host=postgres.host, port=postgres.port, database=settings.omero.database, user=postgres.superuser)
    wrong = Settings(omero=omero, cdc=settings.cdc, state=settings.state)
    refused = f"the role {postgres.superuser} is a superuser or owns OMERO's tables"
    with pytest.raises(Misconfigured, match=refused):
        apply(admin, wrong, {})
    with pytest.raises(Misconfigured, match=refused):
        uninstall(admin, wrong)


def test_uninstall_takes_a_slot_from_its_reader(settings, admin, role):
    apply(admin, settings, PASSWORDS)
    slot = settings.cdc.eventlog_slot
    omero = settings.omero
    reading = subprocess.Popen(
        [
            *("pg_recvlogical", "-h", omero.host, "-p", str(omero.port), "-U", settings.cdc.user, "-d", omero.database, "-n"),
            *("--slot", slot, "--start", "-f", "-", "-o", "proto_version=1"),
            *("-o", f"publication_names={settings.cdc.eventlog_publication}"),
        ],
        env={"PGPASSWORD": PASSWORDS["cdc_password"], "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            if admin.execute("SELECT active, pg_sleep(0.05) FROM pg_replication_slots WHERE slot_name = %s", (slot,)).fetchone()[
                0
            ]:
                break
        else:
            pytest.fail("nobody reads from the slot")
        uninstall(admin, settings, with_state_database=True)
        assert leftovers(admin, settings, with_state_database=True) == []
    finally:
        reading.kill()
        reading.wait()


def test_the_planted_secrets_are_really_there(admin):
    """Else the tests above would prove nothing."""
    assert CANARY in admin.execute("SELECT uuid FROM node WHERE id = 1").fetchone()[0]
    assert CANARY in admin.execute("SELECT hash FROM password WHERE experimenter_id = 0").fetchone()[0]
    assert CANARY in admin.execute("SELECT value FROM configuration WHERE name = 'omero.mail.password'").fetchone()[0]
