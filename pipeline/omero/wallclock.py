"""From OMERO's timestamps without zone to UTC, also in the hour that a clock change repeats."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.errors import Misconfigured

# The writer's clock and PostgreSQL's may differ a little.
_CLOCK_SLACK = timedelta(seconds=5)


def zone(name: str) -> ZoneInfo:
    """The time zone of OMERO's JVM.

    Raises:
        Misconfigured: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Misconfigured(
            f"omero.timezone = {name!r} is not a time zone", fix="Give a name of the IANA database, e.g. Europe/Berlin, or UTC"
        ) from error


def to_utc(local: datetime, place: ZoneInfo, *, not_after: datetime | None) -> datetime:
    """The moment that a clock in ``place`` showed as ``local``.

    When clocks go back, an hour is shown twice. An event's time is taken before its transaction commits, so of two candidates the
    later one that is not after the commit (``not_after``, a few seconds of clock difference allowed) is right unless the
    transaction was open across the whole repeated hour; without a commit time it is the first. A time that clocks going forward
    skip is read with the offset from before.
    """
    first = local.replace(tzinfo=place, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=place, fold=1).astimezone(UTC)
    if second <= first or not_after is None or second > not_after + _CLOCK_SLACK:
        return first
    return second
