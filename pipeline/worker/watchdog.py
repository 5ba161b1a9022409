"""Ends a worker that stands still: work waits, nothing keeps it from being done, and nothing is committed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from pipeline.errors import OmeroMqError
from pipeline.worker.door import Door
from pipeline.worker.exits import Left, leave
from pipeline.worker.ledger import Place
from pipeline.worker.places import Places

log = structlog.get_logger(__name__)

LOOKS = 10  # within the time after which a standstill counts
OFTENEST_S = 0.2
REJOINING_S = 120.0  # twice the rebalance timeout: so long the others may take to let go of what they do


@dataclass(kw_only=True, slots=True)
class Stall:
    """Decides, from looks at the group's places, whether a worker stands still; no clock, no I/O.

    Attributes:
        after_s: a standstill of this length counts [s].
    """

    after_s: float
    _since_s: float | None = None
    _committed: dict[Place, int] = field(default_factory=dict)

    def look(self, *, now_s: float, committed: Mapping[Place, int], ends: Mapping[Place, int], excused: bool) -> float | None:
        """How long it has stood still [s], if that counts; None if not.

        Args:
            now_s: the time [monotonic s].
            committed: the group's offsets in the partitions that are this worker's.
            ends: the offsets behind the newest records.
            excused: whether it has a reason: it waits for something that is away, it ends, or there was no answer.
        """
        behind = any(offset < ends[place] for place, offset in committed.items())
        moved = any(self._committed.get(place) != offset for place, offset in committed.items())
        self._committed = dict(committed)
        if excused or moved or not behind or self._since_s is None:
            self._since_s = now_s
            return None
        stood_s = now_s - self._since_s
        return stood_s if stood_s >= self.after_s else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the watchdog asks the worker.

    Attributes:
        mine: the partitions that it has.
        excuse: what it waits for, or "".
        rejoining_since_s: see `Member.rejoining_since_s`.
        more: further facts for the log.
    """

    mine: frozenset[Place]
    excuse: str
    rejoining_since_s: float | None
    more: Mapping[str, Any]


class Watchdog:
    """Looks every so often, from a thread, so that it sees a blocked event loop as well.

    It asks the brokers itself: what has gone wrong may be the library that reads.
    """

    def __init__(self, places: Places, door: Door, facts: Callable[[], Facts], *, after_s: float) -> None:
        self._places = places
        self._door = door
        self._facts = facts
        self._after_s = after_s
        self._stall = Stall(after_s=after_s)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns at once."""
        self._ended.set()

    @property
    def watching(self) -> bool:
        """Whether it lives."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.wait(max(OFTENEST_S, self._after_s / LOOKS)):
            self._turn()

    def _turn(self) -> None:
        facts, now_s = self._facts(), time.monotonic()
        try:
            standing = self._places.standing(facts.mine)
        except OmeroMqError as error:  # Kafka away; or a gap, which the worker itself finds when it reads
            log.debug("watchdog.blind", error=str(error))
            self._stall.look(now_s=now_s, committed={}, ends={}, excused=True)
            return
        committed, ends = standing.committed, standing.ends
        stood_s = self._stall.look(now_s=now_s, committed=committed, ends=ends, excused=bool(facts.excuse))
        if stood_s is not None and self._record_waits(committed, ends):
            self._bark(facts, what="records wait and nothing is committed", stood_s=stood_s, committed=committed, ends=ends)
        since_s = facts.rejoining_since_s
        if since_s is not None and not facts.excuse and now_s - since_s >= max(self._after_s, REJOINING_S):
            self._bark(facts, what="the group gives this worker no answer", stood_s=now_s - since_s, committed={}, ends={})

    def _record_waits(self, committed: Mapping[Place, int], ends: Mapping[Place, int]) -> bool:
        """Whether a record really waits: behind the last one there may be only a transaction's marker."""
        try:
            return any(
                self._places.first_record(place, start=offset, end=ends[place]) is not None
                for place, offset in committed.items()
                if offset < ends[place]
            )
        except OmeroMqError:
            return False

    def _bark(
        self, facts: Facts, *, what: str, stood_s: float, committed: Mapping[Place, int], ends: Mapping[Place, int]
    ) -> None:
        if self._ended.is_set() or self._door.shut() is not None:
            return
        behind = {f"{t}/{p}": f"{at} of {ends[t, p]}" for (t, p), at in committed.items() if at < ends[t, p]}
        leave(Left.STALLED, "worker.stalled", what=what, stood_s=round(stood_s, 1), behind=behind, **facts.more)
