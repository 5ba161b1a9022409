"""The table of commands; a command's module is imported when it is called, so that help is there at once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from pipeline import __version__
from pipeline.cli import call as calls
from pipeline.cli.exits import MEANING

COMMAND = "omero-mq"
ANYWHERE = "--json, --config FILE, --set ROOM.FIELD=VALUE and -v may stand anywhere: see `omero-mq --help`."


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """Where a command is, under which heading it is listed, and what it does in a few words."""

    at: str
    heading: str
    does: str


WATCH, SET_UP, RUN = "See what happens", "Set up and take down", "Run"

COMMANDS: dict[str, Command] = {
    "status": Command(at="pipeline.cli.status:show", heading=WATCH, does="how everything is, and what to do next"),
    "doctor": Command(at="pipeline.cli.doctor:doctor", heading=WATCH, does="what must be right, and how to make it right"),
    "check": Command(at="pipeline.cli.check:app", heading=WATCH, does="one line for Nagios and for health checks"),
    "events": Command(at="pipeline.cli.events:app", heading=WATCH, does="follow public events, one line each"),
    "dlq": Command(at="pipeline.cli.dlq:app", heading=WATCH, does="what failed for good, by cause and one by one"),
    "queues": Command(at="pipeline.cli.queues:queues", heading=WATCH, does="what each consumer promises, and what proves it"),
    "topic": Command(at="pipeline.cli.topic:app", heading=WATCH, does="list, make and check topics; print what is in one"),
    "demo": Command(at="pipeline.cli.demo:demo", heading=RUN, does="users at work, each change as it arrives; --once proves it"),
    "try": Command(at="pipeline.cli.try_:try_", heading=RUN, does="the same with a dump of your own OMERO"),
    "up": Command(at="pipeline.cli.local:up", heading=RUN, does="start everything on this machine, until Ctrl-C"),
    "down": Command(at="pipeline.cli.local:down", heading=RUN, does="stop it from elsewhere"),
    "run": Command(at="pipeline.cli.run:run", heading=RUN, does="one service in the foreground"),
    "init": Command(at="pipeline.cli.setup:init", heading=SET_UP, does="make or upgrade what is ours; print what a DBA runs"),
    "connector": Command(at="pipeline.cli.connector:app", heading=SET_UP, does="the Debezium connectors on Kafka Connect"),
    "epoch": Command(at="pipeline.cli.epoch:app", heading=SET_UP, does="accept a restored OMERO database"),
    "repair": Command(at="pipeline.cli.repair:repair", heading=SET_UP, does="after a lost slot: a new one, and no row missing"),
    "uninstall": Command(
        at="pipeline.cli.setup:uninstall", heading=SET_UP, does="remove all that is ours from OMERO's PostgreSQL"
    ),
    "install": Command(at="pipeline.cli.install:install", heading=SET_UP, does="our services as systemd units of this machine"),
    "bundle": Command(at="pipeline.cli.bundle:bundle", heading=SET_UP, does="one archive that installs without a network"),
    "config": Command(at="pipeline.cli.config:app", heading=SET_UP, does="show settings and their sources; check them"),
    "completion": Command(at="pipeline.cli.completion:completion", heading=SET_UP, does="print the completion script of a shell"),
}


def typer_app(**options: Any) -> typer.Typer:
    """A typer application in our ways: plain help, no tracebacks of its own, no options that write into a home directory."""
    return typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        epilog=ANYWHERE,
        **options,
    )


class Commands(TyperGroup):
    """The commands of the table, each imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - typer's signature
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - typer's signature
        """The command of that name."""
        return command_of(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer does it, with all names known for "did you mean"."""
        self.commands = dict.fromkeys(COMMANDS, cast("Any", None))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - typer's signature
        """The table, by heading, without importing anything."""
        for heading in (WATCH, SET_UP, RUN):
            rows = [(name, each.does) for name, each in COMMANDS.items() if each.heading == heading]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def command_of(name: str) -> Any:
    """Import one command: a typer application for a noun with verbs, a function for a single command."""
    module, _, attribute = COMMANDS[name].at.partition(":")
    found = getattr(import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        app = typer_app()
        app.command(name, epilog=ANYWHERE)(found)
        found = app
    command = typer.main.get_command(found)
    command.name = name
    return command


def root() -> Any:
    """The whole command."""
    app = typer_app(cls=Commands)
    app.callback(epilog=_epilog())(_root)
    return typer.main.get_command(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"{COMMAND} {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    *,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")] = False,
    config: Annotated[str | None, typer.Option("--config", metavar="FILE", help="The omero-mq.toml to read.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="ROOM.FIELD=VALUE", help="One setting for this call; may be repeated.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks, and more on standard error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,  # noqa: ARG001
) -> None:
    """Every change to an OMERO database as an event on Kafka.

    The options below may stand anywhere on the line.
    """
    calls.of(context).take(overrides=overrides or [], config=config, json=json, verbose=verbose)


def _epilog() -> str:
    return "\b\nExit status:\n" + "\n".join(f"  {int(status):<4} {meaning}" for status, meaning in MEANING.items())
