"""The last-known table: whose every object was, so that a delete or a move can still be told to those who could see it before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pipeline.state.pool import Connection, StateDatabase


class Place(NamedTuple):
    """Owner and group of an object; None where its type has none."""

    owner: int | None
    group: int | None


class Membership(NamedTuple):
    """Both ends of an object that joins two others: of a ``groupexperimentermap`` the group and the experimenter."""

    parent: int | None
    child: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class LastKnown:
    """What is remembered of one object.

    Attributes:
        kind: OMERO's root table, e.g. ``image``, ``annotation``, ``groupexperimentermap``.
        parent: of a membership; else None.
        child: of a membership; else None.
    """

    kind: str
    id: int
    owner: int | None = None
    group: int | None = None
    parent: int | None = None
    child: int | None = None


_ROWS = """
unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS new (kind, id, owner_id, group_id, parent, child)
"""

# LATERAL with LIMIT is one probe of the index for each row, whatever the planner believes about a table that has just grown: with
# `id = ANY(...)` and old statistics 4,000 ids were seen to take 670 ms instead of 30.
_ONE = "FROM omero_mq.last_known WHERE kind = {kind} AND id = {id} LIMIT 1"

_RECALL = f"""
SELECT known.* FROM unnest(%(ids)s::bigint[]) AS wanted (id)
CROSS JOIN LATERAL (SELECT id, owner_id, group_id, parent, child {_ONE.format(kind="%(kind)s", id="wanted.id")}) known
"""

# A bare ON CONFLICT ... WHERE would lock, and so write, every row that stays the same; the join leaves those out beforehand.
_REMEMBER = f"""
INSERT INTO omero_mq.last_known AS old (kind, id, owner_id, group_id, parent, child)
SELECT new.* FROM {_ROWS}
LEFT JOIN LATERAL (SELECT * {_ONE.format(kind="new.kind", id="new.id")}) known ON true
WHERE known.id IS NULL OR known.gone_at IS NOT NULL
   OR (known.owner_id, known.group_id, known.parent, known.child)
      IS DISTINCT FROM (new.owner_id, new.group_id, new.parent, new.child)
ORDER BY new.kind, new.id
ON CONFLICT (kind, id) DO UPDATE
SET owner_id = excluded.owner_id, group_id = excluded.group_id, parent = excluded.parent, child = excluded.child, gone_at = NULL
"""

_FORGET = """
UPDATE omero_mq.last_known known SET gone_at = now()
FROM unnest(%s::text[], %s::bigint[]) AS gone (kind, id)
WHERE known.kind = gone.kind AND known.id = gone.id AND known.gone_at IS NULL
"""

_MISSING = f"""
INSERT INTO omero_mq.last_known (kind, id, owner_id, group_id, parent, child)
SELECT new.* FROM {_ROWS} ORDER BY new.kind, new.id
ON CONFLICT (kind, id) DO NOTHING
"""


class LastKnownTable:
    """Set-based reads and writes; every write is idempotent and one transaction."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    def look_up(self, kind: str, ids: Iterable[int]) -> dict[int, Place]:
        """Owner and group of those that are known, deleted ones included.

        Raises:
            DependencyDown, Misconfigured, Transient: as `pipeline.state.pool.translating` says; so for every method here.
        """
        return {id_: Place(row.owner, row.group) for (_, id_), row in self.recall({kind: set(ids)}).items()}

    def look_up_memberships(self, kind: str, ids: Iterable[int]) -> dict[int, Membership]:
        """Parent and child of those that are known, deleted ones included."""
        return {id_: Membership(row.parent, row.child) for (_, id_), row in self.recall({kind: set(ids)}).items()}

    def recall(self, wanted: Mapping[str, Collection[int]]) -> dict[tuple[str, int], LastKnown]:
        """Everything that is known of objects of several kinds, deleted ones included, by kind and id; one round trip."""
        known: dict[tuple[str, int], LastKnown] = {}
        with self._database.transaction() as connection, connection.pipeline():
            asked = {
                kind: connection.execute(_RECALL, {"kind": kind, "ids": "{" + ",".join(map(str, ids)) + "}"}, binary=True)
                for kind, ids in wanted.items()
            }
            for kind, cursor in asked.items():
                for id_, owner, group, parent, child in cursor:
                    known[kind, id_] = LastKnown(kind=kind, id=id_, owner=owner, group=group, parent=parent, child=child)
        return known

    def learn(self, rows: Iterable[LastKnown]) -> int:
        """Write those of which nothing is known, and return how many those were; what is known stays as it is."""
        with self._database.transaction() as connection:
            return _write(connection, _MISSING, rows)

    def remember(self, rows: Iterable[LastKnown]) -> int:
        """Write what differs, and return how many rows that were; of two rows for one object the later one counts."""
        return self.keep(remember=rows, forget=())

    def forget(self, kind: str, ids: Iterable[int]) -> int:
        """Note that objects are gone; they can be looked up until `purge`, and stay unknown if they were.

        Why not a DELETE: after a crash, and in a replay of last week's rows, the same delete is published again, and must say the
        same.
        """
        return self.keep(remember=(), forget=[(kind, id_) for id_ in ids])

    def keep(self, *, remember: Iterable[LastKnown], forget: Iterable[tuple[str, int]]) -> int:
        """Both in one transaction, `forget` last; returns how many rows changed. Blocks for about 10 us a changed row."""
        with self._database.transaction() as connection:
            changed = _write(connection, _REMEMBER, remember)
            gone = sorted(set(forget))
            if gone:
                changed += connection.execute(_FORGET, ([kind for kind, _ in gone], [id_ for _, id_ in gone])).rowcount
        return changed

    def purge(self, *, gone_before: datetime, at_most: int = 50_000) -> int:
        """Delete up to ``at_most`` rows of objects that went before then, and return how many; call again until that is 0.

        Only beyond the retention of ``omero.eventlog`` can no replay ask for them.
        """
        with self._database.transaction() as connection:
            return connection.execute(
                "DELETE FROM omero_mq.last_known WHERE ctid = ANY(ARRAY("
                "SELECT ctid FROM omero_mq.last_known WHERE gone_at < %s ORDER BY gone_at LIMIT %s))",
                (gone_before, at_most),
            ).rowcount


def insert_missing(connection: Connection, rows: Sequence[LastKnown]) -> int:
    """Write only what is not there yet, in the caller's transaction; a row that relay wrote meanwhile is newer and stays."""
    return _write(connection, _MISSING, rows)


def start_over(connection: Connection) -> None:
    """Empty the table and its fill progress, in the caller's transaction: OMERO's database is another one now."""
    connection.execute("TRUNCATE omero_mq.last_known, omero_mq.last_known_fill")


def _write(connection: Connection, sql: str, rows: Iterable[LastKnown]) -> int:
    # The last of each object wins; INSERT ... ON CONFLICT refuses to touch a row twice. Sorted by the statement, so that two
    # writers lock rows in one order.
    latest = {(row.kind, row.id): row for row in rows}
    if not latest:
        return 0
    columns = zip(*((r.kind, r.id, r.owner, r.group, r.parent, r.child) for r in latest.values()), strict=True)
    return connection.execute(sql.encode(), [list(column) for column in columns]).rowcount
