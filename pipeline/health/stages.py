"""What each stage's facts mean: state, one line for people, facts for machines, problems with their fix; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.cdc.condition import Finding, condition
from pipeline.cdc.connectors import Connector
from pipeline.health.ask import Away
from pipeline.health.facts import ConsumerSeen, KafkaSeen, LettersSeen, Seen, plain
from pipeline.health.words import counted, duration, iso, number, size
from pipeline.omero.epoch import differences
from pipeline.wire import topics
from pipeline.wire.consumers import RELAY

State = Literal["ok", "warn", "fail", "halted"]
SLOW_S = 60.0
"""An unread record older than this is worth a warning [s]."""
SILENT_S = 60.0
"""Capture speaks every few seconds; silence of this length is a failure [s]."""
WAL_WARN_BYTES = 1_000_000_000
PARKED_FIX = (
    "make or correct the topics that it names: `omero-mq topic check`; rows parked for a missing topic go on by themselves"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is not as it should be, and the next step."""

    problem: str
    fix: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: short, as people call it.
        said: one line: what it does now.
        problems: empty while all is well.
        facts: numbers for machines, units in their names.
    """

    name: str
    state: State
    said: str
    problems: tuple[Problem, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def omero(seen: Seen) -> Stage:
    """OMERO's database: does it answer, and is it the one that was accepted."""
    name, there = "OMERO database", seen.omero
    if isinstance(there, Away):
        return _away(name, there)
    last = "holds no change yet" if there.last_id is None else f"last change is row {number(there.last_id)} of eventlog"
    facts: dict[str, Any] = {"last_eventlog_id": there.last_id}
    accepted = None if isinstance(seen.state, Away) else seen.state.epoch
    changed = differences(plain(accepted), there.epoch) if accepted else []
    facts["epoch_changed"] = changed
    if changed:
        problem = f"this is not the database that was accepted ({'; '.join(changed)}), so the relay stops"
        fix = "if it was restored, failed over or upgraded on purpose: `omero-mq epoch accept --reason '...'`"
        return _bad(name, "fail", last, [Problem(problem=problem, fix=fix)], facts)
    return Stage(name=name, state="ok", said=last, facts=facts)


def capture(seen: Seen, this: Connector) -> Stage:
    """One connector with its slot, its publication and its sign of life."""
    name = "capture" if this.kind == "eventlog" else f"capture ({this.kind})"
    if isinstance(seen.connect, Away):
        return _away(name, seen.connect, also=_wal(seen, this))
    connector = seen.connect.states[this.name]
    facts: dict[str, Any] = {
        "connector": connector.name,
        "connector_state": connector.state,
        "tasks": [t.state for t in connector.tasks],
    }
    silent_s = _silence_s(seen, this)
    facts |= _slot_facts(seen, this) | {"silent_s": silent_s}
    if isinstance(seen.omero, Away):
        found = [Finding(problem=connector.problem, fix="omero-mq connector status")] if connector.problem else []
    else:
        slot, publication = seen.omero.slots.get(this.slot), seen.omero.publications.get(this.publication)
        missing = () if isinstance(seen.kafka, Away) else seen.kafka.missing
        there = {one for one in (this.topic, this.heartbeat_topic) if one not in missing}
        found = condition(this, connector, slot, publication, database=seen.database, topics=there)
    problems = [Problem(problem=one.problem, fix=one.fix) for one in found]
    if not problems and silent_s is not None and silent_s > SILENT_S:
        problem = f"no sign of life from {this.name} for {duration(silent_s)}, although Kafka Connect calls it running"
        problems.append(Problem(problem=problem, fix="omero-mq connector restart, then look into Kafka Connect's log"))
    said = ", ".join([_captured(seen, this), *([_wal(seen, this)] if _wal(seen, this) else [])])
    if problems:
        return _bad(name, "fail", said, problems, facts)
    behind = facts.get("behind_bytes") or 0
    if behind > WAL_WARN_BYTES:
        problem = f"{size(behind)} of PostgreSQL's log wait to be read"
        return _bad(name, "warn", said, [Problem(problem=problem, fix="omero-mq connector status")], facts)
    return Stage(name=name, state="ok", said=said, facts=facts)


def relay(seen: Seen) -> Stage:
    """How far the relay is behind, and whether it may and can run."""
    name, there = "relay", seen.relay
    gate = _gate(seen)
    if isinstance(there, Away):
        return _away(name, there)
    facts = _lag_facts(there) | {"gate": "unknown" if isinstance(seen.state, Away) else "closed" if gate else "open"}
    said = _behind(there)
    here = any(one.name == RELAY.name for one in seen.processes)
    problems = _relay_failures(there, gate, here=here)
    if problems:
        return _bad(name, "fail", said, problems, facts)
    age_s = facts["age_s"]
    waits = _waits_for(seen)
    if waits and facts["behind_records"]:
        return _bad(
            name, "warn", f"{said}; waits for {waits}", [Problem(problem=f"the relay waits for {waits}", fix="see there")], facts
        )
    if age_s is None or age_s > SLOW_S:
        waited = "for an unknown time" if age_s is None else f"for {duration(age_s)}"
        fix = "see what it says: its log, or with `omero-mq up`: logs/relay.log in the data directory"
        return _bad(name, "warn", said, [Problem(problem=f"the oldest row has waited {waited}", fix=fix)], facts)
    return Stage(name=name, state="ok", said=said, facts=facts)


def events(seen: Seen) -> Stage:
    """The public topic: how busy it is. A quiet one is fine: nobody changes anything at night."""
    name = "events"
    if isinstance(seen.kafka, Away):
        return _away(name, seen.kafka)
    topic = topics.named(topics.EVENTS, seen.prefix)
    activity = seen.kafka.activity.get(topic)
    if activity is None:
        return _bad(
            name, "fail", "cannot be read", [Problem(problem=f"there is no topic {topic}", fix="omero-mq topic create")], {}
        )
    rate = activity.recent / 5
    facts = {"rate_per_min": round(rate, 1), "held": activity.held, "last": iso(activity.newest_ms)}
    if activity.newest_ms is None:
        return Stage(name=name, state="ok", said=f"none on {topic} yet", facts=facts)
    ago = duration((seen.now_ms - activity.newest_ms) / 1000)
    busy = "none" if not activity.recent else f"{rate:,.0f} a minute" if rate >= 1 else counted(activity.recent, "event")
    return Stage(name=name, state="ok", said=f"{busy} in the last 5 min, the last one {ago} ago", facts=facts)


def outbox(seen: Seen) -> Stage:
    """Records that a transaction of ours wrote down and Kafka has not yet."""
    name, there = "outbox", seen.state
    if isinstance(there, Away):
        return _away(name, there)
    box = there.outbox
    facts = {"waiting": box.waiting, "oldest_s": round(box.oldest_s, 1), "parked": box.parked, "poller": there.poller}
    said = f"{counted(box.waiting, 'record')} waiting" if box.waiting else "nothing waits"
    problems = []
    if box.parked:
        problems.append(Problem(problem=f"{counted(box.parked, 'record')} set aside that Kafka does not take", fix=PARKED_FIX))
    if there.schema.usable and not there.poller:
        problems.append(Problem(problem="no outbox service runs", fix="omero-mq run outbox"))
    elif box.oldest_s > SLOW_S:
        problems.append(
            Problem(problem=f"the oldest record has waited {duration(box.oldest_s)}", fix="see the log of the outbox service")
        )
    return _bad(name, "warn", said, problems, facts) if problems else Stage(name=name, state="ok", said=said, facts=facts)


def letters(seen: Seen) -> list[Stage]:
    """Messages that failed for good, by consumer. Those of the last day want somebody's eyes; older ones are only counted."""
    if isinstance(seen.letters, Away):
        return [_away("letters", seen.letters)]
    return [_letters(seen.letters, consumer) for consumer in seen.letters.held] or [
        Stage(name="letters", state="ok", said="none")
    ]


def kafka(seen: Seen) -> Stage:
    """Brokers and topics."""
    name, there = "Kafka", seen.kafka
    if isinstance(there, Away):
        return _away(name, there)
    facts = {
        "brokers": there.brokers,
        "topics": there.topics,
        "missing": list(there.missing),
        "out_of_sync": list(there.out_of_sync),
        "without_leader": list(there.unled),
    }
    said = f"{counted(there.brokers, 'broker')}, {counted(there.topics, 'topic')}"
    problems = _kafka_problems(there)
    if problems:
        return _bad(name, "fail" if there.missing or there.unled else "warn", said, problems, facts)
    return Stage(name=name, state="ok", said=f"{said}, all in sync", facts=facts)


def state(seen: Seen) -> Stage:
    """The state database: does it answer, and has it the schema that this program needs."""
    name, there = "state database", seen.state
    if isinstance(there, Away):
        return _away(name, there)
    schema = there.schema
    facts = {
        "schema": schema.current,
        "schema_needed": schema.needed,
        "verdict": schema.verdict,
        "epoch": there.epoch.number if there.epoch else None,
    }
    if not schema.usable:
        what = (
            "has no tables of ours"
            if schema.verdict == "missing"
            else f"has schema {schema.current}, this program needs {schema.needed}"
        )
        fix = "install the newer release of omero-mq that made it" if schema.verdict == "too new" else "omero-mq init"
        return _bad(name, "fail", "cannot be used", [Problem(problem=f"the state database {what}", fix=fix)], facts)
    accepted = (
        "no OMERO database accepted yet" if there.epoch is None else f"OMERO database accepted (epoch {there.epoch.number})"
    )
    return Stage(name=name, state="ok", said=f"schema {schema.current}, {accepted}", facts=facts)


def local(seen: Seen) -> list[Stage]:
    """Processes that `omero-mq up` runs on this machine; a line only where there are any."""
    if not seen.processes:
        return []
    facts = {one.name: {"state": one.state, "restarts": one.restarts, "said": one.said} for one in seen.processes}
    bad = [one for one in seen.processes if one.state != "ready"]
    said = f"{len(seen.processes) - len(bad)} of {len(seen.processes)} run"
    problems = [
        Problem(
            problem=f"{one.name} is {one.state}" + (f": {one.error.partition('; its last lines')[0]}" if one.error else ""),
            fix=f"look into logs/{one.name}.log in the data directory",
        )
        for one in bad
    ]
    if problems:
        return [_bad("processes here", "warn", said, problems, facts)]
    again = sum(one.restarts for one in seen.processes)
    more = f", {counted(again, 'restart')} since they were started" if again else ""
    return [Stage(name="processes here", state="ok", said=f"all {len(seen.processes)} run{more}", facts=facts)]


def _away(name: str, away: Away, *, also: str = "") -> Stage:
    """A stage whose own part is away; the part itself is a failure, what only needs it is halted."""
    part = {
        "omero-database": "OMERO database",
        "state-database": "state database",
        "kafka": "Kafka",
        "kafka-connect": "Kafka Connect",
    }
    called = part.get(away.name, away.name)
    facts = {"away": away.name}
    if name != called and not (called == "Kafka Connect" and name == "capture"):
        why = f"{called} refuses us" if away.refused else f"{called} is away"
        return Stage(name=name, state="halted", said=f"not looked at: {why}", facts=facts)
    said = ("refuses us" if away.refused else "is away") + (f"; {also}" if also else "")
    said = said if called == name else f"{called} {said}"
    return _bad(name, "fail", said, [Problem(problem=away.why, fix=away.fix)], facts)


def _bad(name: str, state: State, said: str, problems: list[Problem], facts: Mapping[str, Any]) -> Stage:
    return Stage(name=name, state=state, said=said, problems=tuple(problems), facts=facts)


def _captured(seen: Seen, this: Connector) -> str:
    if this.kind != "eventlog":
        return "runs"
    if isinstance(seen.captured_id, Away):
        return "what is captured is not known"
    return "nothing captured yet" if seen.captured_id is None else f"row {number(seen.captured_id)} captured"


def _wal(seen: Seen, this: Connector) -> str:
    slot = None if isinstance(seen.omero, Away) else seen.omero.slots.get(this.slot)
    if slot is None or slot.retained_bytes is None:
        return ""
    return f"PostgreSQL keeps {size(slot.retained_bytes)} of its log for it"


def _slot_facts(seen: Seen, this: Connector) -> dict[str, Any]:
    captured = {} if this.kind != "eventlog" or isinstance(seen.captured_id, Away) else {"last_captured_id": seen.captured_id}
    slot = None if isinstance(seen.omero, Away) else seen.omero.slots.get(this.slot)
    if slot is None:
        return {"slot": this.slot, **captured}
    return {
        "slot": slot.name,
        "wal_status": slot.wal_status,
        "behind_bytes": slot.behind_bytes,
        "kept_bytes": slot.retained_bytes,
        "safe_bytes": slot.safe_bytes,
        **captured,
    }


def _silence_s(seen: Seen, this: Connector) -> float | None:
    """How long the connector's heartbeat is silent [s]; None where it never spoke or nobody could listen."""
    activity = None if isinstance(seen.kafka, Away) else seen.kafka.activity.get(this.heartbeat_topic)
    if activity is None or activity.newest_ms is None:
        return None
    return round(max(0.0, (seen.now_ms - activity.newest_ms) / 1000), 1)


def _gate(seen: Seen) -> str:
    """Why the relay's gate is closed; "" while it is open or not known."""
    gates = () if isinstance(seen.state, Away) else seen.state.gates
    closed = [gate for gate in gates if gate.consumer == RELAY.name and not gate.may_run(seen.now_ms)]
    if not closed:
        return ""
    by = f"{closed[0].actor or closed[0].by}" + (f": {closed[0].reason}" if closed[0].reason else "")
    opens_s = closed[0].opens_in_s(seen.now_ms)
    return by + (f"; opens by itself in {duration(opens_s)}" if opens_s is not None else "")


def _relay_failures(there: ConsumerSeen, gate: str, *, here: bool) -> list[Problem]:
    lost = sum(lag.lost for lag in there.lags)
    problems = []
    if lost:
        text = f"{counted(lost, 'row')} deleted from the topic before the relay read them"
        problems.append(Problem(problem=text, fix="omero-mq repair"))
    if gate:
        problems.append(Problem(problem=f"stopped by {gate}", fix="see why: `omero-mq dlq list --consumer relay`"))
    elif not there.members and here:
        fix = "wait half a minute: `omero-mq up` ends a frozen process and starts it again; else see logs/relay.log"
        problems.append(Problem(problem="the relay's process is here, but reads nothing", fix=fix))
    elif not there.members:
        problems.append(Problem(problem="no relay runs", fix="omero-mq run relay"))
    return problems


def _lag_facts(there: ConsumerSeen) -> dict[str, Any]:
    ages = [lag.age_s for lag in there.lags]
    known = [age for age in ages if age is not None]
    return {
        "behind_records": sum(lag.records for lag in there.lags),
        "age_s": None if len(known) < len(ages) else round(max(known, default=0.0), 1),
        "lost_records": sum(lag.lost for lag in there.lags),
        "running": there.members,
    }


def _behind(there: ConsumerSeen) -> str:
    facts = _lag_facts(there)
    if not facts["behind_records"]:
        return "caught up"
    age = "" if facts["age_s"] is None else f", the oldest {duration(facts['age_s'])} old"
    return f"{counted(facts['behind_records'], 'row')} behind{age}"


def _waits_for(seen: Seen) -> str:
    """What the relay needs and is away; or what it says itself."""
    for away, called in ((seen.omero, "the OMERO database"), (seen.state, "the state database")):
        if isinstance(away, Away) and not away.refused:
            return called
    said = next((one.said for one in seen.processes if one.name == RELAY.name), "")
    return said.removeprefix("waiting for ") if said.startswith("waiting for ") else ""


def _letters(there: LettersSeen, consumer: str) -> Stage:
    name, held, recent = f"letters of {consumer}", there.held[consumer], there.recent.get(consumer, 0)
    facts = {"held": held, "last_24_h": recent}
    if not held:
        return Stage(name=name, state="ok", said="none", facts=facts)
    new = "all" if recent >= held else f"{number(recent)} of them" if recent else "none of them"
    said = f"{counted(held, 'message')} failed for good, {new} in the last 24 h"
    if not recent:
        return Stage(name=name, state="ok", said=said, facts=facts)
    mine = [cause for cause in there.causes if cause.consumer == consumer]
    problem = f"{counted(mine[0].count, 'time')}: {mine[0].message}" if mine else "they could not be read"
    return _bad(name, "warn", said, [Problem(problem=problem, fix=f"omero-mq dlq list --consumer {consumer}")], facts)


def _kafka_problems(there: KafkaSeen) -> list[Problem]:
    problems = []
    if there.missing:
        problems.append(Problem(problem=f"no such topic: {', '.join(there.missing)}", fix="omero-mq topic create"))
    if there.unled:
        problems.append(
            Problem(
                problem=f"cannot be read or written, no broker has it: {_few(there.unled)}",
                fix="start the broker that is missing",
            )
        )
    behind = tuple(one for one in there.out_of_sync if one not in there.unled)
    if behind:
        problems.append(
            Problem(
                problem=f"copies are missing or behind: {_few(behind)}", fix="start the broker that is missing, or wait for it"
            )
        )
    return problems


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004
