"""The schemas are the contract: the classes, the examples and the topics say the same."""

from __future__ import annotations

import json
import re

import msgspec.inspect
import pytest
from msgspec import NODEFAULT
from wire_values import NAMES, SCHEMAS, example

from pipeline.wire.messages import MESSAGES, message_of
from pipeline.wire.schemas import shipped_schemas
from pipeline.wire.topics import TOPICS
from pipeline.wire.validation import problems

each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.schema)
WHOLE = {"minimum": -(2**63), "maximum": 2**63 - 1}


def declared(name):
    return shipped_schemas().current[name].declared


def fields_of_schema(record):
    """Each field's name, type with its limits, whether it may be left out, and its default."""
    return [
        (field["name"], type_of_schema(field["type"]), "default" in field, field.get("default")) for field in record["fields"]
    ]


def type_of_schema(kind):
    if isinstance(kind, list):
        return ["optional", type_of_schema(kind[1])]
    if kind == "long" or kind["type"] == "long":
        return "long", *({**WHOLE, **(kind if isinstance(kind, dict) else {})}[limit] for limit in WHOLE)
    if kind["type"] == "record":
        return fields_of_schema(kind)
    if kind["type"] == "enum" or "const" in kind:
        return "one of", sorted(kind.get("symbols", [kind.get("const")]))
    if "logicalType" in kind:
        return kind["logicalType"]
    return "string", kind.get("minLength"), kind.get("maxLength"), kind.get("pattern")


def fields_of_class(struct):
    return [
        (field.encode_name, type_of_class(field.type), not field.required, None if field.default is NODEFAULT else field.default)
        for field in msgspec.inspect.type_info(struct).fields
    ]


def type_of_class(kind):
    match kind:
        case msgspec.inspect.UnionType(types=(inner, msgspec.inspect.NoneType())):
            return ["optional", type_of_class(inner)]
        case msgspec.inspect.IntType():
            return "long", kind.ge, kind.le
        case msgspec.inspect.StrType():
            return "string", kind.min_length, kind.max_length, kind.pattern
        case msgspec.inspect.LiteralType():
            return "one of", sorted(kind.values)
        case msgspec.inspect.DictType():
            return "json-object"
        case msgspec.inspect.StructType():
            return fields_of_class(kind.cls)
    raise NotImplementedError(kind)


def every_field(record):
    for field in record["fields"]:
        yield field
        if isinstance(field["type"], dict) and field["type"]["type"] == "record":
            yield from every_field(field["type"])


@each_message
def test_class_and_schema_have_the_same_fields_in_order_with_the_same_limits(message):
    assert fields_of_class(message.type) == fields_of_schema(declared(message.schema))


@each_message
def test_messages_cannot_be_changed(message):
    config = message.type.__struct_config__
    assert (config.frozen, config.forbid_unknown_fields) == (True, False)


@each_message
def test_every_field_says_what_it_means(message):
    record = declared(message.schema)
    assert [field["name"] for field in every_field(record) if len(field.get("doc", "").split()) < 2] == []
    assert len(record["doc"].split()) > 5


@each_message
def test_every_limit_on_text_says_in_words_what_it_expects(message):
    kinds = [kind for field in every_field(declared(message.schema)) for kind in [field["type"], *field["type"]]]
    assert [kind for kind in kinds if isinstance(kind, dict) and "pattern" in kind and "expects" not in kind] == []


def test_every_schema_is_used_by_a_message_and_every_message_by_a_topic():
    carried = {topic.schema for topic in TOPICS if topic.schema and not topic.planned}
    assert set(shipped_schemas().current) == set(NAMES) == carried


def test_a_planned_topic_has_no_schema_yet():
    planned = [topic for topic in TOPICS if topic.planned]
    assert [topic.name for topic in planned] == [
        "omero.search.documents",
        "omero.job-events",
        "omero.dlq.decisions",
        "omero.cdc.signal",
    ]
    assert [topic.schema for topic in planned if topic.schema in shipped_schemas().current] == []
    assert [message_of(topic) for topic in planned] == [None] * len(planned)


def test_every_message_has_examples_and_every_example_a_message():
    found = {path.name: len(list(path.glob("*.json"))) for path in (SCHEMAS / "examples").iterdir()}
    assert set(found) == set(NAMES)
    assert min(found.values()) >= 2
    assert {declared(name)["example"] for name in NAMES} <= {path.stem for path in SCHEMAS.glob("examples/*/*.json")}


def test_the_examples_together_use_every_field():
    for name in NAMES:
        used = {key for path in (SCHEMAS / "examples" / name).glob("*.json") for key in keys(example(path))}
        assert {field["name"] for field in every_field(declared(name))} - used == set()


def test_every_example_is_what_the_schema_says():
    found = {str(path): list(problems(declared(path.parent.name), example(path))) for path in SCHEMAS.glob("examples/*/*.json")}
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


def test_every_file_is_readable_json_of_ours():
    for path in [*SCHEMAS.glob("*.avsc"), *SCHEMAS.glob("released/*/*.avsc"), *SCHEMAS.glob("examples/*/*.json")]:
        assert isinstance(json.loads(path.read_text(encoding="utf-8")), dict)


def test_the_attributes_of_an_event_are_named_as_cloudevents_demands():
    record = declared("event")
    assert [field["name"] for field in record["fields"] if not re.fullmatch(r"[a-z0-9]{1,20}", field["name"])] == []
    required = [field["name"] for field in record["fields"] if "default" not in field]
    assert required == ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"]


def keys(value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from keys(item)
