"""Times as people write and read them: ``2h`` ago, or an ISO time, which is UTC unless it says otherwise."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import typer

_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
EXPECTED = "a time ago such as 90s, 30m, 2h, 7d, or a time such as 2026-11-24T01:00 (UTC unless it names a zone)"


def since_ms(text: str, *, now_ms: int) -> int:
    """Milliseconds since 1970 UTC of ``2h``, ``2026-11-24`` or ``2026-11-24T01:00+01:00``.

    Raises:
        typer.BadParameter: it is neither.
    """
    if found := _AGO.fullmatch(text.strip()):
        return now_ms - int(float(found[1]) * _UNIT_MS[found[2]])
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not {EXPECTED}") from None
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


def iso(moment_ms: int) -> str:
    """``2026-11-24T02:14:07.123Z``, or an empty text where there is no time."""
    if moment_ms < 0:
        return ""
    return datetime.fromtimestamp(moment_ms / 1000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(moment_ms: int, *, now_ms: int) -> str:
    """``02:14:07`` for today (UTC), ``11-23 20:12`` for another day: what fits a column."""
    if moment_ms < 0:
        return "-"
    moment, now = (datetime.fromtimestamp(each / 1000, tz=UTC) for each in (moment_ms, now_ms))
    if moment.date() == now.date():
        return moment.strftime("%H:%M:%S")
    return moment.strftime("%m-%d %H:%M" if moment.year == now.year else "%Y-%m-%d")


def lasting(duration_ms: int) -> str:
    """``29 d``, ``6 h 02 m``, ``12 s``: two units at most."""
    minutes, seconds = divmod(max(0, duration_ms) // 1000, 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours // 24 > 1:
        return f"{hours // 24} d"
    if hours:
        return f"{hours} h {minutes_left:02d} m"
    return f"{minutes} m {seconds:02d} s" if minutes else f"{seconds} s"
