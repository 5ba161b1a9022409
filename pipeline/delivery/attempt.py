"""The attempts at one message: what each failure leads to; no clock, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.delivery.classify import Classifier, LetterClass
from pipeline.delivery.retry import Random, RetryPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryAfter:
    """Try again after a while [s]."""

    wait_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitFor:
    """A dependency is away: try again after a while [s]; no attempt is spent."""

    dependency: str
    wait_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """The message becomes a letter of this class."""

    letter_class: LetterClass


@dataclass(frozen=True, kw_only=True, slots=True)
class StopService:
    """Nothing is acknowledged; the error is for a person."""


Next = RetryAfter | WaitFor | GiveUp | StopService


@dataclass(kw_only=True, slots=True)
class Attempts:
    """Counts what happened to one message.

    Attributes:
        failed_attempts: attempts that ended in a failure that counts; time-outs included.
        timeouts: attempts that ran out of time.
        waits: waits for a dependency since something else happened.
    """

    policy: RetryPolicy
    classifier: Classifier
    random: Random
    failed_attempts: int = 0
    timeouts: int = 0
    waits: int = 0

    def failed(self, exc: BaseException) -> Next:
        """What an attempt's exception leads to."""
        verdict = self.classifier.verdict(exc)
        if verdict.kind in {"halt", "misconfigured"}:
            return StopService()
        if verdict.kind == "dependency":
            self.waits += 1
            return WaitFor(dependency=verdict.dependency, wait_s=self.policy.dependency_wait_s(self.waits, self.random))
        self.waits = 0
        self.failed_attempts += 1
        self.timeouts += verdict.timed_out
        if verdict.kind == "permanent" or self.failed_attempts >= self.policy.attempts:
            return GiveUp(letter_class=verdict.letter_class)
        return RetryAfter(wait_s=self.policy.retry_wait_s(self.failed_attempts, self.random))
