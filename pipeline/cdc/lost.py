"""After a restore ids come again: finds which records of an older epoch say nothing about the rows that have their ids now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import psycopg

from pipeline.cdc.ids import IdSet
from pipeline.cdc.reread import Scan, TopicIds
from pipeline.delivery.record import Record
from pipeline.errors import Undecodable
from pipeline.wire.messages import EVENTLOG_ROW
from pipeline.wire.rows import EventlogRow

Connection = psycopg.Connection[tuple[Any, ...]]

# A call begins before it commits. Sequences go on from the backup's numbers, so that what is done first after a restore may well
# be the same in every column as what was done first after the backup: only the time tells the two apart.
_SAME_SQL = """
SELECT l.id, l.event, l.entitytype, l.entityid, l.action,
       coalesce((extract(epoch FROM e.time AT TIME ZONE %s) * 1000000)::int8, 0)
  FROM public.eventlog l LEFT JOIN public.event e ON e.id = l.event
 WHERE l.id = ANY(%s)
"""


def forget_lost(
    connection: Connection, topic: TopicIds, scan: Scan, boundaries: Mapping[int, int], timezone: str, *, page: int = 10_000
) -> int:
    """Take out of `topic` the ids of records that only an older epoch's database had; a restored one may use them again.

    Reads the topic once more and looks its older records up in the database, a page at a time; does nothing in the first epoch.

    Args:
        connection: of a role that may read eventlog and event, in autocommit mode.
        topic: what was seen on it.
        scan: reads it.
        boundaries: by partition, the first offset that surely belongs to the accepted epoch.
        timezone: of OMERO's clock.
        page: records looked up at once.

    Returns:
        How many ids were taken out.
    """
    if not any(boundaries.values()):
        return 0
    there, lost = IdSet(), IdSet()
    rows = (row for record in scan({}) if (row := _older(record, boundaries, there)) is not None)
    for some in _pages(rows, page):
        found = {row[0]: row[1:] for row in connection.execute(_SAME_SQL, (timezone, [row.id for row in some]), binary=True)}
        for row in some:
            (there if _is_same(row, found.get(row.id)) else lost).add(row.id)
    gone = [one for one in lost if one not in there]
    for one in gone:
        topic.ids.discard(one)
    return len(gone)


def _older(record: Record, boundaries: Mapping[int, int], there: IdSet) -> EventlogRow | None:
    """The row of a record that may be of an older epoch; one that is not is noted as there."""
    try:
        row = EVENTLOG_ROW.json.decode(record.value or b"")
    except Undecodable:
        return None
    if record.offset < boundaries.get(record.partition, 0):
        return row
    there.add(row.id)
    return None


def _is_same(row: EventlogRow, found: tuple[Any, ...] | None) -> bool:
    """Whether the database has that very row, and not a later one with the same numbers."""
    if found is None or found[:4] != (row.event, row.entitytype, row.entityid, row.action):
        return False
    began_us: int = found[4]
    return began_us <= row.commit_us


def _pages(rows: Iterable[EventlogRow], size: int) -> Iterator[list[EventlogRow]]:
    iterator = iter(rows)
    while some := list(islice(iterator, size)):
        yield some
