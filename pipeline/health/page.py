"""A status as people read it: aligned words, quiet where all is well, loud and with a command where it is not."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.health.status import SHOWN_CAUSES, Status
from pipeline.health.words import duration, moment, number

MARKS = {"ok": "ok", "warn": "warn", "fail": "FAIL", "halted": "--"}
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "halted": ""}
HEADLINES = {
    "ok": "Everything works.",
    "degraded": "It works, but not as it should.",
    "failed": "Something does not work.",
}
_INDENT = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of the page; what stands in ``mark`` may have a colour."""

    text: str = ""
    mark: str = ""
    colour: str = ""


def page(status: Status, *, version: str, width: int = 120) -> list[Line]:
    """The whole page, without the commands to run next."""
    lines = [
        Line(text=f"omero-mq {version}   {moment(status.time_ms)}"),
        Line(text=f"OMERO database {status.omero}   Kafka {status.kafka}   topics {status.prefix}.*"),
        Line(),
    ]
    names = max(len(stage.name) for stage in status.stages)
    for stage in status.stages:
        mark = MARKS[stage.state].ljust(4)
        lines.append(Line(mark=mark, colour=COLOURS[stage.state], text=f"{stage.name.ljust(names)}  {stage.said}"))
        for problem in stage.problems:
            lines += _wrapped(problem.problem, "", width)
            lines += _wrapped(problem.fix, "fix: ", width)
    lines += list(_causes(status))
    colour = {"ok": "green", "degraded": "yellow", "failed": "red"}[status.verdict]
    return [*lines, Line(), Line(mark=HEADLINES[status.verdict], colour=colour)]


def _wrapped(text: str, label: str, width: int) -> list[Line]:
    """Text below its stage; a command stays on one line, so that it can be copied."""
    indent = " " * _INDENT
    if label and "`" not in text and text.startswith("omero-mq "):
        return [Line(text=f"{indent}{label}{text}")]
    parts = textwrap.wrap(text, width=max(40, width - _INDENT - len(label)), break_long_words=False, break_on_hyphens=False)
    return [Line(text=f"{indent}{label if number == 0 else ' ' * len(label)}{part}") for number, part in enumerate(parts)]


def _causes(status: Status) -> Iterator[Line]:
    if len(status.causes) < 2:  # noqa: PLR2004 - a single one stands below its stage
        return
    yield Line()
    yield Line(text="Why messages failed:")
    for cause in status.causes[:SHOWN_CAUSES]:
        since = f", first {duration((status.time_ms - cause.first_ms) / 1000)} ago" if cause.first_ms >= 0 else ""
        said = cause.message if len(cause.message) <= 100 else cause.message[:97] + "..."  # noqa: PLR2004 - a terminal's width
        yield Line(text=f"  {number(cause.count):>6}  {cause.consumer}: {said}{since}")
    more = len(status.causes) - SHOWN_CAUSES
    if more > 0:
        yield Line(text=f"          and {more} more: omero-mq dlq list")
