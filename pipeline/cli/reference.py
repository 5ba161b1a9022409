"""Reference pages written from the code: ``python -m pipeline.cli.reference --write``; ``--check`` says when they disagree."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from pipeline import shipped
from pipeline.cli.app import COMMANDS, command_of, root
from pipeline.cli.error_reference import errors_page
from pipeline.cli.exits import MEANING
from pipeline.settings import load, values
from pipeline.settings.model import Settings

PAGES = Path("docs/reference")
WIDTH = 100  # columns of a help text, so that pages do not depend on a terminal
WRITTEN = "<!-- Written by `python -m pipeline.cli.reference --write`; do not edit. -->\n"


def pages() -> dict[str, str]:
    """File name -> what should be in it."""
    return {
        "settings.md": settings_page(),
        "cli.md": cli_page(),
        "exit-codes.md": exit_codes_page(),
        "errors.md": WRITTEN + errors_page(),
    }


def settings_page() -> str:
    """Every setting, by room."""
    lines = [WRITTEN, "# Settings\n", _places(), "## Table of settings\n"]
    lines.append(
        "In a file a setting stands under its room, e.g. `[kafka]` and `bootstrap = ...`; its variable is named beside it.\n"
    )
    for room in fields(Settings):
        factory: Any = room.default_factory
        about = (factory.__doc__ or "").strip()
        lines += [
            f"### {room.name}\n",
            f"{about}\n",
            "| setting | variable | takes | default | meaning |",
            "|---|---|---|---|---|",
        ]
        for name, field in values.all_fields():
            if name.startswith(f"{room.name}."):
                taken = values.expected(field).replace("|", "\\|")
                default = values.default_of(field)
                shown = "secret" if field.metadata["secret"] else f"`{json.dumps(default)}`"
                doc = str(field.metadata["doc"]).replace("|", "\\|")
                lines.append(f"| `{name}` | `{load.variable_of(name)}` | {taken} | {shown} | {doc} |")
        lines.append("")
    return "\n".join(lines)


def cli_page() -> str:
    """The help text of every command, and the schemas of what they print."""
    lines = [WRITTEN, "# Command line\n", f"```text\n{_help(root(), 'omero-mq')}\n```\n"]
    for name in COMMANDS:
        command = command_of(name)
        lines += [f"## {name}\n", f"```text\n{_help(command, f'omero-mq {name}')}\n```\n"]
        for verb, each in getattr(command, "commands", {}).items():
            lines += [f"### {name} {verb}\n", f"```text\n{_help(each, f'omero-mq {name} {verb}')}\n```\n"]
    lines += [
        "## Schemas\n",
        "With `--json` a line is one object, and `schema` names what it is. Later versions only add fields.\n",
    ]
    for path in sorted((shipped.directory("schemas") / "cli").glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        lines.append(f"- `{schema['properties']['schema']['const']}`: {schema['description']} (`schemas/cli/{path.name}`)")
    return "\n".join(lines) + "\n"


def exit_codes_page() -> str:
    """What each exit status means."""
    rows = [f"| {int(status)} | {status.name.lower()} | {meaning} |" for status, meaning in MEANING.items()]
    return "\n".join(
        [
            WRITTEN,
            "# Exit statuses\n",
            "The same for every command but `check`, which answers as monitoring wants it:",
            "0 ok, 1 warning, 2 critical, 3 unknown.",
            "A pipe that its reader closes (`| head`) is no error and ends with 0.\n",
            "| status | name | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def stale(directory: Path) -> list[str]:
    """Pages that are missing or say something else than the code."""
    found = {name: directory / name for name in pages()}
    return [
        name for name, text in pages().items() if not found[name].is_file() or found[name].read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or check them."""
    if arguments == ["--write"]:
        PAGES.mkdir(parents=True, exist_ok=True)
        for name, text in pages().items():
            (PAGES / name).write_text(text, encoding="utf-8")
        return 0
    if arguments == ["--check"]:
        for name in stale(PAGES):
            sys.stderr.write(f"{PAGES / name} is not what the code says; run python -m pipeline.cli.reference --write\n")
        return 1 if stale(PAGES) else 0
    sys.stderr.write("usage: python -m pipeline.cli.reference --write|--check\n")
    return 2


def _help(command: Any, name: str) -> str:
    context = command.make_context(name, ["--help"], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    return "\n".join(line.rstrip() for line in str(command.get_help(context)).splitlines()).strip()


def _places() -> str:
    text = (load.__doc__ or "").split("\n", 2)[2].strip()
    return "\n".join(_unquoted(text)) + "\n"


def _unquoted(text: str) -> Iterator[str]:
    """The module's own description, its literal block as a Markdown one."""
    inside = False
    for line in text.replace("``", "`").splitlines():
        literal = line.startswith("    ")
        if literal != inside and line:
            yield "```text" if literal else "```\n"
            inside = literal
        if line or not inside:
            yield (line.removeprefix("    ").replace("`", "'") if inside else line).replace("::", ":")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
