"""Runs one worker process: waits outside the group while the gate is closed, then works until told to stop; ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
import uvloop

from pipeline.delivery.batch import Process
from pipeline.delivery.deliver import Delivery, Handle, Waiting
from pipeline.delivery.gate import Gatekeeper
from pipeline.errors import DependencyDown, OmeroMqError
from pipeline.process.notify import Notifier
from pipeline.process.signals import StopSignal
from pipeline.settings.model import KafkaSettings
from pipeline.worker.agent import OneByOne
from pipeline.worker.app import Registration, build_app, check
from pipeline.worker.damper import damp
from pipeline.worker.deferred import Deferred, Rhythm
from pipeline.worker.door import Door
from pipeline.worker.exits import Left, leave
from pipeline.worker.member import Member
from pipeline.worker.places import Places
from pipeline.worker.watchdog import Facts, Watchdog

log = structlog.get_logger(__name__)

LOOK_S = 1.0
STATUS_S = 5.0
STOP_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchAgent:
    """An agent with deferred acknowledgement: ``process`` gets many records at once, in a thread of its own."""

    name: str
    topics: tuple[str, ...]
    process: Process
    rhythm: Rhythm = field(default_factory=Rhythm)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordAgent:
    """An agent that handles one record at a time of each partition."""

    name: str
    topics: tuple[str, ...]
    handle: Handle


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """One worker: one consumer group with its agents.

    Attributes:
        group: full name of the consumer group; its first offsets are written before.
        name: this process, as letters and gates name it.
        delivery: retries and letters, for all agents.
        stalled_after_s: the process ends itself when records wait and nothing is committed for so long; longer than the longest
            effect [s].
        drain_s: how long work under way may take to end when partitions are given up or the process stops; less than the group's
            rebalance timeout of 60 s [s].
    """

    group: str
    name: str
    kafka: KafkaSettings
    agents: Sequence[BatchAgent | RecordAgent]
    delivery: Delivery
    gatekeeper: Gatekeeper
    stop: StopSignal
    voice: Notifier
    now_ms: Callable[[], int]
    stalled_after_s: float = 300.0
    drain_s: float = 30.0


def run(worker: Worker) -> None:
    """Work until told to stop, or until the gate closes. Blocks; main thread only.

    Raises:
        Misconfigured, Halt: a person is needed; nothing unfinished is acknowledged.
    """
    topics = [topic for agent in worker.agents for topic in agent.topics]
    check([Registration(name=agent.name, topics=agent.topics, body=_nothing, isolated=False) for agent in worker.agents])
    damp()
    door = Door(worker.gatekeeper, worker=worker.name, now_ms=worker.now_ms)
    if not wait_for_gate(worker, door):
        return
    places = Places(worker.kafka, group=worker.group, topics=topics)
    try:
        if _patiently(worker, places.standing):
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_Running(worker, door, places).run())
    finally:
        places.close()


def wait_for_gate(worker: Worker, door: Door) -> bool:
    """Stand outside the group until the gate is open; answers whether it is (else the worker was told to stop).

    Outside, since a member that reads nothing would keep its partitions' records from others.
    """
    said = ""
    while not worker.stop.is_set:
        try:
            gate = door.look()
            if gate.may_run(worker.now_ms()):
                return True
            text = f"gate closed by {gate.by} {gate.actor}: {gate.reason}"
        except DependencyDown as error:
            text = f"waiting: {error}"
        if text != said:
            said = text
            log.warning("worker.waits_outside", why=text)
            worker.voice.ready(text)
        _pause(worker, LOOK_S)
    return False


def _patiently(worker: Worker, call: Callable[[], Any]) -> bool:
    """Call until nothing that it needs is away; False when told to stop meanwhile."""
    times = 0
    while not worker.stop.is_set:
        try:
            call()
        except DependencyDown as error:
            times += 1
            worker.delivery.stands_still(error.name, error, times)
            _pause(worker, worker.delivery.policy.dependency_wait_s(times, worker.delivery.random))
        else:
            return True
    return False


def _pause(worker: Worker, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    step_s = worker.voice.watchdog_interval_s or wait_s
    while (left_s := until_s - time.monotonic()) > 0 and not worker.stop.is_set:
        worker.voice.watchdog()
        worker.stop.wait(min(left_s, step_s))


async def _nothing(_stream: Any) -> None:
    """Stands in where only names are looked at."""


class _Running:
    """The part inside the event loop."""

    def __init__(self, worker: Worker, door: Door, places: Places) -> None:
        self._worker = worker
        self._door = door
        self._places = places
        self._waiting: Waiting | None = None
        self._over = ""
        self._end = asyncio.Event()
        self._ready = False

    async def run(self) -> None:
        """From the start of Faust to its end."""
        worker = self._worker
        self._member = Member(self._places, drain_s=worker.drain_s, on_ready=self._on_ready)
        self._lanes = [self._lane(agent) for agent in worker.agents]
        registrations = [
            Registration(name=agent.name, topics=agent.topics, body=lane.body, isolated=isinstance(lane, OneByOne))
            for agent, lane in zip(worker.agents, self._lanes, strict=True)
        ]
        self._app = build_app(worker.kafka, group=worker.group, agents=registrations)
        self._member.join(self._app, self._lanes)
        self._watchdog = Watchdog(self._places, self._door, self._facts, after_s=worker.stalled_after_s)
        tasks = [asyncio.create_task(lane.run()) for lane in self._lanes if isinstance(lane, Deferred)]
        tasks += [asyncio.create_task(one()) for one in (self._member.keep_committing, self._keep_looking, self._keep_alive)]
        threading.Thread(target=self._listen, args=(asyncio.get_running_loop(),), name="signals", daemon=True).start()
        self._watchdog.start()
        starting = asyncio.create_task(self._app.start())
        ends = [asyncio.create_task(self._end.wait()), asyncio.create_task(self._member.failed.wait())]
        await asyncio.wait([starting, *ends, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if not starting.done() or starting.exception() is None:
            await asyncio.wait([*ends, *tasks], return_when=asyncio.FIRST_COMPLETED)
        self._look_at(starting, *tasks)
        await self._finish(starting, [*ends, *tasks])
        if self._member.failure is not None:
            raise self._member.failure

    def _lane(self, agent: BatchAgent | RecordAgent) -> Deferred | OneByOne:
        delivery = replace(self._worker.delivery, waiting=self._stands_still)
        if isinstance(agent, RecordAgent):
            return OneByOne(agent.handle, delivery=delivery, member=self._member, door=self._door)
        return Deferred(agent.name, agent.process, delivery=delivery, member=self._member, door=self._door, rhythm=agent.rhythm)

    def _look_at(self, *tasks: asyncio.Task[Any]) -> None:
        """A task that ended by an error is the reason for the end: ours for a person, any other for the next start."""
        for task in tasks:
            if not task.done() or task.cancelled() or (error := task.exception()) is None:
                continue
            if not isinstance(error, OmeroMqError):
                leave(Left.CRASHED, "faust.crashed", error=repr(error))
            self._member.fail(error)

    async def _finish(self, starting: asyncio.Task[Any], tasks: Sequence[asyncio.Task[Any]]) -> None:
        member, worker = self._member, self._worker
        member.ending = True
        self._watchdog.stop()
        worker.voice.stopping(self._over)
        await member.drain()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        starting.cancel()
        with contextlib.suppress(BaseException):
            await starting
        try:
            async with asyncio.timeout(STOP_S):
                await self._app.stop()
        except TimeoutError:
            # All that is finished is committed; a clean-up that hangs must not keep the process.
            leave(Left.CRASHED, "faust.does_not_stop", waited_s=STOP_S)
        log.info("worker.ended", why=self._over or "failure", done=self._done, letters=self._letters)

    async def _keep_looking(self) -> None:
        """See whether the gate has closed, and whether Faust still works; a task."""
        while True:
            await asyncio.sleep(LOOK_S)
            gate = await asyncio.to_thread(self._door.shut)
            if gate is not None:
                log.warning("gate.closed", by=gate.by, actor=gate.actor, reason=gate.reason)
                self._end_because("gate closed")
            if self._app.crashed:
                await self._crashed()

    async def _keep_alive(self) -> None:
        """Tell the supervisor, while somebody watches over our progress; a task."""
        said_s, interval_s = 0.0, self._worker.voice.watchdog_interval_s or LOOK_S
        while True:
            await asyncio.sleep(min(interval_s, LOOK_S))
            if self._watchdog.watching:
                self._worker.voice.watchdog()
            if self._ready and self._waiting is None and time.monotonic() - said_s >= STATUS_S:
                said_s = time.monotonic()
                self._worker.voice.status(f"{self._done} records done, {self._letters} letters")

    async def _crashed(self) -> None:
        """Say why, in our words if it is a gap; nothing more is committed."""
        try:
            await asyncio.to_thread(self._places.standing)
        except DependencyDown as error:
            log.warning("dependency.away", what=error.name, error=str(error))
        leave(Left.CRASHED, "faust.crashed", error=repr(self._app.crash_reason), partitions=len(self._member.ledger.places))

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Carry the stop signal into the event loop; a thread."""
        while not self._worker.stop.wait(3600.0):
            pass
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(self._end_because, "stopped")

    def _end_because(self, why: str) -> None:
        self._over = self._over or why
        self._end.set()

    def _on_ready(self, partitions: int) -> None:
        self._ready = True
        log.info("worker.ready", group=self._worker.group, partitions=partitions)
        self._worker.voice.ready(f"reading {partitions} partitions")

    def _stands_still(self, waiting: Waiting | None) -> None:
        self._waiting = waiting
        self._worker.delivery.waiting(waiting)

    def _facts(self) -> Facts:
        waiting, member = self._waiting, self._member
        excuse = "it ends" if member.ending or self._over else waiting.what if waiting else ""
        more = {"unfinished": member.ledger.unfinished, "done": self._done, "rebalancing": bool(self._app.rebalancing)}
        return Facts(mine=member.ledger.places, excuse=excuse, rejoining_since_s=member.rejoining_since_s, more=more)

    @property
    def _done(self) -> int:
        return sum(lane.done for lane in self._lanes)

    @property
    def _letters(self) -> int:
        return sum(lane.letters for lane in self._lanes)
