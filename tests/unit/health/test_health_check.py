"""The lines that monitoring reads: code, text, numbers with thresholds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from healthy_facts import NOW_MS, OURS, running
from healthy_facts import lag as lag_of

from pipeline.errors import Misconfigured
from pipeline.health.ask import Away
from pipeline.health.check import READY, Answer, Code, capture, lag, letters, ready
from pipeline.health.facts import LetterCause, LettersSeen

GONE = Away(name="kafka", why="timed out", fix="start it")


@pytest.mark.parametrize(
    ("records", "age_s", "line"),
    [
        (0, 0.0, "OK - relay caught up | lag=0s;60;300;0 behind=0;;;0"),
        (38, 12.0, "OK - relay 12 s behind, 38 rows | lag=12s;60;300;0 behind=38;;;0"),
        (38, 60.0, "WARNING - relay 60 s behind, 38 rows | lag=60s;60;300;0 behind=38;;;0"),
        (1, 300.0, "CRITICAL - relay 5 min behind, 1 row | lag=300s;60;300;0 behind=1;;;0"),
        (9, None, "UNKNOWN - 9 rows behind, for an unknown time"),
    ],
)
def test_lag_is_judged_by_age(seen, records, age_s, line):
    late = replace(seen, relay=replace(seen.relay, lags=(lag_of(records, age_s),)))
    assert lag(late, warning_s=60, critical_s=300).line == line


def test_a_relay_that_does_not_run_is_critical_even_when_nothing_waits(seen):
    found = lag(replace(seen, relay=replace(seen.relay, members=0)), warning_s=60, critical_s=300)
    assert found.line == "CRITICAL - relay caught up; no relay runs | lag=0s;60;300;0 behind=0;;;0"


def test_what_is_away_is_critical_and_who_refuses_us_is_unknown(seen):
    assert lag(replace(seen, relay=GONE), warning_s=60, critical_s=300).line == "CRITICAL - kafka is away: timed out"
    refusing = replace(GONE, why="not allowed", refused=True)
    assert letters(replace(seen, letters=refusing), warning=1, critical=50).line == "UNKNOWN - kafka refuses: not allowed"


@pytest.mark.parametrize(("recent", "code"), [(0, Code.OK), (1, Code.WARNING), (50, Code.CRITICAL)])
def test_letters_are_judged_by_those_of_the_last_day(seen, recent, code):
    cause = LetterCause(consumer="relay", fingerprint="9f", count=99, message="Undecodable: a|b", first_ms=NOW_MS)
    held = LettersSeen(held={"relay": 99}, recent={"relay": recent}, causes=(cause,))
    found = letters(replace(seen, letters=held), warning=1, critical=50)
    assert (found.code, found.numbers) == (code, (("failed", f"{recent};1;50;0"), ("kept", "99;;;0")))
    assert found.line.count("|") == 1  # a bar in a message would be read as the beginning of the numbers
    assert ("most of them" in found.text) == (recent > 0)


def test_capture_names_what_is_wrong_and_how_much_log_is_kept(seen):
    assert capture(seen).line == (
        "OK - both connectors run, PostgreSQL keeps 25 kB of its log for them | eventlog_kept=12400B;;;0"
        " eventlog_behind=592B;;;0 reindexing_kept=12400B;;;0 reindexing_behind=592B;;;0"
    )
    bare = {**seen.connect.states, OURS[0].name: replace(running(OURS[0]), tasks=())}
    found = capture(replace(seen, connect=replace(seen.connect, states=bare)))
    assert (found.code, "has no tasks" in found.text) == (Code.CRITICAL, True)
    assert capture(replace(seen, connect=GONE)).code == Code.CRITICAL
    assert capture(replace(seen, omero=replace(GONE, name="omero-database"))).code == Code.UNKNOWN


def test_ready_is_asked_of_one_part_or_of_all(seen):
    assert [(name, ready(seen, name).code) for name in READY] == [(name, Code.OK) for name in READY]
    stopped = replace(seen, relay=replace(seen.relay, members=0))
    assert ready(stopped, "relay").line == "CRITICAL - no relays running"
    assert ready(stopped, "all") == Answer(code=Code.CRITICAL, text="relay: no relays running")
    assert ready(replace(seen, state=replace(seen.state, poller=False)), "outbox").line == "CRITICAL - no outbox service runs"
    with pytest.raises(Misconfigured, match="no part 'web'"):
        ready(seen, "web")
