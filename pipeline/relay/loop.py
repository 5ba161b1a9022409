"""Reads batch after batch while the gate is open; waits in place for what is away; acknowledges only what is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import structlog

from pipeline.delivery.batch import Process, deliver_batch
from pipeline.delivery.deliver import Delivery, Outcome
from pipeline.delivery.gate import Gate, Gatekeeper
from pipeline.delivery.ports import Reader
from pipeline.errors import DependencyDown, OmeroMqError

log = structlog.get_logger(__name__)

Ended = Literal["stopped", "gate closed"]

GATE_EVERY_S = 1.0
STATUS_EVERY_S = 5.0
READ_WAIT_S = 0.5


class Voice(Protocol):
    """Tells the supervisor how the service is."""

    def ready(self, status: str = "") -> None:
        """Start-up is over."""

    def status(self, text: str) -> None:
        """One line for people."""

    def watchdog(self) -> None:
        """Still alive."""


class Ground(Protocol):
    """What the loop stands on."""

    @property
    def worker(self) -> str:
        """This process, for the gate's history."""

    @property
    def voice(self) -> Voice:
        """To the supervisor."""

    @property
    def delivery(self) -> Delivery:
        """Retries and letters."""

    @property
    def gatekeeper(self) -> Gatekeeper:
        """Whether it may run."""

    def pause(self, wait_s: float) -> bool:
        """Wait so long [s], or until the service shall stop; answers whether it shall. 0 only asks."""

    def now_ms(self) -> int:
        """The clock [ms since 1970 UTC]."""


class Loop:
    """One service's loop.

    Args:
        ground: what it stands on.
        batch_rows: records read at once, at the most.
        checks: each raises what went wrong beside the loop; called between batches.
    """

    def __init__(self, ground: Ground, *, batch_rows: int, checks: Sequence[Callable[[], None]] = ()) -> None:
        self._ground = ground
        self._batch_rows = batch_rows
        self._checks = checks
        self._rows = 0
        self._letters = 0
        self._said_s = 0.0
        self._asked_s = 0.0

    def wait_for_gate(self) -> bool:
        """Stand outside the group until the gate is open; answers whether it is (else the service was told to stop).

        Standing outside, since a member that reads nothing would hold its partitions' records back from others.
        """
        ground = self._ground
        while not ground.pause(0):
            try:
                gate = ground.gatekeeper.look()
            except DependencyDown as error:
                ground.voice.ready(f"waiting: {error}")
                ground.pause(GATE_EVERY_S)
                continue
            if gate.may_run(ground.now_ms()):
                return True
            ground.voice.ready(f"gate closed by {gate.by} {gate.actor}: {gate.reason}")
            ground.pause(GATE_EVERY_S)
        return False

    def run(self, reader: Reader, process: Process) -> Ended:
        """Go on until told to stop, or until the gate closes; the caller closes the reader.

        Raises:
            Halt, Misconfigured: a person is needed; nothing of the last batch is acknowledged.
        """
        ground = self._ground
        gate = ground.gatekeeper.look()
        ground.voice.ready("relaying")
        while not ground.pause(0):
            ground.voice.watchdog()
            for check in self._checks:
                check()
            if time.monotonic() - self._asked_s > GATE_EVERY_S or gate.half_open:
                self._asked_s = time.monotonic()
                gate = ground.gatekeeper.look()
            if not gate.may_run(ground.now_ms()):
                log.warning("gate.closed", by=gate.by, actor=gate.actor, reason=gate.reason)
                return "gate closed"
            self._count(self._turn(reader, process, gate), gate)
            self._say()
        return "stopped"

    def _turn(self, reader: Reader, process: Process, gate: Gate) -> Sequence[Outcome]:
        """One batch, and its offsets."""
        delivery, pause = self._ground.delivery, self._ground.pause
        at_most = min(self._batch_rows, gate.probes_left) if gate.half_open and gate.probes_left else self._batch_rows
        try:
            records = reader.read(at_most=at_most, wait_s=READ_WAIT_S)
        except DependencyDown as error:
            delivery.stands_still(error.name, error, 1)
            pause(delivery.policy.dependency_base_s)
            return ()
        if not records:
            return ()
        outcomes = deliver_batch(records, process, delivery=delivery, pause=pause)
        reader.done([outcome.record for outcome in outcomes if outcome.finished])
        return outcomes

    def _count(self, outcomes: Sequence[Outcome], gate: Gate) -> None:
        ground = self._ground
        self._rows += len(outcomes)
        self._letters += sum(outcome.kind == "letter" for outcome in outcomes)
        for outcome in outcomes if gate.half_open else ():
            try:
                if outcome.finished:
                    ground.gatekeeper.finished(succeeded=outcome.kind == "done", actor=ground.worker, now_ms=ground.now_ms())
            except OmeroMqError as error:
                log.warning("gate.probe_not_counted", error=str(error))

    def _say(self) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= STATUS_EVERY_S:
            self._said_s = now_s
            self._ground.voice.status(f"{self._rows} rows relayed, {self._letters} letters since the start")
