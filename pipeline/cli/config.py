"""`omero-mq config`: what is set, where each value came from, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pipeline.cli import call as calls
from pipeline.cli.app import typer_app
from pipeline.cli.exits import Exit
from pipeline.settings.load import Source, Sourced, survey
from pipeline.settings.values import all_fields, is_secret, is_table

app = typer_app(help="Show settings and where each comes from; check them.")
HIDDEN = "(set, not shown)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One setting as it may be printed."""

    name: str
    value: Any
    source: Source
    secret: bool


def settings_shown(sourced: Sourced) -> Iterator[Shown]:
    """Every setting in the order of the model, entries of tables one by one; what is secret only as set or not."""
    for name, field in all_fields():
        room, own = name.split(".", 1)
        value = getattr(getattr(sourced.settings, room), own)
        if is_table(field) and value:
            entries = [(f"{name}.{entry}", text) for entry, text in value.items()]
        else:
            entries = [(name, dict(value) if is_table(field) else value)]
        for entry, text in entries:
            secret = is_secret(entry, field)
            shown = HIDDEN if secret and text else text
            yield Shown(name=entry, value=shown, source=sourced.sources[entry], secret=secret)


@app.command()
def show(
    context: typer.Context,
    *,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not the default.")] = False,
) -> int:
    """Every setting, its value and where that came from; secrets are never shown.

    \b
    Examples:
      omero-mq config show --changed
      omero-mq config show --json | jq -r 'select(.source=="environment").name'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    sourced = call.sourced()
    found = [each for each in settings_shown(sourced) if not changed or each.source.kind != "default"]
    for each in found:
        facts = {
            "name": each.name,
            "value": each.value,
            "source": each.source.kind,
            "where": each.source.where,
            "secret": each.secret,
        }
        call.output.item("setting", facts)
    call.output.table(("SETTING", "VALUE", "SOURCE"), [(each.name, _text(each.value), each.source) for each in found])
    if not call.output.json:
        call.output.note(f"\nFile: {sourced.file or 'none found (./omero-mq.toml, /etc/omero-mq/omero-mq.toml)'}")
        call.output.following("omero-mq config check")
    return Exit.OK if found else Exit.NOTHING


@app.command()
def check(context: typer.Context) -> int:
    """Say everything that is wrong with the settings, all at once.

    \b
    Examples:
      omero-mq config check
      omero-mq config check --config /etc/omero-mq/omero-mq.toml && systemctl restart 'omero-mq@*'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    sourced = survey(call.given)
    file = str(sourced.file) if sourced.file else None
    facts = {"ok": not sourced.complaints, "file": file, "complaints": sourced.complaints, "cautions": sourced.cautions}
    call.output.item("config-check", facts)
    for each in sourced.complaints:
        call.output.line(f"wrong    {each}")
    for each in sourced.cautions:
        call.output.line(f"caution  {each}")
    if not sourced.complaints:
        changed = sum(1 for each in sourced.sources.values() if each.kind != "default")
        call.output.line(f"ok       {changed} settings set, the rest are defaults; file: {file or 'none'}")
    return Exit.ERROR if sourced.complaints else Exit.OK


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value not in ("", {}) else "-"
