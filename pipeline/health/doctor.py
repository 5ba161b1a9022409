"""Runs checks in order and says what to do: a check whose need is not met is halted, not failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline.health.ask import Away
from pipeline.health.examined import Examined
from pipeline.health.words import counted

State = Literal["ok", "warn", "fail", "halted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a check found.

    Attributes:
        said: one line; for a failure what is wrong and what comes of it.
        fix: something to copy, or the next step; empty when all is well.
    """

    state: State
    said: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check; ``run`` is pure.

    Attributes:
        name: ``group.what``, stable: scripts and the documentation name it.
        needs: checks that must not have failed or been halted, or this one says nothing.
        before: whether it makes sense before anything is installed.
    """

    name: str
    run: Callable[[Examined], Verdict]
    needs: tuple[str, ...] = ()
    before: bool = False

    @property
    def group(self) -> str:
        """What stands before the dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One check's verdict."""

    name: str
    group: str
    verdict: Verdict


REFUSABLE = "database.connected"
_NOT_YET = "answers, but does not know {user} yet, which `omero-mq init --print-sql` makes"
_AS_SUPERUSER = "to look at the server before that: omero-mq doctor --pre --set omero.user=postgres (its password from ~/.pgpass)"


def ok(said: str) -> Verdict:
    """All is well."""
    return Verdict(state="ok", said=said)


def warn(said: str, fix: str) -> Verdict:
    """It works, but should be otherwise."""
    return Verdict(state="warn", said=said, fix=fix)


def fail(said: str, fix: str) -> Verdict:
    """It does not work, or something can be lost."""
    return Verdict(state="fail", said=said, fix=fix)


def reached(part: Any, said: str) -> Verdict:
    """The verdict on a part that was asked: what it said of itself, or that it is away."""
    if not isinstance(part, Away):
        return ok(said)
    verb = "refuses" if part.refused else "does not answer"
    called = {
        "omero-database": "OMERO's database",
        "state-database": "the state database",
        "kafka": "Kafka",
        "kafka-connect": "Kafka Connect",
    }
    return fail(f"{called.get(part.name, part.name)} {verb}: {part.why}", part.fix)


def run(checks: Sequence[Check], seen: Examined, *, before: bool = False) -> list[Result]:
    """Every check's verdict, in order.

    Args:
        checks: a check stands behind those that it needs.
        seen: the facts.
        before: only what makes sense before anything is installed.
    """
    results: list[Result] = []
    stopped: dict[str, str] = {}
    for check in checks:
        if before and not check.before:
            continue
        missing = next((need for need in check.needs if need in stopped), None)
        if missing is not None:
            cause = stopped[missing]
            verdict = Verdict(state="halted", said=f"needs {cause}")
        else:
            verdict, cause = check.run(seen), check.name
            if (
                before
                and verdict.state == "fail"
                and isinstance(seen.server, Away)
                and check.name == REFUSABLE
                and seen.server.refused
            ):
                verdict = Verdict(state="halted", said=_NOT_YET.format(user=seen.settings.omero.user), fix=_AS_SUPERUSER)
        if verdict.state in {"fail", "halted"}:
            stopped[check.name] = cause
        results.append(Result(name=check.name, group=check.group, verdict=_plain(verdict)))
    return results


def count(results: Iterable[Result]) -> dict[State, int]:
    """How many there are of each state."""
    found: dict[State, int] = {"fail": 0, "warn": 0, "halted": 0, "ok": 0}
    for result in results:
        found[result.verdict.state] += 1
    return found


def summary(results: Sequence[Result]) -> str:
    """The last line."""
    counts = count(results)
    warnings = counted(counts["warn"], "warning")
    if not counts["fail"] and not counts["halted"]:
        return f"{'Nothing failed' if counts['warn'] else 'Everything looks good'}: {len(results)} checks, {warnings}."
    return f"{counts['fail']} failed, {warnings}, {counts['halted']} halted, {counts['ok']} ok."


def _plain(verdict: Verdict) -> Verdict:
    """On one line: what other programs said may have several."""
    return replace(verdict, said=" ".join(verdict.said.split()))
