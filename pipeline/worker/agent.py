"""One record at a time of each partition, its offset after its effect: for effects that take their time one by one."""

from __future__ import annotations

import asyncio
from typing import Any

from pipeline.delivery.deliver import Delivery, Handle, deliver
from pipeline.delivery.record import Record
from pipeline.worker.door import Door
from pipeline.worker.exits import Left, leave
from pipeline.worker.member import Member
from pipeline.worker.stream import events_of

PROBE_S = 0.5


class OneByOne:
    """A lane in which each partition has an actor of its own: in order within a partition, side by side across them."""

    def __init__(self, handle: Handle, *, delivery: Delivery, member: Member, door: Door) -> None:
        self.done = 0
        self.letters = 0
        self._handle = handle
        self._delivery = delivery
        self._member = member
        self._door = door
        self._running = 0
        self._rest = asyncio.Event()
        self._rest.set()
        self._halt = asyncio.Event()
        self._halt.set()  # until partitions come
        self._proceed = asyncio.Event()
        self._probing = asyncio.Lock()

    async def body(self, stream: Any) -> None:
        """Faust's actor of one partition."""
        member = self._member
        async for event in events_of(stream):
            message = event.message
            if not member.open and not await member.admitted(message):
                continue
            left_out = member.ledger.take(message.topic, message.partition, message.offset)
            if left_out and not await member.explained(message, left_out):
                continue
            # What comes while nothing may begin is forgotten: it belongs to books that are closed, or never will be committed.
            if not self._halt.is_set():
                await self._one(member.record(message))

    def hold(self) -> None:
        """See `Lane.hold`."""
        self._halt.set()

    async def idle(self) -> None:
        """See `Lane.idle`."""
        await self._rest.wait()

    def go(self) -> None:
        """See `Lane.go`."""
        self._halt.clear()

    async def _one(self, record: Record) -> None:
        self._running += 1
        self._rest.clear()
        try:
            if self._door.limit is None:
                await self._deliver(record)
            else:  # half-open (or closed): one after the other, so that the first failure closes the gate
                async with self._probing:
                    await self._probe(record)
        except asyncio.CancelledError:
            leave(Left.UNFINISHED, "effect.cancelled", position=record.position)
        except Exception as exc:  # noqa: BLE001  whatever it is ends the process; the record is not acknowledged
            self._member.fail(exc)
        finally:
            self._running -= 1
            if not self._running:
                self._rest.set()

    async def _probe(self, record: Record) -> None:
        while not self._door.may_run():
            if await self._pause(PROBE_S):
                return
        await self._deliver(record)

    async def _deliver(self, record: Record) -> None:
        if self._halt.is_set():
            return
        outcome = await deliver(record, self._handle, delivery=self._delivery, pause=self._pause)
        if not outcome.finished:
            self.hold()
            return
        self.done += 1
        self.letters += outcome.kind == "letter"
        self._member.finished([record])
        if self._door.limit is not None:
            await asyncio.to_thread(self._door.count, [outcome])

    async def _pause(self, wait_s: float) -> bool:
        try:
            async with asyncio.timeout(wait_s):
                await self._halt.wait()
        except TimeoutError:
            return False
        return True
