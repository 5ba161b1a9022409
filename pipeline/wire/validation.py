"""Is this JSON value what the Avro schema says? Every problem with its place, in words for whoever sent it.

JSON here is plain JSON: a union is written as its value, a field with a default may be absent, a field that the schema does not
name is passed over. Beside Avro's own rules the schemas say, in attributes that Avro lets pass: ``minimum``, ``maximum``,
``minLength``, ``maxLength``, ``pattern``, ``const``, ``expects`` (the same in words), and ``logicalType: json-object`` (an object
in JSON, its text in Avro). No text may hold NUL or a lone surrogate: neither PostgreSQL nor UTF-8 can carry them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.wire.text import step, unfit_for_json, unfit_text

MOST_NAMES = 8  # fields that a message repeats
SHOWN = 60  # characters of a wrong value that a message repeats

_INTEGERS = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


def problems(schema: Any, value: object, at: str = "$") -> Iterator[str]:
    """What is wrong with a decoded JSON value, e.g. ``$.id: expected a whole number of at least 0, got -3``; nothing if it fits.

    Args:
        schema: an Avro schema as it stands in the file; types are defined where they are used.
        value: what the JSON says.
        at: its place in the message.
    """
    if isinstance(schema, list):
        yield from _union(schema, value, at)
    elif isinstance(schema, str):
        yield from problems({"type": schema}, value, at)
    elif schema["type"] == "record":
        yield from _record(schema, value, at)
    elif schema["type"] in {"array", "map"}:
        yield from _collection(schema, value, at)
    elif problem := _scalar(schema, value):
        yield f"{at}{problem}" if problem[0] in ".[:" else f"{at}: {problem}, got {_shown(value)}"


def _record(schema: Mapping[str, Any], value: object, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: expected an object, got {_shown(value)}"
        return
    missing = [field for field in schema["fields"] if field["name"] not in value and "default" not in field]
    if len(missing) == 1:
        yield f"{at}.{missing[0]['name']}: is missing ({missing[0]['doc']})"
    elif missing:
        there = ", ".join(f"{name[:SHOWN]!a}" for name in list(value)[:MOST_NAMES]) or "nothing"
        yield f"{at}: missing are {', '.join(field['name'] for field in missing)}; there is {there}"
    for field in schema["fields"]:
        name = field["name"]
        if name in value:
            yield from problems(field["type"], value[name], f"{at}.{name}")


def _union(schema: Sequence[Any], value: object, at: str) -> Iterator[str]:
    if value is None and "null" in schema:
        return
    branches = [list(problems(branch, value, at)) for branch in schema if branch != "null"]
    if all(branches):
        yield from branches[0]


def _collection(schema: Mapping[str, Any], value: object, at: str) -> Iterator[str]:
    if schema["type"] == "array" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from problems(schema["items"], item, f"{at}[{index}]")
    elif schema["type"] == "map" and isinstance(value, dict):
        for name, item in value.items():
            yield from problems(schema["values"], item, f"{at}{step(name)}")
    else:
        expected = "a list" if schema["type"] == "array" else "an object"
        yield f"{at}: expected {expected}, got {_shown(value)}"


def _scalar(schema: Mapping[str, Any], value: object) -> str:
    match schema["type"]:
        case "int" | "long":
            return _integer(schema, value)
        case "string":
            return _json_object(value) if schema.get("logicalType") == "json-object" else _string(schema, value)
        case "enum":
            return "" if value in schema["symbols"] else f"expected one of {', '.join(schema['symbols'])}"
        case "boolean":
            return "" if isinstance(value, bool) else "expected true or false"
        case "float" | "double":
            number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            return "" if number else "expected a number"
        case "null":
            return "" if value is None else "expected null"
        case other:
            raise NotImplementedError(f"no schema of ours uses Avro's {other}")


def _integer(schema: Mapping[str, Any], value: object) -> str:
    lowest, highest = _INTEGERS[schema["type"]]
    lowest, highest = schema.get("minimum", lowest), schema.get("maximum", highest)
    if not isinstance(value, int) or isinstance(value, bool):
        return "expected a whole number"
    return "" if lowest <= value <= highest else f"expected a whole number of {lowest} to {highest}"


def _string(schema: Mapping[str, Any], value: object) -> str:
    if not isinstance(value, str):
        return f"expected {schema.get('expects', 'text')}"
    if problem := unfit_text(value):
        return f": {problem}"
    if len(value) > schema.get("maxLength", math.inf):
        return f"expected at most {schema['maxLength']} characters, not {len(value)}"
    if value != schema.get("const", value):
        return f"expected {schema['const']!r}"
    short = len(value) < schema.get("minLength", 0)
    unlike = "pattern" in schema and not re.search(schema["pattern"], value)
    return f"expected {schema.get('expects', 'some text')}" if short or unlike else ""


def _json_object(value: object) -> str:
    return unfit_for_json(value) if isinstance(value, dict) else "expected an object"


def _shown(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
