"""Numbers as people read them: with units, thousands separated, two figures that matter."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_THOUSAND = 1000.0


def number(value: int) -> str:
    """``8,412,907``."""
    return f"{value:,}"


def counted(value: int, one: str, many: str = "") -> str:
    """``1 record``, ``38 records``, ``no records``."""
    plural = many or f"{one}s"
    return f"no {plural}" if value == 0 else f"1 {one}" if value == 1 else f"{value:,} {plural}"


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``5 min``, ``6 h 02 min``, ``3 days``."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:  # noqa: PLR2004 - where one decimal stops to tell anything
        return f"{seconds:.1f} s"
    if seconds < _MINUTE_S * 2:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        hours, rest = divmod(int(seconds), _HOUR_S)
        return f"{hours} h {rest // _MINUTE_S:02d} min"
    return f"{seconds / _DAY_S:,.0f} days"


def size(count: int) -> str:
    """``592 bytes``, ``12 kB``, ``1.2 GB``; powers of ten, as disks are sold and PostgreSQL's WAL is not."""
    if abs(count) < _THOUSAND:
        return f"{count} bytes"
    value = float(count)
    for unit in ("kB", "MB", "GB"):
        value /= _THOUSAND
        if abs(value) < 999.5:  # noqa: PLR2004 - what would be rounded to 1,000
            return f"{value:.1f} {unit}" if abs(value) < 10 else f"{value:.0f} {unit}"  # noqa: PLR2004
    return f"{value / _THOUSAND:,.1f} TB"


def moment(time_ms: int) -> str:
    """``2026-11-24 02:14:07 UTC``."""
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(time_ms: int | None) -> str | None:
    """``2026-11-24T02:14:07.123Z`` for machines; None stays None."""
    if time_ms is None:
        return None
    return datetime.fromtimestamp(time_ms / 1000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
