"""One call of the command: what was given, where it prints, and the settings once somebody asks for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import typer

from pipeline.cli.output import Output
from pipeline.settings import Settings
from pipeline.settings.load import Given, Sourced, load

_ADDRESSES = {
    "kafka": ("kafka.bootstrap",),
    "kafka-connect": ("cdc.connect_url",),
    "omero-database": ("omero.host", "omero.port"),
    "state-database": ("state.host", "state.port"),
}


@dataclass(kw_only=True, slots=True)
class Call:
    """What every command is handed as ``context.obj``."""

    given: Given
    output: Output
    verbose: bool = False
    loaded: Sourced | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that the process was started with."""
        return self.given.environ

    def sourced(self) -> Sourced:
        """Settings and where each came from; cautions go to standard error.

        Raises:
            Misconfigured: a setting is wrong.
        """
        self.loaded = sourced = load(self.given)
        for caution in sourced.cautions:
            self.output.note(f"caution: {caution}")
        return sourced

    def settings(self) -> Settings:
        """The settings; from here on, what clients log goes to standard error, and little of it unless -v was given.

        Raises:
            Misconfigured: a setting is wrong.
        """
        from pipeline.process import logs  # noqa: PLC0415 - structlog takes as long to import as all of `--help`

        settings = self.sourced().settings
        level = settings.log.level if self.verbose else "error"
        logs.configure(replace(settings.log, level=level), "omero-mq", stream=self.output.stderr)
        return settings

    @property
    def actor(self) -> str:
        """Who calls, as the operating system knows them; a person behind sudo is that person."""
        names = (self.environ.get(name) for name in ("SUDO_USER", "USER", "LOGNAME"))
        return next((name for name in names if name), "unknown")

    def confirmed(self, what: str, *, yes: bool) -> bool:
        """Whether the caller means it: said so beforehand, or says so now on a terminal."""
        if yes:
            return True
        if not (sys.stdin.isatty() and self.output.stderr.isatty()):
            self.output.note(f"refused: would {what}; add --yes")
            return False
        self.output.stderr.write(f"{what[0].upper()}{what[1:]}? [y/N] ")
        self.output.stderr.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def address_of(self, dependency: str) -> str:
        """``kafka.bootstrap = 127.0.0.1:9092 (default)``: where a dependency was looked for, and who said so; empty: unknown."""
        if self.loaded is None:
            return ""
        found = []
        for name in _ADDRESSES.get(dependency, ()):
            room, own = name.split(".")
            found.append(f"{name} = {getattr(getattr(self.loaded.settings, room), own)} ({self.loaded.sources[name]})")
        return ", ".join(found)

    def take(self, *, overrides: list[str], config: str | None, json: bool, verbose: bool) -> None:
        """Take over the options that stand before the command."""
        given = replace(self.given, overrides=tuple(overrides))
        self.given = replace(given, config=given.directory / config) if config is not None else given
        self.output.json = json
        self.verbose = verbose


def of(context: typer.Context) -> Call:
    """The call that a command runs in."""
    return cast("Call", context.obj)
