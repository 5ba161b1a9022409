"""A large facility's rows, quickly: an OMERO-shaped database filled by set-based SQL, and its eventlog as Debezium sends it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

Connection = psycopg.Connection[tuple[Any, ...]]

# What one imported and then tagged image leaves in eventlog: how many rows of which class.
IMAGE_STORY = (
    ("INSERT", "ome.model.fs.Fileset", 1),
    ("INSERT", "ome.model.core.OriginalFile", 2),
    ("INSERT", "ome.model.fs.FilesetEntry", 2),
    ("INSERT", "ome.model.core.Image", 1),
    ("INSERT", "ome.model.core.Pixels", 1),
    ("INSERT", "ome.model.core.LogicalChannel", 3),
    ("INSERT", "ome.model.core.Channel", 3),
    ("INSERT", "ome.model.core.PlaneInfo", 9),
    ("INSERT", "ome.model.containers.DatasetImageLink", 1),
    ("INSERT", "ome.model.display.RenderingDef", 1),
    ("INSERT", "ome.model.display.ChannelBinding", 3),
    ("INSERT", "ome.model.display.Thumbnail", 1),
    ("INSERT", "ome.model.annotations.TagAnnotation", 1),
    ("INSERT", "ome.model.annotations.ImageAnnotationLink", 1),
    ("UPDATE", "ome.model.core.Image", 1),
    ("DELETE", "ome.model.annotations.ImageAnnotationLink", 1),
)
TABLES = {"TagAnnotation": "annotation"}
ROWS_PER_IMAGE = sum(count for _, _, count in IMAGE_STORY)
ROWS_PER_EVENT = 100
FIRST_ID = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of eventlog, and the transaction that it was committed in."""

    id: int
    action: str
    entitytype: str
    entityid: int
    event: int
    transaction: int


def fill(connection: Connection, *, rows: int) -> None:
    """Write the entities and events that `eventlog` of so many rows is about. The caller commits."""
    images = rows // ROWS_PER_IMAGE + 1
    connection.execute("set local session_replication_role = replica")
    owners = "g %% 7 + 2", "g %% 5 + 3"
    for table, count in _tables().items():
        _fill(connection, table, images * count, owners=owners)
    about = {"experimenter": "0", "experimentergroup": "0", "session": "0", "type": "4"}
    _fill(connection, "event", rows // ROWS_PER_EVENT + 2, columns=about)


def eventlog(*, rows: int, rows_per_transaction: int = ROWS_PER_EVENT) -> Iterator[Row]:
    """The rows of eventlog, in commit order; the same every time."""
    written = 0
    used = dict.fromkeys(_tables(), 0)
    while written < rows:
        image = used["image"]
        for action, entitytype, count in IMAGE_STORY:
            name = entitytype.rpartition(".")[2]
            table = TABLES.get(name, name.lower())
            for _ in range(count):
                if action == "INSERT":
                    used[table] += 1
                # An image is renamed after its import; the link that goes belongs to no row any more.
                entity = used[table] if action == "INSERT" else image + 1 if action == "UPDATE" else 900_000_000 + image
                yield Row(
                    id=FIRST_ID + written,
                    action=action,
                    entitytype=entitytype,
                    entityid=FIRST_ID + entity,
                    event=FIRST_ID + 1 + written // ROWS_PER_EVENT,
                    transaction=written // rows_per_transaction,
                )
                written += 1
                if written == rows:
                    return


def as_debezium(row: Row, *, xid: int, commit_us: int) -> tuple[bytes, bytes]:
    """Key and value as the connector writes them."""
    key = f'{{"entitytype":"{row.entitytype}","entityid":{row.entityid}}}'
    value = (
        f'{{"id":{row.id},"action":"{row.action}","permissions":-35,"entityid":{row.entityid},"entitytype":"{row.entitytype}",'
        f'"external_id":null,"event":{row.event},'
        f'"__op":"c","__commit_us":{commit_us},"__lsn":{24_000_000 + row.id},"__txid":{xid}}}'
    )
    return key.encode(), value.encode()


def _tables() -> dict[str, int]:
    counts: dict[str, int] = {}
    for action, entitytype, count in IMAGE_STORY:
        name = entitytype.rpartition(".")[2]
        table = TABLES.get(name, name.lower())
        counts[table] = counts.get(table, 0) + (count if action == "INSERT" else 0)
    return counts


def _fill(
    connection: Connection, table: str, rows: int, *, columns: dict[str, str] | None = None, owners: tuple[str, str] = ("0", "0")
) -> None:
    """So many rows with something in every column that must not be empty; references point nowhere."""
    chosen = {"owner_id": owners[0], "group_id": owners[1], "id": f"{FIRST_ID} + g", **(columns or {})}
    needed = connection.execute(
        "select column_name, data_type, udt_name from information_schema.columns"
        " where table_schema = 'public' and table_name = %s and is_nullable = 'NO' and column_default is null",
        (table,),
    ).fetchall()
    values = {name: chosen.get(name, _anything(kind)) for name, kind, _ in needed}
    connection.execute(
        f"insert into {table} ({', '.join(f'{chr(34)}{name}{chr(34)}' for name in values)})".encode()
        + f" select {', '.join(values.values())} from generate_series(1, %s) g".encode(),
        (rows,),
    )


def _anything(data_type: str) -> str:
    match data_type:
        case "bigint":
            return f"{FIRST_ID} + g"
        case "boolean":
            return "false"
        case "text" | "character varying":
            return "'x'"
        case "timestamp without time zone":
            return "clock_timestamp()::timestamp"
        case _:
            return "1"
