"""The last-known table against a dictionary, and its filling beside writers and crashes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.state.fill import FillProgress, Kind, describe, fill, fill_progress
from pipeline.state.last_known import LastKnown, LastKnownTable, Membership, Place
from pipeline.state.pool import connect

pytestmark = pytest.mark.stack

KINDS = ["image", "annotation", "groupexperimentermap"]
ids = st.integers(0, 6) | st.just(2**63 - 1)
maybe = st.none() | st.integers(0, 3)
rows = st.builds(LastKnown, kind=st.sampled_from(KINDS), id=ids, owner=maybe, group=maybe, parent=maybe, child=maybe)
steps = st.lists(st.tuples(st.lists(rows, max_size=6), st.lists(st.tuples(st.sampled_from(KINDS), ids), max_size=3)), max_size=6)


@pytest.fixture
def table(state_database) -> LastKnownTable:
    return LastKnownTable(state_database)


@given(steps=steps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_the_table_is_a_dictionary_that_never_forgets_where_what_is_gone_was(connection, table, steps):
    connection.execute("TRUNCATE omero_mq.last_known")
    model: dict[tuple[str, int], LastKnown] = {}
    gone: set[tuple[str, int]] = set()
    for remember, forget in steps:
        latest = {(row.kind, row.id): row for row in remember}
        written = {key for key, row in latest.items() if model.get(key) != row or key in gone}
        model |= latest
        gone -= latest.keys()
        newly_gone = (set(forget) & model.keys()) - gone
        gone |= newly_gone
        assert table.keep(remember=remember, forget=forget) == len(written) + len(newly_gone)
    for kind in KINDS:
        mine = {id_: row for (k, id_), row in model.items() if k == kind}
        wanted = [*range(8), 2**63 - 1]
        assert table.look_up(kind, wanted) == {id_: Place(row.owner, row.group) for id_, row in mine.items()}
        assert table.look_up_memberships(kind, wanted) == {id_: Membership(row.parent, row.child) for id_, row in mine.items()}
    assert table.purge(gone_before=datetime.now(UTC) + timedelta(days=1)) == len(gone)
    left = connection.execute('SELECT kind, id FROM omero_mq.last_known ORDER BY kind COLLATE "C", id').fetchall()
    assert left == sorted(model.keys() - gone)


def test_what_stays_the_same_is_not_written(table, connection):
    same = [LastKnown(kind="image", id=id_, owner=1, group=2) for id_ in range(100)]
    assert table.remember(same) == 100
    # A row that is only locked gets an xmax as well.
    before = connection.execute("SELECT id, xmin::text, xmax::text FROM omero_mq.last_known ORDER BY id").fetchall()
    assert table.remember(same) == 0
    assert connection.execute("SELECT id, xmin::text, xmax::text FROM omero_mq.last_known ORDER BY id").fetchall() == before


def test_nothing_is_looked_up_or_written_for_nothing(table):
    assert (table.look_up("image", []), table.remember([]), table.forget("image", [])) == ({}, 0, 0)


def test_what_went_recently_survives_a_purge(table):
    table.remember([LastKnown(kind="image", id=1, owner=5, group=6)])
    assert table.forget("image", [1, 2]) == 1
    assert table.purge(gone_before=datetime.now(UTC) - timedelta(days=30)) == 0
    assert table.look_up("image", [1, 2]) == {1: Place(5, 6)}


# --- filling -----------------------------------------------------------------------------------------------------------------

OMERO = """
CREATE TABLE image (id bigint PRIMARY KEY, owner_id bigint NOT NULL, group_id bigint NOT NULL, name text);
CREATE TABLE experimenter (id bigint PRIMARY KEY, omename text);
CREATE TABLE "session" (id bigint PRIMARY KEY, owner bigint NOT NULL, uuid text);
CREATE TABLE groupexperimentermap (id bigint PRIMARY KEY, parent bigint, child bigint, owner boolean NOT NULL);
CREATE TABLE imageannotationlink (id bigint PRIMARY KEY, owner_id bigint, group_id bigint, parent bigint, child bigint);
INSERT INTO image SELECT 3 * i, i % 7, i % 3 FROM generate_series(0, 99) i;
INSERT INTO experimenter VALUES (0, 'root'), (52, 'ada');
INSERT INTO "session" VALUES (9, 52, 'secret');
INSERT INTO groupexperimentermap VALUES (4, 103, 52, true);
INSERT INTO imageannotationlink VALUES (1, 52, 103, 3, 6);
"""
TABLES = ["session", "image", "experimenter", "groupexperimentermap", "imageannotationlink"]


@pytest.fixture
def omero(postgres, database):
    with psycopg.connect(postgres.dsn(database(prefix="omero")), autocommit=True) as connection:
        connection.execute(OMERO)
        yield connection


def test_each_table_says_what_it_knows(omero):
    assert describe(omero, TABLES) == [
        Kind(table="experimenter"),
        Kind(table="groupexperimentermap", parent="parent", child="child"),
        Kind(table="image", owner="owner_id", group="group_id"),
        Kind(table="imageannotationlink", owner="owner_id", group="group_id"),
        Kind(table="session", owner="owner"),
    ]


def test_a_table_that_is_missing_or_may_not_be_read_is_named(omero):
    with pytest.raises(Misconfigured, match=r"^OMERO's database has no readable public.roi.id$"):
        describe(omero, ["image", "roi"])


def test_filling_reads_every_row_of_every_kind(omero, state_database, table):
    assert fill(omero, state_database, describe(omero, TABLES), chunk_rows=7)
    assert table.look_up("image", range(300)) == {3 * i: Place(i % 7, i % 3) for i in range(100)}
    assert table.look_up("experimenter", [0, 52]) == {0: Place(None, None), 52: Place(None, None)}
    assert table.look_up("session", [9]) == {9: Place(52, None)}
    assert table.look_up_memberships("groupexperimentermap", [4]) == {4: Membership(103, 52)}
    assert table.look_up_memberships("imageannotationlink", [1]) == {1: Membership(None, None)}
    done = {at.kind: (at.last_id, at.rows_read, at.finished) for at in fill_progress(state_database)}
    assert done == {
        "image": (297, 100, True),
        "experimenter": (52, 2, True),
        "session": (9, 1, True),
        "groupexperimentermap": (4, 1, True),
        "imageannotationlink": (1, 1, True),
    }


def test_filling_goes_on_where_it_was_stopped_and_ends_once(omero, state_database, table):
    image, told = describe(omero, ["image"]), []
    assert not fill(omero, state_database, image, chunk_rows=30, progress=lambda at: told.append(at) or False)
    assert told == [FillProgress(kind="image", last_id=87, rows_read=30, finished=False)]
    assert fill(omero, state_database, image, chunk_rows=30, progress=lambda at: told.append(at) or True)
    assert [at.rows_read for at in told] == [30, 60, 90, 100]
    assert len(table.look_up("image", range(300))) == 100
    assert fill(omero, state_database, image, progress=lambda at: told.append(at) or True)
    assert len(told) == 4


def test_filling_overwrites_nothing_that_relay_wrote_since(omero, state_database, table):
    table.keep(
        remember=[LastKnown(kind="image", id=3, owner=1, group=77), LastKnown(kind="image", id=6, owner=2, group=2)],
        forget=[("image", 6)],
    )
    fill(omero, state_database, describe(omero, ["image"]))
    assert table.look_up("image", [3]) == {3: Place(1, 77)}
    with state_database.transaction() as connection:
        gone = connection.execute("SELECT id FROM omero_mq.last_known WHERE gone_at IS NOT NULL").fetchall()
    assert gone == [(6,)]


def test_a_kill_between_chunks_or_in_one_costs_at_most_that_chunk(omero, state, state_database, table):
    image = describe(omero, ["image"])

    def ended(at):
        if at.finished:
            return True
        with connect(state, service="killer", autocommit=True) as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'omero-mq tests'"
            )
        return True

    failures: list[str] = []
    while True:
        try:
            fill(omero, state_database, image, chunk_rows=30, progress=ended)
            break
        except DependencyDown as error:
            failures.append(error.name)
    assert failures == ["state-database"] * 3
    assert fill_progress(state_database) == [FillProgress(kind="image", last_id=297, rows_read=100, finished=True)]
    assert len(table.look_up("image", range(300))) == 100
