"""Many records at once, from bytes to outcomes: a batch that fails as a whole is halved until the bad record stands alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

import structlog

from pipeline.delivery.attempt import Attempts, GiveUp, RetryAfter, StopService, WaitFor
from pipeline.delivery.compose import Failure
from pipeline.delivery.deliver import Delivery, Outcome, Writing, failure_of
from pipeline.delivery.record import Record

log = structlog.get_logger(__name__)

# A batch's transient failure is often the moment's (a deadlock, a lost connection) and sometimes one record's.
BATCH_ATTEMPTS = 2

BatchPause = Callable[[float], bool]
"""Waits so long [s], or until the service shall stop; answers whether it shall."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """What a batch's process says of one record that it could not do, while it did the others.

    Attributes:
        error: why; a transient error means that the record is tried again by itself.
        part: which part failed, when the rest of the record was done; "" for all of it.
    """

    record: Record
    error: Exception
    part: str = ""


Process = Callable[[Sequence[Record]], Iterable[Rejected]]
"""Does the work of all records and answers which it could not do; or raises, when that cannot be told.

Idempotent for each record: after an exception any of them is processed again, alone or with others, in order.
"""


def deliver_batch(records: Sequence[Record], process: Process, *, delivery: Delivery, pause: BatchPause) -> list[Outcome]:
    """Process records until each is done, a letter, or left because the service stops; answers in the records' order.

    A batch that raises is halved until the bad record stands alone, the earlier half first: one bad record among n costs about
    2 log2(n) more calls. A record that fails for good becomes a letter and lets the later ones go on; a dependency that is away
    holds all of them.

    Raises only what stops the service: `Halt`, `Misconfigured`, and whatever is no `Exception` (Ctrl-C). Then nothing of the
    batch may be acknowledged, since its outcomes are not known.
    """
    return _Batch(process, delivery, pause).run(records)


class _Batch:
    def __init__(self, process: Process, delivery: Delivery, pause: BatchPause) -> None:
        self._process = process
        self._delivery = delivery
        self._pause = pause
        self._stopped = False
        self._stood_still = False

    def run(self, records: Sequence[Record]) -> list[Outcome]:
        """Part of the batch."""
        if self._stopped or not records:
            return _left(records)
        if len(records) == 1:
            return [self._alone(records[0])]
        attempts = self._delivery.attempts()
        while True:
            try:
                rejected = list(self._process(records))
            except Exception as exc:  # noqa: BLE001  this is the place where every exception gets its meaning
                error = exc
            else:
                self._goes_on()
                return self._settled(records, rejected)
            step = attempts.failed(error)
            if isinstance(step, RetryAfter) and attempts.failed_attempts >= BATCH_ATTEMPTS:
                step = GiveUp(letter_class="transient-exhausted")
            if isinstance(step, GiveUp):
                self._goes_on()
                middle = len(records) // 2
                return self.run(records[:middle]) + self.run(records[middle:])
            if self._waits(step, error, attempts):
                return _left(records)

    def _alone(self, record: Record, *, first: Sequence[Rejected] = ()) -> Outcome:
        """A single record, with all its attempts; ``first`` is what a call for the whole batch has already said of it."""
        attempts = self._delivery.attempts()
        first_failed_at_ms: int | None = None
        rejected = list(first)
        while True:
            error: Exception | None = None
            if not rejected:
                try:
                    rejected = list(self._process([record]))
                except Exception as exc:  # noqa: BLE001  as above
                    error = exc
            if error is None and not rejected:
                self._goes_on()
                return Outcome(record=record, kind="done")
            error = self._delivery.classifier.gravest([one.error for one in rejected]) if error is None else error
            step = attempts.failed(error)
            if not isinstance(step, WaitFor) and first_failed_at_ms is None:
                first_failed_at_ms = self._delivery.letters.now_ms()
            if isinstance(step, GiveUp):
                self._goes_on()
                failures = [failure_of(error, step, attempts, first_failed_at_ms)]
                if rejected:
                    failures = [self._failure(one, attempts, first_failed_at_ms) for one in rejected]
                return self._dead_letters([(record, failures)])[0]
            rejected = []
            if self._waits(step, error, attempts):
                return Outcome(record=record, kind="left")

    def _settled(self, records: Sequence[Record], rejected: Sequence[Rejected]) -> list[Outcome]:
        """What became of each record of a call that returned."""
        if not rejected:
            return [Outcome(record=record, kind="done") for record in records]
        by_place: dict[tuple[str, int, int], list[Rejected]] = {}
        for one in rejected:
            by_place.setdefault(_place(one.record), []).append(one)
        once = self._delivery.attempts()
        letters, again = [], {}
        for record in records:
            mine = by_place.get(_place(record))
            if mine and all(self._delivery.classifier.verdict(one.error).kind == "permanent" for one in mine):
                letters.append((record, [self._failure(one, once, None) for one in mine]))
            elif mine:
                again[_place(record)] = mine
        outcomes = {_place(outcome.record): outcome for outcome in self._dead_letters(letters)}
        for record in records:
            place = _place(record)
            if place in again:
                outcomes[place] = _left([record])[0] if self._stopped else self._alone(record, first=again[place])
        return [outcomes.get(_place(record)) or Outcome(record=record, kind="done") for record in records]

    def _dead_letters(self, bad: Sequence[tuple[Record, Sequence[Failure]]]) -> list[Outcome]:
        """Write letters: all at once if that works, else one record after the other."""
        if len(bad) > 1 and not self._stopped:
            together = [(record, failure) for record, failures in bad for failure in failures]
            made = [self._delivery.letters.make(record, failure) for record, failure in together]
            try:
                self._delivery.publisher.publish(made)
            except Exception as exc:  # noqa: BLE001  one by one, whatever it was, shows which letter it is and keeps trying
                log.info("letters.one_by_one", consumer=self._delivery.letters.consumer, error=str(exc))
            else:
                for (record, failure), letter in zip(together, made, strict=True):
                    self._delivery.letter_written(record, failure, letter)
                return [Outcome(record=record, kind="letter", failures=tuple(failures)) for record, failures in bad]
        return [self._dead_letter(record, failures) for record, failures in bad]

    def _dead_letter(self, record: Record, failures: Sequence[Failure]) -> Outcome:
        writing = Writing(record, failures, self._delivery)
        while not self._stopped:
            wait_s = writing.attempt()
            if wait_s is None:
                return writing.outcome
            self._stopped = self._pause(wait_s)
        return Outcome(record=record, kind="left")

    def _waits(self, step: RetryAfter | WaitFor | StopService, error: Exception, attempts: Attempts) -> bool:
        """Wait as the step says; answers whether the service shall stop. Raises the error when it must."""
        match step:
            case StopService():
                raise error
            case WaitFor():
                self._stood_still = True
                self._delivery.stands_still(step.dependency, error, attempts.waits)
            case RetryAfter():
                self._goes_on()
            case _:
                assert_never(step)
        self._stopped = self._pause(step.wait_s)
        return self._stopped

    def _goes_on(self) -> None:
        if self._stood_still:
            self._stood_still = False
            self._delivery.waiting(None)

    def _failure(self, one: Rejected, attempts: Attempts, first_failed_at_ms: int | None) -> Failure:
        verdict = self._delivery.classifier.verdict(one.error)
        return Failure(
            error=one.error,
            letter_class=verdict.letter_class,
            part=one.part,
            attempts=max(1, attempts.failed_attempts),
            timeouts=attempts.timeouts,
            first_failed_at_ms=first_failed_at_ms,
        )


def _left(records: Sequence[Record]) -> list[Outcome]:
    return [Outcome(record=record, kind="left") for record in records]


def _place(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset
