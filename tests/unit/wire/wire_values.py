"""Values made from the Avro schemas: right ones, wrong ones, and the shipped examples."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

from pipeline import shipped
from pipeline.errors import Undecodable
from pipeline.wire.messages import MESSAGES

SCHEMAS = shipped.directory("schemas")
NAMES = [message.schema for message in MESSAGES]
EXAMPLES = [(message, path) for message in MESSAGES for path in sorted((SCHEMAS / "examples" / message.schema).glob("*.json"))]
EXAMPLE_IDS = [f"{message.schema}/{path.stem}" for message, path in EXAMPLES]

PLAIN_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_TEXT, inner, max_size=3),
    max_leaves=8,
)
# Texts with NUL and lone surrogates, numbers beyond 64 bits: what no message may hold.
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        [-1, 0, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30, 1.0, 1e300, "", "1", "\x00", "a\ud800", "µÅ"]
    )
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters()), inner, max_size=3),
    max_leaves=8,
)


def example(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def outcome(decode, data):
    """What came of it: the message, or the words of the refusal, which any log and any letter's header can hold."""
    try:
        return decode(data)
    except Undecodable as error:
        assert str(error).isprintable()  # noqa: PT017 - anything else but Undecodable passes on and fails the test
        assert error.fix  # noqa: PT017
        return str(error)


def values(schema) -> st.SearchStrategy:
    """JSON values that fit a schema."""
    if isinstance(schema, list):
        return st.one_of([values(branch) for branch in schema])
    if isinstance(schema, str):
        return values({"type": schema})
    return BY_TYPE[schema["type"]](schema)


def record_values(schema):
    required = {field["name"]: values(field["type"]) for field in schema["fields"] if "default" not in field}
    optional = {field["name"]: values(field["type"]) for field in schema["fields"] if "default" in field}
    return st.fixed_dictionaries(required, optional=optional)


def string_values(schema):
    if schema.get("logicalType") == "json-object":
        return st.dictionaries(PLAIN_TEXT, JSON_VALUES, max_size=3)
    if "const" in schema:
        return st.just(schema["const"])
    if "pattern" in schema:
        longest = schema.get("maxLength", 1000)
        return st.from_regex(schema["pattern"]).filter(lambda text: "\x00" not in text and len(text) <= longest)
    characters = st.characters(codec="utf-8", exclude_characters="\x00")
    return st.text(characters, min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 30))


BY_TYPE = {
    "record": record_values,
    "string": string_values,
    "enum": lambda schema: st.sampled_from(schema["symbols"]),
    "null": lambda _schema: st.none(),
    "long": lambda schema: st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)),
}


@st.composite
def damaged(draw, schema):
    """A value that fits, with one or two places changed: mostly wrong, now and then still right."""
    value = draw(values(schema))
    for _ in range(draw(st.integers(0, 2))):
        target = value
        if isinstance(value.get("data"), dict) and draw(st.booleans()):
            target = value["data"]
        name = draw(st.sampled_from(sorted(target)) | st.sampled_from([field["name"] for field in schema["fields"]]) | st.text())
        if draw(st.booleans()):
            target.pop(name, None)
        else:
            target[name] = draw(ANY_JSON)
    return value
