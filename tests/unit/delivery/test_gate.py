from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.gate import PROBES, Gate, Gatekeeper, MemoryGateStore
from pipeline.errors import DependencyDown

OPEN = Gate(consumer="relay")


def test_a_gate_that_nobody_touched_is_open() -> None:
    assert MemoryGateStore().read("relay") == OPEN
    assert OPEN.may_run(0)


def test_a_person_closes_until_a_time_and_time_opens_it() -> None:
    gate = OPEN.closed(by="person", actor="jo", reason="maintenance", now_ms=1000, until_ms=61_000)

    assert not gate.may_run(60_999)
    assert gate.opens_in_s(31_000) == 30.0
    assert gate.may_run(61_000)
    assert gate.settled(61_000).probes_left is None


def test_without_a_time_only_somebody_opens_it() -> None:
    gate = OPEN.closed(by="person", actor="jo", reason="look first", now_ms=1000)

    assert gate.opens_in_s(10**15) is None
    assert gate.opened(by="person", actor="jo", reason="looked", now_ms=2000).may_run(2000)


def test_what_a_person_closed_no_breaker_opens_or_changes() -> None:
    gate = OPEN.closed(by="person", actor="jo", reason="maintenance", now_ms=1000)

    assert gate.closed(by="breaker", actor="w1", reason="990 of 1,000 failed", now_ms=2000, until_ms=3000) == gate
    assert gate.opened(by="breaker", actor="w1", reason="", now_ms=2000) == gate
    assert gate.opened(by="letters", actor="w1", reason="", now_ms=2000) == gate


def test_a_person_overrules_the_breaker() -> None:
    gate = OPEN.closed(by="breaker", actor="w1", reason="too much failed", now_ms=1000)

    assert gate.opened(by="person", actor="jo", reason="fixed", now_ms=2000).may_run(2000)
    assert gate.closed(by="person", actor="jo", reason="looking", now_ms=2000).by == "person"


def test_after_the_breaker_the_gate_trusts_only_after_probes() -> None:
    gate = OPEN.closed(by="breaker", actor="w1", reason="too much failed", now_ms=0, until_ms=1000).settled(1000)
    assert (gate.half_open, gate.probes_left) == (True, PROBES)

    for left in range(PROBES - 1, 0, -1):
        gate = gate.after(succeeded=True, actor="w1", now_ms=1001)
        assert gate.probes_left == left
    gate = gate.after(succeeded=True, actor="w1", now_ms=1002)

    assert (gate.state, gate.half_open) == ("open", False)


def test_one_failed_probe_closes_it_again() -> None:
    half_open = OPEN.opened(by="person", actor="jo", reason="try", now_ms=0, probes=3)

    gate = half_open.after(succeeded=False, actor="w1", now_ms=5, until_ms=100)

    assert (gate.state, gate.by, gate.until_ms) == ("closed", "breaker", 100)


@given(
    st.lists(
        st.tuples(st.sampled_from(["close", "open", "probe"]), st.sampled_from(["person", "breaker", "letters"]), st.booleans()),
        max_size=30,
    )
)
def test_a_persons_word_holds_until_a_person_says_otherwise(steps: list[tuple[str, str, bool]]) -> None:
    gate = OPEN
    for now_ms, (what, by, succeeded) in enumerate(steps):
        before = gate
        if what == "close":
            gate = gate.closed(by=by, actor="x", reason="r", now_ms=now_ms)  # type: ignore[arg-type]
        elif what == "open":
            gate = gate.opened(by=by, actor="x", reason="r", now_ms=now_ms, probes=2)  # type: ignore[arg-type]
        else:
            gate = gate.after(succeeded=succeeded, actor="x", now_ms=now_ms)
        if before.state == "closed" and before.by == "person" and by != "person":
            assert gate == before
        assert gate.may_run(now_ms) == (gate.state == "open")


def test_a_running_service_keeps_the_last_answer_while_the_store_is_away() -> None:
    store = MemoryGateStore()
    keeper = Gatekeeper(store, "relay")
    closed = keeper.close(by="person", actor="jo", reason="maintenance", now_ms=1)
    store.down = DependencyDown("state-database", "refused")

    assert keeper.look() == closed
    with pytest.raises(DependencyDown):
        Gatekeeper(store, "relay").look()


def test_closing_is_durable_and_told_in_order() -> None:
    store = MemoryGateStore()
    closed = Gatekeeper(store, "relay").close(by="breaker", actor="w1", reason="too much failed", now_ms=1)

    assert Gatekeeper(store, "relay").look() == closed
    assert store.history == [closed]


def test_who_comes_second_looks_again_before_writing() -> None:
    store = MemoryGateStore()
    by_person = OPEN.closed(by="person", actor="jo", reason="maintenance", now_ms=1)

    assert store.write(by_person, instead_of=OPEN)
    assert not store.write(OPEN.closed(by="breaker", actor="w1", reason="x", now_ms=1), instead_of=OPEN)
    assert Gatekeeper(store, "relay").close(by="breaker", actor="w1", reason="x", now_ms=2) == by_person


def test_probes_are_counted_in_the_store_and_only_while_half_open() -> None:
    store = MemoryGateStore()
    store.write(OPEN.opened(by="person", actor="jo", reason="try", now_ms=0, probes=2), instead_of=OPEN)
    keeper = Gatekeeper(store, "relay")
    keeper.look()

    assert keeper.finished(succeeded=True, actor="w1", now_ms=1).probes_left == 1
    assert not keeper.finished(succeeded=True, actor="w1", now_ms=2).half_open
    written = len(store.history)
    keeper.finished(succeeded=False, actor="w1", now_ms=3)
    assert len(store.history) == written
