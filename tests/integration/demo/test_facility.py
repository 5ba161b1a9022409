"""A living facility: the same seed tells the same story, and a plate of 100,000 rows is one transaction."""

import time

import psycopg
import pytest

from pipeline.demo.facility import WEIGHTS, Facility, Size, run
from pipeline.demo.simulator.clock import seeded_clock
from pipeline.demo.simulator.delete import delete
from pipeline.demo.simulator.import_plate import IMPORTED, PlateSize, import_plate
from pipeline.demo.simulator.server import Server

from .conftest import SECRETS

pytestmark = pytest.mark.stack


def everything(dsn):
    """Every row of every table, as text."""
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {
            table: connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1").fetchall() for (table,) in tables.fetchall()
        }


def story(dsn, seed, *, actions=250):
    told = run(dsn, seed=seed, actions=actions, clock=seeded_clock(seed), secrets=SECRETS, size=Size(users=3, groups=3))
    return [(done.action, done.actor, done.objects, done.event_id, list(done.log_ids)) for done in told]


def test_the_same_seed_makes_the_same_rows_and_another_seed_does_not(postgres, omero_template):
    with (
        postgres.database(template=omero_template) as one,
        postgres.database(template=omero_template) as same,
        postgres.database(template=omero_template) as other,
    ):
        first = story(postgres.dsn(one), 11)
        assert story(postgres.dsn(same), 11) == first
        assert everything(postgres.dsn(same)) == everything(postgres.dsn(one))
        assert story(postgres.dsn(other), 12) != first
    assert {action for action, *_ in first} > {"import image", "rename", "tag", "comment", "add key-values", "delete image"}


def test_every_action_can_be_done(omero):
    with Server.connect(omero, seed=3, clock=seeded_clock(3), secrets=SECRETS) as server:
        facility = Facility(server, size=Size(users=2, groups=2))
        actions = {done.action for done in [*facility.settle(), *facility.work(20)]}
        for name in WEIGHTS:
            only = Facility(server, size=Size(users=2, groups=2), weights={name: 1})
            actions |= {done.action for done in [*only.settle(), *only.work(6)]}
    imports = {"start upload", "end upload", "import image", "view first", "import plate", "put into"}
    accounts = {"create group", "create user", "join group", "set leader", "log in", "change password", "chmod"}
    edits = {
        "rename",
        "tag",
        "untag",
        "reword tag",
        "gather tags",
        "add key-values",
        "edit key-values",
        "comment",
        "rate",
        "draw ROI",
    }
    others = {"create dataset", "create project", "create folder", "delete image", "chgrp", "request pyramid", "note reindex"}
    assert actions == imports | accounts | edits | others | {"submit script", "start script", "end script"}


def test_a_facility_that_is_there_already_goes_on_living(omero):
    first = list(run(omero, seed=1, actions=3, secrets=SECRETS))
    second = list(run(omero, seed=2, actions=3, secrets=SECRETS))
    assert sum(done.action == "create user" for done in first) == 6
    assert {done.action for done in second}.isdisjoint({"create user", "create group"})


def test_actions_begin_on_a_steady_beat(omero):
    waits = []
    with Server.connect(omero, seed=1, clock=seeded_clock(1), secrets=SECRETS) as server:
        facility = Facility(server, size=Size(users=1, groups=1), weights={"create dataset": 1})
        list(facility.settle())
        begun = time.monotonic()
        list(facility.work(5, rate_per_s=2.0, sleep=waits.append))
    elapsed_s = time.monotonic() - begun
    assert len(waits) == 4
    assert all(abs(wait - 0.5 * n) <= elapsed_s for n, wait in enumerate(waits, start=1))


def test_nobody_works_before_somebody_has_settled(server):
    with pytest.raises(RuntimeError, match="nobody has settled"):
        list(Facility(server).work(1))


def test_a_plate_of_100_000_rows_comes_and_goes_in_one_transaction_each(lab, sql):
    size = PlateSize.at_least(100_000)
    begun = time.monotonic()
    (plate,) = [done for done in import_plate(lab.server, lab.ann, "P-1", size=size) if done.action == IMPORTED]
    imported_s = time.monotonic() - begun
    assert (plate.rows, plate.rows >= 100_000) == (size.log_rows, True)
    counted = sql.execute(
        "SELECT count(*), count(DISTINCT event), count(DISTINCT xmin::text), max(id) - min(id) + 1"
        " FROM eventlog WHERE event = %s",
        (plate.event_id,),
    ).fetchone()
    assert counted == (plate.rows, 1, 1, plate.rows)
    assert sql.execute("SELECT count(*) FROM image JOIN wellsample ON image = image.id").fetchone() == (size.images,)
    begun = time.monotonic()
    gone = delete(lab.server, lab.ann, "plate", [plate.object_id])
    deleted_s = time.monotonic() - begun
    print(f"{plate.rows} rows imported in {imported_s:.1f} s, {gone.rows} deleted in {deleted_s:.1f} s")
    assert sql.execute("SELECT count(*) FROM image").fetchone() == (0,)
    assert gone.rows >= plate.rows
    assert (imported_s < 60, deleted_s < 60) == (True, True)
