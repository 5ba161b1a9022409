"""Settings from a TOML file, each with the line that it stands on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import Misconfigured

_TABLE = re.compile(r"^\s*\[\s*([^\[\]]+?)\s*\]")
_NAME = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def read(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The file's tables, and the line of each name as far as it is known (multi-line texts may hide some).

    Raises:
        Misconfigured: the file cannot be read or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(
            f"{path} cannot be read: {error}", fix="check the path, its permissions, and that it is UTF-8"
        ) from error
    try:
        return tomllib.loads(text), dict(_lines(text))
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(
            f"{path} is not TOML: {error}", fix='write texts in quotes, e.g. bootstrap = "127.0.0.1:9092", under a [room]'
        ) from error


def _lines(text: str) -> Iterator[tuple[str, int]]:
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if found := _TABLE.match(line):
            table = _plain(found[1])
            yield table, number
        elif found := _NAME.match(line):
            yield f"{table}.{_plain(found[1])}" if table else _plain(found[1]), number


def _plain(name: str) -> str:
    return re.sub(r"""["'\s]""", "", name)
