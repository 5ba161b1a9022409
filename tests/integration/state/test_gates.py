"""What only the durable gate store does."""

import threading

import psycopg
import pytest

from pipeline.delivery.gate import Gate
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.state.gates import PostgresGateStore
from pipeline.state.pool import StateDatabase

pytestmark = pytest.mark.stack

CLOSED = Gate(consumer="relay").closed(by="breaker", actor="relay-1", reason="21 letters in 5 min", now_ms=10, until_ms=99)


def test_a_gate_survives_the_process_that_wrote_it(state, state_database):
    assert PostgresGateStore(state_database).write(CLOSED, instead_of=Gate(consumer="relay"))
    again = StateDatabase(state, service="another")
    assert PostgresGateStore(again).all() == [CLOSED]
    again.close()


def test_history_keeps_every_change_and_no_refused_one(state_database):
    store = PostgresGateStore(state_database)
    opened = CLOSED.opened(by="person", actor="ada", reason="fixed", now_ms=20)
    assert store.write(CLOSED, instead_of=Gate(consumer="relay"))
    assert not store.write(opened, instead_of=Gate(consumer="relay"))
    assert store.write(opened, instead_of=CLOSED)
    assert store.history("relay") == [opened, CLOSED]
    assert store.history("documents") == []


def test_a_reason_with_bytes_that_postgresql_has_no_text_for_is_kept_escaped(state_database):
    store = PostgresGateStore(state_database)
    gate = Gate(consumer="relay").closed(by="letters", actor="a", reason="bad \0 and \ud800", now_ms=1)
    assert store.write(gate, instead_of=Gate(consumer="relay"))
    assert store.read("relay").reason == "bad \\x00 and \\ud800"


def test_a_schema_that_was_never_made_is_for_a_person(empty):
    database = StateDatabase(empty, service="tests")
    with pytest.raises(Misconfigured) as caught:
        PostgresGateStore(database).read("relay")
    assert caught.value.fix == "run `omero-mq init`"
    database.close()


def test_a_server_that_ends_the_connection_is_down_once_and_then_answers(state_database, connection):
    store = PostgresGateStore(state_database)
    assert store.read("relay") == Gate(consumer="relay")
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    connection.execute(f"SELECT pg_terminate_backend(pid, 5000) {others}")
    with pytest.raises(DependencyDown):
        store.read("relay")
    assert store.read("relay") == Gate(consumer="relay")


def test_a_pool_lends_no_more_connections_than_it_may(state, connection):
    database = StateDatabase(state, service="bounded", at_most=2)
    for _ in range(20):
        with database.transaction() as one, database.transaction() as two:
            assert one is not two
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'omero-mq bounded' AND datname = current_database()"
    assert connection.execute(count).fetchone() == (2,)
    database.close()


def test_an_idle_pool_holds_no_transaction_open(state_database, connection):
    PostgresGateStore(state_database).read("relay")
    states = connection.execute(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchall()
    assert states == [("idle",)]


def test_a_failed_block_leaves_nothing_behind_and_the_connection_usable(state_database):
    with pytest.raises(psycopg.errors.DivisionByZero), state_database.transaction() as lent:
        lent.execute("CREATE TABLE left_behind (x int); SELECT 1 / 0")
    with state_database.transaction() as lent:
        assert lent.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)


def test_of_many_who_write_at_once_instead_of_the_same_gate_one_succeeds(state):
    database = StateDatabase(state, service="tests", at_most=4)
    store = PostgresGateStore(database)
    for round_ in range(5):
        before, won, barrier = store.read("relay"), [], threading.Barrier(4)

        def write(number, before=before, won=won, barrier=barrier, round_=round_):
            gate = before.closed(by="person", actor=f"worker {number}", reason="", now_ms=round_)
            barrier.wait()
            if store.write(gate, instead_of=before):
                won.append(gate)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert won == [store.read("relay")]
    database.close()
