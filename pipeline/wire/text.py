"""What can be carried unchanged by JSON, UTF-8 and PostgreSQL alike."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 32  # levels of a free-form value; what a queue needs is two or three
LONGEST_STEP = 60  # characters of a name that a message repeats


def unfit_for_json(value: object, depth: int = 0) -> str:
    """Where and why a value would not survive JSON, e.g. ``.scale: nan is no JSON number``; "" if it would."""
    if depth > MAX_DEPTH:
        return f": more than {MAX_DEPTH} levels deep"
    if isinstance(value, dict):
        return _unfit_object(value, depth)
    if isinstance(value, list):
        found = ((index, unfit_for_json(item, depth + 1)) for index, item in enumerate(value))
        return next((f"[{index}]{problem}" for index, problem in found if problem), "")
    return _unfit_scalar(value)


def unfit_text(text: str) -> str:
    """Why a text can be no PostgreSQL text or no UTF-8; "" if it can be both."""
    if "\x00" in text:
        return f"NUL (\\u0000) at character {text.index(chr(0))}"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            return f"lone surrogate (\\u{ord(text[error.start]):04x}) at character {error.start}"
    return ""


def _unfit_object(value: dict[Any, Any], depth: int) -> str:
    for name, item in value.items():
        if not isinstance(name, str):
            return f": the name {name!a} is no text"
        if problem := unfit_text(name):
            return f"{step(name)}, the name: {problem}"
        if problem := unfit_for_json(item, depth + 1):
            return f"{step(name)}{problem}"
    return ""


def _unfit_scalar(value: object) -> str:
    match value:
        case None | bool():
            return ""
        case str():
            problem = unfit_text(value)
            return f": {problem}" if problem else ""
        case int():
            return "" if -(2**63) <= value < 2**63 else f": {str(value)[:30]} is beyond 64 bits"
        case float():
            return "" if math.isfinite(value) else f": {value} is no JSON number"
        case _:
            return f": {type(value).__name__} is no JSON type"


def unfit_texts(value: object, at: str = "$") -> Iterator[str]:
    """Every text within a value, names included, that PostgreSQL or UTF-8 cannot carry, with its place."""
    match value:
        case str():
            if problem := unfit_text(value):
                yield f"{at}: {problem}"
        case dict():
            for name, item in value.items():
                yield from unfit_texts(name, f"{at}{step(name)}, the name")
                yield from unfit_texts(item, f"{at}{step(name)}")
        case list():
            for index, item in enumerate(value):
                yield from unfit_texts(item, f"{at}[{index}]")


def step(name: str) -> str:
    r"""One step down a path, fit for any log whatever the name holds: ``.id``, ``['a\x00b']``."""
    shown = name if len(name) <= LONGEST_STEP else f"{name[:LONGEST_STEP]}..."
    return f".{shown}" if shown.isprintable() and " " not in shown else f"[{shown!a}]"
