"""`omero-mq repair`: after a lost slot, a new one, and every row that the topic lacks."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.cdc import repair as repairs
from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import connector
from pipeline.cli import call as calls
from pipeline.cli.connections import as_replication_role
from pipeline.cli.exits import Exit
from pipeline.kafka.publish import KafkaPublisher
from pipeline.kafka.scan import scan
from pipeline.omero.database import OmeroDatabase
from pipeline.settings import Settings
from pipeline.state.epochs import Epochs
from pipeline.state.pool import StateDatabase

STATEMENT_S = 3600.0  # a re-read goes through a range of ids, and nobody waits for it but us


class Which(StrEnum):
    """The connector that lost its slot."""

    EVENTLOG = "eventlog"
    REINDEXING = "reindexing"


def repair(
    context: typer.Context,
    which: Annotated[Which, typer.Argument(help="The connector that lost its slot.")] = Which.EVENTLOG,
    *,
    from_id: Annotated[int | None, typer.Option("--from-id", min=1, help="Compare from this eventlog id on.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare topic and database; change nothing.")] = False,
) -> int:
    """After a lost slot: a new slot, every row that the topic lacks, and the proof that none is missing.

    Safe to run again, also while nothing is wrong. Rows of _reindexing_required are not kept: there only the slot is made anew.

    \b
    Examples:
      omero-mq repair --check
      omero-mq repair
      omero-mq repair reindexing
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    result = _run(call.settings(), which, from_id=from_id, check=check)
    if result is None:
        call.output.item(
            "repair", {"connector": which, "from_id": None, "on_topic": 0, "reread": 0, "missing": 0, "open_transactions": False}
        )
        call.output.line("the slot is new and the connector goes on")
        return Exit.OK
    call.output.item("repair", {"connector": which, **asdict(result)})
    done = f"{result.reread} read again" if not check else "nothing changed"
    call.output.line(
        f"from eventlog id {result.from_id} on: {result.on_topic} rows were on the topic, {done}, {result.missing} missing"
    )
    if result.open_transactions:
        call.output.note(
            "older transactions were still open; their rows come through the new slot. Prove it later: omero-mq repair --check"
        )
    call.output.following("omero-mq connector status", "omero-mq repair --check")
    return Exit.UNHEALTHY if result.missing else Exit.OK


def _run(settings: Settings, which: Which, *, from_id: int | None, check: bool) -> repairs.Repaired | None:
    this = connector("eventlog" if which is Which.EVENTLOG else "reindexing", settings)
    client, publisher = KafkaConnect(settings.cdc.connect_url), KafkaPublisher(settings.kafka)
    database = OmeroDatabase(settings.omero, service="repair", statement_timeout_s=STATEMENT_S)
    try:
        with database.connected() as reading, nullcontext(reading) if check else as_replication_role(settings) as replication:
            parts = repairs.Parts(
                connect=client,
                connector=this,
                replication=replication,
                reading=reading,
                publisher=publisher,
                scan=lambda start: scan(settings.kafka, this.topic, start=start),
                timezone=settings.omero.timezone,
                boundaries=_boundaries(settings, this.topic),
            )
            if which is Which.REINDEXING:
                repairs.repair_without_rows(parts)
                return None
            return repairs.check(parts, from_id=from_id) if check else repairs.repair(parts, from_id=from_id)
    finally:
        client.close()
        publisher.close()
        database.close()


def _boundaries(settings: Settings, topic: str) -> dict[int, int]:
    """Where the accepted epoch begins on the topic, by partition."""
    state = StateDatabase(settings.state, service="repair")
    try:
        accepted = Epochs(state).accepted()
    finally:
        state.close()
    return {partition: offset for (name, partition), offset in accepted.boundaries.items() if name == topic} if accepted else {}
