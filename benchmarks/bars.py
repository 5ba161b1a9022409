"""A figure with the bar that it is held against."""

from __future__ import annotations

from typing import Any


def at_most(what: str, value: float, bar: float, unit: str) -> dict[str, Any]:
    """Held when the value is not above the bar."""
    return {"what": what, "value": value, "bar": bar, "at": "most", "unit": unit, "ok": value <= bar}


def at_least(what: str, value: float, bar: float, unit: str) -> dict[str, Any]:
    """Held when the value is not below the bar."""
    return {"what": what, "value": value, "bar": bar, "at": "least", "unit": unit, "ok": value >= bar}
