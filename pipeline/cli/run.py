"""`omero-mq run`: one service in the foreground, as systemd, Compose and `omero-mq up` start it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli.exits import Exit
from pipeline.errors import Misconfigured
from pipeline.process import logs
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings
from pipeline.settings.values import nearest

Service = Callable[[Settings, Mapping[str, str], StopSignal], None]

SERVICES = {
    "relay": "pipeline.services.relay:run",
    "outbox": "pipeline.services.outbox:run",
    "facility": "pipeline.demo.serve:run",
    "echo": "pipeline.services.echo:run",
}


def run(context: typer.Context, name: Annotated[str, typer.Argument(help=f"One of: {', '.join(SERVICES)}.")]) -> int:
    """Run one service in the foreground until SIGTERM or Ctrl-C; logs go to standard error.

    \b
    Examples:
      omero-mq run relay
      omero-mq run relay --set log.format=json --config /etc/omero-mq/omero-mq.toml
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    service = _service(name)
    settings = call.settings()
    logs.configure(settings.log, name)
    stop = StopSignal()
    stop.install()
    service(settings, call.environ, stop)
    return Exit.INTERRUPTED if stop.received == signal.SIGINT else Exit.OK


def _service(name: str) -> Service:
    if name not in SERVICES:
        raise Misconfigured(f"there is no service {name!r}{nearest(name, SERVICES)}", fix=f"choose one of {', '.join(SERVICES)}")
    module, _, function = SERVICES[name].partition(":")
    found: Service = getattr(import_module(module), function)
    return found
