"""What is done with one batch of rows, from bytes to acknowledged events; the steps are those of decision 1."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

import structlog

from pipeline.delivery.batch import Rejected
from pipeline.delivery.ports import Publisher
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import DependencyDown, Permanent
from pipeline.omero.database import NAME as OMERO_DATABASE
from pipeline.omero.entities import MEMBERSHIP_TABLE
from pipeline.omero.lookups import Facts, Wanted
from pipeline.relay.event import EventMaker, ObjectId, Pair
from pipeline.relay.lineage import Lineage
from pipeline.relay.rows import Item, decode, is_lost, to_recall, transactions, wanted
from pipeline.relay.rules import Rule, RuleFailed, Work, apply, chosen
from pipeline.state.last_known import LastKnown
from pipeline.wire.events import PublicEvent
from pipeline.wire.messages import EVENT
from pipeline.wire.topics import EVENTS, WORK, named
from pipeline.wire.work import work_key

log = structlog.get_logger(__name__)

_HEADERS = (("content-type", b"application/cloudevents+json; charset=utf-8"),)

# A commit is visible within a millisecond of being logged, unless PostgreSQL waits for a standby: then something is away.
_FIRST_PAUSE_S = 0.002
_SOON_S = 1.0


class Memory(Protocol):
    """The last-known table, as far as the relay needs it."""

    def recall(self, wanted: Mapping[str, Collection[int]]) -> dict[ObjectId, LastKnown]:
        """What is known of these objects, deleted ones included, by table and id.

        Raises:
            DependencyDown: the state database is away.
        """

    def learn(self, rows: Sequence[LastKnown]) -> int:
        """Write those of which nothing is known, and leave the others as they are; idempotent.

        Raises:
            DependencyDown: the state database is away.
        """

    def keep(self, *, remember: Sequence[LastKnown], forget: Sequence[ObjectId]) -> int:
        """Write what changed; idempotent.

        Raises:
            DependencyDown: the state database is away.
        """


class Relay:
    """Makes public events of rows.

    Args:
        look_up: asks OMERO's database in one snapshot, after it has seen that it is the accepted one.
        never_begun: which of these transaction ids OMERO's database has not given out yet.
        memory: the last-known table.
        publisher: writes events and work.
        lineage: which database is the accepted one.
        rules: from event to work.
        prefix: first word of the topics' names.
        place: time zone of OMERO's timestamps.
        pause: waits so long [s], or until the service shall stop; answers whether it shall.
        visibility_alert_s: how long a decoded commit may be invisible before somebody is told [s].
    """

    def __init__(
        self,
        *,
        look_up: Callable[[Wanted], Facts],
        never_begun: Callable[[Collection[int]], Collection[int]],
        memory: Memory,
        publisher: Publisher,
        lineage: Lineage,
        rules: Sequence[Rule],
        prefix: str,
        place: ZoneInfo,
        pause: Callable[[float], bool],
        visibility_alert_s: float,
    ) -> None:
        self._ask = look_up
        self._never_begun = never_begun
        self._memory = memory
        self._publisher = publisher
        self._lineage = lineage
        self._rules = rules
        self._prefix = prefix
        self._events_topic = named(EVENTS, prefix)
        self._place = place
        self._pause = pause
        self._visibility_alert_s = visibility_alert_s
        self._invisible_since_s: float | None = None
        self._alerted = False

    def process(self, records: Sequence[Record]) -> list[Rejected]:
        """All steps; when it returns, each record is an acknowledged event or is rejected, and the last-known table has learnt.

        Idempotent: the same records give events with the same ids. Blocks until the broker has acknowledged.

        Raises:
            DependencyDown: OMERO's database, the state database or Kafka is away, or a commit is not visible yet.
            EpochChanged, Misconfigured: a person is needed.
            Permanent: a record among them makes an event or work that cannot be written.
        """
        items, rejected = self._decode(records)
        facts, unreal = self._look_up_when_visible(items)
        if unreal:
            strange = [item for item in items if transactions([item]) & unreal]
            rejected += [Rejected(record=item.record, error=_not_of_this_database(item)) for item in strange]
            items = [item for item in items if not transactions([item]) & unreal]
        known = self._recall(to_recall(items, facts))
        maker = EventMaker(
            source=self._lineage.source, older_source=self._lineage.older_source, facts=facts, known=known, place=self._place
        )
        outgoing: list[Outgoing] = []
        for item in items:
            rejected += self._make(maker, item, facts, outgoing)
        changes = maker.changes
        if changes.learn:
            self._memory.learn(changes.learn)
        self._publisher.publish(outgoing)
        if changes.remember or changes.forget:
            self._memory.keep(remember=changes.remember, forget=changes.forget)
        return rejected

    def _decode(self, records: Sequence[Record]) -> tuple[list[Item], list[Rejected]]:
        """Step 2."""
        items: list[Item] = []
        rejected: list[Rejected] = []
        for record in records:
            try:
                items.append(decode(record, self._lineage))
            except Permanent as error:
                rejected.append(Rejected(record=record, error=error))
        return items, rejected

    def _look_up_when_visible(self, items: Sequence[Item]) -> tuple[Facts, frozenset[int]]:
        """Steps 3 and 4, in new snapshots until one shows every transaction of the batch.

        Also answers those transaction ids that this database never gave out: nothing is waited for on their behalf.
        """
        began_s = time.monotonic()
        pause_s = _FIRST_PAUSE_S
        unreal: frozenset[int] = frozenset()
        while True:
            facts = self._ask(wanted(items))
            snapshot = facts.snapshot
            hidden = {xid: wide for xid in transactions(items) - unreal if not snapshot.sees(wide := snapshot.widen(xid))}
            if not hidden:
                self._invisible_since_s, self._alerted = None, False
                return facts, unreal
            if time.monotonic() - began_s > _SOON_S or self._pause(pause_s):
                # Asked late, since each question costs a round trip and a true commit is visible by now.
                future = self._never_begun(hidden.values())
                if not future:
                    raise self._invisible(list(hidden))
                unreal |= {xid for xid, wide in hidden.items() if wide in future}
            pause_s *= 2

    def _invisible(self, hidden: Sequence[int]) -> DependencyDown:
        """What to wait for; says it loudly, once, when it has lasted too long."""
        now_s = time.monotonic()
        if self._invisible_since_s is None:
            self._invisible_since_s = now_s
        error = DependencyDown(
            OMERO_DATABASE,
            f"transaction {hidden[0]} was logged as committed but is not visible yet",
            fix="PostgreSQL waits for a synchronous standby: look at synchronous_standby_names and pg_stat_replication",
        )
        waited_s = now_s - self._invisible_since_s
        if waited_s > self._visibility_alert_s and not self._alerted:
            self._alerted = True
            log.error("relay.commit_invisible", waited_s=round(waited_s, 1), transactions=len(hidden), fix=error.fix)
        return error

    def _recall(self, objects: Mapping[str, Collection[int]]) -> dict[ObjectId, Pair]:
        if not objects:
            return {}
        return {
            this: (known.parent, known.child) if this[0] == MEMBERSHIP_TABLE else (known.owner, known.group)
            for this, known in self._memory.recall(objects).items()
        }

    def _make(self, maker: EventMaker, item: Item, facts: Facts, outgoing: list[Outgoing]) -> list[Rejected]:
        """Step 5: the event of one row, and its work; of the replay of a failed rule only that rule's work."""
        record = item.record
        try:
            event = maker.make(item.row, lost=item.may_be_older and is_lost(item, facts))
            rules = chosen(self._rules, item.only) if item.only else self._rules
        except (Permanent, OverflowError) as error:
            return [Rejected(record=record, error=error)]
        if not item.only:
            outgoing.append(self._event(event))
        rejected: list[Rejected] = []
        for work in apply(rules, event) if rules else ():
            if isinstance(work, RuleFailed):
                rejected.append(Rejected(record=record, error=work.error, part=work.rule))
            else:
                outgoing.append(self._work(work))
        return rejected

    def _event(self, event: PublicEvent) -> Outgoing:
        return Outgoing(topic=self._events_topic, key=event.subject.encode(), value=EVENT.json.encode(event), headers=_HEADERS)

    def _work(self, work: Work) -> Outgoing:
        return Outgoing(topic=named(WORK, self._prefix, work.item.queue), key=work_key(work.item), value=work.data)


def _not_of_this_database(item: Item) -> Permanent:
    return Permanent(
        f"transaction {item.row.txid} has not begun in OMERO's database, so this row was not captured from it",
        fix="see who writes this topic beside Kafka Connect, or whether the database was put back in time without a new epoch",
    )
