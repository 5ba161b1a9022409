"""What is done with one batch of rows, from bytes to acknowledged events; the steps are those of decision 1."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import msgspec
import structlog

from pipeline.delivery.ports import Publisher
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import Permanent
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.entities import MEMBERSHIP_TABLE
from pipeline.omero.lookups import Facts, look_up
from pipeline.relay.event import Changes, EventMaker, ObjectId, Pair
from pipeline.relay.lineage import Lineage
from pipeline.relay.rows import Item, decode, is_lost, to_recall, transactions, wanted
from pipeline.relay.rules import Rule, RuleFailed, apply
from pipeline.state.last_known import LastKnown
from pipeline.wire.topics import EVENTS, WORK, named
from pipeline.wire.work import work_key

log = structlog.get_logger(__name__)

_HEADERS = (("content-type", b"application/cloudevents+json; charset=utf-8"),)


class Memory(Protocol):
    """The last-known table, as far as the relay needs it."""

    def recall(self, wanted: Mapping[str, Collection[int]]) -> dict[ObjectId, LastKnown]:
        """What is known of these objects, deleted ones included, by table and id.

        Raises:
            DependencyDown: the state database is away.
        """

    def keep(self, *, remember: Sequence[LastKnown], forget: Sequence[ObjectId]) -> int:
        """Write what was learnt; idempotent.

        Raises:
            DependencyDown: the state database is away.
        """


class Failure(NamedTuple):
    """What becomes a letter: a record, why, and which part of it failed (a rule's name; "" for all of it)."""

    record: Record
    error: Exception
    part: str


class Relay:
    """Makes public events of rows.

    Args:
        database: OMERO's database.
        memory: the last-known table.
        publisher: writes events, work and letters.
        letter: what is written for a failure.
        lineage: which database must be there.
        rules: from event to work.
        prefix: first word of the topics' names.
        place: time zone of OMERO's timestamps.
        wait: sleeps; raises when the service was told to stop.
        visibility_alert_s: how long a decoded commit may be invisible before somebody is told [s].
    """

    def __init__(
        self,
        *,
        database: OmeroDatabase,
        memory: Memory,
        publisher: Publisher,
        letter: Callable[[Failure], Outgoing],
        lineage: Lineage,
        rules: Sequence[Rule],
        prefix: str,
        place: ZoneInfo,
        wait: Callable[[float, str], None],
        visibility_alert_s: float,
    ) -> None:
        self._database = database
        self._memory = memory
        self._publisher = publisher
        self._letter = letter
        self._lineage = lineage
        self._rules = rules
        self._prefix = prefix
        self._events_topic = named(EVENTS, prefix)
        self._place = place
        self._wait = wait
        self._visibility_alert_s = visibility_alert_s
        self._encode = msgspec.json.Encoder().encode

    def relay(self, records: Sequence[Record]) -> None:
        """All steps; when it returns, each record is an acknowledged event or letter, and the last-known table knows.

        Idempotent: the same records give events with the same ids. Blocks until the broker has acknowledged.

        Raises:
            DependencyDown: OMERO's database, the state database or Kafka is away; nothing is lost by calling again.
            EpochChanged, Misconfigured: a person is needed.
            Permanent: a record among them makes an event that cannot be written.
        """
        items, failures = self._decode(records)
        facts = self._look_up_when_visible(items)
        known = self._recall(to_recall(items, facts))
        outgoing, changes = self._make(items, failures, facts, known)
        self._publisher.publish(outgoing)
        # Only now: after a crash in between, the events made again must still know the old group.
        if changes.remember or changes.forget:
            self._memory.keep(remember=changes.remember, forget=changes.forget)

    def _decode(self, records: Sequence[Record]) -> tuple[list[Item], list[Failure]]:
        items: list[Item] = []
        failures: list[Failure] = []
        may_be_older = self._lineage.may_be_older
        for record in records:
            try:
                items.append(Item(record, decode(record), may_be_older(record)))
            except Permanent as error:
                failures.append(Failure(record, error, ""))
        return items, failures

    def _look_up(self, items: Sequence[Item]) -> Facts | None:
        """The facts; None when a transaction is not visible yet in their snapshot."""
        facts = look_up(self._database, wanted(items), expected=self._lineage.epoch)
        snapshot = facts.snapshot
        return facts if all(snapshot.sees(snapshot.widen(xid)) for xid in transactions(items)) else None

    def _look_up_when_visible(self, items: Sequence[Item]) -> Facts:
        """Steps 3 and 4, in new snapshots until one shows every transaction of the batch; the alert does not end the wait."""
        began_s = time.monotonic()
        pause_s = 0.002
        alerted = False
        while (facts := self._look_up(items)) is None:
            waited_s = time.monotonic() - began_s
            if waited_s > self._visibility_alert_s and not alerted:
                alerted = True
                log.error(
                    "relay.commit_invisible",
                    waited_s=round(waited_s, 1),
                    fix="PostgreSQL has logged a commit that it does not show yet, as while a synchronous standby is absent: look"
                    " at synchronous_standby_names and pg_stat_replication",
                )
            self._wait(pause_s, "waiting for a commit to become visible in OMERO's database")
            pause_s = min(2 * pause_s, 0.5)
        return facts

    def _recall(self, objects: Mapping[str, Collection[int]]) -> dict[ObjectId, Pair]:
        if not objects:
            return {}
        found = self._memory.recall(objects)
        return {
            this: (known.parent, known.child) if this[0] == MEMBERSHIP_TABLE else (known.owner, known.group)
            for this, known in found.items()
        }

    def _make(
        self, items: Sequence[Item], failures: Sequence[Failure], facts: Facts, known: Mapping[ObjectId, Pair]
    ) -> tuple[list[Outgoing], Changes]:
        """Step 5: events, work and letters, in the order of the rows."""
        maker = EventMaker(
            source=self._lineage.source, older_source=self._lineage.older_source, facts=facts, known=known, place=self._place
        )
        outgoing = [self._letter(failure) for failure in failures]
        for item in items:
            record, row, may_be_older = item
            try:
                event = maker.make(row, lost=may_be_older and is_lost(item, facts))
                key = event.subject.encode()
                outgoing.append(Outgoing(topic=self._events_topic, key=key, value=self._encode(event), headers=_HEADERS))
            except (ValueError, OverflowError) as error:
                outgoing.append(self._letter(Failure(record, error, "")))
                continue
            for work in apply(self._rules, event) if self._rules else ():
                if isinstance(work, RuleFailed):
                    outgoing.append(self._letter(Failure(record, work.error, work.rule)))
                else:
                    topic = named(WORK, self._prefix, work.queue)
                    outgoing.append(Outgoing(topic=topic, key=work_key(work), value=self._encode(work)))
        return outgoing, maker.changes
