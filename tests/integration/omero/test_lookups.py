"""What is asked of OMERO's database, on a real one, with the rights that a DBA grants."""

import itertools
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from pipeline.errors import DependencyDown, EpochChanged, Misconfigured
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.lookups import EventFacts, Wanted, look_up, owned_tables, read_epoch
from pipeline.omero.snapshot import parse

from . import conftest

pytestmark = pytest.mark.stack

EVENT = (
    "INSERT INTO event (id, permissions, time, experimenter, experimentergroup, session, type)"
    " VALUES (%s, -52, '2026-11-24 08:00:00.25', 1, 0, %s, (SELECT id FROM eventtype WHERE value = 'Import'))"
)
IMAGE = (
    "INSERT INTO image (id, permissions, name, owner_id, group_id, creation_id, update_id) VALUES (%s, -56, 'x', %s, %s, 0, 0)"
)


def test_one_look_up_tells_events_owners_memberships_and_rows(omero, reader):
    omero.sql("UPDATE session SET sudoer = 0 WHERE id = 0")
    omero.sql(EVENT, 7000, 0)
    omero.sql(IMAGE, 5, 1, 2)
    ((membership, group, user),) = omero.sql("SELECT id, parent, child FROM groupexperimentermap ORDER BY id LIMIT 1")
    omero.sql(
        "INSERT INTO eventlog (id, permissions, action, entityid, entitytype, event)"
        " VALUES (9, -35, 'INSERT', 5, 'ome.model.core.Image', 7000)"
    )
    facts = look_up(
        reader, Wanted(events={7000, 7001}, objects={"image": {5, 6}, "annotation": {1}}, memberships={membership}, rows={9, 10})
    )
    assert facts.events == {
        7000: EventFacts(actor=1, event_type="Import", time=datetime(2026, 11, 24, 8, 0, 0, 250_000), sudoer=0)  # noqa: DTZ001
    }
    assert facts.owners == {"image": {5: (1, 2)}, "annotation": {}}
    assert facts.memberships == {membership: (group, user)}
    assert facts.rows == {9: (7000, "ome.model.core.Image", 5, "INSERT")}


def test_every_table_with_an_owner_may_be_read_and_the_secrets_may_not(omero, reader):
    tables = owned_tables(reader)
    assert {"image", "annotation", "datasetimagelink", "planeinfo"} < tables
    look_up(reader, Wanted(events={1}, objects={table: {1} for table in tables}, memberships={1}, rows={1}), tables=tables)
    for secret in (
        "uuid FROM session",
        "uuid FROM node",
        "hash FROM password",
        "value FROM configuration",
        "email FROM experimenter",
    ):
        with pytest.raises(Misconfigured), reader.connected() as connection:
            connection.execute(f"SELECT {secret}")


def test_a_table_that_this_omero_lacks_is_passed_over(omero, reader):
    omero.sql("DROP TABLE thumbnail CASCADE")
    tables = owned_tables(reader)
    assert "thumbnail" not in tables
    assert look_up(reader, Wanted(objects={"thumbnail": {1}}), tables=tables).owners == {}


def test_nothing_can_be_written(reader):
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), reader.connected() as connection:
        connection.execute("CREATE TEMP TABLE mine (id int)")


def test_the_epoch_changes_when_eventlog_is_made_anew(omero, reader):
    before = read_epoch(reader)
    assert before.timeline == "00000001"
    omero.sql("CREATE TABLE another (LIKE eventlog); ALTER TABLE eventlog RENAME TO old; ALTER TABLE another RENAME TO eventlog")
    with pytest.raises(EpochChanged, match=rf"eventlog_oid: was {before.eventlog_oid}"):
        look_up(reader, Wanted(), expected=before)
    omero.sql("DROP TABLE eventlog")
    with pytest.raises(EpochChanged, match=r"eventlog_oid: was \d+, is 0"):
        look_up(reader, Wanted(rows={1}), expected=before)


def test_a_connection_that_was_cut_is_made_anew(omero, reader):
    epoch = read_epoch(reader)
    omero.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", omero.settings.user)
    with pytest.raises(DependencyDown, match="omero-database is away"):
        read_epoch(reader)
    assert read_epoch(reader) == epoch


def test_a_query_that_takes_too_long_counts_as_a_database_that_is_away(omero):
    with (
        OmeroDatabase(omero.settings, service="tests", statement_timeout_s=0.3) as reader,
        psycopg.connect(omero.admin_dsn) as holding,
    ):
        holding.execute("LOCK TABLE image IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DependencyDown, match="statement timeout"):
            look_up(reader, Wanted(objects={"image": {1}}))
        holding.rollback()
        assert look_up(reader, Wanted(objects={"image": {1}})).owners == {"image": {}}


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"password": "wrong"}, Misconfigured, "password authentication failed"),
        ({"database": "nowhere"}, Misconfigured, 'database "nowhere" does not exist'),
        ({"port": 1}, DependencyDown, "refused"),
        ({"host": "no-such-host.invalid"}, DependencyDown, "no-such-host.invalid"),
    ],
)
def test_a_connection_that_fails_says_whether_waiting_helps(omero, change, error, told):
    with OmeroDatabase(replace(omero.settings, **change), service="tests") as reader, pytest.raises(error, match=told) as caught:
        read_epoch(reader)
    assert caught.value.fix != ""


def test_a_missing_grant_is_a_matter_for_a_person(omero, reader):
    omero.sql(f'REVOKE EXECUTE ON FUNCTION public.omero_mq_db_uuid() FROM "{omero.settings.user}"')
    with pytest.raises(Misconfigured, match="has not been given what it needs") as caught:
        read_epoch(reader)
    assert "omero-mq init --print-sql" in caught.value.fix


def test_what_is_read_in_a_higher_version_is_at_least_as_new(omero, reader):
    omero.sql("CREATE TABLE tally (writer int PRIMARY KEY, count int NOT NULL); INSERT INTO tally VALUES (0, 0), (1, 0)")
    omero.sql(f'GRANT SELECT ON tally TO "{omero.settings.user}"')
    done = threading.Event()

    def write(writer):
        with psycopg.connect(omero.admin_dsn) as connection:
            while not done.is_set():
                with connection.transaction():
                    connection.execute("SAVEPOINT a; SELECT pg_current_xact_id(); RELEASE a")
                    connection.execute("UPDATE tally SET count = count + 1 WHERE writer = %s", (writer,))

    writers = [threading.Thread(target=write, args=(writer,)) for writer in (0, 1)]
    for writer in writers:
        writer.start()
    seen = []
    until_s = time.monotonic() + 1.5
    while time.monotonic() < until_s:
        with reader.connected() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            ((snapshot, *counts),) = connection.execute(
                "SELECT pg_current_snapshot()::text, max(count) FILTER (WHERE writer = 0), max(count) FILTER (WHERE writer = 1)"
                " FROM tally"
            ).fetchall()
            seen.append((parse(snapshot).version, *counts))
    done.set()
    for writer in writers:
        writer.join()
    seen.sort()
    assert len({version for version, *_ in seen}) > 50
    for earlier, later in itertools.pairwise(seen):
        assert earlier[1] <= later[1]
        assert earlier[2] <= later[2]


def test_a_standby_is_refused(postgres, own_stack, unique):
    stack = own_stack(parts=("postgres",))
    where = stack.start("postgres")
    password = Path(where.superuser_password_file).read_text(encoding="utf-8")
    cluster = replace(postgres, port=where.postgres_port, superuser=where.superuser, password=password)
    made = conftest.make(cluster, unique, cluster.template("standby", conftest._build))
    with OmeroDatabase(made.settings, service="tests") as reader:
        assert read_epoch(reader).timeline == "00000001"
        stack.take_down("postgres")
        (stack.directory.postgres / "data" / "standby.signal").touch()
        stack.bring_up("postgres")
        stack.wait_ready("postgres")
        with pytest.raises(DependencyDown):
            read_epoch(reader)
        with pytest.raises(EpochChanged, match="is a standby") as caught:
            read_epoch(reader)
    assert "primary" in caught.value.fix
