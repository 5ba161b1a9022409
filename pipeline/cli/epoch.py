"""`omero-mq epoch`: whether OMERO's database is still the one that was read, and the word that a restored one is meant."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from pipeline.cli import call as calls
from pipeline.cli.app import typer_app
from pipeline.cli.exits import Exit
from pipeline.kafka.admin import KafkaAdmin
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.epoch import Epoch, differences
from pipeline.omero.lookups import read_epoch
from pipeline.settings import Settings
from pipeline.state.epochs import AcceptedEpoch, Epochs
from pipeline.state.pool import StateDatabase
from pipeline.wire import topics

app = typer_app(help="Which OMERO database was accepted, and accepting a restored one.")


@app.command()
def show(context: typer.Context) -> int:
    """The accepted database beside the one that is there now; exit status 3 when they differ.

    \b
    Examples:
      omero-mq epoch show
      omero-mq epoch show --json | jq -r '.differences[]'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    accepted, now = _both(settings)
    changed = differences(_plain(accepted), now) if accepted else []
    state = "none" if accepted is None else "changed" if changed else "same"
    call.output.item("epoch", {"state": state, "accepted": _facts(accepted), "database": asdict(now), "differences": changed})
    if accepted is None:
        call.output.line("No database was accepted yet; the relay accepts the first one that it reads.")
    else:
        call.output.line(
            f"Epoch {accepted.number}, accepted {accepted.accepted_at:%Y-%m-%d} by {accepted.accepted_by}: {accepted.reason}"
        )
        fields = asdict(now)
        rows = [
            (name, getattr(accepted, name), value, "" if getattr(accepted, name) == value else "CHANGED")
            for name, value in fields.items()
        ]
        call.output.table(("", "ACCEPTED", "NOW", ""), rows)
    if changed:
        call.output.following("omero-mq epoch accept --reason '...'")
    return Exit.UNHEALTHY if changed else Exit.OK


@app.command()
def accept(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option("--reason", help="Why the database changed, for those who come later.")],
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
) -> int:
    """Say that the OMERO database that is there now is meant: after a restore, a failover or an upgrade.

    What is on the topics now counts as the older database's. Services that stopped can be started again.

    \b
    Examples:
      omero-mq epoch accept --reason "restored last night's dump" --yes
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    accepted, now = _both(settings)
    changed = differences(_plain(accepted), now) if accepted else ["none was accepted before"]
    if not changed and accepted is not None:
        call.output.item("epoch", {"state": "same", "accepted": _facts(accepted), "database": asdict(now), "differences": []})
        call.output.line(f"nothing to do: epoch {accepted.number} is this database")
        return Exit.OK
    call.output.note("\n".join(changed))
    if not call.confirmed("accept this database as the one that is meant", yes=yes):
        return Exit.REFUSED
    result = _accept(settings, now, actor=call.actor, reason=reason)
    call.output.item("epoch", {"state": "same", "accepted": _facts(result), "database": asdict(now), "differences": []})
    call.output.line(f"accepted as epoch {result.number}")
    call.output.following("omero-mq epoch show")
    return Exit.OK


def _accept(settings: Settings, now: Epoch, *, actor: str, reason: str) -> AcceptedEpoch:
    captured = [topics.named(topic, settings.kafka.prefix) for topic in (topics.EVENTLOG, topics.REINDEXING)]
    with KafkaAdmin(settings.kafka) as admin:
        places = [(name, partition) for name, count in admin.partitions(captured).items() for partition in range(count)]
        boundaries = admin.ends(places)
    database = StateDatabase(settings.state, service="epoch accept")
    try:
        return Epochs(database).accept(now, actor=actor, reason=reason, boundaries=boundaries)
    finally:
        database.close()


def _both(settings: Settings) -> tuple[AcceptedEpoch | None, Epoch]:
    omero, state = OmeroDatabase(settings.omero, service="epoch"), StateDatabase(settings.state, service="epoch")
    try:
        return Epochs(state).accepted(), read_epoch(omero)
    finally:
        omero.close()
        state.close()


def _plain(accepted: AcceptedEpoch) -> Epoch:
    return Epoch(
        system=accepted.system,
        timeline=accepted.timeline,
        database_oid=accepted.database_oid,
        eventlog_oid=accepted.eventlog_oid,
        omero_uuid=accepted.omero_uuid,
    )


def _facts(accepted: AcceptedEpoch | None) -> dict[str, Any] | None:
    if accepted is None:
        return None
    said = {"accepted_at": accepted.accepted_at.isoformat(), "accepted_by": accepted.accepted_by, "reason": accepted.reason}
    return {"number": accepted.number, **said, **asdict(_plain(accepted))}
