"""`omero-mq connector`: the two Debezium connectors on Kafka Connect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from pipeline.cdc.condition import condition
from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import KINDS, Connector, ConnectorKind, connector, render
from pipeline.cdc.slots import publications, slots
from pipeline.cli import call as calls
from pipeline.cli.app import typer_app
from pipeline.cli.exits import Exit
from pipeline.errors import Misconfigured
from pipeline.omero.database import OmeroDatabase
from pipeline.settings import Settings

app = typer_app(help="The two Debezium connectors on Kafka Connect.")
_SAID = {"resume": "asked to go on", "restart": "asked to start again what failed", "delete": "deleted"}
Which = Annotated[str, typer.Argument(help="eventlog, reindexing, or nothing for both.")]


@app.command()
def show(context: typer.Context, which: Which = "") -> int:
    """The configuration that a connector gets, as JSON; holds a reference to the password, never the password.

    \b
    Examples:
      omero-mq connector show eventlog
      omero-mq connector show --json | jq -r '[.name, .config["slot.name"]] | @tsv'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    for each in _chosen(which, settings):
        config = render(each.kind, settings)
        call.output.item("connector-config", {"name": each.name, "config": config})
        call.output.line(json.dumps({"name": each.name, "config": config}, indent=2))
    call.output.following("omero-mq connector apply", "omero-mq connector status")
    return Exit.OK


@app.command()
def apply(
    context: typer.Context, which: Which = "", *, dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say it.")] = False
) -> int:
    """Make the connectors or give them their configuration, and say what changed.

    \b
    Examples:
      omero-mq connector apply --dry-run
      omero-mq connector apply
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    with _client(settings) as client:
        for each in _chosen(which, settings):
            config = render(each.kind, settings)
            exists = client.config(each.name) is not None
            changes = client.differences(each.name, config) if dry_run else client.apply(each.name, config)
            verb = "made" if not exists else "changed" if changes else "unchanged"
            said = f"would be {verb}" if dry_run and changes else verb
            listed = [str(change) for change in changes] if exists else []
            call.output.item("connector-applied", {"name": each.name, "done": not dry_run, "result": verb, "changes": listed})
            call.output.line("\n".join([f"{each.name}: {said}", *(f"  {change}" for change in listed)]))
    call.output.following("omero-mq connector status")
    return Exit.OK


@app.command()
def status(context: typer.Context, which: Which = "") -> int:
    """Whether rows can flow: connector, tasks, slot and publication together; exit status 3 when they cannot.

    \b
    Examples:
      omero-mq connector status
      omero-mq connector status eventlog --json | jq -r '.findings[].fix'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    healthy = True
    wanted = _chosen(which, settings)
    database = OmeroDatabase(settings.omero, service="connector status")
    with _client(settings) as client, database.connected() as connection:
        by_slot = slots(connection, [each.slot for each in wanted])
        published = publications(connection, [each.publication for each in wanted])
        for each in wanted:
            state, slot = client.status(each.name), by_slot.get(each.slot)
            found = condition(each, state, slot, published.get(each.publication), database=settings.omero.database)
            healthy &= not found
            behind = None if slot is None else slot.behind_bytes
            facts = {
                "state": state.state,
                "tasks": [task.state for task in state.tasks],
                "slot": each.slot,
                "behind_bytes": behind,
            }
            findings = [{"problem": one.problem, "fix": one.fix} for one in found]
            call.output.item("connector", {"name": each.name, "ok": not found, **facts, "findings": findings})
            if not found:
                kept = "?" if behind is None else f"{behind:,}"
                call.output.marked("ok  ", "green", f"{each.name}: running, slot {each.slot} is {kept} bytes behind")
            for one in found:
                call.output.marked("FAIL", "red", f"{each.name}: {one.problem}\n      fix: {one.fix}")
    return Exit.OK if healthy else Exit.UNHEALTHY


@app.command()
def resume(context: typer.Context, which: Which = "") -> int:
    """Let stopped or paused connectors go on.

    \b
    Examples:
      omero-mq connector resume
    """  # noqa: D301 - \b keeps the lines of an example apart
    return _each(context, which, "resume")


@app.command()
def restart(context: typer.Context, which: Which = "") -> int:
    """Start again what failed, and nothing else.

    \b
    Examples:
      omero-mq connector restart eventlog
    """  # noqa: D301 - \b keeps the lines of an example apart
    return _each(context, which, "restart")


@app.command()
def delete(
    context: typer.Context, which: Which = "", *, yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False
) -> int:
    """Delete connectors; their slots stay and keep write-ahead log until they are dropped.

    \b
    Examples:
      omero-mq connector delete --yes && omero-mq uninstall
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    names = [each.name for each in _chosen(which, call.settings())]
    if not call.confirmed(f"delete {' and '.join(names)}", yes=yes):
        return Exit.REFUSED
    return _each(context, which, "delete")


def apply_all(settings: Settings) -> list[str]:
    """Give both connectors their configuration; the names of those that were made or changed. Idempotent.

    Raises:
        DependencyDown: Kafka Connect is away.
        Misconfigured: a configuration is refused.
        Transient: Kafka Connect rebalances without end.
    """
    with _client(settings) as client:
        return [each.name for each in _chosen("", settings) if client.apply(each.name, render(each.kind, settings))]


def delete_all(settings: Settings) -> list[str]:
    """Delete both connectors; the names of those that there were.

    Raises:
        DependencyDown: Kafka Connect is away.
    """
    with _client(settings) as client:
        return [each.name for each in _chosen("", settings) if client.delete(each.name)]


def _each(context: typer.Context, which: str, verb: str) -> int:
    call = calls.of(context)
    settings = call.settings()
    with _client(settings) as client:
        actions = {"resume": client.resume, "restart": client.restart_failed, "delete": client.delete}
        for each in _chosen(which, settings):
            result = actions[verb](each.name)
            done = result is not False
            call.output.item("connector-changed", {"name": each.name, "action": verb, "done": done})
            call.output.line(f"{each.name}: {_SAID[verb] if done else 'there is none'}")
    call.output.following("omero-mq connector status")
    return Exit.OK


def _chosen(which: str, settings: Settings) -> list[Connector]:
    kinds: list[ConnectorKind] = [kind for kind in KINDS if which in {"", kind}]
    if not kinds:
        raise Misconfigured(f"there is no connector {which!r}", fix=f"choose {' or '.join(KINDS)}, or name none for both")
    return [connector(kind, settings) for kind in kinds]


@contextmanager
def _client(settings: Settings) -> Iterator[KafkaConnect]:
    client = KafkaConnect(settings.cdc.connect_url)
    try:
        yield client
    finally:
        client.close()
