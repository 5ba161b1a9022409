"""Records of ``omero.eventlog`` as rows, and what has to be asked about them; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.delivery.letter import replayed
from pipeline.delivery.record import Record
from pipeline.errors import Undecodable
from pipeline.omero.lookups import Facts, Wanted
from pipeline.relay.event import INSERT, kind_of
from pipeline.relay.lineage import Lineage
from pipeline.wire.messages import EVENTLOG_ROW
from pipeline.wire.rows import EventlogRow


class Item(NamedTuple):
    """One record and its row.

    Attributes:
        may_be_older: the record was there before the present epoch was accepted.
        only: of a replay, the rule that shall be tried again; "" for all of it.
    """

    record: Record
    row: EventlogRow
    may_be_older: bool
    only: str = ""


def decode(record: Record, lineage: Lineage) -> Item:
    """What a record of ``omero.eventlog``, or a replay of one, holds.

    Raises:
        Undecodable: it holds no row.
    """
    if record.value is None:
        raise Undecodable("no value (a tombstone)", fix="only inserts are published; look for whoever else writes the topic")
    row = EVENTLOG_ROW.json.decode(record.value)
    again = replayed(record) if record.headers else None
    if again is None:
        return Item(record, row, lineage.may_be_older(record.topic, record.partition, record.offset))
    origin = again.origin
    return Item(record, row, lineage.may_be_older(origin.topic, origin.partition, origin.offset), again.part)


def wanted(items: Iterable[Item]) -> Wanted:
    """What OMERO's database is asked about these rows."""
    events: set[int] = set()
    objects: dict[str, set[int]] = {}
    memberships: set[int] = set()
    rows: set[int] = set()
    for _, row, may_be_older, _ in items:
        events.add(row.event)
        kind = kind_of(row.entitytype)
        if kind.is_membership:
            memberships.add(row.entityid)
        elif kind.owned:
            objects.setdefault(kind.table, set()).add(row.entityid)
        if may_be_older:
            rows.add(row.id)
    return Wanted(events=events, objects=objects, memberships=memberships, rows=rows)


def transactions(items: Iterable[Item]) -> set[int]:
    """Transaction ids (32 bits) that must be visible before the rows are looked up.

    Rows read again have none; one of an older epoch means nothing in this database.
    """
    return {item.row.txid for item in items if item.row.txid is not None and not item.may_be_older}


def is_lost(item: Item, facts: Facts) -> bool:
    """Whether the row is of an older epoch and not part of this database's past: nothing here says anything about it."""
    row = item.row
    return item.may_be_older and facts.rows.get(row.id) != (row.event, row.entitytype, row.entityid, row.action)


def to_recall(items: Sequence[Item], facts: Facts) -> dict[str, set[int]]:
    """Which objects, by table, the last-known table is asked about: all that are gone, or may have moved.

    A new object has no past, so the common case of an import asks nothing.
    """
    wanted_ids: dict[str, set[int]] = {}
    for _, row, _, _ in items:
        kind = kind_of(row.entitytype)
        if not kind.remembered:
            continue
        found = facts.memberships if kind.is_membership else facts.owners.get(kind.table, {})
        if row.action != INSERT or row.entityid not in found:
            wanted_ids.setdefault(kind.table, set()).add(row.entityid)
    return wanted_ids
