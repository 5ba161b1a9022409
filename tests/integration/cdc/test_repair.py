"""A slot that is lost: what is shown, and how every row comes onto the topic all the same."""

import threading
import time
from dataclasses import replace

import msgspec
import psycopg
import pytest

from pipeline.cdc import repair as repairing
from pipeline.cdc.connectors import connector
from pipeline.cdc.repair import Repaired, check, repair, repair_without_rows
from pipeline.delivery.record import Outgoing
from pipeline.errors import Misconfigured
from pipeline.kafka.publish import KafkaPublisher
from pipeline.omero.removal import release

from .capture import until

pytestmark = pytest.mark.stack


def lose_slot(capture, kind="eventlog"):
    """What PostgreSQL does when `max_slot_wal_keep_size` is passed, but quicker: the place is gone.

    A connector that has stored no place yet, in its first seconds, would make a slot itself.
    """
    name = capture.slot(kind).name
    until(lambda: capture.connect.offsets(connector(kind, capture.settings).name), what="a stored place")
    release(capture.admin, [name])
    deadline = time.monotonic() + 10
    while True:
        try:
            capture.admin.execute("SELECT pg_drop_replication_slot(%s)", (name,))
        except psycopg.errors.ObjectInUse:  # Debezium was quicker: it comes back at once
            assert time.monotonic() < deadline
            release(capture.admin, [name])
        else:
            return


def test_a_lost_slot_is_named_with_its_repair(capture):
    capture.await_ids(capture.log())
    lose_slot(capture)
    findings = until(lambda: len(found := capture.findings()) == 2 and found, within_s=60, what="a failed connector")
    assert findings[0].problem.startswith(f"the replication slot {capture.eventlog.slot} is gone")
    assert "failed" in findings[1].problem
    assert "no longer available on the server" in findings[1].problem
    assert [finding.fix for finding in findings] == ["omero-mq repair", "omero-mq repair"]
    assert capture.findings("reindexing") == []


def test_a_slot_made_anew_under_the_old_name_is_not_taken_for_the_old_one(capture):
    capture.await_ids(capture.log())
    lose_slot(capture)
    lost = capture.log(rows=3)
    capture.admin.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (capture.eventlog.slot,))
    [finding] = until(capture.findings, within_s=60, what="a failed connector")
    assert finding.fix == "omero-mq repair"
    assert not set(lost) & set(capture.ids())


def test_after_a_repair_no_committed_row_is_missing(capture):
    pool = capture.admin.execute("SELECT ome_nextval('seq_eventlog', 50)").fetchone()[0]
    long_open = capture.server_session()
    late = capture.log(connection=long_open, rows=3)
    seen = capture.log(rows=200)
    capture.await_ids(seen)
    lose_slot(capture)
    lost = capture.log(rows=300)
    lost += capture.log(action="PIXELDATA", entity="ome.model.core.Pixels", ids=[pool - 30])  # an id from long before
    filtered = capture.log(action="REINDEX", permissions=-52, rows=5)
    long_open.commit()  # ids below what was delivered, committed after the loss
    with capture.parts() as parts:
        done = repair(parts)
        after = capture.log(rows=2)
        capture.await_ids(after)
        assert done == Repaired(from_id=done.from_id, on_topic=200, reread=304, missing=0)
        assert check(parts) == Repaired(from_id=done.from_id, on_topic=506, reread=0, missing=0)
    on_topic = set(capture.ids())
    assert on_topic == {*late, *seen, *lost, *after}
    assert not on_topic & set(filtered)
    assert capture.findings() == []


def test_rows_read_again_land_in_the_partition_of_their_object_and_say_so(capture):
    first = [capture.log(entity_id=number)[0] for number in range(12)]
    capture.await_ids(first)
    lose_slot(capture)
    second = [capture.log(entity_id=number)[0] for number in range(12)]
    with capture.parts() as parts:
        repair(parts)
    records = capture.records()
    partitions: dict[bytes, set[int]] = {}
    for record in records:
        partitions.setdefault(record.key, set()).add(record.partition)
    assert len(partitions) == 12
    assert len(set.union(*partitions.values())) > 1
    assert [len(where) for where in partitions.values()] == [1] * 12
    again = [row for row in capture.rows() if row["id"] in second]
    assert {(row["__op"], row["__lsn"], row["__txid"]) for row in again} == {("r", None, None)}
    assert {len(row) for row in capture.rows()} == {11}


def test_rows_that_were_committed_during_the_repair_are_there_too(capture):
    capture.await_ids(capture.log(rows=10))
    lose_slot(capture)
    stop = threading.Event()

    def work() -> None:
        session = capture.server_session()
        while not stop.is_set():
            capture.log(connection=session, rows=5)
            session.commit()
            time.sleep(0.01)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        with capture.parts() as parts:
            done = repair(parts)
    finally:
        stop.set()
        worker.join()
    assert done.missing == 0
    capture.await_ids(capture.committed_ids())


def test_a_repair_that_was_killed_half_way_is_simply_run_again(capture):
    capture.await_ids(capture.log(rows=10))
    lose_slot(capture)
    lost = capture.log(rows=25_000)

    class Killed(KafkaPublisher):
        written = 0

        def publish(self, records):
            if self.written:
                raise KeyboardInterrupt
            self.written += len(records)
            super().publish(records)

    with capture.parts() as parts:
        with Killed(capture.settings.kafka) as dying, pytest.raises(KeyboardInterrupt):
            repair(replace(parts, publisher=dying))
        assert capture.connect.status(capture.eventlog.name).state == "STOPPED"
        done = repair(parts)
    assert (done.reread, done.missing) == (15_001, 0), "one page of 10,000 rows, the last delivered one among them, was written"
    assert set(capture.ids()) >= set(lost)


def test_a_publisher_that_loses_rows_is_found_out(capture):
    capture.await_ids(capture.log(rows=10))
    lose_slot(capture)
    capture.log(rows=100)

    class Lossy(KafkaPublisher):
        def publish(self, records: list[Outgoing]) -> None:
            super().publish(records[:-7])

    with capture.parts() as parts, Lossy(capture.settings.kafka) as lossy:
        done = repair(replace(parts, publisher=lossy))
    assert (done.reread, done.missing) == (100, 7)


def test_an_open_transaction_does_not_hold_the_repair_for_ever(capture):
    capture.await_ids(capture.log(rows=10))
    lose_slot(capture)
    lost = capture.log(rows=10)
    with capture.parts() as parts:
        opened: list[int] = []
        session = capture.server_session()
        original = repairing.renew_slot

        def renew_then_open(replication, slot):
            original(replication, slot)
            opened.extend(capture.log(connection=session, rows=4))

        with pytest.MonkeyPatch.context() as patch:  # the moment between slot and reading cannot be met otherwise
            patch.setattr(repairing, "renew_slot", renew_then_open)
            done = repair(parts, transactions_s=1)
        assert done == Repaired(from_id=done.from_id, on_topic=10, reread=10, missing=0, open_transactions=True)
        session.commit()
        capture.await_ids([*lost, *opened])


def test_nothing_on_the_topic_means_that_a_person_must_say_from_where(capture):
    lose_slot(capture)
    lost = capture.log(rows=10)
    with capture.parts() as parts:
        with pytest.raises(Misconfigured, match="nothing tells from where") as caught:
            repair(parts)
        assert "--from-id" in caught.value.fix
        done = repair(parts, from_id=lost[0])
    assert done == Repaired(from_id=lost[0], on_topic=0, reread=10, missing=0)


def test_the_slot_without_history_gets_a_new_beginning(capture):
    lose_slot(capture, "reindexing")
    until(lambda: len(capture.findings("reindexing")) == 2, within_s=60)
    with capture.parts("reindexing") as parts:
        repair_without_rows(parts)
    assert capture.findings("reindexing") == []
    event = capture.event()
    capture.admin.execute("INSERT INTO _reindexing_required VALUES (%s, 'ome.model.core.Image', 9)", (event,))
    [record] = until(lambda: capture.records("reindexing"))
    assert msgspec.json.decode(record.value)["entity_id"] == 9


def test_a_check_finds_what_was_lost_and_changes_nothing(capture):
    capture.await_ids(capture.log(rows=5))
    lose_slot(capture)
    capture.log(rows=8)
    with capture.parts() as parts:
        done = check(parts, patience_s=1)
    assert done == Repaired(from_id=done.from_id, on_topic=5, reread=0, missing=8)
    assert capture.slot() is None
