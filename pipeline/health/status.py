"""From what was seen to what it means: one stage after the other, each with its state, its cause and the next command; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.health import stages
from pipeline.health.facts import LetterCause, Seen
from pipeline.health.stages import Problem, Stage, State
from pipeline.health.words import iso

Verdict = Literal["ok", "degraded", "failed"]
SHOWN_CAUSES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How an installation is.

    Attributes:
        verdict: ``ok``; ``degraded``: it works, or will by itself, but something is not as it should be; ``failed``: rows do not
            become events, or something is about to be lost.
        stages: in the order in which a change passes them, then what they stand on.
        causes: why letters were written, the largest first.
        next: commands that one is likely to want now.
    """

    verdict: Verdict
    time_ms: int
    prefix: str
    omero: str
    kafka: str
    stages: tuple[Stage, ...]
    causes: tuple[LetterCause, ...] = ()
    next: tuple[str, ...] = field(default=())


def status(seen: Seen) -> Status:
    """Judge everything that was seen."""
    found = (
        stages.omero(seen),
        *(stages.capture(seen, each) for each in seen.connectors),
        stages.relay(seen),
        stages.events(seen),
        stages.outbox(seen),
        *stages.letters(seen),
        stages.kafka(seen),
        stages.state(seen),
        *stages.local(seen),
    )
    causes = () if not hasattr(seen.letters, "causes") else seen.letters.causes
    return Status(
        verdict=verdict([stage.state for stage in found]),
        time_ms=seen.now_ms,
        prefix=seen.prefix,
        omero=f"{seen.database} at {seen.omero_at}",
        kafka=seen.kafka_at,
        stages=found,
        causes=causes,
        next=_next(found),
    )


def verdict(states: list[State]) -> Verdict:
    """The whole is as well as its worst part; what could not be looked at follows from another part, which counts."""
    return "failed" if "fail" in states else "degraded" if {"warn", "halted"} & set(states) else "ok"


def facts(status: Status) -> Mapping[str, Any]:
    """What `status --json` prints, without the schema's name."""
    return {
        "state": status.verdict,
        "time": iso(status.time_ms),
        "prefix": status.prefix,
        "omero": status.omero,
        "kafka": status.kafka,
        "stages": [
            {
                "name": stage.name,
                "state": stage.state,
                "said": stage.said,
                "problems": [{"problem": one.problem, "fix": one.fix} for one in stage.problems],
                "facts": dict(stage.facts),
            }
            for stage in status.stages
        ],
        "causes": [
            {
                "consumer": cause.consumer,
                "cause": cause.fingerprint,
                "count": cause.count,
                "message": cause.message,
                "first": iso(cause.first_ms) if cause.first_ms >= 0 else None,
            }
            for cause in status.causes
        ],
        "next": list(status.next),
    }


def _next(found: tuple[Stage, ...]) -> tuple[str, ...]:
    """The first fixes that are commands, worst first; where nothing is wrong, what people look at."""
    worst_first: list[Problem] = [
        one for state in ("fail", "warn") for stage in found if stage.state == state for one in stage.problems
    ]
    commands = dict.fromkeys(command for one in worst_first for command in _commands(one.fix))
    if commands:
        return (*list(commands)[:2], "omero-mq doctor")
    return ("omero-mq doctor",) if worst_first else ("omero-mq events follow", "omero-mq doctor")


def _commands(fix: str) -> list[str]:
    """Commands of ours in a fix: the whole of it, or what stands between backquotes."""
    if fix.startswith("omero-mq "):
        return [fix]
    return [part for part in fix.split("`")[1::2] if part.startswith("omero-mq ")]
