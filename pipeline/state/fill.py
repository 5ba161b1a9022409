"""Fills the last-known table from OMERO's database: resumable, in bounded memory, while relay is already at work."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import psycopg

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.state.last_known import LastKnown, insert_missing
from pipeline.state.pool import Connection, StateDatabase

CHUNK_ROWS = 10_000
"""Rows read, written and committed together; memory is a few hundred bytes for each [rows]."""

# A column without the right to read it is not listed, so what is missing here is missing for us.
_COLUMNS = """
SELECT table_name::text, array_agg(column_name::text)
FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = ANY(%s) AND data_type = 'bigint'
  AND column_name IN ('id', 'owner_id', 'group_id', 'owner', 'parent', 'child')
GROUP BY table_name
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One of OMERO's root tables and the columns that say whose a row is; "" where it has none."""

    table: str
    owner: str = ""
    group: str = ""
    parent: str = ""
    child: str = ""

    @property
    def sql(self) -> str:
        """Reads the rows after an id, in order of id: ``%s`` twice, the id and how many."""
        columns = ", ".join(f'"{name}"' if name else "NULL::bigint" for name in (self.owner, self.group, self.parent, self.child))
        return f'SELECT id, {columns} FROM public."{self.table}" WHERE id > %s ORDER BY id LIMIT %s'


@dataclass(frozen=True, kw_only=True, slots=True)
class FillProgress:
    """How far the filling of one kind has come.

    Attributes:
        last_id: every row up to and including this id was read; -1 before the first.
        rows_read: so far, over all starts.
    """

    kind: str
    last_id: int
    rows_read: int
    finished: bool


def describe(omero: Connection, tables: Collection[str]) -> list[Kind]:
    """What each table says about whose a row is, as far as the role may read it.

    Owner and group are ``owner_id`` and ``group_id`` (of ``session`` only ``owner``). Parent and child are kept where they are
    all that there is: of ``groupexperimentermap``, but not of links, whose owner and group decide.

    Raises:
        DependencyDown: ``omero-database`` is away.
        Misconfigured: a table is missing, or its ``id`` may not be read.
    """
    try:
        with omero.transaction():
            found = {table: set(columns) for table, columns in omero.execute(_COLUMNS, (sorted(tables),)).fetchall()}
    except psycopg.OperationalError as error:
        raise DependencyDown("omero-database", str(error).strip()) from error
    lacking = sorted(table for table in tables if "id" not in found.get(table, ()))
    if lacking:
        raise Misconfigured(
            f"OMERO's database has no readable {', '.join(f'public.{table}.id' for table in lacking)}",
            fix="grant what `omero-mq init --print-sql` lists; `omero-mq doctor --schema` names what differs",
        )
    return [_kind(table, found[table]) for table in sorted(tables)]


def _kind(table: str, columns: set[str]) -> Kind:
    owner = next((name for name in ("owner_id", "owner") if name in columns), "")
    group = "group_id" if "group_id" in columns else ""
    joins = not owner and not group and {"parent", "child"} <= columns
    return Kind(table=table, owner=owner, group=group, parent="parent" if joins else "", child="child" if joins else "")


def fill(
    omero: Connection,
    state: StateDatabase,
    kinds: Collection[Kind],
    *,
    progress: Callable[[FillProgress], bool] = lambda _: True,
    chunk_rows: int = CHUNK_ROWS,
) -> bool:
    """Read every row of ``kinds`` that was not read yet, and remember those that are not known; returns whether all are done.

    Each chunk is one short transaction on either side, so nothing holds back OMERO's vacuum, and a kill costs one chunk. Correct
    beside a running relay, which must already have its place in ``omero.eventlog`` (its group exists, the slot exists):

    * A row that relay wrote is newer than what is read here and is never overwritten.
    * A row that commits behind the cursor (ids are handed out long before they commit) has its own event, and relay writes it.
    * A row that is read here, deleted in OMERO and handled by relay, and only then written here, stays as if it lived. Nothing is
      shown because of it: the table is asked only about objects of which an event has come, OMERO never uses an id again, and the
      owner and group it holds are those that a replay of the delete should find. It costs about 100 bytes.

    Args:
        omero: a connection to OMERO's database, outside a transaction.
        state: where the rows go.
        kinds: as `describe` gives them.
        chunk_rows: rows read, written and committed together.
        progress: told after each chunk; answers whether to go on (False when the service was told to stop).

    Raises:
        DependencyDown: ``omero-database`` or ``state-database`` is away; call again, it goes on where it was.
        Misconfigured: a column may not be read, or the schema of the state database is missing.
    """
    for kind in kinds:
        at = _place(state, kind.table)
        while not at.finished:
            at = _chunk(omero, state, kind, at, chunk_rows)
            if not progress(at) and not at.finished:
                return False
    return True


def fill_progress(state: StateDatabase) -> list[FillProgress]:
    """How far each kind is, in order of name; kinds that were never begun are not listed."""
    with state.transaction() as connection:
        rows = connection.execute(
            "SELECT kind, last_id, rows_read, finished_at IS NOT NULL FROM omero_mq.last_known_fill ORDER BY kind"
        ).fetchall()
    return [FillProgress(kind=kind, last_id=last, rows_read=read, finished=finished) for kind, last, read, finished in rows]


def _place(state: StateDatabase, kind: str) -> FillProgress:
    begun = {at.kind: at for at in fill_progress(state)}
    return begun.get(kind) or FillProgress(kind=kind, last_id=-1, rows_read=0, finished=False)


def _chunk(omero: Connection, state: StateDatabase, kind: Kind, at: FillProgress, chunk_rows: int) -> FillProgress:
    rows = _read(omero, kind, at.last_id, chunk_rows)
    now = FillProgress(
        kind=at.kind,
        last_id=rows[-1][0] if rows else at.last_id,
        rows_read=at.rows_read + len(rows),
        finished=len(rows) < chunk_rows,
    )
    with state.transaction() as connection:
        insert_missing(
            connection,
            [
                LastKnown(kind=kind.table, id=id_, owner=owner, group=group, parent=parent, child=child)
                for id_, owner, group, parent, child in rows
            ],
        )
        connection.execute(
            "INSERT INTO omero_mq.last_known_fill (kind, last_id, rows_read, finished_at)"
            " VALUES (%s, %s, %s, CASE WHEN %s THEN now() END) ON CONFLICT (kind) DO UPDATE SET last_id = excluded.last_id,"
            " rows_read = excluded.rows_read, finished_at = excluded.finished_at, changed_at = now()",
            (now.kind, now.last_id, now.rows_read, now.finished),
        )
    return now


def _read(omero: Connection, kind: Kind, after: int, at_most: int) -> list[tuple[Any, ...]]:
    try:
        with omero.transaction():
            return omero.execute(kind.sql.encode(), (after, at_most)).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise Misconfigured(
            f"OMERO's database refuses: {str(error).strip()}", fix="grant what `omero-mq init --print-sql` lists"
        ) from error
    except psycopg.OperationalError as error:
        raise DependencyDown("omero-database", str(error).strip()) from error
