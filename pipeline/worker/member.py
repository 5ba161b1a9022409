"""This process as a member of its group: what is handed out to the agents, and which offsets are committed.

Faust's own acknowledgements are not used. They forget, at a rebalance, what was acknowledged and not committed; count a hole
between offsets as one record more than it is; and know nothing of records that the library itself left out. Here offsets move
only over what is in the books of a `Ledger` and finished, and a hole is looked into before anything is committed over it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import structlog
from faust.types import TP

from pipeline.delivery.record import Record
from pipeline.errors import DependencyDown, OmeroMqError
from pipeline.worker.exits import Left, leave
from pipeline.worker.ledger import NOT_OURS, Ledger, Place
from pipeline.worker.places import Places

log = structlog.get_logger(__name__)

COMMIT_EVERY_S = 1.0
AGAIN_S = 0.5


class Lane(Protocol):
    """How one agent's records are worked on."""

    def hold(self) -> None:
        """Begin nothing more, and let whatever waits end its wait with nothing acknowledged."""

    async def idle(self) -> None:
        """Return when nothing is under way; forget what was handed out and not begun."""

    def go(self) -> None:
        """Go on; there are new books."""


class Member:
    """Stands between Faust and the lanes.

    Args:
        places: the group's places.
        drain_s: how long work under way may take to end when partitions are given up or the process stops [s].
        on_ready: called each time when partitions were assigned, with their number.

    Attributes:
        ledger: what is handed out and finished.
        failure: what a person must see; the process is to end with it.
        failed: set with ``failure``.
        ending: no partition is taken any more.
        open: whether the books are open. Faust may deliver the first records while the group's places are still being asked for.
        rejoining_since_s: when partitions were given up for which none came yet [monotonic s]; None: not rejoining.
    """

    def __init__(self, places: Places, *, drain_s: float, on_ready: Callable[[int], None]) -> None:
        self.ledger = Ledger()
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.ending = False
        self.open = False
        self.rejoining_since_s: float | None = time.monotonic()
        self._places = places
        self._drain_s = drain_s
        self._on_ready = on_ready
        self._lanes: Sequence[Lane] = ()
        self._app: Any = None
        self._topic_ids: dict[str, str] = {}
        self._books = 0  # changes with each rebalance
        self._opened = asyncio.Event()
        self._committing = asyncio.Lock()

    def join(self, app: Any, lanes: Sequence[Lane]) -> None:
        """Take part; before the application is started."""
        self._app = app
        self._lanes = lanes
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_partitions_assigned.connect(self._on_assigned)

    def record(self, message: Any) -> Record:
        """Faust's message as a record of ours."""
        timestamp_s = message.timestamp
        return Record(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value,
            headers=tuple(message.headers or ()),
            timestamp_ms=-1 if timestamp_s is None else round(timestamp_s * 1000),
            topic_id=self._topic_ids.get(message.topic, ""),
        )

    async def admitted(self, message: Any) -> bool:
        """Wait until the books are open; answers whether the message still is of the partitions that are ours then."""
        await self._opened.wait()
        return bool(message.generation_id == self._app.consumer_generation_id)

    async def explained(self, message: Any, left_out: int) -> bool:
        """Whether a record that the ledger wondered at may be worked on; looks into the hole before it.

        Does not return when the library below left a record out: with nothing committed over it, the next start reads it.
        """
        if left_out == NOT_OURS:
            return False
        books, place, offset = self._books, (message.topic, message.partition), message.offset
        while books == self._books:
            try:
                found = await asyncio.to_thread(self._places.first_record, place, start=offset - left_out, end=offset)
            except DependencyDown:
                await asyncio.sleep(AGAIN_S)
                continue
            except OmeroMqError as exc:
                self.fail(exc)
                return False
            if found is not None and books == self._books:
                leave(Left.PASSED_OVER, "record.passed_over", place=f"{place[0]}/{place[1]}", first=found, delivered=offset)
            log.debug("offsets.hole", place=f"{place[0]}/{place[1]}", start=offset - left_out, end=offset)
            return books == self._books
        return False

    def finished(self, records: Iterable[Record]) -> None:
        """Note that records are done or letters; `commit` makes it durable."""
        self.ledger.finish(records)

    def fail(self, exc: BaseException) -> None:
        """End the process with this error, nothing more begun."""
        if self.failure is None:
            self.failure = exc
        self.failed.set()
        for lane in self._lanes:
            lane.hold()

    async def commit(self) -> None:
        """Commit what is finished. Waits while Kafka is away.

        Offsets that the broker refuses, because the partitions are somebody else's by now, are that one's to move.
        """
        async with self._committing:
            mine = self._app.consumer.assignment()
            offsets = {TP(*place): offset for place, offset in self.ledger.advance().items() if TP(*place) in mine}
            # The one method below Faust's surface that is used: the public `commit` knows only Faust's own acknowledgements.
            if offsets and not await self._app.consumer._commit(offsets):  # noqa: SLF001
                log.info("offsets.refused", partitions=len(offsets), why="the group has rebalanced")

    async def keep_committing(self) -> None:
        """Commit every so often; a task."""
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            if self.ledger.unfinished:
                await self.commit()

    async def drain(self) -> None:
        """Let end what is under way, commit what is finished, leave the rest; does not return when that takes too long."""
        for lane in self._lanes:
            lane.hold()
        try:
            async with asyncio.timeout(self._drain_s):
                for lane in self._lanes:
                    await lane.idle()
                if self.ledger.places:
                    await self.commit()
        except TimeoutError:
            leave(Left.UNFINISHED, "worker.undrained", waited_s=self._drain_s, unfinished=self.ledger.unfinished)

    async def _on_revoked(self, _app: Any, revoked: Iterable[TP], **_: Any) -> None:
        log.debug("partitions.revoked", count=len(list(revoked)))
        self.rejoining_since_s = time.monotonic()
        await self.drain()
        self._close_books()

    async def _on_assigned(self, _app: Any, assigned: Iterable[TP], **_: Any) -> None:
        places: list[Place] = [(tp.topic, tp.partition) for tp in assigned if tp.topic in self._places.topics]
        self._close_books()
        while not self.ending and self.failure is None:
            try:
                standing = await asyncio.to_thread(self._places.standing, places)
            except DependencyDown as exc:
                log.warning("dependency.away", what=exc.name, error=str(exc))
                await asyncio.sleep(AGAIN_S)
                continue
            except OmeroMqError as exc:
                self.fail(exc)
                return
            self._topic_ids = dict(standing.topic_ids)
            self.ledger.begin(standing.committed)
            self.rejoining_since_s = None
            for lane in self._lanes:
                lane.go()
            self.open = True
            self._opened.set()
            self._on_ready(len(places))
            return

    def _close_books(self) -> None:
        self.open = False
        self._opened.clear()
        self._books += 1
        self.ledger.close()
