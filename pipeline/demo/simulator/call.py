"""One service call of the OMERO server, in the server's order.

A transaction; in it the `event` first, then the rows, at the end the eventlog rows in one block of ids; then COMMIT.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import sql

from pipeline.demo.simulator.entities import CLASSES, GLOBALS, LOG_PERMISSIONS
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.ids import draw

if TYPE_CHECKING:
    from pipeline.demo.simulator.server import Server

Parameters = Sequence[object] | Mapping[str, object]

COPY_FROM = 50  # rows from which COPY is worth its round trip
LOG_COPY_FROM = 5000  # eventlog rows from which single INSERTs would take too long


@dataclass(frozen=True, kw_only=True, slots=True)
class _Noted:
    action: str
    class_name: str
    ids: Sequence[int]


class Call:
    """A call in progress. `begin` and `finish` are the server's business; actions write rows in between."""

    def __init__(self, server: Server, actor: Actor, *, group_id: int, event_type: str) -> None:
        self.server = server
        self.actor = actor
        self.group_id = group_id
        self.event_id = 0
        self.permissions = 0
        self.log_ids: range = range(0)
        self._event_type = event_type
        self._noted: list[_Noted] = []
        self._transaction_id = 0
        self._committed_ns = 0

    # -- what the server does around a call ------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the transaction, write the event, and tell the triggers which one it is."""
        (self.event_id,) = self.server.ids.take("event")
        self.execute(
            'INSERT INTO event (id, permissions, time, experimenter, experimentergroup, "session", type)'
            " VALUES (%s, %s, %s, %s, %s, %s, (SELECT id FROM eventtype WHERE value = %s))",
            (
                self.event_id,
                LOG_PERMISSIONS,
                self.now(),
                self.actor.user_id,
                self.group_id,
                self.actor.session_id,
                self._event_type,
            ),
        )
        _, self.permissions, self._transaction_id = self.row(
            "SELECT _prepare_session(%s, %s, %s)::text, (SELECT permissions FROM experimentergroup WHERE id = %s),"
            " pg_current_xact_id()::text::int8",
            (self.event_id, self.actor.user_id, self.group_id, self.group_id),
        )

    def flush(self) -> None:
        """Write the eventlog rows with one block of ids; nothing is committed yet.

        As the server does, with an INSERT for each row, so that each has a position of its own in the write-ahead log. Only
        blocks of 5,000 rows and more go by COPY, which the server never uses: their rows share positions, page by page.
        """
        count = sum(len(noted.ids) for noted in self._noted)
        if not count:
            return
        self.log_ids = draw(self.server.connection, "eventlog", count)
        log_id = iter(self.log_ids)
        self._write(
            "eventlog",
            ("id", "action", "permissions", "entityid", "entitytype", "event"),
            [
                (next(log_id), noted.action, LOG_PERMISSIONS, entity_id, noted.class_name, self.event_id)
                for noted in self._noted
                for entity_id in noted.ids
            ],
            copy_from=LOG_COPY_FROM,
        )

    def commit(self) -> None:
        """Commit, and look at the clock at once."""
        self.server.connection.commit()
        self._committed_ns = time.time_ns()

    def done(self, action: str, *objects: str) -> Done:
        """What the committed call did."""
        if not self._committed_ns:
            raise RuntimeError(f"{action} is not committed yet")
        return Done(
            action=action,
            actor=self.actor,
            objects=objects,
            event_id=self.event_id,
            log_ids=self.log_ids,
            transaction_id=self._transaction_id,
            committed_ns=self._committed_ns,
        )

    # -- what actions write ----------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The time as the server would write it."""
        return self.server.clock()

    def insert(self, table: str, *, class_name: str = "", **columns: object) -> int:
        """Insert one row with its details, and note INSERT. Returns its id."""
        return self.insert_many(table, [columns], class_name=class_name)[0]

    def insert_many(self, table: str, rows: Sequence[Mapping[str, object]], *, class_name: str = "") -> list[int]:
        """Insert rows of the same columns, and note INSERT for each. Returns their ids in order."""
        ids = self.server.ids.take(table, len(rows))
        if rows:
            names = tuple(rows[0])
            shared = self._details(table)
            self._write(
                table,
                ("id", *shared, *names),
                [(new, *shared.values(), *row.values()) for new, row in zip(ids, rows, strict=True)],
            )
            self.note("INSERT", class_name or CLASSES[table], ids)
        return ids

    def update(self, table: str, ids: Iterable[int], *, class_name: str = "", **columns: object) -> None:
        """Set columns, count the version up, name this event as the last, and note UPDATE for each row."""
        found = list(ids)
        if table not in GLOBALS:
            columns["update_id"] = self.event_id
        sets = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in columns)
        self.execute(
            sql.SQL("UPDATE {} SET {}{} version = coalesce(version, 0) + 1 WHERE id = ANY (%s)").format(
                sql.Identifier(table), sets, sql.SQL("," if columns else "")
            ),
            (*columns.values(), found),
        )
        self.note("UPDATE", class_name or CLASSES[table], found)

    def delete(self, table: str, ids: Iterable[int], *, class_name: str = "") -> None:
        """Delete rows, and note DELETE for each."""
        found = list(ids)
        self.execute(sql.SQL("DELETE FROM {} WHERE id = ANY (%s)").format(sql.Identifier(table)), (found,))
        self.note("DELETE", class_name or CLASSES[table], found)

    def note(self, action: str, class_name: str, ids: Sequence[int]) -> None:
        """Remember eventlog rows for the end of the call."""
        if ids:
            self._noted.append(_Noted(action=action, class_name=class_name, ids=ids))

    def execute(self, statement: str | sql.Composed, parameters: Parameters = ()) -> None:
        """Plain SQL that leaves no eventlog row, as the server has, too."""
        self.server.connection.execute(_query(statement), parameters)

    def rows(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """What a query finds."""
        return self.server.connection.execute(_query(statement), parameters).fetchall()

    def row(self, statement: str, parameters: Parameters = ()) -> tuple[Any, ...]:
        """The one row that a query finds.

        Raises:
            LookupError: it finds none.
        """
        found = self.rows(statement, parameters)
        if not found:
            raise LookupError(f"nothing found by {statement!r} with {parameters!r}")
        return found[0]

    def ids(self, statement: str, parameters: Parameters = ()) -> list[int]:
        """The first column of what a query finds."""
        return [row[0] for row in self.rows(statement, parameters)]

    def _details(self, table: str) -> dict[str, object]:
        if table in GLOBALS:
            return {"permissions": -52, "version": 0}
        return {
            "permissions": self.permissions,
            "creation_id": self.event_id,
            "update_id": self.event_id,
            "owner_id": self.actor.user_id,
            "group_id": self.group_id,
            "version": 0,
        }

    def _write(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, copy_from: int = COPY_FROM) -> None:
        names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
        with self.server.connection.cursor() as cursor:
            if len(rows) < copy_from:
                places = sql.SQL(", ").join([sql.Placeholder()] * len(columns))
                statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, places)
                cursor.executemany(statement, rows)
                return
            with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)) as copy:
                for row in rows:
                    copy.write_row(row)


def _query(statement: str | sql.Composed) -> sql.Composed:
    return statement if isinstance(statement, sql.Composed) else sql.Composed([sql.SQL(statement)])
