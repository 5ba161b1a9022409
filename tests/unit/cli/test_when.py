"""Times as people write and read them."""

from __future__ import annotations

import time

import pytest
import typer

from pipeline.cli.when import clock, iso, lasting, since_ms


@pytest.fixture(autouse=True)
def zone_of_the_machine():
    yield
    time.tzset()


NOW_MS = 1_795_486_447_000  # 2026-11-24T02:14:07Z


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-11-24T00:14:07.000Z"),
        ("90s", "2026-11-24T02:12:37.000Z"),
        ("1.5 d", "2026-11-22T14:14:07.000Z"),
        ("250ms", "2026-11-24T02:14:06.750Z"),
        ("2026-11-24", "2026-11-24T00:00:00.000Z"),
        ("2026-11-24T01:00", "2026-11-24T01:00:00.000Z"),
        ("2026-11-24T01:00+01:00", "2026-11-24T00:00:00.000Z"),
        ("2026-11-24T01:00Z", "2026-11-24T01:00:00.000Z"),
    ],
)
def test_a_time_is_a_while_ago_or_an_iso_time_in_utc_wherever_the_machine_is(monkeypatch, text, expected):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    assert iso(since_ms(text, now_ms=NOW_MS)) == expected


@pytest.mark.parametrize("text", ["", "2", "yesterday", "2y", "-2h", "24.11.2026"])
def test_what_is_no_time_is_told_with_examples(text):
    with pytest.raises(typer.BadParameter, match="2h, 7d, or a time such as"):
        since_ms(text, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("ago_ms", "expected"),
    [(0, "02:14:07"), (7_200_000, "00:14:07"), (86_400_000, "11-23 02:14"), (400 * 86_400_000, "2025-10-20")],
)
def test_a_column_shows_the_time_of_today_and_the_day_of_others(ago_ms, expected):
    assert clock(NOW_MS - ago_ms, now_ms=NOW_MS) == expected


def test_what_has_no_time_says_so():
    assert (iso(-1), clock(-1, now_ms=NOW_MS)) == ("", "-")


@pytest.mark.parametrize(
    ("duration_ms", "expected"),
    [(-5, "0 s"), (12_900, "12 s"), (125_000, "2 m 05 s"), (6 * 3_600_000 + 120_000, "6 h 02 m"), (29 * 86_400_000, "29 d")],
)
def test_a_duration_has_two_units_at_most(duration_ms, expected):
    assert lasting(duration_ms) == expected
