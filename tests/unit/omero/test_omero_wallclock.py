"""OMERO's times without zone, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.errors import Misconfigured
from pipeline.omero.wallclock import to_utc, zone

BERLIN = zone("Europe/Berlin")
# In 2026 clocks in Berlin go back from 03:00 to 02:00 on 25 October, and forward from 02:00 to 03:00 on 29 March.
REPEATED = datetime(2026, 10, 25, 2, 30)  # noqa: DTZ001
FIRST = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
SECOND = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_an_ordinary_time_is_shifted_by_the_offset_of_its_season() -> None:
    assert to_utc(datetime(2026, 7, 1, 12), BERLIN, not_after=None) == datetime(2026, 7, 1, 10, tzinfo=UTC)  # noqa: DTZ001
    assert to_utc(datetime(2026, 12, 1, 12), BERLIN, not_after=None) == datetime(2026, 12, 1, 11, tzinfo=UTC)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("committed", "expected"),
    [
        (FIRST + timedelta(seconds=1), FIRST),
        (FIRST + timedelta(minutes=59), FIRST),
        (SECOND - timedelta(seconds=1), SECOND),  # clocks of two machines differ a little
        (SECOND + timedelta(seconds=1), SECOND),
        (SECOND + timedelta(hours=9), SECOND),
        (None, FIRST),
    ],
)
def test_in_the_repeated_hour_the_commit_tells_which_one_it_was(committed: datetime | None, expected: datetime) -> None:
    assert to_utc(REPEATED, BERLIN, not_after=committed) == expected


def test_a_time_that_was_skipped_is_read_with_the_offset_from_before() -> None:
    skipped = datetime(2026, 3, 29, 2, 30)  # noqa: DTZ001
    assert to_utc(skipped, BERLIN, not_after=datetime(2026, 3, 29, 2, tzinfo=UTC)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "europe"])
def test_a_zone_that_does_not_exist_is_named_with_what_to_write_instead(name: str) -> None:
    with pytest.raises(Misconfigured, match=r"omero\.timezone") as caught:
        zone(name)
    assert "Europe/Berlin" in caught.value.fix
