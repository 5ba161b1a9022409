"""From what somebody wrote to the value of a setting, or to a sentence that says what was expected instead."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from pipeline.settings.model import Settings

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_SECRET_WORDS = ("password", "secret", "token", "jaas", "key.pem", "private", "credential")
_QUOTED = 60  # characters of a wrong value that a message quotes
_TYPES: dict[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "bool": bool, "str": str}
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}


class WrongValueError(ValueError):
    """Says what was expected, without saying where."""


def all_fields() -> Iterator[tuple[str, Field[Any]]]:
    """Every setting: ``room.field`` and its dataclass field, in the order of the model."""
    for room in fields(Settings):
        factory: Any = room.default_factory
        for each in fields(factory):
            yield f"{room.name}.{each.name}", each


def default_of(field: Field[Any]) -> Any:
    """What the setting is when nobody says anything."""
    factory: Any = field.default_factory
    return factory() if field.default is MISSING else field.default


def is_table(field: Field[Any]) -> bool:
    """Whether the setting is a table of names and texts, like ``kafka.client``."""
    return str(field.type).startswith("Mapping")


def is_secret(name: str, field: Field[Any]) -> bool:
    """Whether a value may not be shown; entries of a table are judged by their own names."""
    return bool(field.metadata["secret"]) or (is_table(field) and any(word in name.lower() for word in _SECRET_WORDS))


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean X?``, or nothing when no real name is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def expected(field: Field[Any]) -> str:
    """What the setting takes, in words: ``a whole number from 1 to 65535``."""
    meta = field.metadata
    if meta["choices"]:
        return "one of " + ", ".join(meta["choices"])
    if is_table(field):
        return "a table of names and texts"
    words = _KINDS[str(field.type)]
    if meta["lowest"] is not None and meta["highest"] is not None:
        words += f" from {meta['lowest']} to {meta['highest']}"
    elif meta["lowest"] is not None:
        words += f", at least {meta['lowest']}"
    if meta["pattern"]:
        words += f" that matches {meta['pattern']}"
    return words


def from_text(field: Field[Any], text: str) -> Any:
    """The value that a variable, a secret's file or a command line gives.

    Raises:
        WrongValueError: it is not what the setting takes.
    """
    kind = str(field.type)
    if is_table(field):
        return dict(_pairs(text))
    if kind == "str":
        return checked(field, text)
    stripped = text.strip()
    if kind == "bool":
        if stripped.lower() not in _TRUE | _FALSE:
            raise WrongValueError(f"{shown(text)} is not {expected(field)}")
        return stripped.lower() in _TRUE
    try:
        number = int(stripped) if kind == "int" else float(stripped)
    except ValueError:
        raise WrongValueError(f"{shown(text)} is not {expected(field)}") from None
    return checked(field, number)


def checked(field: Field[Any], value: Any) -> Any:
    """The value, when its type and range are right; a whole number will do for a number.

    Raises:
        WrongValueError: it is not what the setting takes.
    """
    kind, number = str(field.type), value
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise WrongValueError(f"{shown(value)} is not {expected(field)}")
    meta = field.metadata
    if isinstance(value, str):
        fits = (not meta["choices"] or value in meta["choices"]) and (
            not meta["pattern"] or re.fullmatch(meta["pattern"], value) is not None
        )
    else:
        low = -math.inf if meta["lowest"] is None else meta["lowest"]
        high = math.inf if meta["highest"] is None else meta["highest"]
        fits = math.isfinite(number) and low <= number <= high
    if not fits:
        raise WrongValueError(f"{shown(value)} is not {expected(field)}")
    return float(number) if kind == "float" else value


def flat(table: Mapping[str, Any], *, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts of a table; ``security.protocol = "SSL"`` in TOML is a table in a table.

    Raises:
        WrongValueError: an entry is a list or a date.
    """
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, prefix=f"{prefix}{name}.")
        elif isinstance(value, bool):
            yield prefix + name, str(value).lower()
        elif isinstance(value, (str, int, float)):
            yield prefix + name, str(value)
        else:
            raise WrongValueError(f"{prefix}{name}: {shown(value)} is not text")


def shown(value: object) -> str:
    """A value as an error message quotes it: short, on one line."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _QUOTED else text[: _QUOTED - 3] + "..."


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise WrongValueError(f"line {number} is not name=value")  # not quoted: it may be a secret
        yield name.strip(), value.strip()
