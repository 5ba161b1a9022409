"""What each thing that can go wrong makes of the status: its state, its words, its command."""

from __future__ import annotations

import json
from dataclasses import replace

import jsonschema
import pytest
from healthy_facts import NOW_MS, OURS, lag, running, slot_of

from pipeline import shipped
from pipeline.cdc.connect import TaskState
from pipeline.delivery.gate import Gate
from pipeline.health.ask import Away
from pipeline.health.facts import LetterCause, LettersSeen, LocalProcess
from pipeline.health.page import page
from pipeline.health.stages import Problem
from pipeline.health.status import Status, facts, status
from pipeline.kafka.cluster import Activity
from pipeline.state.migrate import SchemaStatus
from pipeline.state.outbox import OutboxStatus

EVENTLOG, REINDEXING = OURS
GONE = {
    "omero": Away(name="omero-database", why="connection refused", fix="start it"),
    "connect": Away(name="kafka-connect", why="connection refused", fix="start it"),
    "kafka": Away(name="kafka", why="timed out", fix="start it"),
    "state": Away(name="state-database", why="connection refused", fix="start it"),
}
KAFKA_TOO = {"relay": GONE["kafka"], "captured_id": GONE["kafka"], "letters": GONE["kafka"]}


def stage(found: Status, name: str):
    return next(one for one in found.stages if one.name == name)


def part(seen, name: str, **changes):
    return replace(seen, **{name: replace(getattr(seen, name), **changes)})


def text(found: Status, width: int = 120) -> str:
    return "\n".join(
        "  ".join(one for one in (line.mark, line.text) if one) for line in page(found, version="1.2.0", width=width)
    )


def test_a_healthy_installation_is_quiet(seen):
    found = status(seen)
    assert (found.verdict, found.next) == ("ok", ("omero-mq events follow", "omero-mq doctor"))
    assert text(found) == (
        "omero-mq 1.2.0   2026-11-24 06:00:00 UTC\n"
        "OMERO database omero at db.example.org:5432   Kafka kafka.example.org:9092   topics omero.*\n"
        "\n"
        "ok    OMERO database        last change is row 8,412,907 of eventlog\n"
        "ok    capture               row 8,412,907 captured, PostgreSQL keeps 12 kB of its log for it\n"
        "ok    capture (reindexing)  runs, PostgreSQL keeps 12 kB of its log for it\n"
        "ok    relay                 caught up\n"
        "ok    events                142 a minute in the last 5 min, the last one 0.4 s ago\n"
        "ok    outbox                nothing waits\n"
        "ok    letters of relay      none\n"
        "ok    Kafka                 3 brokers, 8 topics, all in sync\n"
        "ok    state database        schema 1, OMERO database accepted (epoch 1)\n"
        "\n"
        "Everything works."
    )


def test_a_failed_task_is_shown_with_its_cause_and_the_next_command(seen):
    failed = replace(running(EVENTLOG), tasks=(TaskState(task=0, state="FAILED", worker="w", cause="password refused"),))
    found = status(part(seen, "connect", states={**seen.connect.states, EVENTLOG.name: failed}))
    assert found.verdict == "failed"
    assert stage(found, "capture").problems == (
        Problem(
            problem="task 0 of omero-eventlog failed: password refused",
            fix="remove the cause, then `omero-mq connector restart`",
        ),
    )
    assert found.next == ("omero-mq connector restart", "omero-mq doctor")


def test_a_connector_without_tasks_is_a_failure(seen):
    bare = replace(running(EVENTLOG), tasks=())
    found = stage(status(part(seen, "connect", states={**seen.connect.states, EVENTLOG.name: bare})), "capture")
    assert (found.state, found.facts["tasks"]) == ("fail", [])
    assert "has no tasks" in found.problems[0].problem


def test_a_lost_slot_asks_for_the_repair(seen):
    lost = part(
        seen, "omero", slots={**seen.omero.slots, EVENTLOG.slot: slot_of(EVENTLOG, wal_status="lost", retained_bytes=None)}
    )
    found = status(lost)
    assert stage(found, "capture").state == "fail"
    assert found.next == ("omero-mq repair", "omero-mq doctor")


def test_a_connector_that_runs_and_says_nothing_is_a_failure(seen):
    silent = Activity(held=9, recent=0, newest_ms=NOW_MS - 300_000)
    found = stage(status(part(seen, "kafka", activity={**seen.kafka.activity, EVENTLOG.heartbeat_topic: silent})), "capture")
    assert found.state == "fail"
    assert found.problems[0].problem == "no sign of life from omero-eventlog for 5 min, although Kafka Connect calls it running"


def test_much_unread_log_is_a_warning(seen):
    late = slot_of(EVENTLOG, behind_bytes=3 * 10**9, retained_bytes=3 * 10**9)
    found = stage(status(part(seen, "omero", slots={**seen.omero.slots, EVENTLOG.slot: late})), "capture")
    assert (found.state, found.problems[0].problem) == ("warn", "3.0 GB of PostgreSQL's log wait to be read")


@pytest.mark.parametrize(
    ("lags", "members", "state", "said"),
    [
        ((lag(38, 2.1),), 1, "ok", "38 rows behind, the oldest 2.1 s old"),
        ((lag(1, 75.0),), 1, "warn", "1 row behind, the oldest 75 s old"),
        ((lag(1_234, None),), 1, "warn", "1,234 rows behind"),
        ((lag(),), 0, "fail", "caught up"),
        ((lag(5, 7200.0, lost=3),), 1, "fail", "5 rows behind, the oldest 2 h 00 min old"),
    ],
)
def test_the_relay_is_judged_by_the_age_of_what_waits_and_not_by_its_number(seen, lags, members, state, said):
    found = stage(status(part(seen, "relay", lags=lags, members=members)), "relay")
    assert (found.state, found.said) == (state, said)


def test_rows_that_were_deleted_unread_are_named_and_repaired(seen):
    found = stage(status(part(seen, "relay", lags=(lag(lost=3),))), "relay")
    assert found.problems == (Problem(problem="3 rows deleted from the topic before the relay read them", fix="omero-mq repair"),)


def test_a_relay_that_is_here_and_reads_nothing_is_not_started_a_second_time(seen):
    frozen = replace(part(seen, "relay", members=0), processes=(LocalProcess(name="relay", state="ready"),))
    (problem,) = stage(status(frozen), "relay").problems
    assert problem.problem == "the relay's process is here, but reads nothing"
    assert problem.fix.startswith("wait half a minute")
    (elsewhere,) = stage(status(part(seen, "relay", members=0)), "relay").problems
    assert elsewhere == Problem(problem="no relay runs", fix="omero-mq run relay")


def test_a_closed_gate_says_by_whom_why_and_until_when(seen):
    closed = Gate(consumer="relay").closed(
        by="person", actor="jsmith", reason="AD upgrade", now_ms=NOW_MS, until_ms=NOW_MS + 2_700_000
    )
    found = stage(status(part(part(seen, "state", gates=(closed,)), "relay", members=0)), "relay")
    assert found.state == "fail"
    assert found.problems[0].problem == "stopped by jsmith: AD upgrade; opens by itself in 45 min"
    assert found.facts["gate"] == "closed"


def test_what_a_waiting_relay_waits_for_is_shown(seen):
    said = LocalProcess(name="relay", state="ready", said="waiting for omero-database: restarting")
    found = stage(status(replace(part(seen, "relay", lags=(lag(9, 3.0),)), processes=(said,))), "relay")
    assert (found.state, found.said) == ("warn", "9 rows behind, the oldest 3.0 s old; waits for omero-database: restarting")


def test_another_database_than_the_accepted_one_stops_and_says_so(seen):
    changed = part(seen, "omero", epoch=replace(seen.omero.epoch, timeline="00000002"))
    found = status(changed)
    assert stage(found, "OMERO database").state == "fail"
    assert "timeline: was 00000001, is 00000002" in stage(found, "OMERO database").problems[0].problem
    assert found.next[0] == "omero-mq epoch accept --reason '...'"


def test_new_letters_degrade_and_old_ones_do_not(seen):
    first_ms = NOW_MS - 7_320_000
    cause = LetterCause(consumer="relay", fingerprint="9f3c1a", count=10, message="Undecodable: no id", first_ms=first_ms)
    other = replace(cause, fingerprint="77", count=1, message="Permanent: too odd", first_ms=-1)
    fresh = status(replace(seen, letters=LettersSeen(held={"relay": 11}, recent={"relay": 3}, causes=(cause, other))))
    assert (fresh.verdict, stage(fresh, "letters of relay").state) == ("degraded", "warn")
    assert fresh.next[0] == "omero-mq dlq list --consumer relay"
    assert stage(fresh, "letters of relay").problems[0].problem == "10 times: Undecodable: no id"
    assert text(fresh).endswith(
        "\n\nWhy messages failed:\n"
        "      10  relay: Undecodable: no id, first 2 h 02 min ago\n"
        "       1  relay: Permanent: too odd\n\n"
        "It works, but not as it should."
    )
    old = status(replace(seen, letters=LettersSeen(held={"relay": 11}, recent={"relay": 0}, causes=(cause,))))
    assert (old.verdict, stage(old, "letters of relay").said) == (
        "ok",
        "11 messages failed for good, none of them in the last 24 h",
    )


def test_the_outbox_says_what_waits_and_what_is_set_aside(seen):
    stuck = part(seen, "state", outbox=OutboxStatus(waiting=2, oldest_s=90.0, parked=1), poller=True)
    found = stage(status(stuck), "outbox")
    assert (found.state, found.said) == ("warn", "2 records waiting")
    assert [one.problem for one in found.problems] == [
        "1 record set aside that Kafka does not take",
        "the oldest record has waited 90 s",
    ]
    assert stage(status(part(seen, "state", poller=False)), "outbox").problems[0].fix == "omero-mq run outbox"


def test_missing_topics_and_missing_copies_are_told_apart(seen):
    missing = stage(status(part(seen, "kafka", missing=("omero.events",))), "Kafka")
    assert (missing.state, missing.problems[0].fix) == ("fail", "omero-mq topic create")
    behind = stage(status(part(seen, "kafka", out_of_sync=("omero.events/0", "omero.events/1"))), "Kafka")
    assert (behind.state, behind.problems[0].problem) == ("warn", "copies are missing or behind: omero.events/0, omero.events/1")
    dead = stage(status(part(seen, "kafka", unled=("omero.events/0",), out_of_sync=("omero.events/0",))), "Kafka")
    assert (dead.state, len(dead.problems)) == ("fail", 1)


def test_a_state_database_without_tables_asks_for_init(seen):
    empty = part(seen, "state", schema=SchemaStatus(current=0, needed=1, verdict="missing"), epoch=None, poller=False)
    found = status(empty)
    assert stage(found, "state database").problems[0].fix == "omero-mq init"
    assert stage(found, "outbox").state == "ok"  # it is not the outbox's fault


@pytest.mark.parametrize(
    ("away", "failed", "halted"),
    [
        (
            {"kafka": GONE["kafka"], **KAFKA_TOO},
            ["Kafka"],
            ["relay", "events", "letters"],
        ),
        ({"state": GONE["state"]}, ["state database"], ["outbox"]),
        ({"connect": GONE["connect"]}, ["capture"], ["capture (reindexing)"]),
        ({"omero": GONE["omero"]}, ["OMERO database"], []),
    ],
    ids=["kafka", "state", "connect", "omero"],
)
def test_what_is_away_is_one_failure_and_what_needs_it_is_halted(seen, away, failed, halted):
    found = status(replace(seen, **away))
    assert [one.name for one in found.stages if one.state == "fail"] == failed
    assert [one.name for one in found.stages if one.state == "halted"] == halted


def test_everything_away_is_still_a_page_of_words(seen):
    found = status(replace(seen, **GONE, **KAFKA_TOO))
    shown = text(found, width=80)
    assert found.verdict == "failed"
    assert shown.count("FAIL") == 4
    assert "--    relay                 not looked at: Kafka is away" in shown
    assert shown.isascii()
    assert "\x1b" not in shown


def test_a_command_to_copy_stays_on_one_line_however_narrow_the_terminal_is(seen):
    lost = part(seen, "omero", slots={})
    assert "        fix: omero-mq repair\n" in text(status(lost), width=20)


def test_processes_of_this_machine_are_shown_when_there_are_any(seen):
    good = LocalProcess(name="kafka", state="ready", restarts=2)
    assert (
        stage(status(replace(seen, processes=(good,))), "processes here").said == "all 1 run, 2 restarts since they were started"
    )
    bad = LocalProcess(name="relay", state="waiting", error="ended with status 1")
    found = stage(status(replace(seen, processes=(good, bad))), "processes here")
    assert (found.state, found.said, found.problems[0].problem) == ("warn", "1 of 2 run", "relay is waiting: ended with status 1")


def test_the_json_keeps_to_its_schema_whatever_is_away(seen):
    schema = json.loads((shipped.directory("schemas") / "cli" / "status.json").read_text())
    for each in (seen, replace(seen, **GONE, **KAFKA_TOO), part(seen, "relay", lags=(lag(3, None),))):
        found = {"schema": "omero-mq.status/1", **facts(status(each))}
        jsonschema.validate(json.loads(json.dumps(found)), schema)
        assert set(found) == set(schema["properties"])
