"""How long to wait before the next attempt: exponential with full jitter, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.settings.model import DeliverySettings

Random = Callable[[], float]
"""Gives a number from 0 up to, not including, 1."""

MOST_DOUBLINGS = 60  # beyond that every cap is reached, and a float would not hold the power


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """When to try again, and when to stop trying.

    Attributes:
        attempts: attempts before a transient failure becomes a letter; at least 1.
        base_s: longest wait before the second attempt; doubles each time [s].
        cap_s: longest wait between two attempts [s].
        dependency_base_s: longest first wait for a dependency that is away; doubles each time [s].
        dependency_cap_s: longest wait before a dependency is tried again [s]: how late its return may be noticed.
    """

    attempts: int = 5
    base_s: float = 0.2
    cap_s: float = 30.0
    dependency_base_s: float = 0.2
    dependency_cap_s: float = 5.0

    @classmethod
    def of(cls, settings: DeliverySettings) -> RetryPolicy:
        """As set by the site."""
        return cls(attempts=settings.attempts, base_s=settings.retry_base_s, cap_s=settings.retry_cap_s)

    def retry_wait_s(self, failures: int, random: Random) -> float:
        """How long to wait after so many failures [s], 1 after the first: anywhere from 0 to the bound, so crowds scatter."""
        return random() * _bound(self.base_s, self.cap_s, failures)

    def dependency_wait_s(self, waits: int, random: Random) -> float:
        """How long wait number ``waits`` for a dependency lasts [s], 1 the first: half the bound to all of it, never 0."""
        return (0.5 + 0.5 * random()) * _bound(self.dependency_base_s, self.dependency_cap_s, waits)


def _bound(base_s: float, cap_s: float, count: int) -> float:
    return min(cap_s, base_s * 2.0 ** min(max(count, 1) - 1, MOST_DOUBLINGS))
