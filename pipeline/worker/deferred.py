"""Many records, one effect, then their offsets: for effects that are cheap together and dear alone, such as an index commit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pipeline.delivery.batch import Process, deliver_batch
from pipeline.delivery.deliver import Delivery, Outcome
from pipeline.delivery.record import Record
from pipeline.worker.door import Door
from pipeline.worker.exits import Left, leave
from pipeline.worker.member import Member
from pipeline.worker.stream import events_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythm:
    """When the effect is due.

    Attributes:
        rows: as soon as so many records are there.
        idle_s: when nothing came for so long [s].
        at_most_s: so long after the first record, whatever comes [s].
    """

    rows: int = 4000
    idle_s: float = 0.1
    at_most_s: float = 1.0


class Deferred:
    """A lane that collects records of all partitions and works on them together, in a thread, while the next ones collect.

    Only what has begun is finished when partitions are given up or the process stops; the rest is forgotten, for the next reader.
    """

    def __init__(self, name: str, process: Process, *, delivery: Delivery, member: Member, door: Door, rhythm: Rhythm) -> None:
        self.done = 0
        self.letters = 0
        self._process = process
        self._delivery = delivery
        self._member = member
        self._door = door
        self._rhythm = rhythm
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._collected: list[Record] = []
        self._first_s = self._last_s = 0.0
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._rest = asyncio.Event()  # no effect is running
        self._rest.set()
        self._halt = threading.Event()  # read by the thread, too
        self._halt.set()  # until partitions come

    async def body(self, stream: Any) -> None:
        """Faust's agent: takes records in, and waits while two batches are collected."""
        member, take, most = self._member, self._member.ledger.take, 2 * self._rhythm.rows
        async for event in events_of(stream):
            message = event.message
            if not member.open and not await member.admitted(message):
                continue
            left_out = take(message.topic, message.partition, message.offset)
            if left_out and not await member.explained(message, left_out):
                continue
            self._put(member.record(message))
            while len(self._collected) >= most:
                self._room.clear()
                await self._room.wait()

    async def run(self) -> None:
        """Work on batches, one after another; a task. An error that stops the service goes to the member."""
        while True:
            await self._due()
            limit = self._limit()
            batch, self._collected = self._collected[:limit], self._collected[limit:]
            self._first_s = time.monotonic()
            self._room.set()
            self._rest.clear()
            try:
                await self._work(batch)
            except asyncio.CancelledError:
                leave(Left.UNFINISHED, "effect.cancelled", records=len(batch))
            except Exception as exc:  # noqa: BLE001  whatever it is ends the process; nothing of the batch is acknowledged
                self._member.fail(exc)
            finally:
                self._rest.set()

    def hold(self) -> None:
        """See `Lane.hold`."""
        self._halt.set()

    async def idle(self) -> None:
        """See `Lane.idle`."""
        await self._rest.wait()
        self._collected = []
        self._room.set()

    def go(self) -> None:
        """See `Lane.go`."""
        self._halt.clear()
        self._something.set()

    def _put(self, record: Record) -> None:
        self._last_s = time.monotonic()
        self._collected.append(record)
        count = len(self._collected)
        if count == 1:
            self._first_s = self._last_s
            self._something.set()
        elif count == self._rhythm.rows:
            self._something.set()

    async def _due(self) -> None:
        """Wait until a batch is due."""
        while True:
            self._something.clear()
            timeout_s: float | None = None
            limit = self._limit()
            if self._collected and not self._halt.is_set() and limit:
                now_s = time.monotonic()
                due_s = min(self._first_s + self._rhythm.at_most_s, self._last_s + self._rhythm.idle_s)
                if len(self._collected) >= limit or now_s >= due_s:
                    return
                timeout_s = due_s - now_s
            elif limit == 0:
                timeout_s = self._rhythm.at_most_s  # closed, or all probes are under way elsewhere: look again
            try:
                async with asyncio.timeout(timeout_s):
                    await self._something.wait()
            except TimeoutError:
                continue

    def _limit(self) -> int:
        limit = self._door.limit
        return self._rhythm.rows if limit is None else min(limit, self._rhythm.rows)

    async def _work(self, batch: Sequence[Record]) -> None:
        outcomes = await asyncio.get_running_loop().run_in_executor(self._thread, self._deliver, batch)
        finished = [outcome.record for outcome in outcomes if outcome.finished]
        self.done += len(finished)
        self.letters += sum(outcome.kind == "letter" for outcome in outcomes)
        self._member.finished(finished)
        if len(finished) < len(batch):
            self.hold()  # told to stop meanwhile: what comes after what was left must not be worked on before it
        await self._member.commit()

    def _deliver(self, batch: Sequence[Record]) -> list[Outcome]:
        outcomes = deliver_batch(batch, self._process, delivery=self._delivery, pause=self._halt.wait)
        self._door.count(outcomes)
        return outcomes
