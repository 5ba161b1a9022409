"""The outbox on a real server: exactly what was committed, at least once, in order, whoever is killed."""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.delivery.record import Outgoing
from pipeline.errors import DependencyDown, Misconfigured, RecordTooLarge
from pipeline.state import outbox
from pipeline.state.outbox import OutboxStatus, append, due, outbox_status, park, parked, release, release_all, remove
from pipeline.state.poller import Outcome, Poller, drain
from pipeline.state.pool import connect

pytestmark = pytest.mark.stack


class FilePublisher:
    """A `Publisher` whose topic is a file; the record's value is one line of it."""

    def __init__(self, path: Path, *, pause_s: float = 0.0) -> None:
        self._file = path.open("ab", buffering=0)
        self._pause_s = pause_s

    def close(self) -> None:
        self._file.close()

    def publish(self, records: Sequence[Outgoing]) -> None:
        if any(record.value == b"large" for record in records):
            raise RecordTooLarge("a record is too large")
        for record in records:
            self._file.write((record.value or b"") + b"\n")
            time.sleep(self._pause_s)


class UntilStopped:
    """A `Host` that an event ends."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.seen: set[str] = set()

    def stopping(self, timeout_s: float) -> bool:
        return self.event.wait(timeout_s) if timeout_s else self.event.is_set()

    def alive(self, status: str) -> None:
        self.seen.add(status)


def _record(text: str, *, headers=()) -> Outgoing:
    return Outgoing(topic="omero.job-events", key=b"k", value=text.encode(), headers=headers)


def _poll_in_process(settings, path, pause_s) -> None:
    Poller(settings, FilePublisher(path, pause_s=pause_s), UntilStopped()).run()


def _until(condition, timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def polling(state, tmp_path):
    """A poller in a thread; gives the file that it publishes to, the host and the thread."""
    path, host = tmp_path / "topic", UntilStopped()
    publisher = FilePublisher(path)
    thread = threading.Thread(target=Poller(state, publisher, host).run)
    thread.start()
    _until(lambda: "idle" in host.seen)
    yield path, host, thread
    host.event.set()
    thread.join(timeout=10)
    publisher.close()
    assert not thread.is_alive()


def test_a_record_comes_back_as_it_was_written_with_absent_and_empty_bytes_told_apart(connection):
    headers = (("ce_id", b"eventlog:1"), ("empty", b""), ("absent", None), ("Å", b"\x00\xff"))
    records = [
        Outgoing(topic="a", key=None, value=None),
        Outgoing(topic="b", key=b"", value=b""),
        Outgoing(topic="c", key=b"\x00k", value=b"\xff\x00v", headers=headers),
    ]
    append(connection, records, order_key="job 1")
    rows = due(connection)
    assert [row.record for row in rows] == records
    assert {row.order_key for row in rows} == {"job 1"}


@pytest.mark.parametrize("extra", [{"partition": 1}, {"timestamp_ms": 5}])
def test_what_the_table_cannot_keep_is_refused_instead_of_dropped(connection, extra):
    with pytest.raises(ValueError, match="sets its partition or time"):
        append(connection, [Outgoing(topic="a", key=None, value=None, **extra)])


def test_only_committed_rows_are_published(state, polling):
    path, _, _ = polling
    wanted = []
    with connect(state, service="tests", autocommit=True) as connection:
        for number in range(60):
            try:
                with connection.transaction():
                    append(connection, [_record(str(number))], order_key="k")
                    assert number % 3
                    wanted.append(str(number))
            except AssertionError:
                pass
        _until(lambda: outbox_status(connection) == OutboxStatus(waiting=0, oldest_s=0.0, parked=0))
    assert path.read_text().split() == wanted


def test_a_row_that_commits_late_is_published_although_rows_with_higher_ids_went_before(state, polling):
    path, _, _ = polling
    with connect(state, service="tests") as slow, connect(state, service="tests", autocommit=True) as quick:
        append(slow, [_record("late")])
        append(quick, [_record("early")])
        _until(lambda: path.read_text().split() == ["early"])
        slow.commit()
        _until(lambda: path.read_text().split() == ["early", "late"])


def test_a_bad_row_is_parked_visibly_holds_back_only_its_key_and_can_be_released(connection, tmp_path):
    path = tmp_path / "topic"
    publisher = FilePublisher(path)
    append(connection, [_record("1"), _record("large"), _record("behind")], order_key="a")
    append(connection, [_record("other")], order_key="b")
    while drain(connection, publisher) != Outcome():
        pass
    assert path.read_text().split() == ["1", "other"]
    (bad,) = parked(connection)
    assert (bad.topic, bad.order_key, bad.reason) == ("omero.job-events", "a", "a record is too large")
    now = outbox_status(connection)
    assert (now.waiting, now.parked, now.oldest_s > 0) == (1, 1, True)
    connection.execute("UPDATE omero_mq.outbox SET value = 'small' WHERE id = %s", (bad.id,))
    assert release(connection, [bad.id]) == 1
    assert drain(connection, publisher).parked == ()
    assert path.read_text().split() == ["1", "other", "small", "behind"]
    publisher.close()


class NoTopic:
    """A `Publisher` whose topic is made later."""

    def __init__(self) -> None:
        self.made = False
        self.taken: list[bytes | None] = []

    def publish(self, records: Sequence[Outgoing]) -> None:
        if not self.made:
            raise Misconfigured("no such topic", fix="make it")
        self.taken += [record.value for record in records]


def test_rows_for_a_topic_that_is_made_later_go_out_by_themselves_and_in_order(connection):
    publisher = NoTopic()
    append(connection, [_record("1"), _record("2"), _record("3")], order_key="a")
    append(connection, [_record("other")])
    assert len(drain(connection, publisher).parked) == 2
    assert {row.reason for row in parked(connection)} == {"no such topic; make it"}
    publisher.made = True
    assert drain(connection, publisher) == Outcome()
    assert release_all(connection) == 2
    assert drain(connection, publisher).parked == ()
    assert [value for value in publisher.taken if value != b"other"] == [b"1", b"2", b"3"]
    assert outbox_status(connection) == OutboxStatus(waiting=0, oldest_s=0.0, parked=0)


def test_a_row_that_is_bad_itself_is_not_tried_again_by_itself(connection, tmp_path):
    publisher = FilePublisher(tmp_path / "topic")
    append(connection, [_record("large")])
    drain(connection, publisher)
    publisher.close()
    assert (release_all(connection), outbox_status(connection).parked) == (0, 1)


def test_parking_twice_keeps_the_first_reason(connection):
    append(connection, [_record("1")])
    (row,) = due(connection)
    park(connection, row.id, "first")
    park(connection, row.id, "second")
    assert [row.reason for row in parked(connection)] == ["first"]


def test_a_batch_is_bounded_in_bytes_but_never_empty(connection):
    append(connection, [Outgoing(topic="a", key=None, value=bytes(1000)) for _ in range(10)])
    assert len(due(connection, at_most_bytes=2500)) == 3
    assert len(due(connection, at_most_bytes=1)) == 1
    assert len(due(connection, at_most=4)) == 4


def test_removing_is_idempotent(connection):
    append(connection, [_record("1")])
    (row,) = due(connection)
    remove(connection, [row.id])
    remove(connection, [row.id])
    assert due(connection) == []


def test_of_two_pollers_one_publishes_and_the_other_takes_over_when_its_connection_ends(state, connection, polling, tmp_path):
    first_path, _, _ = polling
    second, second_path = UntilStopped(), tmp_path / "second"
    publisher = FilePublisher(second_path)
    thread = threading.Thread(target=Poller(state, publisher, second, service="second").run)
    thread.start()
    try:
        _until(lambda: second.seen == {"standing by: another poller publishes"})
        append(connection, [_record("1")])
        _until(lambda: first_path.read_text().split() == ["1"])
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'omero-mq outbox' AND datname = current_database()"
        )
        append(connection, [_record("2")])
        _until(lambda: outbox_status(connection).waiting == 0)
        assert sorted((first_path.read_text() + second_path.read_text()).split()) == ["1", "2"]
    finally:
        second.event.set()
        thread.join(timeout=10)
        publisher.close()
    assert not thread.is_alive()


def test_pollers_killed_at_any_moment_publish_everything_at_least_once_and_in_order(state, connection, tmp_path):
    path, spawn, chance = tmp_path / "topic", multiprocessing.get_context("spawn"), random.Random(7)
    append(connection, [_record(f"a{number}") for number in range(150)], order_key="a")
    append(connection, [_record(f"b{number}") for number in range(150)], order_key="b")
    kills = 0
    while outbox_status(connection).waiting:
        process = spawn.Process(target=_poll_in_process, args=(state, path, 0.001), daemon=True)
        process.start()
        size = path.stat().st_size if path.exists() else 0
        _until(lambda size=size: (path.exists() and path.stat().st_size > size) or not outbox_status(connection).waiting)
        time.sleep(chance.uniform(0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        process.join(timeout=10)
        kills += 1
    assert kills >= 2
    # A line torn by a kill is published again as a whole.
    lines = [line for line in path.read_text().split() if line[0] in "ab"]
    for key in ("a", "b"):
        assert list(dict.fromkeys(line for line in lines if line[0] == key)) == [f"{key}{number}" for number in range(150)]


def test_a_poller_that_is_frozen_replaced_and_thawed_turns_no_order_round(state, connection, tmp_path):
    path, spawn = tmp_path / "topic", multiprocessing.get_context("spawn")
    append(connection, [_record(f"a{number}") for number in range(100)], order_key="a")
    frozen = spawn.Process(target=_poll_in_process, args=(state, path, 0.01), daemon=True)
    frozen.start()
    _until(lambda: path.exists() and path.stat().st_size > 0)
    os.kill(frozen.pid, signal.SIGSTOP)
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'omero-mq outbox'"
        " AND datname = current_database()"
    )
    successor = spawn.Process(target=_poll_in_process, args=(state, path, 0.0), daemon=True)
    successor.start()
    _until(lambda: outbox_status(connection).waiting == 0)
    os.kill(frozen.pid, signal.SIGCONT)
    append(connection, [_record(f"a{number}") for number in range(100, 120)], order_key="a")
    _until(lambda: outbox_status(connection).waiting == 0)
    for process in (frozen, successor):
        process.kill()
        process.join(timeout=10)
    lines = list(dict.fromkeys(path.read_text().split()))
    assert lines == [f"a{number}" for number in range(120)]


def test_a_poller_waits_for_a_database_that_ends_its_connections_and_loses_nothing(state, connection, polling):
    path, _, _ = polling
    for number in range(10):
        append(connection, [_record(str(number))], order_key="k")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'omero-mq outbox'"
            " AND datname = current_database()"
        )
    _until(lambda: outbox_status(connection).waiting == 0)
    assert list(dict.fromkeys(path.read_text().split())) == [str(number) for number in range(10)]


def test_a_broker_that_is_away_settles_nothing(connection):
    class Away:
        def publish(self, records):
            raise DependencyDown("kafka", "timed out")

    append(connection, [_record("1")])
    with pytest.raises(DependencyDown):
        drain(connection, Away())
    assert outbox_status(connection).waiting == 1


def test_a_plain_insert_of_anybody_wakes_the_poller(state, connection):
    connection.execute(f"LISTEN {outbox.CHANNEL}")
    with connect(state, service="somebody", autocommit=True) as other:
        other.execute("INSERT INTO omero_mq.outbox (topic, value) VALUES ('t', 'v'), ('t', 'w')")
    assert len(list(connection.notifies(timeout=5, stop_after=1))) == 1


def test_a_committed_row_is_published_within_a_tenth_of_a_second(connection, polling):
    path, _, _ = polling
    waits_s = []
    for number in range(40):
        began = time.monotonic()
        append(connection, [_record(str(number))])
        while str(number) not in path.read_text().split():
            time.sleep(0.001)
        waits_s.append(time.monotonic() - began)
    assert sorted(waits_s)[37] < 0.1  # the 95th percentile
