"""Whether a consumer may run: one gate each, open or closed, by whom, why and until when; pure, with a port to its store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pipeline.errors import DependencyDown

By = Literal["person", "breaker", "letters"]
State = Literal["open", "closed"]

PROBES = 10  # messages that a gate lets through after the breaker's time, before it trusts again
# Who closed a gate for a stronger reason is not overruled: a breaker must not re-open what a person closed.
_RANK: dict[By, int] = {"person": 3, "breaker": 2, "letters": 1}


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """One consumer's gate.

    Attributes:
        consumer: whose.
        state: open or closed.
        by: who brought it into this state: a person; the breaker, because too much failed; letters that could not be written.
        actor: the person's name, or the worker that saw it.
        reason: why, in words.
        until_ms: when it opens by itself [ms since 1970 UTC]; None: not by itself.
        probes_left: half-open: so many messages are tried before it counts as open; None: not half-open.
        changed_at_ms: when [ms since 1970 UTC]; 0 when nobody ever touched it.
    """

    consumer: str
    state: State = "open"
    by: By = "person"
    actor: str = ""
    reason: str = ""
    until_ms: int | None = None
    probes_left: int | None = None
    changed_at_ms: int = 0

    @property
    def half_open(self) -> bool:
        """Whether messages are let through on trial."""
        return self.state == "open" and self.probes_left is not None

    def may_run(self, now_ms: int) -> bool:
        """Whether a message may be started now; a time that is over counts as `settled` would make it."""
        settled = self.settled(now_ms)
        return settled.state == "open" and settled.probes_left != 0

    def opens_in_s(self, now_ms: int) -> float | None:
        """How long until it opens by itself [s]: 0 when it is open, None when it does not."""
        if self.may_run(now_ms):
            return 0.0
        return None if self.until_ms is None else max(0.0, (self.until_ms - now_ms) / 1000)

    def closed(self, *, by: By, actor: str, reason: str, now_ms: int, until_ms: int | None = None) -> Gate:
        """Closed; unchanged where somebody with a stronger reason has closed it already."""
        settled = self.settled(now_ms)
        if settled.state == "closed" and _RANK[settled.by] > _RANK[by]:
            return settled
        return Gate(
            consumer=self.consumer,
            state="closed",
            by=by,
            actor=actor,
            reason=reason,
            until_ms=until_ms,
            changed_at_ms=now_ms,
        )

    def opened(self, *, by: By, actor: str, reason: str, now_ms: int, probes: int | None = None) -> Gate:
        """Open, or half-open with so many probes; unchanged where somebody with a stronger reason has closed it."""
        settled = self.settled(now_ms)
        if settled.state == "closed" and _RANK[settled.by] > _RANK[by]:
            return settled
        return Gate(consumer=self.consumer, by=by, actor=actor, reason=reason, probes_left=probes or None, changed_at_ms=now_ms)

    def settled(self, now_ms: int) -> Gate:
        """What time has made of it: past ``until_ms`` it is open, after the breaker only half-open."""
        if self.state == "open" or self.until_ms is None or now_ms < self.until_ms:
            return self
        probes = PROBES if self.by == "breaker" else None
        return replace(self, state="open", until_ms=None, probes_left=probes, changed_at_ms=self.until_ms)

    def after(self, *, succeeded: bool, actor: str, now_ms: int, until_ms: int | None = None) -> Gate:
        """What a finished probe makes of a half-open gate; any other gate stays as it is.

        Args:
            succeeded: whether the message was done, and not made a letter.
            actor: the worker.
            now_ms: time [ms since 1970 UTC].
            until_ms: when a failed probe is followed by another trial; None: when a person opens.
        """
        settled = self.settled(now_ms)
        if not settled.half_open:
            return settled
        if not succeeded:
            return settled.closed(by="breaker", actor=actor, reason="a probe failed", now_ms=now_ms, until_ms=until_ms)
        left = (settled.probes_left or 1) - 1
        if left:
            return replace(settled, probes_left=left)
        return settled.opened(by=settled.by, actor=actor, reason="all probes succeeded", now_ms=now_ms)


class GateStore(Protocol):
    """Where gates are kept, durably, with their history."""

    def read(self, consumer: str) -> Gate:
        """The gate; an open one where nothing is kept.

        Raises:
            DependencyDown: ``state-database`` is away.
        """

    def write(self, gate: Gate, *, instead_of: Gate) -> bool:
        """Keep it, if what is kept still is ``instead_of`` (equal in all its fields); answers whether it was.

        Two workers, or a worker and a person, decide at the same time: who comes second must look again.

        Raises:
            DependencyDown: ``state-database`` is away.
        """


class MemoryGateStore:
    """A `GateStore` in memory. ``down`` is what every call raises while it is set, to play an outage."""

    def __init__(self) -> None:
        self.down: DependencyDown | None = None
        self.history: list[Gate] = []
        self._gates: dict[str, Gate] = {}

    def read(self, consumer: str) -> Gate:
        """See `GateStore.read`."""
        self._check()
        return self._gates.get(consumer, Gate(consumer=consumer))

    def write(self, gate: Gate, *, instead_of: Gate) -> bool:
        """See `GateStore.write`."""
        if self.read(gate.consumer) != instead_of:
            return False
        self._gates[gate.consumer] = gate
        self.history.append(gate)
        return True

    def _check(self) -> None:
        if self.down is not None:
            raise self.down


class Gatekeeper:
    """A running service's view of its gate: the store's, or the last answer while the store is away.

    Args:
        store: where the gate is kept.
        consumer: whose gate.
    """

    def __init__(self, store: GateStore, consumer: str) -> None:
        self._store = store
        self._consumer = consumer
        self._last: Gate | None = None

    def look(self) -> Gate:
        """The gate, as fresh as it can be had.

        Raises:
            DependencyDown: ``state-database`` is away and was never reached, so nothing is known: wait outside the group.
        """
        try:
            self._last = self._store.read(self._consumer)
        except DependencyDown:
            if self._last is None:
                raise
        return self._last

    def close(self, *, by: By, actor: str, reason: str, now_ms: int, until_ms: int | None = None) -> Gate:
        """Close it durably.

        Raises:
            DependencyDown: ``state-database`` is away; the gate is not closed, and the caller must not go on as if it were.
        """
        while True:
            before = self._store.read(self._consumer)
            after = before.closed(by=by, actor=actor, reason=reason, now_ms=now_ms, until_ms=until_ms)
            if after == before or self._store.write(after, instead_of=before):
                self._last = after
                return after

    def finished(self, *, succeeded: bool, actor: str, now_ms: int, until_ms: int | None = None) -> Gate:
        """Count a finished message; only while half-open does that ask the store.

        Raises:
            DependencyDown: ``state-database`` is away; the probe is not counted.
        """
        if self._last is not None and not self._last.settled(now_ms).half_open:
            return self._last
        while True:
            before = self._store.read(self._consumer)
            after = before.after(succeeded=succeeded, actor=actor, now_ms=now_ms, until_ms=until_ms)
            if after == before or self._store.write(after, instead_of=before):
                self._last = after
                return after
