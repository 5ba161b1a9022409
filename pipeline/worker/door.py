"""What a running worker knows of its gate: whether it may go on, and how many records it may try."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from pipeline.delivery.deliver import Outcome
from pipeline.delivery.gate import Gate, Gatekeeper
from pipeline.errors import OmeroMqError

log = structlog.get_logger(__name__)


class Door:
    """Looks at the gate now and then; what it saw last is what counts in between.

    Args:
        keeper: the gate.
        worker: this process, as the gate's history names it.
        now_ms: the clock [ms since 1970 UTC].
    """

    def __init__(self, keeper: Gatekeeper, *, worker: str, now_ms: Callable[[], int]) -> None:
        self._keeper = keeper
        self._worker = worker
        self._now_ms = now_ms
        self._gate: Gate | None = None

    def look(self) -> Gate:
        """The gate as fresh as it can be had. Blocks.

        Raises:
            DependencyDown: ``state-database`` is away, and was never reached.
        """
        self._gate = self._keeper.look()
        return self._gate

    def shut(self) -> Gate | None:
        """The gate, if it is closed; None when it is open or cannot be seen. Blocks; never raises."""
        try:
            gate = self.look()
        except OmeroMqError as error:
            log.warning("gate.not_seen", error=str(error))
            return None
        return None if gate.may_run(self._now_ms()) else gate

    def may_run(self) -> bool:
        """Whether the gate was open when it was seen last."""
        return self._gate is not None and self._gate.may_run(self._now_ms())

    @property
    def limit(self) -> int | None:
        """How many records may be tried now: none while the gate is closed, its probes while it is half-open, else any number."""
        if not self.may_run():
            return 0
        return self._gate.probes_left if self._gate is not None and self._gate.half_open else None

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """While the gate is half-open, tell it what became of the records. Blocks; never raises."""
        if self._gate is None or not self._gate.half_open:
            return
        for outcome in outcomes:
            if outcome.finished:
                try:
                    self._gate = self._keeper.finished(
                        succeeded=outcome.kind == "done", actor=self._worker, now_ms=self._now_ms()
                    )
                except OmeroMqError as error:
                    log.warning("gate.probe_not_counted", error=str(error))
