"""What a worker may do by what it saw of its gate last."""

import pytest

from pipeline.delivery.deliver import Outcome
from pipeline.delivery.gate import Gate, Gatekeeper, MemoryGateStore
from pipeline.delivery.memory import outage
from pipeline.delivery.record import Record
from pipeline.errors import DependencyDown
from pipeline.worker.door import Door

RECORD = Record(topic="t", partition=0, offset=0, key=None, value=None)
DONE, LETTER, LEFT = (Outcome(record=RECORD, kind=kind) for kind in ("done", "letter", "left"))


class Site:
    def __init__(self, **gate):
        self.store = MemoryGateStore()
        self.now_ms = 100
        if gate:
            self.store.write(Gate(consumer="c", **gate), instead_of=self.store.read("c"))
        self.door = Door(Gatekeeper(self.store, "c"), worker="w", now_ms=lambda: self.now_ms)


def test_nothing_may_be_tried_before_the_gate_was_seen():
    site = Site()
    assert (site.door.may_run(), site.door.limit) == (False, 0)
    site.door.look()
    assert (site.door.may_run(), site.door.limit) == (True, None)


def test_a_half_open_gate_lets_as_many_through_as_it_has_probes():
    site = Site(probes_left=2)
    site.door.look()
    assert site.door.limit == 2
    site.door.count([DONE, LEFT])
    assert site.door.limit == 1
    site.door.count([DONE])
    assert site.door.limit is None


def test_a_failed_probe_lets_nothing_more_through():
    site = Site(probes_left=2, by="breaker")
    site.door.look()
    site.door.count([LETTER, DONE])
    assert (site.door.limit, site.store.read("c").state) == (0, "closed")


def test_an_open_gate_is_not_told_of_letters():
    site = Site()
    site.door.look()
    site.door.count([LETTER])
    assert (site.door.limit, site.store.history) == (None, [])


def test_while_the_store_is_away_the_last_answer_counts():
    site = Site(probes_left=3)
    site.store.down = outage("state-database")
    with pytest.raises(DependencyDown):
        site.door.look()
    site.store.down = None
    site.door.look()
    site.store.down = outage("state-database")
    assert site.door.shut() is None
    site.door.count([DONE])
    assert site.door.limit == 3


def test_a_gate_that_closes_is_seen_and_opens_by_itself_when_its_time_has_come():
    site = Site()
    site.door.look()
    Gatekeeper(site.store, "c").close(by="person", actor="ada", reason="x", now_ms=100, until_ms=200)
    shut = site.door.shut()
    assert (shut.actor, site.door.limit) == ("ada", 0)
    site.now_ms = 200
    assert site.door.shut() is None
    assert site.door.limit is None
