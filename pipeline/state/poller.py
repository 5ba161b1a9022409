"""The outbox poller: takes what was committed to Kafka, in order, and deletes it once Kafka has it."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from pipeline.delivery.ports import Publisher
from pipeline.errors import DependencyDown, Halt, Misconfigured, OmeroMqError, Transient
from pipeline.settings.model import StateSettings
from pipeline.state import outbox
from pipeline.state.migrate import require_usable
from pipeline.state.outbox import OutboxRow
from pipeline.state.pool import Connection, connect, translating

WAKE_S = 1.0
"""Longest sleep of an idle poller, so that a stop is noticed [s]; a commit wakes it at once."""
LOOK_S = 15.0
"""An idle poller looks even without a call this often [s]: a row whose call was lost waits no longer."""
SETTLE_S = 0.1
"""What Kafka has acknowledged is settled at least this often [s]; a kill publishes no more than that again."""
RETRY_S = 60.0
"""Rows that were refused because of something around them, e.g. a missing topic, are tried again this often [s]."""
_PAUSE_CAP_S = 5.0

log = structlog.get_logger(__name__)


class Host(Protocol):
    """What the process around the loop offers."""

    def stopping(self, timeout_s: float) -> bool:
        """Sleep so long, or until the process shall end; whether it shall."""
        ...

    def alive(self, status: str) -> None:
        """Called at least every few seconds with what the loop does."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Why Kafka did not take a row.

    Attributes:
        retry: a topic, a right or a setting is missing; the row itself may be good, and is tried again after `RETRY_S`.
    """

    id: int
    reason: str
    retry: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of some rows; the sum of two is what became of all of them.

    Attributes:
        published: ids that Kafka acknowledged.
        parked: those that it did not take.
    """

    published: tuple[int, ...] = ()
    parked: tuple[Refused, ...] = ()

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(published=self.published + other.published, parked=self.parked + other.parked)


def publish_rows(rows: Sequence[OutboxRow], publisher: Publisher) -> Iterator[Outcome]:
    """Publish rows and yield what became of them, bit by bit.

    Of one ``order_key`` each is acknowledged before the next is sent, so that a failed send cannot let a later row pass, whatever
    the client library had in flight. A row that can never be published is found by halving and parked; where its topic is at
    fault, all rows for it are. What is behind a parked row with its ``order_key`` is left where it is.

    Raises:
        DependencyDown, Transient, Halt: nothing is wrong with the rows; try again those that were not yielded.
    """
    held: set[str] = set()
    for turn in _turns(rows):
        stack = _by_topic(row for row in turn if row.order_key not in held)
        while stack:
            part = stack.pop()
            refused = _try(part, publisher)
            if refused is None:
                yield Outcome(published=tuple(row.id for row in part))
            elif refused.retry:
                held |= {row.order_key for row in part} - {""}
                yield Outcome(parked=tuple(replace(refused, id=row.id) for row in part))
            elif len(part) > 1:
                middle = len(part) // 2
                stack += [part[middle:], part[:middle]]
            else:
                held |= {part[0].order_key} - {""}
                yield Outcome(parked=(refused,))


def _turns(rows: Sequence[OutboxRow]) -> list[list[OutboxRow]]:
    """Rows that may be in flight together: at most one of each ``order_key``, and all of those that have none."""
    turns: list[list[OutboxRow]] = []
    seen: Counter[str] = Counter()
    for row in rows:
        turn = seen[row.order_key] if row.order_key else 0
        seen[row.order_key] += 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(row)
    return turns


def _by_topic(rows: Iterable[OutboxRow]) -> list[list[OutboxRow]]:
    """A missing topic takes seconds to be found missing: its rows fail together, and those of the others do not wait twice."""
    parts: dict[str, list[OutboxRow]] = {}
    for row in rows:
        parts.setdefault(row.record.topic, []).append(row)
    return list(parts.values())[::-1]


def _try(rows: Sequence[OutboxRow], publisher: Publisher) -> Refused | None:
    """Publish; None when it worked, else why the first of these rows, or another, cannot be published."""
    try:
        publisher.publish([row.record for row in rows])
    except (DependencyDown, Transient, Halt):
        raise
    except OmeroMqError as error:
        reason = f"{error}; {error.fix}" if error.fix else str(error)
        return Refused(id=rows[0].id, reason=reason, retry=isinstance(error, Misconfigured))
    except Exception as error:  # noqa: BLE001 - whatever a row does to the client library, it must not stop the rows behind it
        return Refused(id=rows[0].id, reason=f"{type(error).__name__}: {error}")
    return None


def drain(connection: Connection, publisher: Publisher) -> Outcome:
    """Publish one batch and settle its rows; empty when nothing was due.

    Raises:
        DependencyDown, Transient: Kafka or the state database is away; what Kafka acknowledged before is settled, nothing else.
    """
    with translating():
        rows = outbox.due(connection)
    if not rows:
        return Outcome()
    total, unsettled, settled_s = Outcome(), Outcome(), time.monotonic()
    try:
        for outcome in publish_rows(rows, publisher):
            total, unsettled = total + outcome, unsettled + outcome
            if time.monotonic() - settled_s > SETTLE_S:
                _settle(connection, unsettled)
                unsettled, settled_s = Outcome(), time.monotonic()
    finally:
        _settle(connection, unsettled)
    return total


def _settle(connection: Connection, outcome: Outcome) -> None:
    with translating(), connection.transaction():
        outbox.remove(connection, outcome.published)
        for row in outcome.parked:
            outbox.park(connection, row.id, row.reason, retry=row.retry)
    for row in outcome.parked:
        log.error("outbox.parked", id=row.id, reason=row.reason, retry_s=RETRY_S if row.retry else None)


class Poller:
    """The loop of the service: publishes what was committed until the process shall end, and waits for whatever is away.

    Several may run: one publishes, the others wait for its connection to end. A poller that was frozen and thawed publishes at
    most the batch in its hand once more.
    """

    def __init__(self, settings: StateSettings, publisher: Publisher, host: Host, *, service: str = "outbox") -> None:
        self._settings = settings
        self._publisher = publisher
        self._host = host
        self._service = service
        self._failures = 0

    def run(self) -> None:
        """Return when the process shall end.

        Raises:
            Misconfigured: the state database refuses us, or its schema is missing or of another release.
        """
        while not self._host.stopping(0):
            try:
                self._session()
            except (DependencyDown, Transient) as error:
                self._failures += 1
                pause_s = random.uniform(0.1, min(_PAUSE_CAP_S, 0.2 * 2 ** min(self._failures, 10)))  # noqa: S311 - jitter
                log.warning("outbox.waiting", reason=str(error), pause_s=round(pause_s, 2))
                self._host.alive(f"waiting: {error}")
                self._host.stopping(pause_s)

    def _session(self) -> None:
        """Publish over one connection until the process shall end or something is away."""
        with connect(self._settings, service=self._service, autocommit=True) as connection, translating():
            require_usable(connection)
            while not outbox.lead(connection):
                self._host.alive("standing by: another poller publishes")
                if self._host.stopping(WAKE_S):
                    return
            connection.execute(f"LISTEN {outbox.CHANNEL}")
            looked_s, released_s, called = -math.inf, time.monotonic(), False
            while not self._host.stopping(0):
                if time.monotonic() - released_s > RETRY_S:
                    called = outbox.release_all(connection) > 0 or called
                    released_s = time.monotonic()
                if called or time.monotonic() - looked_s > LOOK_S:
                    while drain(connection, self._publisher) != Outcome() and not self._host.stopping(0):
                        self._failures = 0
                        self._host.alive("publishing")
                    looked_s = time.monotonic()
                self._host.alive("idle")
                called = any(True for _ in connection.notifies(timeout=WAKE_S, stop_after=1))
