"""A copy of somebody's OMERO beside the demo: its names, its file of settings, what is in it, and its removal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import KINDS, connector
from pipeline.demo.dump import MAKING, remove_database
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.installation import installed_topics
from pipeline.omero.removal import release
from pipeline.settings import Settings
from pipeline.stack.addresses import Addresses
from pipeline.stack.directory import DataDirectory, write_atomically

OWNER = "omero_try"  # the role that owns the copies
_KEPT_ROOMS = ("stack", "relay", "delivery", "log")  # of the caller's own settings; all others name places of another OMERO
_FILE = re.compile(r"try([1-9][0-9]*)\.toml")

# Newest first; what is there decides which object is shown.
_TOUCHABLE = (
    ("image", "ome.model.core.Image"),
    ("dataset", "ome.model.containers.Dataset"),
    ("experimenter", "ome.model.meta.Experimenter"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """One copy. Each dump gets a number of its own, so that it meets no topic, slot or offset of an earlier one.

    Attributes:
        file: the omero-mq.toml by which every command finds it.
    """

    number: int
    file: Path

    def names(self) -> dict[str, str]:
        """Settings by ``room.field`` that make it a thing of its own."""
        word = f"try{self.number}"
        return {
            "kafka.prefix": word,
            "omero.database": f"omero_{word}",
            "omero.owner": OWNER,
            "state.database": f"omero_mq_{word}",
            "cdc.user": f"omero_cdc_{word}",  # its own: a role's connections are counted, and the demo's connectors run as well
            "cdc.eventlog_slot": f"{word}_eventlog",
            "cdc.reindexing_slot": f"{word}_reindexing",
        }

    def write(self, settings: Settings, *, source: str) -> None:
        """Write its file: its names, and what the caller's settings say about everything that is not a place."""
        rooms: dict[str, dict[str, Any]] = {}
        for room in _KEPT_ROOMS:
            own = getattr(settings, room)
            rooms[room] = {each.name: getattr(own, each.name) for each in fields(own) if getattr(own, each.name) != each.default}
        rooms["stack"]["data_directory"] = str(self.file.parent.parent)
        rooms["omero"] = {"timezone": settings.omero.timezone}
        for name, value in self.names().items():
            room, field = name.split(".")
            rooms.setdefault(room, {})[field] = value
        lines = [f"# Written by `omero-mq try`: a copy made from {json.dumps(source)}. Every command takes it as --config."]
        for room, values in rooms.items():
            if values:
                lines += ["", f"[{room}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
        self.file.parent.mkdir(mode=0o755, exist_ok=True)
        write_atomically(self.file, "\n".join(lines) + "\n", mode=0o644)


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a database holds, roughly: counts are PostgreSQL's estimates.

    Attributes:
        newest: when its newest event was, as the database writes it; "" where there is none.
        touchable: class and id of the newest object of a kind that people know; None in an empty database.
    """

    version: str
    size_bytes: int
    counts: Mapping[str, int]
    newest: str
    touchable: tuple[str, int] | None


def copies(directory: DataDirectory) -> list[Copy]:
    """All copies that have a file, oldest first."""
    found = (_FILE.fullmatch(path.name) for path in (directory.path / "try").glob("*.toml"))
    numbers = sorted(int(match[1]) for match in found if match)
    return [Copy(number=number, file=directory.path / "try" / f"try{number}.toml") for number in numbers]


def next_copy(directory: DataDirectory) -> Copy:
    """One with a number that no copy has."""
    number = max((each.number for each in copies(directory)), default=0) + 1
    return Copy(number=number, file=directory.path / "try" / f"try{number}.toml")


def content(conninfo: str) -> Content:
    """What is in a database that was analysed."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        version = _first(connection, "SELECT currentversion || '__' || currentpatch FROM dbpatch ORDER BY id DESC LIMIT 1")
        size = _first(connection, "SELECT pg_database_size(current_database())")
        newest = _first(connection, "SELECT time::text FROM event ORDER BY id DESC LIMIT 1")
        rows = connection.execute(
            "SELECT relname::text, greatest(reltuples, 0)::int8 FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relname = ANY (%s)",
            (["image", "dataset", "experimenter", "experimentergroup", "eventlog"],),
        ).fetchall()
        touchable = None
        for table, class_name in _TOUCHABLE:
            found = _first(connection, f"SELECT max(id) FROM {table}")
            if touchable is None and found is not None:
                touchable = (class_name, int(found))
    return Content(
        version=str(version or "unknown"),
        size_bytes=int(size or 0),
        counts=dict(rows),
        newest=str(newest or ""),
        touchable=touchable,
    )


def remove(copy: Copy, settings: Settings, where: Addresses) -> None:
    """Take away its connectors, slots, databases, role, topics and file; idempotent, and blocks until the slots are free.

    Args:
        copy: which.
        settings: what its file says.
        where: the running stack that it is in.
    """
    connectors = [connector(kind, settings) for kind in KINDS]
    with closing(KafkaConnect(settings.cdc.connect_url)) as client:
        for each in connectors:
            client.delete(each.name)
    with psycopg.connect(where.superuser_dsn(), autocommit=True) as admin:
        slots = [each.slot for each in connectors]
        release(admin, slots)
        admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = ANY (%s)", (slots,))
    names = copy.names()
    for database in (names["omero.database"], names["omero.database"] + MAKING, names["state.database"]):
        remove_database(where.superuser_dsn(), database)
    with psycopg.connect(where.superuser_dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(names["cdc.user"])))
    with KafkaAdmin(settings.kafka) as kafka:
        topics = [topic.name for topic in installed_topics(settings.kafka.prefix)]
        kafka.delete([name for name, there in kafka.exist(topics).items() if there])
    copy.file.unlink(missing_ok=True)


def _first(connection: psycopg.Connection[Any], query: str) -> Any:
    found = connection.execute(query.encode()).fetchone()
    return found[0] if found else None
