"""One record, from bytes to outcome: tried, tried again, waited for, or made a letter; for handlers that are coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import structlog

from pipeline.delivery.attempt import Attempts, GiveUp, StopService, WaitFor
from pipeline.delivery.classify import Classifier
from pipeline.delivery.compose import Failure, LetterMaker, on_the_wire
from pipeline.delivery.ports import Publisher
from pipeline.delivery.record import Outgoing, Record
from pipeline.delivery.retry import Random, RetryPolicy
from pipeline.errors import OmeroMqError, RecordTooLarge

log = structlog.get_logger(__name__)

Handle = Callable[[Record], Awaitable[None]]
"""Does the work of one record. Decodes it, too. Idempotent: it may be called again after it has succeeded."""

Pause = Callable[[float], Awaitable[bool]]
"""Waits so long [s], or until the service shall stop; answers whether it shall."""

LEAST_LETTER_BYTES = 1024  # below this, making a letter smaller has no sense


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a record.

    Attributes:
        kind: done: its effect is there; letter: a letter is acknowledged by the broker; left: nothing, it must be read again.
            Only the first two may be marked as done.
        failures: what the letters say, for ``letter``.
    """

    record: Record
    kind: Literal["done", "letter", "left"]
    failures: tuple[Failure, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the offset may move over it."""
        return self.kind != "left"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """What a consumer stands still for; what `status` shows and the log says.

    Attributes:
        what: a dependency's name, or ``letters`` when a letter cannot be written.
        why: the error's message.
        fix: what to do next, when known.
        times: how often it was tried by now.
    """

    what: str
    why: str
    fix: str
    times: int


def _say_nothing(_waiting: Waiting | None) -> None:
    """For who does not show it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """How one consumer delivers.

    Attributes:
        letters: makes its letters.
        publisher: writes them.
        policy: when to try again.
        classifier: what its exceptions mean.
        random: from 0 up to 1.
        waiting: told when the consumer begins or goes on to stand still, and with None when it goes on.
    """

    letters: LetterMaker
    publisher: Publisher
    random: Random
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    classifier: Classifier = field(default_factory=Classifier)
    waiting: Callable[[Waiting | None], None] = _say_nothing

    def attempts(self) -> Attempts:
        """A new message's count."""
        return Attempts(policy=self.policy, classifier=self.classifier, random=self.random)

    def stands_still(self, what: str, exc: BaseException, times: int) -> None:
        """Say it, loudly the first time and every so often."""
        fix = exc.fix if isinstance(exc, OmeroMqError) else ""
        self.waiting(Waiting(what=what, why=str(exc), fix=fix, times=times))
        if times & (times - 1) == 0:  # the 1st, 2nd, 4th, 8th ... time
            event = "letter.unwritable" if what == LETTERS else "dependency.away"
            log.error(event, what=what, consumer=self.letters.consumer, times=times, error=str(exc), fix=fix)

    def goes_on(self, waits: int) -> None:
        """Say that it is over, if there were waits."""
        if waits:
            self.waiting(None)

    def letter_written(self, record: Record, failure: Failure, letter: Outgoing) -> None:
        """Say it: one line for each letter."""
        log.warning(
            "message.dead_lettered",
            consumer=self.letters.consumer,
            position=record.position,
            letter_class=failure.letter_class,
            part=failure.part,
            attempts=failure.attempts,
            error=str(failure.error)[:500],
            value_bytes=len(letter.value or b""),
        )


LETTERS = "letters"


async def deliver(record: Record, handle: Handle, *, delivery: Delivery, pause: Pause) -> Outcome:
    """Try a record until it is done, a letter, or the service stops.

    Raises only what stops the service: `Halt`, `Misconfigured`, and whatever is no `Exception` (cancellation, Ctrl-C). Then, and
    when the outcome is ``left``, nothing may be acknowledged.
    """
    attempts = delivery.attempts()
    first_failed_at_ms: int | None = None
    while True:
        try:
            await handle(record)
        except Exception as exc:  # noqa: BLE001  this is the place where every exception gets its meaning
            error = exc
        else:
            delivery.goes_on(attempts.waits)
            return Outcome(record=record, kind="done")
        waits, step = attempts.waits, attempts.failed(error)
        if isinstance(step, StopService):
            raise error
        if isinstance(step, WaitFor):
            delivery.stands_still(step.dependency, error, attempts.waits)
        else:
            delivery.goes_on(waits)
            first_failed_at_ms = first_failed_at_ms or delivery.letters.now_ms()
        if isinstance(step, GiveUp):
            failure = failure_of(error, step, attempts, first_failed_at_ms)
            return await _dead_letter(record, (failure,), delivery, pause)
        if await pause(step.wait_s):
            return Outcome(record=record, kind="left")


def failure_of(error: BaseException, step: GiveUp, attempts: Attempts, first_failed_at_ms: int | None) -> Failure:
    """What the letter will say."""
    return Failure(
        error=error,
        letter_class=step.letter_class,
        attempts=attempts.failed_attempts,
        timeouts=attempts.timeouts,
        first_failed_at_ms=first_failed_at_ms,
    )


async def _dead_letter(record: Record, failures: Sequence[Failure], delivery: Delivery, pause: Pause) -> Outcome:
    writing = Writing(record, failures, delivery)
    while True:
        # In a thread: publishing blocks until the broker has it. A cancellation meanwhile leaves the record unacknowledged and
        # perhaps a letter, which the next reader writes again with the same id.
        wait_s = await asyncio.to_thread(writing.attempt)
        if wait_s is None:
            return writing.outcome
        if await pause(wait_s):
            return Outcome(record=record, kind="left")


class Writing:
    """The attempts to write one record's letters: as often as it takes, smaller when the topic takes less than was thought."""

    def __init__(self, record: Record, failures: Sequence[Failure], delivery: Delivery) -> None:
        self._record = record
        self._failures = tuple(failures)
        self._delivery = delivery
        self._limit_bytes = delivery.letters.limit_bytes
        self._times = 0

    @property
    def outcome(self) -> Outcome:
        """What the record has become once `attempt` answered None."""
        return Outcome(record=self._record, kind="letter", failures=self._failures)

    def attempt(self) -> float | None:
        """Write them; None when the broker has acknowledged all, else how long to wait before the next attempt [s]."""
        delivery = self._delivery
        while True:
            made = [delivery.letters.make(self._record, failure, limit_bytes=self._limit_bytes) for failure in self._failures]
            try:
                delivery.publisher.publish(made)
            except RecordTooLarge as exc:
                if self._limit_bytes > LEAST_LETTER_BYTES:
                    self._limit_bytes = min(self._limit_bytes, max(map(on_the_wire, made))) // 2
                    continue
                return self._wait(exc)
            except Exception as exc:  # noqa: BLE001  whatever it is, without its letter the record must not be passed over
                return self._wait(exc)
            break
        delivery.goes_on(self._times)
        for failure, letter in zip(self._failures, made, strict=True):
            delivery.letter_written(self._record, failure, letter)
        return None

    def _wait(self, exc: Exception) -> float:
        self._times += 1
        self._delivery.stands_still(LETTERS, exc, self._times)
        return self._delivery.policy.dependency_wait_s(self._times, self._delivery.random)
