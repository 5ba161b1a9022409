"""What OMERO's database itself says about a change, so that the events about it can be held against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from pipeline.demo.simulator.history import Done
from pipeline.omero.entities import EntityType, entity_type
from pipeline.wire.events import PublicEvent, event_id
from pipeline.wire.objects import object_name

_ROWS = (
    "SELECT eventlog.id, action, entitytype, entityid, event.id, experimenter"
    " FROM eventlog LEFT JOIN event ON event.id = eventlog.event WHERE eventlog.id = ANY (%s)"
)
_FILTERED_FROM = 15  # since this version of PostgreSQL a publication can leave rows out, and ours does


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What an event must say.

    Attributes:
        places: owner and group that are right; empty: the database cannot tell any more.
    """

    subject: str
    action: str
    actor: str | None
    omeroevent: str | None
    places: frozenset[tuple[str | None, str | None]]

    def problems(self, event: PublicEvent) -> list[str]:
        """Where an event differs, a phrase each."""
        pairs = [
            ("object", event.subject, self.subject),
            ("action", event.data.action, self.action),
            ("actor", event.actor, self.actor),
            ("OMERO's event", event.omeroevent, self.omeroevent),
        ]
        found = [f"{event.id}: {what} is {is_}, should be {should}" for what, is_, should in pairs if is_ != should]
        place = (event.owner, event.group)
        if self.places and place not in self.places:
            right = " or ".join(f"{owner}/{group}" for owner, group in sorted(self.places, key=str))
            found.append(f"{event.id}: owner/group is {event.owner}/{event.group}, should be {right}")
        return found


class Truth:
    """Two looks at the database around each change: a snapshot from before it, and what there is now. For one thread.

    Args:
        conninfo: libpq string of somebody who may read everything.
    """

    def __init__(self, conninfo: str) -> None:
        self._now: psycopg.Connection[Any] = psycopg.connect(conninfo, autocommit=True, application_name="omero-mq demo")
        self._before: psycopg.Connection[Any] = psycopg.connect(conninfo, application_name="omero-mq demo")
        self._before.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._before.read_only = True
        self.filters = self._now.info.server_version // 10_000 >= _FILTERED_FROM
        self._names: dict[str, dict[str, str]] = {"experimenter": {}, "experimentergroup": {}}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._now.close()
        self._before.close()

    def remember(self) -> None:
        """Take a snapshot; what is deleted after it can still be looked up in it."""
        self._before.rollback()
        self._before.execute("SELECT FROM eventlog LIMIT 0")

    def published(self, done: Done) -> list[str]:
        """Ids of the events that a change must make, in the order of its rows.

        Rows that OMERO's trigger function writes for its indexer are left out of the publication (PostgreSQL 15 and newer).
        """
        trigger_made = done.event_id == 0 and self.filters
        return [] if trigger_made else [event_id(row_id) for row_id in done.log_ids]

    def expected(self, done: Done) -> dict[str, Expected]:
        """What each event of a change must say, by the event's id."""
        rows = self._now.execute(_ROWS, (list(done.log_ids),)).fetchall()
        types = {name: entity_type(name) for _, _, name, _, _, _ in rows}
        wanted: dict[str, set[int]] = {}
        for _, _, name, entity_id, _, _ in rows:
            if types[name].owned:
                wanted.setdefault(types[name].table, set()).add(entity_id)
        now = {table: _places(self._now, table, ids) for table, ids in wanted.items()}
        gone = {table: ids - now[table].keys() for table, ids in wanted.items()}
        before = {table: _places(self._before, table, ids) for table, ids in gone.items() if ids}
        return {
            event_id(row_id): Expected(
                subject=object_name(types[name].name, entity_id),
                action=action,
                actor=_text(actor),
                omeroevent=_text(event),
                places=_right(types[name], entity_id, now, before),
            )
            for row_id, action, name, entity_id, event, actor in rows
        }

    def name(self, table: str, row_id: str | None) -> str:
        """A user's or a group's name (``experimenter``, ``experimentergroup``); its id where there is none, ``-`` for nobody."""
        if row_id is None:
            return "-"
        known = self._names[table]
        if row_id not in known:
            column = "omename" if table == "experimenter" else "name"
            query = sql.SQL("SELECT {} FROM {} WHERE id = %s").format(sql.Identifier(column), sql.Identifier(table))
            found = self._now.execute(query, (int(row_id),)).fetchone()
            known[row_id] = str(found[0]) if found else row_id
        return known[row_id]


def _places(connection: psycopg.Connection[Any], table: str, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    query = sql.SQL("SELECT id, owner_id, group_id FROM {} WHERE id = ANY (%s)").format(sql.Identifier(table))
    return {row_id: (str(owner), str(group)) for row_id, owner, group in connection.execute(query, (list(ids),))}


def _right(
    kind: EntityType,
    entity_id: int,
    now: Mapping[str, Mapping[int, tuple[str, str]]],
    before: Mapping[str, Mapping[int, tuple[str, str]]],
) -> frozenset[tuple[str | None, str | None]]:
    if not kind.owned:
        return frozenset({(None, None)})
    if entity_id in now[kind.table]:
        return frozenset({now[kind.table][entity_id]})
    last = before.get(kind.table, {}).get(entity_id)
    if last is None:
        return frozenset()
    # Of what comes and goes with its image nobody remembers whose it was: then an event may leave it out.
    return frozenset({last} if kind.remembered else {last, (None, None)})


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
