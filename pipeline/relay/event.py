"""From a captured row, and what OMERO's database and the last-known table say about it, to its public event; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from pipeline.omero.entities import EntityType, entity_type
from pipeline.omero.lookups import EventFacts, Facts
from pipeline.omero.wallclock import to_utc
from pipeline.state.last_known import LastKnown
from pipeline.wire.events import JSON, SPECVERSION, EventlogData, PublicEvent, event_id, event_type, rfc3339
from pipeline.wire.objects import object_name
from pipeline.wire.rows import EventlogRow

INSERT = "INSERT"
DELETE = "DELETE"

ObjectId = tuple[str, int]
Pair = tuple[int | None, int | None]
_UNKNOWN: Pair = (None, None)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

kind_of = lru_cache(maxsize=4096)(entity_type)
_type_of = lru_cache(maxsize=4096)(event_type)


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What the last-known table has to learn.

    Attributes:
        learn: objects that were not known; written before the events, where it can hide nothing: an event that is made again
            after a crash says the same, and an object that is deleted meanwhile is known.
        remember: objects that moved; written once the events are acknowledged, or a crash would forget where they were.
        forget: objects that are gone; likewise.
    """

    learn: list[LastKnown] = field(default_factory=list)
    remember: list[LastKnown] = field(default_factory=list)
    forget: list[ObjectId] = field(default_factory=list)


class EventMaker:
    """Makes the events of one batch, in the order of its rows.

    Args:
        source: the CloudEvents source, which names database and epoch.
        older_source: that of rows which only the epoch before had.
        facts: what OMERO's database says, in one snapshot.
        known: what the last-known table says, by table and id: owner and group, or group and user of a membership.
        place: the time zone of OMERO's timestamps.
    """

    def __init__(self, *, source: str, older_source: str, facts: Facts, known: Mapping[ObjectId, Pair], place: ZoneInfo) -> None:
        self.changes = Changes()
        self._source = source
        self._older_source = older_source
        self._facts = facts
        self._known = dict(known)
        self._place = place
        self._transactions: dict[int, str] = {}
        self._commit_times: dict[int, str] = {}
        self._times: dict[tuple[int, int], str] = {}

    def make(self, row: EventlogRow, *, lost: bool = False) -> PublicEvent:
        """The event of one row; also notes what the last-known table has to learn from it.

        Args:
            row: the row.
            lost: it is not part of this database's past (an older copy was restored), so nothing that is known now is about it.

        Raises:
            OverflowError: its commit time is beyond the year 9999.
        """
        kind = kind_of(row.entitytype)
        event = str(row.event)
        subject = object_name(kind.name, row.entityid)
        committed = self._committed(row.commit_us)
        about = None if lost else self._facts.events.get(row.event)
        now, before = self._whose(row, kind) if (kind.owned or kind.remembered) and not lost else (_UNKNOWN, _UNKNOWN)
        (owner, group), (parent, child) = (_UNKNOWN, now) if kind.is_membership else (now, _UNKNOWN)
        return PublicEvent(
            specversion=SPECVERSION,
            id=event_id(row.id),
            source=self._older_source if lost else self._source,
            type=_type_of(row.entitytype, row.action),
            subject=subject,
            time=committed if about is None else self._time(row, about),
            datacontenttype=JSON,
            partitionkey=subject,
            actor=None if about is None else str(about.actor),
            sudoer=None if about is None or about.sudoer is None else str(about.sudoer),
            owner=None if owner is None else str(owner),
            group=None if group is None else str(group),
            parent=None if parent is None else str(parent),
            child=None if child is None else str(child),
            previousowner=None if before[0] == now[0] or before[0] is None else str(before[0]),
            previousgroup=None if before[1] == now[1] or before[1] is None else str(before[1]),
            omeroevent=event,
            eventtype=None if about is None else about.event_type,
            transaction=None if row.txid is None or lost else self._transaction(row.txid),
            committime=committed,
            data=EventlogData(
                id=str(row.id),
                action=row.action,
                entitytype=row.entitytype,
                entityid=str(row.entityid),
                event=event,
                permissions=str(row.permissions),
                external_id=None if row.external_id is None else str(row.external_id),
            ),
        )

    def _whose(self, row: EventlogRow, kind: EntityType) -> tuple[Pair, Pair]:
        """Owner and group now and before this row; of what is gone, as they were last known."""
        this = (kind.table, row.entityid)
        known = self._known.get(this)
        table = self._facts.memberships if kind.is_membership else self._facts.owners.get(kind.table, {})
        found: Pair | None = table.get(row.entityid)
        if found is None:
            if row.action == DELETE and known is not None:
                self.changes.forget.append(this)
            return known or _UNKNOWN, _UNKNOWN
        if not kind.remembered or found == known:
            return found, _UNKNOWN
        if known is None:
            self._known[this] = found
            self.changes.learn.append(_last_known(kind, row.entityid, found))
            return found, _UNKNOWN
        if row.action == INSERT:
            # Read again, and the object moved since. Whoever has seen this event passes over it: the move is not for it to tell.
            return found, _UNKNOWN
        self._known[this] = found
        self.changes.remember.append(_last_known(kind, row.entityid, found))
        return found, _UNKNOWN if kind.is_membership else known

    def _transaction(self, xid: int) -> str:
        text = self._transactions.get(xid)
        if text is None:
            text = self._transactions[xid] = str(self._facts.snapshot.widen(xid))
        return text

    def _committed(self, commit_us: int) -> str:
        text = self._commit_times.get(commit_us)
        if text is None:
            text = self._commit_times[commit_us] = rfc3339(commit_us)
        return text

    def _time(self, row: EventlogRow, about: EventFacts) -> str:
        """When the event began; all rows of one event and one commit have the same."""
        text = self._times.get((row.event, row.commit_us))
        if text is None:
            moment = to_utc(about.time, self._place, not_after=_1970 + timedelta(microseconds=row.commit_us))
            text = self._times[row.event, row.commit_us] = rfc3339((moment - _1970) // _US)
        return text


def _last_known(kind: EntityType, id_: int, pair: Pair) -> LastKnown:
    if kind.is_membership:
        return LastKnown(kind=kind.table, id=id_, parent=pair[0], child=pair[1])
    return LastKnown(kind=kind.table, id=id_, owner=pair[0], group=pair[1])
