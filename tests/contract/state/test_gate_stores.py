"""What every `GateStore` promises, in memory and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.delivery.gate import Gate, Gatekeeper, GateStore, MemoryGateStore
from pipeline.settings.model import StateSettings
from pipeline.state.gates import PostgresGateStore
from pipeline.state.migrate import migrate
from pipeline.state.pool import StateDatabase

gates = st.builds(
    Gate,
    consumer=st.sampled_from(["relay", "documents"]),
    state=st.sampled_from(["open", "closed"]),
    by=st.sampled_from(["person", "breaker", "letters"]),
    actor=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    reason=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
    until_ms=st.none() | st.integers(0, 2**63 - 1),
    probes_left=st.none() | st.integers(0, 100),
    changed_at_ms=st.integers(0, 2**63 - 1),
)
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.stack)])
def store(request) -> Iterator[GateStore]:
    if request.param == "memory":
        yield MemoryGateStore()
        return
    postgres, database = request.getfixturevalue("postgres"), request.getfixturevalue("database")
    name = database(prefix="state")
    with psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        migrate(connection)
    where = StateSettings(
        host=postgres.host, port=postgres.port, database=name, user=postgres.superuser, password=postgres.password
    )
    state = StateDatabase(where, service="tests", at_most=4)
    yield PostgresGateStore(state)
    state.close()


def test_a_gate_that_nobody_touched_is_open(store):
    assert store.read("relay") == Gate(consumer="relay")


@given(gate=gates)
@shared
def test_what_is_written_is_read(store, gate):
    assert store.write(gate, instead_of=store.read(gate.consumer))
    assert store.read(gate.consumer) == gate


@given(gate=gates, other=gates)
@shared
def test_who_has_an_old_answer_changes_nothing(store, gate, other):
    before = store.read(gate.consumer)
    assert store.write(gate, instead_of=before)
    if gate != before:
        assert not store.write(other if other.consumer == gate.consumer else gate, instead_of=before)
    assert store.read(gate.consumer) == gate


def test_one_consumers_gate_is_not_anothers(store):
    closed = Gate(consumer="relay").closed(by="person", actor="ada", reason="upgrade", now_ms=5)
    assert store.write(closed, instead_of=Gate(consumer="relay"))
    assert store.read("documents") == Gate(consumer="documents")


def test_a_breaker_that_closes_through_a_gatekeeper_is_seen_by_another(store):
    mine, theirs = Gatekeeper(store, "relay"), Gatekeeper(store, "relay")
    assert theirs.look().may_run(now_ms=1)
    closed = mine.close(by="breaker", actor="worker 1", reason="20 letters in 5 min", now_ms=2)
    assert theirs.look() == closed
    assert not theirs.look().may_run(now_ms=3)
