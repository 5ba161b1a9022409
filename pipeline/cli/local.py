"""`omero-mq up` and `down`: the whole installation on this machine, supervised in the foreground."""

from __future__ import annotations

import signal
import time

import typer

from pipeline.cli import call as calls
from pipeline.cli.exits import Exit
from pipeline.cli.stage import Progress
from pipeline.demo import database
from pipeline.process.signals import StopSignal
from pipeline.stack.control import stop_running
from pipeline.stack.directory import chosen
from pipeline.stack.install import Wish, installation
from pipeline.stack.stack import Cancelled


def up(context: typer.Context) -> int:
    """Start PostgreSQL, Kafka, Kafka Connect and our services on this machine, and keep them running until Ctrl-C.

    Everything is below one directory (stack.data_directory). The first start makes an OMERO-shaped database.

    \b
    Examples:
      omero-mq up
      omero-mq up --set stack.data_directory=/srv/omero-mq -v
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    began = time.monotonic()
    stop = StopSignal()
    stop.install()
    wish = Wish(
        read=call.settings,
        environment=call.environ,
        make_database=database.create,
        config=call.sourced().file,
        overrides=call.given.overrides,
    )
    directory = chosen(settings.stack.data_directory)
    call.output.note(f"starting in {directory.path}")
    with installation(wish) as stack:
        try:
            where = stack.start(cancelled=Progress(call, stack, lambda: stop.is_set))
        except Cancelled:
            return Exit.INTERRUPTED
        took = f"ready after {time.monotonic() - began:.0f} s; Ctrl-C stops everything"
        facts = {"kafka_bootstrap": where.kafka_bootstrap, "connect_url": where.connect_url}
        postgres = f"{where.postgres_host}:{where.postgres_port}"
        call.output.item(
            "stack", {"directory": where.directory, **facts, "postgres": postgres, "database": settings.omero.database}
        )
        call.output.line(
            f"{took}\n  Kafka       {where.kafka_bootstrap}\n  PostgreSQL  {postgres}\n  logs        {directory.logs}"
        )
        call.output.flush()
        call.output.following("omero-mq events follow", "omero-mq topic list", "omero-mq down")
        while not stop.wait(3600.0):
            pass
        call.output.note("stopping")
    return Exit.INTERRUPTED if stop.received == signal.SIGINT else Exit.OK


def down(context: typer.Context) -> int:
    """Stop what `omero-mq up` runs here, in order, and what a killed one left behind; data stay.

    \b
    Examples:
      omero-mq down
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    directory = chosen(call.settings().stack.data_directory)
    stopped = stop_running(directory)
    call.output.item("down", {"directory": str(directory.path), "stopped": stopped})
    call.output.line(f"stopped what ran in {directory.path}" if stopped else f"nothing runs in {directory.path}")
    return Exit.OK
