"""What PostgreSQL says about our slots and publications: in use, how much write-ahead log they keep, what is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

WalStatus = Literal["reserved", "extended", "unreserved", "lost"]
_COLUMN_LISTS_FROM = 15

# On a standby there is no current write position; what was received stands in for it.
_SLOTS_SQL = """
WITH here AS (
  SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS lsn
)
SELECT slot_name::text, database::text, plugin::text, active, coalesce(wal_status, 'lost'),
       pg_wal_lsn_diff(here.lsn, restart_lsn)::int8,
       pg_wal_lsn_diff(here.lsn, confirmed_flush_lsn)::int8,
       safe_wal_size
  FROM pg_replication_slots, here
 WHERE slot_name = ANY(%s)
"""
_PUBLICATIONS_SQL = """
SELECT p.pubname::text, p.puballtables, p.pubinsert AND NOT (p.pubupdate OR p.pubdelete OR p.pubtruncate),
       ARRAY(SELECT t.schemaname || '.' || t.tablename FROM pg_publication_tables t WHERE t.pubname = p.pubname ORDER BY 1)
  FROM pg_publication p
 WHERE p.pubname = ANY(%s)
"""
_ROW_FILTERS_SQL = """
SELECT pubname::text, coalesce(max(rowfilter), '') FROM pg_publication_tables WHERE pubname = ANY(%s) GROUP BY pubname
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One replication slot.

    Attributes:
        database: where it was made; a slot of the same name in another database is not ours, and is in the way.
        active: whether something reads from it now.
        wal_status: ``reserved`` and ``extended`` are fine, ``unreserved`` is about to be lost, ``lost`` is.
        retained_bytes: write-ahead log that the server keeps for it; None when it keeps none any more.
        behind_bytes: written since what the reader has confirmed; about 0 with a working heartbeat.
        safe_bytes: what can still be written before it may be lost; None while `max_slot_wal_keep_size` is unlimited.
    """

    name: str
    database: str
    plugin: str
    active: bool
    wal_status: str
    retained_bytes: int | None
    behind_bytes: int | None
    safe_bytes: int | None

    @property
    def is_lost(self) -> bool:
        """Whether rows that were not read yet are gone from the write-ahead log."""
        return self.wal_status == "lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """One publication.

    Attributes:
        tables: with schema.
        inserts_only: whether it publishes inserts and nothing else, so that tables without primary key stay usable.
        row_filter: SQL condition, as the server prints it; empty: all rows (always on PostgreSQL 14).
    """

    name: str
    all_tables: bool
    inserts_only: bool
    tables: tuple[str, ...]
    row_filter: str


def slots(connection: Connection, names: Sequence[str]) -> dict[str, Slot]:
    """The slots that exist, by name; any role may ask."""
    return {
        row[0]: Slot(
            name=row[0],
            database=row[1],
            plugin=row[2],
            active=row[3],
            wal_status=row[4],
            retained_bytes=row[5],
            behind_bytes=row[6],
            safe_bytes=row[7],
        )
        for row in connection.execute(_SLOTS_SQL.encode(), (list(names),)).fetchall()
    }


def publications(connection: Connection, names: Sequence[str]) -> dict[str, Publication]:
    """The publications that exist in this database, by name; any role may ask."""
    filters: dict[str, str] = {}
    if connection.info.server_version // 10_000 >= _COLUMN_LISTS_FROM:
        filters = dict(connection.execute(_ROW_FILTERS_SQL.encode(), (list(names),)).fetchall())
    return {
        row[0]: Publication(
            name=row[0], all_tables=row[1], inserts_only=row[2], tables=tuple(row[3]), row_filter=filters.get(row[0], "")
        )
        for row in connection.execute(_PUBLICATIONS_SQL.encode(), (list(names),)).fetchall()
    }
