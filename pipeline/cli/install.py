"""`omero-mq install`: the services as systemd units of this machine."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli.exits import Exit
from pipeline.errors import Misconfigured
from pipeline.stack import systemd
from pipeline.stack.install import SERVICES
from pipeline.stack.systemd import Site


def install(
    context: typer.Context,
    *,
    by_systemd: Annotated[bool, typer.Option("--systemd", help="As systemd units; there is no other way yet.")] = False,
    directory: Annotated[
        Path, typer.Option("--directory", metavar="DIR", help="Where the units go.")
    ] = systemd.DEFAULT_DIRECTORY,
    command: Annotated[
        Path | None, typer.Option("--command", metavar="PATH", help="The omero-mq that they start; default: this one.")
    ] = None,
    secrets: Annotated[
        list[str] | None,
        typer.Option(
            "--secret",
            metavar="ROOM_FIELD",
            help="A setting that is read from a file of that name in /etc/omero-mq/secrets; may be repeated;"
            f" default: {' and '.join(systemd.SECRETS)}.",
        ),
    ] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Only print them.")] = False,
) -> int:
    """Write hardened systemd units for our services: a target, a template, and one that prepares. May be repeated.

    Settings come from /etc/omero-mq/omero-mq.toml, secrets from files that root alone reads.

    \b
    Examples:
      omero-mq install --systemd --print
      omero-mq install --systemd --secret omero_password --secret state_password --secret kafka_client
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    if not by_systemd:
        raise Misconfigured("what to install was not said", fix="omero-mq install --systemd; with --print to look first")
    site = Site(command=command or _own_path(), services=SERVICES, secrets=secrets or systemd.SECRETS)
    if only_print:
        for name, text in systemd.units(site).items():
            call.output.item("unit", {"path": str(directory / name), "text": text}, f"# {directory / name}\n{text}")
        return Exit.OK
    changed = systemd.write(site, directory)
    for name in systemd.units(site):
        path = directory / name
        call.output.item("unit", {"path": str(path), "changed": path in changed})
        call.output.line(f"{path}: {'written' if path in changed else 'unchanged'}")
    call.output.following("systemctl daemon-reload", f"systemctl enable --now {systemd.TARGET}", "omero-mq doctor")
    return Exit.OK


def _own_path() -> Path:
    """The command as it was called, symbolic links kept: a link that names the current release is meant to stay."""
    typed = shutil.which(sys.argv[0])
    return Path(typed).absolute() if typed and Path(typed).name == "omero-mq" else Path(sys.executable).with_name("omero-mq")
