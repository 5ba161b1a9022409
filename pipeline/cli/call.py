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


@dataclass(kw_only=True, slots=True)
class Call:
    """What every command is handed as ``context.obj``."""

    given: Given
    output: Output
    verbose: bool = False

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that the process was started with."""
        return self.given.environ

    def sourced(self) -> Sourced:
        """Settings and where each came from; cautions go to standard error.

        Raises:
            Misconfigured: a setting is wrong.
        """
        sourced = load(self.given)
        for caution in sourced.cautions:
            self.output.note(f"caution: {caution}")
        return sourced

    def settings(self) -> Settings:
        """The settings.

        Raises:
            Misconfigured: a setting is wrong.
        """
        return self.sourced().settings

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

    def take(self, *, overrides: list[str], config: str | None, json: bool, verbose: bool) -> None:
        """Take over the options that stand before the command."""
        given = replace(self.given, overrides=tuple(overrides))
        self.given = replace(given, config=given.directory / config) if config is not None else given
        self.output.json = json
        self.verbose = verbose


def of(context: typer.Context) -> Call:
    """The call that a command runs in."""
    return cast("Call", context.obj)
