"""`omero-mq status`: how everything is, from the database to the last event, and what to do next."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.cli import call as calls
from pipeline.cli.call import Call
from pipeline.cli.exits import Exit
from pipeline.health.facts import LocalProcess
from pipeline.health.observe import observe
from pipeline.health.page import page
from pipeline.health.status import Status, facts, status
from pipeline.settings import Settings
from pipeline.stack.control import running
from pipeline.stack.directory import chosen

_CLEAR = "\x1b[H\x1b[2J"


def show(
    context: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again until Ctrl-C; JSON Lines on a pipe.")] = False,
    every: Annotated[float, typer.Option("--every", min=0.5, help="With --watch: how often [s].")] = 2.0,
) -> int:
    """How everything is, from OMERO's database to the last event; exit status 3 when something is not as it should be.

    Answers within three seconds, whatever is away.

    \b
    Examples:
      omero-mq status
      omero-mq status --watch
      omero-mq status --json | jq -r '.stages[] | select(.state != "ok") | .problems[].fix'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    if watch:
        return _watch(call, settings, every)
    now = _look(settings)
    _print(call, now)
    if now.next:
        call.output.following(*now.next)
    return Exit.OK if now.verdict == "ok" else Exit.UNHEALTHY


def local_processes(settings: Settings) -> list[LocalProcess]:
    """What `omero-mq up` runs in this machine's data directory; empty where nothing does."""
    found = running(chosen(settings.stack.data_directory))
    if found is None:
        return []
    return [
        LocalProcess(name=one.name, state=one.state, restarts=one.restarts, said=one.status, error=one.error)
        for one in found.processes
    ]


def _look(settings: Settings) -> Status:
    return status(observe(settings, processes=local_processes(settings)))


def _print(call: Call, now: Status, *, before: str = "") -> None:
    """The page as it is, all at once, so that a redrawn one does not flicker."""
    output = call.output
    output.item("status", facts(now))
    lines = page(now, version=__version__, width=shutil.get_terminal_size((120, 24)).columns)
    if not output.json:
        output.raw(before + "\n".join(output.marked_text(line.mark, line.colour, line.text) for line in lines))


def _watch(call: Call, settings: Settings, every_s: float) -> int:
    """Redraw on a terminal; on a pipe one JSON object each time, since a page cannot be read by a program."""
    on_terminal = sys.stdout.isatty() and not call.output.json
    moves_cursor = call.environ.get("TERM", "dumb") != "dumb"
    call.output.json = not on_terminal
    while True:
        began = time.monotonic()
        now = _look(settings)
        _print(call, now, before=_CLEAR if on_terminal and moves_cursor else "")
        call.output.flush()
        time.sleep(max(0.1, every_s - (time.monotonic() - began)))
