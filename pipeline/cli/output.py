"""What the command prints: data on standard output, the rest on standard error, and nothing that could steer a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

SCHEMA_PREFIX = "omero-mq."
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1"}
_MESSAGE_LIMIT = 600  # characters: an error of ours fits four lines of a terminal


class ReaderGoneError(Exception):
    """Whoever read our standard output has closed it; that is not an error."""


def clean(text: str) -> str:
    """Text with control and direction characters written as escapes: foreign bytes must not move a cursor or hide a word."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def one_line(text: str) -> str:
    """A message on one line of bounded length."""
    joined = clean(" ".join(text.split()))
    return joined if len(joined) <= _MESSAGE_LIMIT else joined[: _MESSAGE_LIMIT - 3] + "..."


@dataclass(kw_only=True, slots=True)
class Output:
    """Writes to the two streams of one call.

    Attributes:
        json: one JSON object per line instead of text.
        colour: whether standard output shows colours.
    """

    stdout: TextIO
    stderr: TextIO
    json: bool = False
    colour: bool = False

    def item(self, thing: str, facts: Mapping[str, Any], text: str | None = None) -> None:
        """One thing: a JSON object with its schema's name, or the text."""
        if self.json:
            plain = (self.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8"
            self._write(json.dumps({"schema": f"{SCHEMA_PREFIX}{thing}/1", **facts}, ensure_ascii=plain) + "\n")
        elif text is not None:
            self._write(clean(text) + "\n")

    def line(self, text: str = "") -> None:
        """One line of text; nothing when JSON is asked for."""
        if not self.json:
            self._write(clean(text) + "\n")

    def marked(self, mark: str, colour: str, text: str) -> None:
        """A line that begins with a word that may have a colour."""
        if not self.json:
            self._write(f"{self.paint(mark, colour)}  {clean(text)}\n")

    def marked_text(self, mark: str, colour: str, text: str) -> str:
        """The same as a text, for who prints many lines at once; no mark, no colour."""
        painted = self.paint(mark, colour) if colour else mark
        return "  ".join(part for part in (painted, clean(text)) if part)

    def line_marked(self, mark: str, colour: str, text: str) -> None:
        """A line below a heading."""
        self._write("" if self.json else f"  {self.marked_text(mark, colour, text)}\n")

    def raw(self, text: str) -> None:
        """Text as it is, e.g. a script that will be run."""
        self._write(text if text.endswith("\n") else text + "\n")

    def note(self, text: str) -> None:
        """Commentary, on standard error."""
        try:
            self.stderr.write(clean(text) + "\n")
            self.stderr.flush()
        except BrokenPipeError as error:  # 2>&1 | head
            raise ReaderGoneError from error

    def following(self, *commands: str) -> None:
        """The commands that one is likely to want next, on standard error."""
        if not self.json:
            self.note("\nNext:  " + "   |   ".join(commands))

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Columns as wide as they must be; numbers to the right, the last column as long as it is."""
        if self.json:
            return
        cells = [[clean(str(cell)) for cell in row] for row in rows]
        numeric = [bool(cells) and all(row[i].replace(".", "").isdigit() for row in cells) for i in range(len(head))]
        widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
        for number, row in enumerate([list(head), *cells]):
            padded = [
                cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, numeric, strict=True)
            ]
            text = "  ".join(padded).rstrip()
            self._write((self.paint(text, "bold") if number == 0 else text) + "\n")

    def paint(self, text: str, colour: str) -> str:
        """Coloured text where colours are shown."""
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self.colour else text

    def flush(self) -> None:
        """Let the reader have what was written."""
        try:
            self.stdout.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError from error

    def _write(self, text: str) -> None:
        try:
            self.stdout.write(text)
        except BrokenPipeError as error:
            raise ReaderGoneError from error


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Colours are for terminals that want them: no pipe, no NO_COLOR, no TERM=dumb."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
