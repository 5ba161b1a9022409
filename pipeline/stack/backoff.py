"""How long to wait before a process that ended by itself is started again."""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_S = 0.5
LONGEST_S = 30.0
HEALTHY_S = 30.0  # a process that was ready for so long starts again from the shortest wait


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Failures in a row; each doubles the wait up to a cap.

    No jitter: there is one supervisor, and nobody else to collide with.
    """

    failures: int = 0

    def after(self, ready_for_s: float) -> Backoff:
        """The state after one more end, of a process that had been ready for so long [s]."""
        return replace(self, failures=1 if ready_for_s >= HEALTHY_S else self.failures + 1)

    @property
    def wait_s(self) -> float:
        """Time until the next start [s]; 0 before the first failure."""
        if self.failures == 0:
            return 0.0
        return min(LONGEST_S, FIRST_S * 2.0 ** min(self.failures - 1, 16))
