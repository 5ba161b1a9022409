"""Repairs a lost slot: a new slot, then every row that the topic lacks, then the connector goes on; proves that none is missing.

In this order nothing can fall between: what was committed before the new slot is visible to the re-read, what commits later
comes through the slot. Killed at any point, the next run starts over, and repeats only what consumers know by its id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog

from pipeline.cdc.connect import ConnectorState, KafkaConnect
from pipeline.cdc.connectors import Connector
from pipeline.cdc.ids import IdSet
from pipeline.cdc.lost import forget_lost
from pipeline.cdc.reread import Range, Scan, TopicIds, missing, publish, range_of
from pipeline.cdc.slots import publications
from pipeline.delivery.ports import Publisher
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.omero.grants import create_slot
from pipeline.omero.removal import release

Connection = psycopg.Connection[tuple[Any, ...]]

_RESTART_EVERY_S = 5.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Repaired:
    """What a repair or a check found.

    Attributes:
        from_id: every row from this id on was compared.
        on_topic: rows that the topic held before.
        reread: rows that were read again and written.
        missing: rows that are committed and still not on the topic: 0, or the repair failed.
        open_transactions: whether older transactions were still open when the rows were read; they come through the new slot.
    """

    from_id: int
    on_topic: int
    reread: int
    missing: int
    open_transactions: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a repair works with.

    Attributes:
        replication: as `cdc.user`, which may drop and make slots; in OMERO's database, in autocommit mode.
        reading: as `omero.user`; in OMERO's database, in autocommit mode.
        scan: reads the connector's topic.
        timezone: of OMERO's clock.
        boundaries: by partition of the topic, where the accepted epoch surely begins; empty in the first epoch.
    """

    connect: KafkaConnect
    connector: Connector
    replication: Connection
    reading: Connection
    publisher: Publisher
    scan: Scan
    timezone: str
    boundaries: Mapping[int, int] = field(default_factory=dict)


def repair(parts: Parts, *, from_id: int | None = None, patience_s: float = 60.0, transactions_s: float = 60.0) -> Repaired:
    """Make a new slot, write every row that the topic lacks, and let the connector go on.

    Blocks: for the stop of the connector, for transactions that are open while the slot is made, for reading the topic and the
    range. Safe to run again, also while nothing is wrong: then it costs time and a few duplicates.

    Args:
        parts: what to work with.
        from_id: compare from this id on; None: found from the topic.
        patience_s: how long to wait for the connector, each time [s].
        transactions_s: how long to wait for transactions that are open when the new slot is there [s].

    Raises:
        DependencyDown: Kafka, Kafka Connect or the database is away; run it again when it is back.
        Misconfigured: there is no connector or publication, or nothing tells from which id rows may be missing.
    """
    name, slot = parts.connector.name, parts.connector.slot
    row_filter = _row_filter(parts)
    topic = TopicIds.empty()
    topic.look(parts.scan)
    rows = range_of(topic, from_id=from_id, timezone=parts.timezone)
    _log.info("repair.started", connector=name, slot=slot, from_id=rows.floor, on_topic=len(topic.ids))
    stop(parts.connect, name, patience_s=patience_s)
    renew_slot(parts.replication, slot)
    open_transactions = not _wait_for_open_transactions(parts.replication, transactions_s)
    topic.look(parts.scan)
    _forget_lost(parts, topic)
    on_topic = len(topic.ids)
    reread, left = _fill(parts, rows, topic, row_filter)
    _go_on(parts.connect, name, patience_s=patience_s)
    result = Repaired(from_id=rows.floor, on_topic=on_topic, reread=reread, missing=left, open_transactions=open_transactions)
    _log.info("repair.finished", connector=name, reread=reread, missing=left, open_transactions=open_transactions)
    return result


def repair_without_rows(parts: Parts, *, patience_s: float = 60.0) -> None:
    """A new slot and nothing else, for a table that keeps no history; what was lost there the reconciler finds.

    Raises:
        DependencyDown, Misconfigured: as `repair` says.
    """
    stop(parts.connect, parts.connector.name, patience_s=patience_s)
    renew_slot(parts.replication, parts.connector.slot)
    _go_on(parts.connect, parts.connector.name, patience_s=patience_s)


def check(parts: Parts, *, from_id: int | None = None, patience_s: float = 30.0) -> Repaired:
    """Compare database and topic without changing anything; rows on their way are waited for.

    Args:
        parts: what to work with; the publisher and the replication connection are not used.
        from_id: compare from this id on; None: found from the topic.
        patience_s: how long rows may be on their way [s].
    """
    row_filter = _row_filter(parts)
    topic = TopicIds.empty()
    topic.look(parts.scan)
    _forget_lost(parts, topic)
    on_topic = len(topic.ids)
    rows = range_of(topic, from_id=from_id, timezone=parts.timezone)
    absent = IdSet(row.id for page in missing(parts.reading, rows, topic.ids, row_filter) for row in page)
    deadline = time.monotonic() + patience_s
    while (left := _still(absent, topic)) and time.monotonic() < deadline:
        time.sleep(0.5)
        topic.look(parts.scan)
    return Repaired(from_id=rows.floor, on_topic=on_topic, reread=0, missing=left)


def stop(connect: KafkaConnect, name: str, *, patience_s: float) -> None:
    """Stop a connector and wait until no task of it runs.

    Raises:
        Misconfigured: there is no such connector.
        DependencyDown: it did not stop in time.
    """
    connect.stop(name)
    _wait(connect, name, lambda state: state.state == "STOPPED" and not state.tasks, "stop", patience_s)


def renew_slot(replication: Connection, slot: str) -> None:
    """Drop the slot if there is one and make it anew; needs the role to have REPLICATION, and nothing more. Idempotent.

    Blocks until transactions that are open now have ended.
    """
    release(replication, [slot])
    there = replication.execute("SELECT FROM pg_replication_slots WHERE slot_name = %s", (slot,)).fetchone()
    if there is not None:
        replication.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
    replication.execute(create_slot(slot, replication.info.server_version // 10_000).encode())


def _row_filter(parts: Parts) -> str:
    name = parts.connector.publication
    publication = publications(parts.reading, [name]).get(name)
    if publication is None:
        raise Misconfigured(
            f"the publication {name} does not exist", fix="have a DBA run what `omero-mq init --print-sql` prints, then repair"
        )
    return publication.row_filter


def _fill(parts: Parts, rows: Range, topic: TopicIds, row_filter: str) -> tuple[int, int]:
    """Write what is missing, read the topic again, and count what is then still not there."""
    written = IdSet()
    for page in missing(parts.reading, rows, topic.ids, row_filter):
        publish(parts.publisher, parts.connector.topic, page)
        for row in page:
            written.add(row.id)
    topic.look(parts.scan)
    return len(written), _still(written, topic)


def _forget_lost(parts: Parts, topic: TopicIds) -> None:
    lost = forget_lost(parts.reading, topic, parts.scan, parts.boundaries, parts.timezone)
    if lost:
        _log.info("repair.lost_rows_forgotten", connector=parts.connector.name, ids=lost)


def _still(wanted: IdSet, topic: TopicIds) -> int:
    return sum(1 for one in wanted if one not in topic.ids)


def _go_on(connect: KafkaConnect, name: str, *, patience_s: float) -> None:
    """Let the connector begin at the new slot: its old place means nothing there."""
    connect.reset_offsets(name)
    connect.resume(name)
    again_at = time.monotonic() + _RESTART_EVERY_S

    def runs(state: ConnectorState) -> bool:
        nonlocal again_at
        if state.problem and "FAILED" in {task.state for task in state.tasks} and time.monotonic() > again_at:
            # The connections of its last attempts may still have been open, so that there was none left for it.
            again_at = time.monotonic() + _RESTART_EVERY_S
            connect.restart_failed(name)
        return not state.problem

    _wait(connect, name, runs, "start", patience_s)


def _wait(connect: KafkaConnect, name: str, reached: Callable[[ConnectorState], bool], what: str, patience_s: float) -> None:
    for _ in _patiently(patience_s):
        state = connect.status(name)
        if reached(state):
            return
    raise DependencyDown(
        "kafka-connect",
        f"the connector {name} did not {what} within {patience_s:.0f} s ({state.problem or state.state.lower()})",
        fix="look into Kafka Connect's log, then run `omero-mq repair` again",
    )


def _wait_for_open_transactions(connection: Connection, patience_s: float) -> bool:
    """Wait until all transactions that are open now have ended; whether they did.

    One that has written its commit before the slot's beginning, and waits for a synchronous standby, is seen by neither the slot
    nor a snapshot. All others would be: they come through the slot.
    """
    # An id of one's own is above all that were given out before; a snapshot's xmax would leave out the youngest of the open ones.
    own = connection.execute("SELECT pg_current_xact_id()::text").fetchone()
    for _ in _patiently(patience_s):
        ended = connection.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric > %s::numeric", own).fetchone()
        if ended is not None and ended[0]:
            return True
    return False


def _patiently(patience_s: float) -> Iterator[None]:
    """At least once, then every tenth of a second until patience ends."""
    deadline = time.monotonic() + patience_s
    yield
    while time.monotonic() < deadline:
        time.sleep(0.1)
        yield
