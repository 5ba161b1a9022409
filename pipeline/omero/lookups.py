"""What a batch of eventlog rows needs to know from OMERO's database, asked in one snapshot and one round trip."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from pipeline.errors import EpochChanged, Misconfigured
from pipeline.omero.database import Connection, OmeroDatabase
from pipeline.omero.entities import MEMBERSHIP_TABLE, OWNED_TABLES
from pipeline.omero.epoch import EPOCH_SQL, Epoch, require_same
from pipeline.omero.grants import UUID_FUNCTION
from pipeline.omero.snapshot import Snapshot, parse

# Of the session only id and sudoer are read: its uuid is the user's password for as long as it lasts.
_EVENTS_SQL = """
select e.id, e.experimenter, t.value, e.time, s.sudoer
from event e
join eventtype t on t.id = e.type
left join session s on s.id = e.session
where e.id = any(%s::int8[])
"""
_MEMBERSHIPS_SQL = f"select id, parent, child from {MEMBERSHIP_TABLE} where id = any(%s::int8[])"
_ROWS_SQL = "select id, event, entitytype, entityid, action from eventlog where id = any(%s::int8[])"
_TABLES_SQL = """
select c.relname::text, bool_and(has_column_privilege(c.oid, a.attnum, 'select'))
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname in ('id', 'owner_id', 'group_id') and not a.attisdropped
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any(%s)
group by c.relname
having count(*) = 3
"""
_UUID_SQL = f"select {UUID_FUNCTION}"

Cursor = psycopg.Cursor[tuple[Any, ...]]
Owners = Mapping[int, tuple[int, int]]


class EventFacts(NamedTuple):
    """What OMERO's ``event`` says about all rows of one service call.

    Attributes:
        actor: the experimenter who did it (under sudo: the one who was acted for).
        event_type: ``User``, ``Internal``, ``Sessions``, ...
        time: as the server's clock showed it, without zone.
        sudoer: the experimenter who really sat there, under sudo.
    """

    actor: int
    event_type: str
    time: datetime
    sudoer: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What was found in one snapshot; what is not there was not visible in it.

    Attributes:
        events: by event id.
        owners: by table and object id: owner and group.
        memberships: by id of the membership: group and experimenter.
        rows: by id of the eventlog row: event, entitytype, entityid, action.
    """

    epoch: Epoch
    snapshot: Snapshot
    events: Mapping[int, EventFacts]
    owners: Mapping[str, Owners]
    memberships: Owners
    rows: Mapping[int, tuple[int, str, int, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What to look up: event ids, object ids by table, membership ids, ids of eventlog rows."""

    events: Collection[int] = ()
    objects: Mapping[str, Collection[int]] = field(default_factory=dict)
    memberships: Collection[int] = ()
    rows: Collection[int] = ()


def look_up(
    database: OmeroDatabase, wanted: Wanted, *, expected: Epoch | None = None, tables: Collection[str] = OWNED_TABLES
) -> Facts:
    """Read all of it in one repeatable-read transaction on the primary.

    Args:
        database: OMERO's.
        wanted: what to read.
        expected: the epoch that was accepted; None to take whatever is there.
        tables: those that this database has; objects of other tables are not found.

    Raises:
        DependencyDown: the database is away.
        Misconfigured: a table, a column or a grant is missing.
        EpochChanged: the database is another one, or the server is a standby, whose snapshots order nothing.
    """
    try:
        return _look_up(database, wanted, expected, tables)
    except Misconfigured:
        # Another database may well lack a table or a grant, and that would be beside the point.
        if expected is not None:
            _require_epoch(database, expected)
        raise


def owned_tables(database: OmeroDatabase) -> frozenset[str]:
    """Those tables with owner and group that this OMERO has: an older or newer one may lack some of what ours knows.

    Raises:
        DependencyDown: the database is away.
        Misconfigured: one is there and may not be read.
    """
    with database.connected() as connection:
        found = connection.execute(_TABLES_SQL, (sorted(OWNED_TABLES),)).fetchall()
    refused = sorted(table for table, readable in found if not readable)
    if refused:
        raise Misconfigured(
            f"{', '.join(refused)} may not be read in OMERO's database",
            fix="Have the grants made that `omero-mq init --print-sql` prints",
        )
    return frozenset(table for table, _ in found)


def never_begun(database: OmeroDatabase, xids: Collection[int]) -> frozenset[int]:
    """Those transaction ids (64 bits) that this server has not given out yet: no row of this database can be theirs.

    Raises:
        DependencyDown: the database is away.
    """
    ordered = sorted(xids)
    with database.connected() as connection:
        first = bisect_left(ordered, True, key=lambda xid: _is_in_the_future(connection, xid))
    return frozenset(ordered[first:])


def read_epoch(database: OmeroDatabase) -> Epoch:
    """Which database this is now.

    Raises:
        DependencyDown: the database is away.
        Misconfigured: it is not an OMERO database, or may not be read.
        EpochChanged: the server is a standby.
    """
    return look_up(database, Wanted()).epoch


def _look_up(database: OmeroDatabase, wanted: Wanted, expected: Epoch | None, tables: Collection[str]) -> Facts:
    with database.connected() as connection, connection.pipeline():
        connection.execute("begin isolation level repeatable read, read only")
        identity = connection.execute(EPOCH_SQL)
        uuid = connection.execute(_UUID_SQL)
        events = _ask(connection, _EVENTS_SQL, wanted.events)
        objects = {table: _ask(connection, _owner_sql(table), ids) for table, ids in wanted.objects.items() if table in tables}
        memberships = _ask(connection, _MEMBERSHIPS_SQL, wanted.memberships)
        rows = _ask(connection, _ROWS_SQL, wanted.rows)
        connection.execute("commit")
        snapshot, epoch = _identity(identity, uuid, expected)
        return Facts(
            epoch=epoch,
            snapshot=snapshot,
            events={row[0]: EventFacts(*row[1:]) for row in _rows(events)},
            owners={table: {row[0]: (row[1], row[2]) for row in _rows(cursor)} for table, cursor in objects.items()},
            memberships={row[0]: (row[1], row[2]) for row in _rows(memberships)},
            rows={row[0]: row[1:] for row in _rows(rows)},
        )


def _is_in_the_future(connection: Connection, xid: int) -> bool:
    try:
        connection.execute("select pg_xact_status(%s::text::xid8)", (str(xid),))
    except psycopg.errors.InvalidParameterValue:  # "transaction ID ... is in the future"
        return True
    return False


def _require_epoch(database: OmeroDatabase, expected: Epoch) -> None:
    with database.connected() as connection:
        _epoch(connection.execute(EPOCH_SQL), expected)


def _ask(connection: Connection, sql: str, ids: Collection[int]) -> Cursor | None:
    """Send the query, without waiting for its rows."""
    if not ids:
        return None
    # An array as text: one parameter type whatever the size of the ids, and much cheaper to make than psycopg's list.
    literal = "{" + ",".join(map(str, ids)) + "}"
    return connection.execute(sql.encode(), (literal,), binary=True)


def _owner_sql(table: str) -> str:
    if table not in OWNED_TABLES:
        raise ValueError(f"{table!r} is no table with owners")
    return f"select id, owner_id, group_id from {table} where id = any(%s::int8[])"


def _rows(cursor: Cursor | None) -> list[tuple[Any, ...]]:
    return cursor.fetchall() if cursor is not None else []


def _identity(identity: Cursor, uuid: Cursor, expected: Epoch | None) -> tuple[Snapshot, Epoch]:
    snapshot, epoch = _epoch(identity, expected)
    ((omero_uuid,),) = uuid.fetchall()
    epoch = replace(epoch, omero_uuid=omero_uuid or "")
    if expected is not None:
        require_same(expected, epoch)
    return parse(snapshot), epoch


def _epoch(identity: Cursor, expected: Epoch | None) -> tuple[str, Epoch]:
    """The snapshot and the epoch, without OMERO's own name of the database, which only some may ask for."""
    ((snapshot, in_recovery, system, timeline, database_oid, eventlog_oid),) = identity.fetchall()
    if in_recovery:
        raise EpochChanged(
            "OMERO's database server is a standby (or still recovering); owners read there may be older than the events",
            fix="Let omero.host name the primary",
        )
    epoch = Epoch(system=system, timeline=timeline, database_oid=database_oid, eventlog_oid=eventlog_oid, omero_uuid="")
    if expected is not None:
        require_same(replace(expected, omero_uuid=""), epoch)
    return snapshot, epoch
