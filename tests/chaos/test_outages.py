"""Single situations on the whole chain: told to stop while something is away, seen too early, out of order, gate closed."""

import threading
import time
from contextlib import contextmanager

import pytest
from psycopg import sql

from pipeline.delivery.gate import Gate
from pipeline.demo.simulator.history import ROOT
from pipeline.demo.simulator.out_of_order import out_of_order
from pipeline.demo.simulator.request_pyramid import request_pyramid
from pipeline.demo.simulator.server import Server
from pipeline.state.gates import PostgresGateStore
from pipeline.state.pool import StateDatabase

from .record import committed, compare, last_id
from .site import RELAYS
from .waiting import until
from .work import SEEDS, imported, some_work, two_servers

pytestmark = [pytest.mark.stack, pytest.mark.chaos, pytest.mark.timeout(240)]

STOP_S = 13.0  # a supervisor kills after 15


class Recording:
    """What is committed and what is told from now on."""

    def __init__(self, site):
        self._site = site
        self._above, self._mark = last_id(site), site.told.here()

    @property
    def rows(self):
        return committed(self._site, above=self._above)

    @property
    def events(self):
        return self._site.told.since(self._mark)

    def all_told(self, *, within_s=60.0):
        """Waits until every committed row was told and acknowledged, and compares."""
        wanted = {row.id for row in self.rows}
        assert wanted
        until(lambda: wanted <= {int(event.data.id) for event in self.events}, within_s=within_s, what=f"{len(wanted)} rows told")
        until(lambda: self._site.lag() == 0, what="lag 0")
        compare(self.rows, self.events)
        assert self._site.letters() == []


@pytest.fixture
def recording(site):
    return Recording(site)


def capture_while_frozen(site):
    """Rows that are on `omero.eventlog` while both relays are frozen, so that they have not read them."""
    for name in RELAYS:
        site.stack.freeze(name)
    before = site.captured()
    some_work(site.dsn())
    until(lambda: site.captured() > before and site.sql("SELECT 1"), what="captured rows")
    time.sleep(1.0)
    return site.captured()


@contextmanager
def gates(site):
    state = StateDatabase(site.settings.state, service="tests")
    try:
        yield PostgresGateStore(state)
    finally:
        state.close()


def change_gate(site, change, reason):
    """`Gate.closed` or `Gate.opened`, by a person."""
    with gates(site) as store:
        before = store.read("relay")
        after = change(before, by="person", actor="ann", reason=reason, now_ms=time.time_ns() // 1_000_000)
        assert store.write(after, instead_of=before)


def test_told_to_stop_while_kafka_is_away_a_relay_ends_and_everything_is_told_later(site, recording):
    capture_while_frozen(site)
    acknowledged = site.committed()
    site.take_down_kafka()
    site.thaw_relays()
    time.sleep(2.0)
    assert site.stop_relays() < STOP_S
    site.bring_up_kafka()
    assert site.committed() == acknowledged
    assert recording.events == []
    site.start_relays()
    recording.all_told()


def test_told_to_stop_while_postgresql_is_away_a_relay_ends_and_acknowledges_nothing(site, recording):
    captured = capture_while_frozen(site)
    acknowledged = site.committed()
    assert acknowledged < captured
    site.stack.take_down("postgres")
    site.thaw_relays()
    until(lambda: "waiting for omero-database" in "".join(site.condition(name).status for name in RELAYS), what="its status")
    assert site.stop_relays() < STOP_S
    assert site.committed() == acknowledged
    assert recording.events == []
    site.stack.bring_up("postgres")
    site.start_relays()
    recording.all_told()


def test_a_commit_that_is_captured_before_it_is_visible_is_told_once_it_is(site, recording):
    ((visible_before,),) = site.sql("SELECT max(id) FROM eventlog")
    standby = sql.SQL("ALTER SYSTEM {} synchronous_standby_names {}")
    captured = site.captured()
    with site.connection() as admin:
        admin.execute(standby.format(sql.SQL("SET"), sql.SQL("= 'ghost'")))
        admin.execute("SELECT pg_reload_conf()")
        until(lambda: admin.execute("SHOW synchronous_standby_names").fetchone() == ("ghost",))
        writer = threading.Thread(
            target=lambda: site.sql(
                "WITH e AS (INSERT INTO event (id, permissions, time, experimenter, experimentergroup, session, type) VALUES"
                " (ome_nextval('seq_event'), -52, now(), 0, 0, 0, 4) RETURNING id)"
                " INSERT INTO eventlog (id, permissions, action, entityid, entitytype, event)"
                " SELECT ome_nextval('seq_eventlog'), -35, 'UPDATE', 1, 'ome.model.core.Image', id FROM e"
            )
        )
        writer.start()
        until(lambda: site.captured() == captured + 1, what="the row on the topic")
        assert admin.execute("SELECT max(id) FROM eventlog").fetchone() == (visible_before,)
        time.sleep(3.0)
        assert (writer.is_alive(), recording.events, site.lag()) == (True, [], 1)
        admin.execute(standby.format(sql.SQL("RESET"), sql.SQL("")))
        admin.execute("SELECT pg_reload_conf()")
    writer.join(20)
    recording.all_told()
    assert len(recording.rows) == 1


def test_overlapping_transactions_and_a_row_with_an_old_id_are_told_in_the_order_of_their_commits(site, recording):
    with Server.connect(site.dsn(), seed=next(SEEDS)) as late, two_servers(site.dsn(), seed=next(SEEDS)) as (slow, fast):
        late.ids.take("eventlog")  # its process has a block of ids now, and goes on with it hours later
        late.connection.commit()
        images = imported(slow, 3)
        ((pixels,),) = site.sql("SELECT id FROM pixels WHERE image = %s", images[0])
        second, first = out_of_order(slow, fast, ROOT, [images[0], images[1]], images[2], hold_s=2.0)
        asked = request_pyramid(late, ROOT, pixels)
    assert max(asked.log_ids) < min(first.log_ids) < max(first.log_ids) < min(second.log_ids)
    recording.all_told()
    told = [int(event.data.id) for event in recording.events]
    assert set(told) > {*first.log_ids, *second.log_ids, *asked.log_ids}
    when = {int(event.data.id): event.committime for event in recording.events}
    assert when[second.log_ids[0]] < when[first.log_ids[0]] < when[asked.log_ids[0]]


def test_a_closed_gate_survives_restarts_of_everything(site, recording):
    change_gate(site, Gate.closed, "night shift")
    try:
        for name in RELAYS:
            until(lambda name=name: "gate closed by person ann: night shift" in site.condition(name).status, what="its status")
        acknowledged = site.committed()
        some_work(site.dsn())
        site.end("postgres", site.stack.kill)
        for name in ("postgres", *RELAYS):
            site.stack.restart(name)
        time.sleep(2.0)
        assert (recording.events, site.committed()) == ([], acknowledged)
        with gates(site) as store:
            kept = store.read("relay")
        assert (kept.state, kept.by, kept.actor, kept.reason) == ("closed", "person", "ann", "night shift")
    finally:
        change_gate(site, Gate.opened, "morning")
    recording.all_told()


@pytest.mark.parametrize("broker", ["kafka-2", "kafka-3", "kafka"])
def test_whichever_of_three_brokers_is_killed_it_is_not_missed(site, recording, broker):
    before = {name: site.stack.pid(name) for name in RELAYS}
    captured = site.captured()
    site.stack.take_down(broker, kill=True)
    assert site.captured() == captured  # from the leaders that are left or become it; never a number that nobody said
    some_work(site.dsn())
    recording.all_told(within_s=45.0)
    assert {name: site.stack.pid(name) for name in RELAYS} == before
    site.stack.bring_up(broker)


def test_of_three_brokers_one_is_not_missed_and_with_two_gone_everything_waits(site, recording):
    site.stack.take_down("kafka-2", kill=True)
    some_work(site.dsn())
    recording.all_told()
    site.stack.take_down("kafka-3", kill=True)
    before = {name: site.stack.pid(name) for name in RELAYS}
    some_work(site.dsn())
    time.sleep(6.0)
    site.each(site.stack.bring_up, ("kafka-2", "kafka-3"))
    recording.all_told()
    assert {name: site.stack.pid(name) for name in RELAYS} == before
