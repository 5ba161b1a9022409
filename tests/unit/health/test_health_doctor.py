"""Every check of `doctor`: well, and spoilt in each way that it looks for."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from healthy_facts import NOW, OURS, publication_of, running, slot_of

from pipeline.cdc.connect import Change, ConnectorState, TaskState
from pipeline.health.ask import Away
from pipeline.health.checks import CHECKS
from pipeline.health.doctor import Check, Verdict, count, fail, ok, run, summary, warn
from pipeline.health.examined import REINDEXING_COUNTED, Role
from pipeline.kafka.admin import Difference
from pipeline.kafka.cluster import Broker
from pipeline.omero.schema import Finding
from pipeline.settings import OmeroSettings, Settings
from pipeline.state.migrate import SchemaStatus

EVENTLOG, REINDEXING = OURS
REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "doctor.md"


def verdict(examined, name: str) -> Verdict:
    return next(result.verdict for result in run(CHECKS, examined) if result.name == name)


def part(examined, name: str, **changes):
    return replace(examined, **{name: replace(getattr(examined, name), **changes)})


def with_slot(examined, **changes):
    return part(examined, "capture", slots={**examined.capture.slots, EVENTLOG.slot: slot_of(EVENTLOG, **changes)})


def with_publication(examined, **changes):
    changed = publication_of(EVENTLOG, **changes)
    return part(examined, "capture", publications={**examined.capture.publications, changed.name: changed})


def with_state(examined, **changes):
    state = replace(running(EVENTLOG), **changes)
    return part(examined, "connect", states={**examined.connect.states, EVENTLOG.name: state})


def differing(what: str, *, serious: bool) -> Difference:
    return Difference(topic="omero.events", what=what, wanted="6", found="1", serious=serious, fix="kafka-topics --alter")


def with_role(examined, which: str, **changes):
    return part(examined, "rights", **{which: replace(getattr(examined.rights, which), **changes)})


def test_a_healthy_installation_passes_every_check(examined):
    results = run(CHECKS, examined)
    assert [result.name for result in results if result.verdict.state != "ok"] == []
    assert [result.name for result in results if result.verdict.fix] == []
    assert summary(results) == f"Everything looks good: {len(CHECKS)} checks, no warnings."


def test_every_check_stands_behind_those_that_it_needs_and_has_a_name_of_its_own():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    # state.epoch and others look across groups: a need that stood behind would never be seen as failed.
    assert [(check.name, need) for check in CHECKS for need in check.needs if need not in names[: names.index(check.name)]] == []


SPOILT: list[tuple[str, str, Any, str]] = [
    ("database.version", "fail", lambda e: part(e, "server", version=130_004), "PostgreSQL 13 is not supported"),
    ("database.version", "warn", lambda e: part(e, "server", version=140_011), "cannot filter rows"),
    ("database.version", "warn", lambda e: part(e, "server", version=190_000), "newer than what was tested"),
    ("database.primary", "fail", lambda e: part(e, "server", standby=True), "standby"),
    ("database.wal_level", "fail", lambda e: part(e, "server", wal_level="replica"), "no change can be captured"),
    ("database.wal_cap", "fail", lambda e: part(e, "server", wal_keep_mb=-1), "OMERO's disk fills up"),
    ("database.wal_cap", "warn", lambda e: part(e, "server", wal_keep_mb=64), "only 64 MB"),
    (
        "database.slots_free",
        "fail",
        lambda e: part(part(e, "capture", slots={}), "server", slots=3),
        "max_replication_slots is 3 and must be at least 4",
    ),
    ("database.slots_free", "fail", lambda e: part(part(e, "capture", slots={}), "server", senders=2), "max_wal_senders is 2"),
    ("database.clock", "warn", lambda e: part(e, "server", skew_s=-5.0), "5.0 s behind ours"),
    ("database.clock", "fail", lambda e: part(e, "server", skew_s=3600.0), "1 h 00 min ahead of ours"),
    ("database.grants", "fail", lambda e: part(e, "rights", missing=("event.time",)), "omero_mq may not use event.time"),
    ("database.least_privilege", "warn", lambda e: with_role(e, "reader", reads=("session.uuid",)), "can read session.uuid"),
    ("database.least_privilege", "warn", lambda e: with_role(e, "reader", powers=("SUPERUSER",)), "is SUPERUSER"),
    ("database.least_privilege", "warn", lambda e: with_role(e, "streamer", writes=("image",)), "can change image"),
    ("database.least_privilege", "warn", lambda e: with_role(e, "reader", replication=True), "has REPLICATION"),
    (
        "database.streamer",
        "fail",
        lambda e: part(e, "rights", streamer=Role(name="omero_cdc", exists=False)),
        "no role omero_cdc",
    ),
    ("database.streamer", "fail", lambda e: with_role(e, "streamer", replication=False), "lacks REPLICATION"),
    (
        "database.timezone",
        "fail",
        lambda e: part(e, "log", last_event=NOW.replace(tzinfo=None) + timedelta(hours=1)),
        "would put the last change 1.0 h into the future",
    ),
    (
        "database.timezone",
        "fail",
        lambda e: replace(e, settings=Settings(omero=OmeroSettings(timezone="Mars/Olympus"))),
        "not a time zone",
    ),
    ("database.reindexing", "warn", lambda e: part(e, "log", reindexing=REINDEXING_COUNTED), "more than 100,000 rows"),
    (
        "schema.relied_on",
        "fail",
        lambda e: replace(e, schema=(Finding(severity="error", where="eventlog.id", problem="missing", consequence="none"),)),
        "eventlog.id: missing",
    ),
    (
        "schema.relied_on",
        "warn",
        lambda e: replace(e, schema=(Finding(severity="warning", where="roi.name", problem="missing", consequence="none"),)),
        "roi.name: missing",
    ),
    (
        "kafka.advertised",
        "fail",
        lambda e: part(e, "kafka", unreachable=((Broker(id=1, host="kafka", port=9092), "that name is not known here"),)),
        "127.0.0.1:9092 answers but advertises kafka:9092, which cannot be reached: that name is not known here",
    ),
    ("kafka.topics", "fail", lambda e: part(e, "kafka", differences=(differing("missing", serious=True),)), "1 topic missing"),
    (
        "kafka.topics",
        "fail",
        lambda e: part(e, "kafka", differences=(differing("min.insync.replicas", serious=True),)),
        "is 1, declared",
    ),
    (
        "kafka.topics",
        "warn",
        lambda e: part(e, "kafka", differences=(differing("partitions", serious=False),)),
        "partitions is 1",
    ),
    (
        "kafka.letters_kept",
        "fail",
        lambda e: part(e, "kafka", retention_ms={"omero.eventlog": 172_800_000, "omero.dlq.relay": 86_400_000}),
        "omero.dlq.relay keeps 1 days, its source omero.eventlog 2 days",
    ),
    ("state.version", "fail", lambda e: part(e, "state", version=130_004), "PostgreSQL 13"),
    (
        "state.schema",
        "fail",
        lambda e: part(e, "state", schema=SchemaStatus(current=0, needed=1, verdict="missing")),
        "no tables",
    ),
    (
        "state.schema",
        "fail",
        lambda e: part(e, "state", schema=SchemaStatus(current=1, needed=3, verdict="too old")),
        "has schema 1",
    ),
    (
        "state.schema",
        "fail",
        lambda e: part(e, "state", schema=SchemaStatus(current=9, needed=1, verdict="too new")),
        "has schema 9",
    ),
    ("state.schema", "warn", lambda e: part(e, "state", schema=SchemaStatus(current=1, needed=2, verdict="older")), "it works"),
    ("state.epoch", "fail", lambda e: part(e, "identity", timeline="00000002"), "timeline: was 00000001, is 00000002"),
    (
        "host.packages",
        "fail",
        lambda e: part(e, "host", installed={"faust-streaming": "0.15.3", "aiokafka": "0.15.0"}),
        "0.15.0 instead",
    ),
    ("host.packages", "fail", lambda e: part(e, "host", installed={"faust-streaming": "0.15.3"}), "aiokafka is not installed"),
    ("host.codecs", "fail", lambda e: part(e, "host", native_codecs=frozenset({"gzip"})), "snappy, lz4, zstd"),
    ("host.codecs", "fail", lambda e: part(e, "host", faust_codecs=frozenset({"gzip"})), "stand still in silence"),
    ("host.disk", "warn", lambda e: part(e, "host", free_bytes=5 * 10**9), "only 5.0 GB"),
    ("host.disk", "fail", lambda e: part(e, "host", free_bytes=10**8), "only 100 MB"),
    ("capture.connect", "fail", lambda e: part(e, "connect", debezium=""), "no Debezium connector"),
    ("capture.connect", "warn", lambda e: part(e, "connect", debezium="2.7.0.Final"), "tested is 3.6"),
    ("capture.slots", "fail", lambda e: part(e, "capture", slots={}), "rows committed since it went may be missing"),
    ("capture.slots", "fail", lambda e: with_slot(e, wal_status="lost"), "is lost"),
    ("capture.slots", "fail", lambda e: with_slot(e, wal_status="unreserved"), "about to be lost"),
    ("capture.slots", "fail", lambda e: with_slot(e, database="other"), "belongs to the database other"),
    ("capture.slots", "warn", lambda e: with_slot(e, behind_bytes=3 * 10**9), "3.0 GB of PostgreSQL's log wait"),
    ("capture.active", "fail", lambda e: with_slot(e, active=False), "nobody reads omero_eventlog"),
    ("capture.publications", "fail", lambda e: part(e, "capture", publications={}), "no publication omero_eventlog_pub"),
    ("capture.publications", "fail", lambda e: with_publication(e, all_tables=True), "FOR ALL TABLES"),
    ("capture.publications", "fail", lambda e: with_publication(e, inserts_only=False), "more than inserts"),
    ("capture.publications", "fail", lambda e: with_publication(e, tables=("public.image",)), "has public.image instead"),
    ("capture.publications", "warn", lambda e: with_publication(e, row_filter=""), "no row filter"),
    ("capture.connectors", "fail", lambda e: with_state(e, tasks=()), "has no tasks"),
    ("capture.connectors", "fail", lambda e: with_state(e, state="PAUSED"), "paused"),
    ("capture.connectors", "fail", lambda e: with_state(e, state="MISSING"), "does not exist"),
    (
        "capture.connectors",
        "fail",
        lambda e: with_state(e, tasks=(TaskState(task=0, state="FAILED", worker="w", cause="no such slot"),)),
        "task 0 of omero-eventlog failed: no such slot",
    ),
    (
        "capture.configuration",
        "warn",
        lambda e: part(e, "connect", changes={EVENTLOG.name: (Change(option="slot.name", before="a", after="b"),)}),
        "slot.name",
    ),
]


@pytest.mark.parametrize(("name", "state", "spoil", "said"), SPOILT, ids=[f"{name}-{said}" for name, _, _, said in SPOILT])
def test_each_check_finds_what_it_looks_for_and_says_what_to_do(examined, name, state, spoil, said):
    found = verdict(spoil(examined), name)
    assert (found.state, said in found.said) == (state, True), found
    assert found.fix


AWAY = [
    ("database.connected", "server", "omero-database"),
    ("database.roles", "rights", "omero-database"),
    ("database.eventlog", "log", "omero-database"),
    ("schema.relied_on", "schema", "omero-database"),
    ("state.epoch", "identity", "omero-database"),
    ("kafka.connected", "kafka", "kafka"),
    ("state.connected", "state", "state-database"),
    ("capture.connect", "connect", "kafka-connect"),
    ("capture.publications", "capture", "omero-database"),
    ("capture.slots", "capture", "omero-database"),
    ("host.packages", "host", "this machine"),
]


@pytest.mark.parametrize(("name", "field", "what"), AWAY, ids=[name for name, _, _ in AWAY])
def test_what_is_away_is_one_failure_with_its_cause(examined, name, field, what):
    found = verdict(replace(examined, **{field: Away(name=what, why="connection refused", fix="start it")}), name)
    assert (found.state, found.fix) == ("fail", "start it")
    assert found.said.endswith("does not answer: connection refused")


def test_every_check_is_spoilt_by_some_test():
    never_bad = {"database.omero"}  # only a note
    assert {check.name for check in CHECKS} - {name for name, *_ in SPOILT} - {name for name, *_ in AWAY} == never_bad


def test_what_needs_a_failed_check_is_halted_and_names_the_first_cause(examined):
    gone = replace(examined, server=Away(name="omero-database", why="refused", fix="start it"))
    results = run(CHECKS, gone)
    failed = [result.name for result in results if result.verdict.state == "fail"]
    assert failed == ["database.connected"]
    halted = [result for result in results if result.verdict.state == "halted"]
    assert {result.verdict.said for result in halted} == {"needs database.connected"}
    assert "capture.active" in {result.name for result in halted}
    assert summary(results) == f"1 failed, no warnings, {len(halted)} halted, {len(CHECKS) - 1 - len(halted)} ok."


def test_a_warning_halts_nothing(examined):
    results = run(CHECKS, part(examined, "server", version=140_011))
    assert count(results) == {"fail": 0, "warn": 1, "halted": 0, "ok": len(CHECKS) - 1}
    assert summary(results) == f"Nothing failed: {len(CHECKS)} checks, 1 warning."


def test_before_anything_is_installed_only_what_can_be_right_is_looked_at(examined):
    unknown = Away(name="omero-database", why="role omero_mq does not exist", fix="...", refused=True)
    fresh = replace(examined, server=unknown, rights=unknown, log=unknown, schema=unknown, identity=unknown, capture=unknown)
    results = run(CHECKS, fresh, before=True)
    assert {result.name for result in results} == {check.name for check in CHECKS if check.before}
    assert count(results)["fail"] == 0
    connected = next(result.verdict for result in results if result.name == "database.connected")
    assert (connected.state, "doctor --pre --set omero.user=postgres" in connected.fix) == ("halted", True)


def test_a_halted_check_halts_what_needs_it_in_turn(examined):
    checks = [
        Check(name="a.one", run=lambda _: fail("broken", "mend it")),
        Check(name="a.two", run=lambda _: ok("fine"), needs=("a.one",)),
        Check(name="b.three", run=lambda _: warn("so so", "see"), needs=("a.two",)),
        Check(name="b.four", run=lambda _: ok("fine")),
    ]
    assert [(r.name, r.verdict.state, r.verdict.said) for r in run(checks, examined)] == [
        ("a.one", "fail", "broken"),
        ("a.two", "halted", "needs a.one"),
        ("b.three", "halted", "needs a.one"),
        ("b.four", "ok", "fine"),
    ]


def test_a_slot_that_never_was_asks_for_the_grants_and_not_for_a_repair(examined):
    missing = {this.name: ConnectorState(name=this.name, state="MISSING") for this in OURS}
    fresh = part(part(examined, "capture", slots={}), "connect", states=missing, changes={})
    assert verdict(fresh, "capture.slots").fix == "have a DBA run what `omero-mq init --print-sql` prints"
    assert verdict(part(examined, "capture", slots={}), "capture.slots").fix == "omero-mq repair"
    only_second = part(examined, "capture", slots={EVENTLOG.slot: slot_of(EVENTLOG)})
    assert verdict(only_second, "capture.slots").fix == "omero-mq repair reindexing"


def test_the_reference_lists_every_check_and_which_are_made_beforehand():
    rows = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (pre)? ?\|", REFERENCE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(rows) == sorted((check.name, "pre" if check.before else "") for check in CHECKS)
