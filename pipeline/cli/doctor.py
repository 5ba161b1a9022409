"""`omero-mq doctor`: everything that must be right, one line each, and the command that makes it right."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli.call import Call
from pipeline.cli.exits import Exit
from pipeline.errors import Misconfigured
from pipeline.health.checks import CHECKS
from pipeline.health.doctor import Result, count, run, summary
from pipeline.health.examine import examine
from pipeline.omero import schema
from pipeline.omero.database import OmeroDatabase
from pipeline.settings import Settings

TITLES = {
    "host": "this machine",
    "database": "OMERO's database",
    "schema": "OMERO's tables",
    "kafka": "Kafka",
    "state": "state database",
    "capture": "capture",
}
MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red"), "halted": ("--  ", "")}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|)")
_AGAIN_S = 1.0


def doctor(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="With --schema: OMERO's schema.sql, or a dump's schema.")] = None,
    *,
    pre: Annotated[bool, typer.Option("--pre", help="Only what must be right before anything is installed.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what is not right.")] = False,
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="Look again until nothing fails, at most so long.")] = "",
    whole_schema: Annotated[bool, typer.Option("--schema", help="Only OMERO's tables and columns, every difference.")] = False,
) -> int:
    """Everything that must be right, each with what to do about it; exit status 3 when a check fails.

    A check that needs another one that failed is halted: the first FAIL is the one to mend.

    \b
    Examples:
      omero-mq doctor
      omero-mq doctor --pre
      omero-mq doctor --wait 60s
      omero-mq doctor --schema schema.sql
      omero-mq doctor --json | jq -r '.checks[] | select(.state == "fail") | .fix'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    if file is not None and not whole_schema:
        raise typer.BadParameter("a file is only read with --schema")
    if whole_schema:
        return _schema(call, settings, file)
    until_s = time.monotonic() + _seconds(wait)
    results = run(CHECKS, examine(settings), before=pre)
    while count(results)["fail"] and time.monotonic() < until_s:
        time.sleep(_AGAIN_S)
        results = run(CHECKS, examine(settings), before=pre)
    _print(call, results, quiet=quiet)
    return Exit.UNHEALTHY if count(results)["fail"] else Exit.OK


def _print(call: Call, results: Sequence[Result], *, quiet: bool) -> None:
    checks = [
        {"name": one.name, "group": one.group, "state": one.verdict.state, "said": one.verdict.said, "fix": one.verdict.fix}
        for one in results
    ]
    call.output.item("doctor", {"state": "failed" if count(results)["fail"] else "ok", **_counts(results), "checks": checks})
    for group, title in TITLES.items():
        mine = [one for one in results if one.group == group]
        shown = [one for one in mine if one.verdict.fix or (one.verdict.state == "ok" and not quiet)]
        halted = [one for one in mine if one not in shown and one.verdict.state == "halted"]
        if shown or halted:
            call.output.line(title)
        for one in shown:
            call.output.line_marked(*MARKS[one.verdict.state], one.verdict.said)
            if one.verdict.fix:
                call.output.line(f"        Fix: {one.verdict.fix}")
        for needs in dict.fromkeys(one.verdict.said for one in halted):
            names = ", ".join(_short(one.name) for one in halted if one.verdict.said == needs)
            call.output.line_marked(*MARKS["halted"], f"{names}  (halted: {needs})")
    call.output.line(("" if quiet and count(results)["ok"] == len(results) else "\n") + summary(results))


def _short(name: str) -> str:
    return name.partition(".")[2].replace("_", " ")


def _counts(results: Sequence[Result]) -> dict[str, int]:
    found = count(results)
    return {"failed": found["fail"], "warnings": found["warn"], "halted": found["halted"], "passed": found["ok"]}


def _schema(call: Call, settings: Settings, file: Path | None) -> int:
    """Every difference from what is relied on, of a database or a file."""
    if file is not None:
        actual = schema.read_file(call.given.directory / file)
    else:
        with OmeroDatabase(settings.omero, service="doctor") as database, database.connected() as connection:
            actual = schema.read_database(connection)
    findings = schema.compare(actual)
    errors = sum(1 for finding in findings if finding.severity == "error")
    facts = [
        {"severity": each.severity, "where": each.where, "problem": each.problem, "consequence": each.consequence}
        for each in findings
    ]
    call.output.item("schema", {"source": actual.source, "errors": errors, "warnings": len(findings) - errors, "findings": facts})
    for each in findings:
        mark, colour = MARKS["fail" if each.severity == "error" else "warn"]
        call.output.line_marked(mark, colour, f"{each.where}: {each.problem}")
        call.output.line(f"        {each.consequence}")
    called = f"{errors} errors, {len(findings) - errors} warnings" if findings else "every table and column that is read is there"
    call.output.line(f"{actual.source}: {called}.")
    return Exit.UNHEALTHY if errors else Exit.OK


def _seconds(text: str) -> float:
    found = _TIME.fullmatch(text.strip() or "0")
    if found is None:
        raise Misconfigured(f"--wait {text} is no time", fix="for example --wait 60s or --wait 5m")
    return float(found[1]) * (60.0 if found[2] == "m" else 1.0)
