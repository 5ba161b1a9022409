"""Reads rows again that are committed in OMERO's database and not on the topic, and writes them as Debezium would have.

Which ids are compared: `docs/decisions/0002-repair.md` argues it. In short: a missing row was committed after the last delivered
one. Its id was drawn while the topic was already being written, and so is above the first ids on it; or it is older than that,
drawn in a block of 50 or by a transaction that stayed open, and then its event is young.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from pipeline.cdc.ids import IdSet
from pipeline.delivery.ports import Publisher
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import Misconfigured
from pipeline.wire.rows import EventlogRow, Id

Connection = psycopg.Connection[tuple[Any, ...]]
Scan = Callable[[Mapping[int, int]], Iterable[Record]]
"""Reads the topic from these offsets (by partition; else from the oldest) up to its end as it is then."""

PAGE_ROWS = 10_000
REACH_IDS = 1_000_000
"""How far below the first ids on the topic a young event is looked for [ids]."""
LONGEST_TRANSACTION = timedelta(hours=48)
"""A transaction that was open for longer before the slot was lost may be overlooked; a clock in another zone is covered."""
_FIRST_ROWS = 100

_COLUMNS = "id, action, permissions, entityid, entitytype, external_id, event"


class _Seen(msgspec.Struct, frozen=True, gc=False):
    """What is read of each record on the topic."""

    id: Id
    commit_us: Id = msgspec.field(name="__commit_us")
    op: str = msgspec.field(name="__op")


_decode = msgspec.json.Decoder(_Seen).decode
_encode = msgspec.json.Encoder().encode


@dataclass(kw_only=True, slots=True)
class TopicIds:
    """What a topic holds, kept up to date by `look`; records that are no rows are counted and passed over.

    Attributes:
        ids: of all rows.
        last_commit_us: of the latest row that was streamed [us since 1970 UTC]; 0: none was.
        floor: highest id among the first rows that were streamed: ids drawn later are above it. None: the topic has no row.
    """

    ids: IdSet
    last_commit_us: int = 0
    floor: int | None = None
    unreadable: int = 0
    next_offsets: dict[int, int]

    @classmethod
    def empty(cls) -> TopicIds:
        """Before the first look."""
        return cls(ids=IdSet(), next_offsets={})

    def look(self, scan: Scan) -> None:
        """Read what came since the last look."""
        first: list[tuple[int, int]] = []
        is_first = not self.next_offsets
        for record in scan(self.next_offsets):
            self.next_offsets[record.partition] = record.offset + 1
            try:
                seen = _decode(record.value or b"")
                self.ids.add(seen.id)
            except (msgspec.DecodeError, OverflowError):
                self.unreadable += 1
                continue
            if seen.op != "r":
                self.last_commit_us = max(self.last_commit_us, seen.commit_us)
                if is_first:
                    _keep_first(first, seen)
        if first:
            self.floor = max(one for _, one in first)


def _keep_first(first: list[tuple[int, int]], seen: _Seen) -> None:
    """Keep the rows committed first, as a heap with the latest of them on top."""
    if len(first) < _FIRST_ROWS:
        heapq.heappush(first, (-seen.commit_us, seen.id))
    elif -seen.commit_us > first[0][0]:
        heapq.heapreplace(first, (-seen.commit_us, seen.id))


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Which rows must be on the topic.

    Attributes:
        floor: every row from this id on.
        reach: rows from this id on, if their event is not older than `since`.
        since: as OMERO's clock shows it, without zone; None: rows below the floor are not looked at.
    """

    floor: int
    reach: int
    since: datetime | None


def range_of(topic: TopicIds, *, from_id: int | None, timezone: str) -> Range:
    """Which rows must be on the topic.

    Args:
        topic: what is on it.
        from_id: a lower bound that a person chose; None: found from the topic.
        timezone: of OMERO's clock.

    Raises:
        Misconfigured: nothing was streamed onto the topic, or all of it expired, so that nothing tells where to begin.
    """
    if from_id is not None:
        return Range(floor=from_id, reach=from_id, since=None)
    if topic.floor is None:
        raise Misconfigured(
            "the topic holds no streamed row, so nothing tells from where rows may be missing",
            fix="give the lowest eventlog id that may be missing: `omero-mq repair --from-id N`",
        )
    newest = datetime.fromtimestamp(topic.last_commit_us / 1e6, UTC)
    since = (newest - LONGEST_TRANSACTION).astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    return Range(floor=topic.floor, reach=max(0, topic.floor - REACH_IDS), since=since)


def missing(connection: Connection, rows: Range, on_topic: IdSet, row_filter: str) -> Iterator[list[EventlogRow]]:
    """Rows that are committed and not on the topic, in order of id, a page at a time, all from one snapshot.

    The transaction ends with the iteration; memory is one page.

    Args:
        connection: of a role that may read eventlog and event, in autocommit mode.
        rows: which.
        on_topic: ids that are there.
        row_filter: of the publication: rows that are not published are not missing.
    """
    published = row_filter.replace("%", "%%") or "true"
    # The filter names columns without their table, so it stands where there is only one.
    log = f"SELECT l.* FROM (SELECT {_COLUMNS} FROM public.eventlog WHERE ({published})) l"
    page = f"ORDER BY l.id LIMIT {PAGE_ROWS}"
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if rows.since is not None:
            young = f"JOIN public.event e ON e.id = l.event AND e.time >= '{rows.since.isoformat()}'"
            yield from _pages(
                connection, f"{log} {young} WHERE l.id > %s AND l.id < {rows.floor} {page}", rows.reach - 1, on_topic
            )
        yield from _pages(connection, f"{log} WHERE l.id > %s {page}", rows.floor - 1, on_topic)


def _pages(connection: Connection, query: str, after: int, on_topic: IdSet) -> Iterator[list[EventlogRow]]:
    while True:
        page = connection.execute(query.encode(), (after,), binary=True).fetchall()
        now_us = int(datetime.now(UTC).timestamp() * 1e6)
        rows = [_row(found, now_us) for found in page if found[0] not in on_topic]
        if rows:
            yield rows
        if len(page) < PAGE_ROWS:
            return
        after = page[-1][0]


def _row(found: tuple[Any, ...], now_us: int) -> EventlogRow:
    return EventlogRow(
        id=found[0],
        action=found[1],
        permissions=found[2],
        entityid=found[3],
        entitytype=found[4],
        external_id=found[5],
        event=found[6],
        op="r",
        commit_us=now_us,
    )


def publish(publisher: Publisher, topic: str, rows: Iterable[EventlogRow]) -> None:
    """Write rows under the key that Debezium gives them, hence into the same partition; returns when all are acknowledged."""
    publisher.publish([Outgoing(topic=topic, key=key_of(row.entitytype, row.entityid), value=_encode(row)) for row in rows])


def key_of(entity_type: str, entity_id: int) -> bytes:
    """The key's bytes exactly as Kafka Connect's JSON converter writes them: the partition is a hash of these bytes."""
    return _encode({"entitytype": entity_type, "entityid": entity_id})
