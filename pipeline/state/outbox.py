"""The outbox table: records for Kafka that exist if and only if the transaction that wrote them was committed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.delivery.record import Outgoing
from pipeline.state.pool import Connection, storable

CHANNEL = "omero_mq_outbox"
AT_MOST_ROWS = 500
AT_MOST_BYTES = 8 * 1_048_576

_LOCK = 0x6F6D6F78  # "omox"; advisory locks are per database

# Strict order: behind a parked row of the same order_key nothing goes out. The running sum bounds memory; octet_length reads the
# length of a large value without the value.
_DUE = """
SELECT id, topic, key, value, header_names, header_values, order_key FROM (
    SELECT *, sum(size) OVER (ORDER BY id) - size AS before FROM (
        SELECT *, coalesce(octet_length(value), 0) + coalesce(octet_length(key), 0) AS size
        FROM omero_mq.outbox due
        WHERE parked_at IS NULL AND (order_key = '' OR NOT EXISTS (
            SELECT FROM omero_mq.outbox parked
            WHERE parked.parked_at IS NOT NULL AND parked.order_key = due.order_key AND parked.id < due.id))
        ORDER BY id LIMIT %s
    ) first
) sized
WHERE before < %s ORDER BY id
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRow:
    """One record that waits to be published.

    Attributes:
        order_key: rows of one key are published in order of id; "" where no order is promised.
    """

    id: int
    order_key: str
    record: Outgoing


@dataclass(frozen=True, kw_only=True, slots=True)
class ParkedRow:
    """One record that Kafka will not take as it is, and why."""

    id: int
    topic: str
    order_key: str
    parked_at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxStatus:
    """What waits.

    Attributes:
        waiting: rows that are not parked; those held back behind a parked row included.
        oldest_s: age of the oldest of them [s]; 0.0 when there is none.
        parked: rows that need a person.
    """

    waiting: int
    oldest_s: float
    parked: int


def append(connection: Connection, records: Iterable[Outgoing], *, order_key: str = "") -> None:
    """Write records in the caller's transaction; they are published once it commits, and never if it does not.

    Order within ``order_key`` is the order of ids, so two transactions that write for one key must already exclude each other,
    e.g. by the lock on the job's row. A record for a given partition or time is refused: the table has no place for them.
    """
    rows = []
    for record in records:
        if record.partition is not None or record.timestamp_ms is not None:
            raise ValueError(f"a record for {record.topic} sets its partition or time; the outbox keeps neither")
        names, values = [name for name, _ in record.headers], [value for _, value in record.headers]
        rows.append((record.topic, record.key, record.value, names, values, order_key))
    connection.cursor().executemany(
        "INSERT INTO omero_mq.outbox (topic, key, value, header_names, header_values, order_key)"
        " VALUES (%s, %b, %b, %s::text[], %b::bytea[], %s)",
        rows,
    )


def due(connection: Connection, *, at_most: int = AT_MOST_ROWS, at_most_bytes: int = AT_MOST_BYTES) -> list[OutboxRow]:
    """The next rows to publish, in order of id; at least one where there is one, however large."""
    return [
        OutboxRow(
            id=id_,
            order_key=order_key,
            record=Outgoing(topic=topic, key=key, value=value, headers=tuple(zip(names, values, strict=True))),
        )
        for id_, topic, key, value, names, values, order_key in connection.execute(_DUE, (at_most, at_most_bytes), binary=True)
    ]


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Delete rows that Kafka has acknowledged; idempotent."""
    connection.execute("DELETE FROM omero_mq.outbox WHERE id = ANY(%s)", (list(ids),))


def park(connection: Connection, id_: int, reason: str, *, retry: bool = False) -> None:
    """Take a row out of the way, with the reason; idempotent, the first reason stays.

    Args:
        connection: outside or inside a transaction.
        id_: the row's.
        reason: why Kafka does not take it.
        retry: something around the row is wrong, so that `release_all` lets it be tried again; else a person must.
    """
    connection.execute(
        "UPDATE omero_mq.outbox SET parked_at = now(), parked_reason = %s, retry = %s WHERE id = %s AND parked_at IS NULL",
        (storable(reason), retry, id_),
    )


def parked(connection: Connection, *, at_most: int = 100) -> list[ParkedRow]:
    """Rows that need a person, oldest first."""
    rows = connection.execute(
        "SELECT id, topic, order_key, parked_at, parked_reason FROM omero_mq.outbox"
        " WHERE parked_at IS NOT NULL ORDER BY id LIMIT %s",
        (at_most,),
    ).fetchall()
    return [
        ParkedRow(id=id_, topic=topic, order_key=order_key, parked_at=at, reason=reason)
        for id_, topic, order_key, at, reason in rows
    ]


def release(connection: Connection, ids: Sequence[int]) -> int:
    """Let parked rows be tried again, e.g. once their topic was made; returns how many were parked."""
    released = connection.execute(
        "UPDATE omero_mq.outbox SET parked_at = NULL, parked_reason = NULL, retry = false"
        " WHERE id = ANY(%s) AND parked_at IS NOT NULL",
        (list(ids),),
    ).rowcount
    connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return released


def release_all(connection: Connection) -> int:
    """Let every row that was parked with ``retry`` be tried again, all at once, so that their order stays; returns how many."""
    return connection.execute(
        "UPDATE omero_mq.outbox SET parked_at = NULL, parked_reason = NULL, retry = false WHERE parked_at IS NOT NULL AND retry"
    ).rowcount


def outbox_status(connection: Connection) -> OutboxStatus:
    """What waits and what is parked; reads the whole table, which is small unless the poller is away."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE parked_at IS NULL), count(*) FILTER (WHERE parked_at IS NOT NULL),"
        " coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE parked_at IS NULL)), 0)::float8"
        " FROM omero_mq.outbox"
    ).fetchone()
    waiting, parked_rows, oldest_s = row or (0, 0, 0.0)
    return OutboxStatus(waiting=waiting, oldest_s=max(0.0, oldest_s), parked=parked_rows)


def lead(connection: Connection) -> bool:
    """Become the only poller, for as long as the connection lives; False while another is. Once True, call no more."""
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    return bool(row and row[0])


def poller_runs(connection: Connection) -> bool:
    """Whether some poller leads now; asked without trying to become one."""
    row = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 0 AND objid = %s"
        " AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        (_LOCK,),
    ).fetchone()
    return bool(row and row[0])
