"""The OMERO-shaped database: its first rows, its ids, its secrets."""

import time

import psycopg
import pytest

from pipeline.demo import database as demo
from pipeline.demo.facility import Facility, Size
from pipeline.demo.simulator.clock import seeded_clock
from pipeline.demo.simulator.server import Server
from pipeline.omero.schema import compare, read_database

from .conftest import CANARY, SECRETS

pytestmark = pytest.mark.stack

TEXT_COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns"
    " JOIN information_schema.tables USING (table_schema, table_name)"
    " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type IN ('text', 'character varying') ORDER BY 1, 2"
)


def test_it_has_everything_that_is_relied_on(untouched):
    assert compare(read_database(untouched)) == []


def test_it_begins_with_the_rows_of_every_omero_database(untouched):
    def rows(query):
        return untouched.execute(query).fetchall()

    assert rows("SELECT id, omename FROM experimenter ORDER BY id") == [(0, "root"), (1, "guest")]
    assert rows("SELECT id, name, ome_perms(permissions) FROM experimentergroup ORDER BY id") == [
        (0, "system", "rw----"),
        (1, "user", "rwr-r-"),
        (2, "guest", "rw----"),
    ]
    assert rows("SELECT parent, child, child_index, owner FROM groupexperimentermap ORDER BY id") == [
        (0, 0, 0, True),
        (1, 0, 1, False),
        (2, 1, 0, False),
    ]
    assert rows("SELECT * FROM _roles") == [(0, 1, 0, 1, 2)]
    assert rows("SELECT id, status FROM event") == [(0, "BOOTSTRAP")]
    assert rows("SELECT string_agg(id || value, ' ' ORDER BY id) FROM eventtype") == [
        ("0Bootstrap 1Import 2Internal 3Shoola 4User 5Task 6Test 7Processing 8FullText 9Sessions",)
    ]
    assert rows("SELECT currentversion, currentpatch, message FROM dbpatch") == [("OMERO5.4", 0, "Database ready.")]
    assert rows("SELECT value FROM configuration WHERE name = 'omero.db.uuid'") == [(demo.FIRST_UUID,)]
    assert rows("SELECT conn LIKE 'Blitz-0%', down IS NULL FROM node ORDER BY id") == [(False, False), (True, True)]
    assert rows("SELECT count(*) FROM eventlog") == [(0,)]


def test_28_tables_join_annotations_to_objects_each_with_three_triggers(untouched):
    tables = untouched.execute(
        "SELECT tgrelid::regclass::text, count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE '%annotation_link%'"
        " GROUP BY 1"
    ).fetchall()
    assert (len(tables), {count for _, count in tables}) == (28, {3})


def test_a_database_is_made_within_two_seconds(postgres, unique):
    took_s = []
    for attempt in range(3):
        name = f"{unique}_{attempt}"
        begun = time.monotonic()
        demo.create(postgres.dsn(), name)
        took_s.append(time.monotonic() - begun)
        demo.drop(postgres.dsn(), name)
    assert min(took_s) < 2.0, took_s


def test_a_template_can_be_copied_and_dropped(postgres, unique):
    demo.create(postgres.dsn(), unique, template=True, database_uuid="one-of-my-own")
    with psycopg.connect(demo.clone(postgres.dsn(), f"{unique}_copy", of=unique)) as connection:
        found = connection.execute("SELECT value FROM configuration WHERE name = 'omero.db.uuid'").fetchone()
    demo.drop(postgres.dsn(), f"{unique}_copy")
    demo.drop(postgres.dsn(), unique)
    with psycopg.connect(postgres.dsn()) as connection:
        left = connection.execute("SELECT count(*) FROM pg_database WHERE starts_with(datname, %s)", (unique,)).fetchone()
    assert (found, left) == (("one-of-my-own",), (0,))


def test_a_database_that_cannot_be_filled_does_not_stay(postgres, unique):
    with pytest.raises(psycopg.errors.StringDataRightTruncation):
        demo.create(postgres.dsn(), unique, secrets=demo.Secrets(node_uuid="x" * 300))
    with psycopg.connect(postgres.dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM pg_database WHERE datname = %s", (unique,)).fetchone() == (0,)


def test_secrets_stand_where_omero_keeps_them_and_nowhere_else(omero, sql):
    with Server.connect(omero, seed=5, clock=seeded_clock(5), secrets=SECRETS) as server:
        facility = Facility(server, size=Size(users=2, groups=2))
        done = [*facility.settle(), *facility.work(60)]
    assert len(done) > 60
    found = {
        f"{table}.{column}"
        for table, column in sql.execute(TEXT_COLUMNS).fetchall()
        if sql.execute(f'SELECT EXISTS (SELECT FROM "{table}" WHERE "{column}" LIKE %s)', (f"%{CANARY}%",)).fetchone() == (True,)
    }
    assert found == {"configuration.value", "experimenter.email", "node.uuid", "password.hash", "session.uuid"}


def test_a_block_of_ids_has_no_gap_and_the_last_one_is_returned(sql):
    assert sql.execute("SELECT ome_nextval('seq_eventlog', 1000), ome_nextval('seq_eventlog')").fetchone() == (1000, 1001)
    assert sql.execute("SELECT last_value FROM seq_eventlog").fetchone() == (1001,)


def test_drawing_ids_waits_for_whoever_draws_but_not_for_a_transaction(omero, sql):
    with psycopg.connect(omero) as other:
        other.execute("SELECT ome_nextval('seq_image', 50)")  # and the transaction stays open
        assert sql.execute("SELECT ome_nextval('seq_image', 50)").fetchone() == (100,)
        other.execute("SELECT pg_advisory_lock(1, id) FROM _lock_ids WHERE name = 'seq_image'")
        sql.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            sql.execute("SELECT ome_nextval('seq_image', 50)")
        assert sql.execute("SELECT ome_nextval('seq_dataset', 50)").fetchone() == (50,)


def test_every_table_with_ids_has_a_sequence_with_a_lock_of_its_own(untouched):
    without = untouched.execute(
        "SELECT relname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid WHERE relkind = 'r' AND attname = 'id'"
        " AND relnamespace = 'public'::regnamespace AND relname <> '_lock_ids'"
        " AND 'seq_' || relname NOT IN (SELECT name FROM _lock_ids)"
    ).fetchall()
    assert without == []
    assert untouched.execute("SELECT count(*) - count(DISTINCT id) FROM _lock_ids").fetchone() == (0,)


def test_permissions_read_as_people_write_them(untouched):
    values = {-120: "rw----", -56: "rwr---", -40: "rwra--", -8: "rwrw--", -52: "rwr-r-", -35: "rwrara"}
    assert dict(untouched.execute("SELECT p, ome_perms(p) FROM unnest(%s::int8[]) AS p", (list(values),)).fetchall()) == values


def test_two_users_may_join_the_same_two_objects_but_one_user_only_once(lab, sql):
    image = lab.image().object_id
    row = (
        "INSERT INTO datasetimagelink (id, permissions, creation_id, update_id, owner_id, group_id, parent, child)"
        " SELECT ome_nextval('seq_datasetimagelink'), -40, 0, 0, %s, %s, dataset.id, %s FROM dataset"
    )
    sql.execute(
        "INSERT INTO dataset (id, permissions, creation_id, update_id, owner_id, group_id, name) VALUES (1, -40, 0, 0, 0, 0, 'x')"
    )
    for user in (lab.ann.user_id, lab.bob.user_id):
        sql.execute(row, (user, lab.group, image))
    with pytest.raises(psycopg.errors.UniqueViolation):
        sql.execute(row, (lab.bob.user_id, lab.group, image))
    assert sql.execute("SELECT owner_id, count FROM count_dataset_imagelinks_by_owner ORDER BY owner_id").fetchall() == [
        (lab.ann.user_id, 1),
        (lab.bob.user_id, 1),
    ]
