"""One line with numbers and a code, as Nagios, Icinga and Checkmk read it; pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pipeline.cdc.connectors import Connector
from pipeline.errors import Misconfigured
from pipeline.health import stages
from pipeline.health.ask import Away
from pipeline.health.facts import ConsumerSeen, Seen, StateSeen
from pipeline.health.stages import Stage
from pipeline.health.words import counted, duration, size


class Code(IntEnum):
    """Their exit statuses, which are not those of our other commands."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a check says.

    Attributes:
        text: for people, one line.
        numbers: for graphs: name -> value with unit and thresholds, as the plugin guidelines write it.
    """

    code: Code
    text: str
    numbers: tuple[tuple[str, str], ...] = ()

    @property
    def line(self) -> str:
        """``OK - text | name=value;warn;crit;least``."""
        text = " ".join(self.text.replace("|", "/").split())
        listed = " ".join(f"{name}={value}" for name, value in self.numbers)
        return f"{self.code.name} - {text}" + (f" | {listed}" if listed else "")


READY = ("relay", "outbox", "kafka", "connect", "omero-database", "state-database", "all")


def lag(seen: Seen, *, warning_s: float, critical_s: float) -> Answer:
    """How old the oldest row is that is not an event yet."""
    if isinstance(seen.relay, Away):
        return _away(seen.relay)
    found = stages.relay(seen)
    age_s, behind = found.facts["age_s"], found.facts["behind_records"]
    if age_s is None:
        return Answer(code=Code.UNKNOWN, text=f"{counted(behind, 'row')} behind, for an unknown time")
    code = Code.CRITICAL if age_s >= critical_s else Code.WARNING if age_s >= warning_s else Code.OK
    if found.state == "fail":
        code = Code.CRITICAL
    late = f"relay {duration(age_s)} behind, {counted(behind, 'row')}" if behind else "relay caught up"
    text = "; ".join([late, *(one.problem for one in found.problems if found.state == "fail")])
    return Answer(
        code=code, text=text, numbers=(("lag", f"{age_s:g}s;{warning_s:g};{critical_s:g};0"), ("behind", f"{behind};;;0"))
    )


def letters(seen: Seen, *, warning: int, critical: int) -> Answer:
    """How many messages failed for good in the last 24 hours."""
    if isinstance(seen.letters, Away):
        return _away(seen.letters)
    recent, held = sum(seen.letters.recent.values()), sum(seen.letters.held.values())
    code = Code.CRITICAL if recent >= critical else Code.WARNING if recent >= warning else Code.OK
    causes = [cause for cause in seen.letters.causes if recent]
    why = f", most of them: {causes[0].message}" if causes else ""
    text = f"{counted(recent, 'message')} failed for good in the last 24 h{why}"
    return Answer(code=code, text=text, numbers=(("failed", f"{recent};{warning};{critical};0"), ("kept", f"{held};;;0")))


def capture(seen: Seen) -> Answer:
    """Whether rows flow from the database to Kafka, and how much of its log PostgreSQL keeps meanwhile."""
    if isinstance(seen.connect, Away):
        return _away(seen.connect)
    found = [(each, stages.capture(seen, each)) for each in seen.connectors]
    numbers = tuple(number for each, stage in found for number in _slot_numbers(each, stage))
    bad = [stage for _, stage in found if stage.state != "ok"]
    if bad:
        worst = Code.CRITICAL if any(stage.state == "fail" for stage in bad) else Code.WARNING
        return Answer(code=worst, text="; ".join(one.problem for stage in bad for one in stage.problems), numbers=numbers)
    if isinstance(seen.omero, Away):
        return Answer(code=Code.UNKNOWN, text=f"both connectors run, but OMERO's database does not say how far: {seen.omero.why}")
    kept = sum(int(stage.facts.get("kept_bytes") or 0) for _, stage in found)
    return Answer(code=Code.OK, text=f"both connectors run, PostgreSQL keeps {size(kept)} of its log for them", numbers=numbers)


def ready(seen: Seen, name: str) -> Answer:
    """Whether one part is ready to do its work, or all of them.

    Raises:
        Misconfigured: there is no such part.
    """
    if name == "all":
        answers = [(each, ready(seen, each)) for each in READY if each != "all"]
        bad = [(each, answer) for each, answer in answers if answer.code]
        if not bad:
            return Answer(code=Code.OK, text="all parts are ready")
        return Answer(
            code=max(answer.code for _, answer in bad), text="; ".join(f"{each}: {answer.text}" for each, answer in bad)
        )
    if name not in READY:
        raise Misconfigured(f"there is no part {name!r}", fix=f"choose one of {', '.join(READY)}")
    parts = {"connect": seen.connect, "omero-database": seen.omero, "relay": seen.relay}
    part = parts.get(name, seen.kafka if name == "kafka" else seen.state)
    if isinstance(part, Away):
        return _away(part)
    if isinstance(part, ConsumerSeen):
        return Answer(code=Code.OK if part.members else Code.CRITICAL, text=f"{counted(part.members, 'relay')} running")
    if name == "outbox" and isinstance(part, StateSeen) and not part.poller:
        return Answer(code=Code.CRITICAL, text="no outbox service runs")
    return Answer(code=Code.OK, text=f"{name} is ready")


def _away(away: Away) -> Answer:
    """What is away is broken; who refuses us may be well, so nothing is known."""
    verb = "refuses" if away.refused else "is away"
    return Answer(code=Code.UNKNOWN if away.refused else Code.CRITICAL, text=f"{away.name} {verb}: {away.why}")


def _slot_numbers(this: Connector, stage: Stage) -> list[tuple[str, str]]:
    names = {"kept_bytes": "kept", "behind_bytes": "behind"}
    return [
        (f"{this.kind}_{said}", f"{stage.facts[name]}B;;;0") for name, said in names.items() if stage.facts.get(name) is not None
    ]
