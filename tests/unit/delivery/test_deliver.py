from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.delivery.deliver import Delivery, Outcome, Waiting, deliver
from pipeline.delivery.letter import read
from pipeline.delivery.memory import MemoryKafka, MemoryPublisher, outage
from pipeline.delivery.record import Outgoing, Record
from pipeline.delivery.retry import RetryPolicy
from pipeline.errors import DependencyDown, Halt, Misconfigured, OmeroMqError, Permanent, Transient, Undecodable
from tests.unit.delivery.conftest import LETTERS, letter_maker

RECORD = Record(topic="omero.eventlog", partition=1, offset=7, key=b"k", value=b"v", timestamp_ms=1)


class Clock:
    """Counts what is waited for instead of waiting; stops the service at a given wait."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.waits: list[float] = []
        self.stop_at = stop_at
        self.on_wait: Callable[[], None] = lambda: None

    async def pause(self, wait_s: float) -> bool:
        return self.wait(wait_s)

    def wait(self, wait_s: float) -> bool:
        self.waits.append(wait_s)
        self.on_wait()
        return self.stop_at is not None and len(self.waits) >= self.stop_at


class Handler:
    """Raises what it is told to, in order, and then succeeds."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self, record: Record) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


def letters_kafka(max_message_bytes: int = 2_097_176) -> MemoryKafka:
    kafka = MemoryKafka()
    kafka.create(LETTERS, max_message_bytes=max_message_bytes)
    return kafka


def delivery(
    kafka: MemoryKafka, *, attempts: int = 3, said: list[Waiting | None] | None = None, limit: int = 2_097_176
) -> Delivery:
    return Delivery(
        letters=letter_maker(limit),
        publisher=MemoryPublisher(kafka),
        random=lambda: 0.5,
        policy=RetryPolicy(attempts=attempts),
        waiting=(said if said is not None else []).append,
    )


def run(handler: Handler, delivery: Delivery, clock: Clock, record: Record = RECORD) -> Outcome:
    return asyncio.run(deliver(record, handler, delivery=delivery, pause=clock.pause))


COUNTED = st.sampled_from([Transient("t"), TimeoutError(), ConnectionError()])
POISON = st.sampled_from([Permanent("p"), Undecodable("u"), KeyError("k")])
AWAY = st.just(DependencyDown("omero-database", "refused"))
STOPS = st.sampled_from([Halt("epoch"), Misconfigured("topic")])


@settings(deadline=None)
@given(st.lists(st.one_of(COUNTED, POISON, AWAY, STOPS), max_size=12), st.one_of(st.none(), st.integers(1, 12)))
def test_whatever_fails_a_record_ends_as_exactly_one_of_done_letter_or_left(errors: list[Exception], stop_at: int | None) -> None:
    kafka, clock, handler = letters_kafka(), Clock(stop_at), Handler(*errors)
    try:
        outcome = run(handler, delivery(kafka), clock)
    except (Halt, Misconfigured):
        assert kafka.records(LETTERS) == []
        return

    stopped = stop_at is not None and len(clock.waits) >= stop_at
    assert (outcome.kind == "left") == stopped
    assert len(kafka.records(LETTERS)) == (outcome.kind == "letter")
    seen = errors[: handler.calls]
    if outcome.kind == "done":
        assert handler.calls == len(errors) + 1
        assert sum(not isinstance(error, DependencyDown) for error in seen) < 3
        assert not any(isinstance(error, (Permanent, KeyError)) for error in seen)
    if outcome.kind == "letter":
        letter = read(kafka.records(LETTERS)[0])
        assert letter.attempts == sum(not isinstance(error, DependencyDown) for error in seen)
        assert letter.timeouts == sum(isinstance(error, TimeoutError) for error in seen)
        assert letter.value == RECORD.value


def test_an_outage_of_an_hour_makes_no_letter_and_spends_no_attempt() -> None:
    kafka, clock, said = letters_kafka(), Clock(), []
    handler = Handler(*[DependencyDown("omero-database", "refused")] * 1000, Transient("t"), Transient("t"))

    outcome = run(handler, delivery(kafka, said=said), clock)

    assert outcome == Outcome(record=RECORD, kind="done")
    assert kafka.records(LETTERS) == []
    assert said[0] == Waiting(what="omero-database", why="omero-database is away: refused", fix="", times=1)
    assert said[-1] is None
    assert max(clock.waits) <= 5.0


def test_a_stop_while_a_dependency_is_away_leaves_the_record_unfinished() -> None:
    outcome = run(Handler(*[DependencyDown("kafka", "x")] * 100), delivery(letters_kafka()), Clock(stop_at=4))

    assert outcome == Outcome(record=RECORD, kind="left")
    assert not outcome.finished


@pytest.mark.parametrize("trouble", [Misconfigured("no such topic"), outage(), RuntimeError("broken client")])
def test_while_its_letter_cannot_be_written_a_record_waits_in_place_and_says_so(trouble: OmeroMqError) -> None:
    kafka, clock, said, handler = letters_kafka(), Clock(), [], Handler(Permanent("no"))
    kafka.down = trouble

    def repaired_at_the_sixth_wait() -> None:
        if len(clock.waits) == 6:
            kafka.down = None

    clock.on_wait = repaired_at_the_sixth_wait
    outcome = run(handler, delivery(kafka, said=said), clock)

    assert outcome.kind == "letter"
    assert [record.value for record in kafka.records(LETTERS)] == [b"v"]
    assert handler.calls == 1
    assert [waiting.what for waiting in said if waiting] == ["letters"] * 6
    assert said[-1] is None


def test_a_stop_while_a_letter_cannot_be_written_leaves_the_record_unfinished() -> None:
    kafka = letters_kafka()
    kafka.down = Misconfigured("no such topic")

    assert run(Handler(Permanent("no")), delivery(kafka), Clock(stop_at=3)) == Outcome(record=RECORD, kind="left")


def test_a_letters_topic_that_takes_less_than_was_thought_gets_a_smaller_letter() -> None:
    kafka = letters_kafka(max_message_bytes=20_000)
    record = replace(RECORD, value=b"x" * 50_000)

    outcome = run(Handler(Permanent("no")), delivery(kafka), Clock(), record)

    letter = read(kafka.records(LETTERS)[0])
    assert outcome.kind == "letter"
    assert letter.value is None
    assert letter.dataref is not None
    assert (letter.dataref["offset"], letter.dataref["length"]) == (7, 50_000)


def test_a_letters_topic_that_takes_no_letter_at_all_holds_the_record() -> None:
    said: list[Waiting | None] = []

    outcome = run(Handler(Permanent("no")), delivery(letters_kafka(max_message_bytes=100), said=said), Clock(stop_at=2))

    assert outcome.kind == "left"
    assert [waiting.what for waiting in said if waiting] == ["letters"] * 2


@pytest.mark.parametrize("leaving", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_cancellation_passes_through_with_nothing_finished(leaving: type[BaseException]) -> None:
    kafka = letters_kafka()

    async def attempt() -> Outcome:
        return await deliver(RECORD, Handler(leaving()), delivery=delivery(kafka), pause=Clock().pause)

    with pytest.raises(leaving):
        asyncio.run(attempt())
    assert kafka.records(LETTERS) == []


def test_a_cancellation_during_the_letters_write_leaves_the_record_unfinished() -> None:
    kafka = letters_kafka()

    class Slow(MemoryPublisher):
        def publish(self, records: list[Outgoing]) -> None:  # type: ignore[override]
            time.sleep(0.2)
            super().publish(records)

    slow = replace(delivery(kafka), publisher=Slow(kafka))

    async def attempt() -> str:
        task = asyncio.create_task(deliver(RECORD, Handler(Permanent("no")), delivery=slow, pause=Clock().pause))
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "finished"

    assert asyncio.run(attempt()) == "cancelled"


def test_written_twice_a_letter_is_still_one_failure() -> None:
    kafka = letters_kafka()
    for _ in range(2):  # as after a kill between the letter and the offset
        run(Handler(Permanent("no")), delivery(kafka), Clock())

    first, second = (read(record) for record in kafka.records(LETTERS))
    assert first.id == second.id
    assert replace(first, position="") == replace(second, position="")
