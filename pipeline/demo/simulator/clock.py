"""The times that are written: the wall clock, or a seeded one that tells the same story every time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """Now in UTC, without a zone, as OMERO's columns are."""
    return datetime.now(UTC).replace(tzinfo=None)


def seeded_clock(seed: int, *, start: datetime = datetime(2024, 3, 1, 8, 0), mean_step_s: float = 0.5) -> Clock:  # noqa: DTZ001
    """A clock that moves on by a random step each time it is asked. Same seed, same times."""
    random = Random(f"clock {seed}")  # noqa: S311 (not for secrets)
    now = start

    def tick() -> datetime:
        nonlocal now
        now += timedelta(microseconds=1 + round(random.expovariate(1 / mean_step_s) * 1e6))
        return now

    return tick
