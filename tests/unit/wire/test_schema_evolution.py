"""What was released can be read by what is in use, and the other way round, in Avro and in JSON."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from wire_values import NAMES, SCHEMAS, example

from pipeline.errors import Undecodable
from pipeline.wire.avro_codec import AvroCodec, decode_value, encode_value
from pipeline.wire.events import PublicEvent
from pipeline.wire.messages import MESSAGES
from pipeline.wire.schemas import SchemaSet, schema_of, shipped_schemas
from pipeline.wire.validation import problems

# A released schema is never changed. Add a line with a release; never edit one.
RELEASED = {
    ("event", 1): "e5eedc4ef00607c1",
    ("eventlog-row", 1): "39b6c5990266cc00",
    ("reindex-request", 1): "02d3df6584713a87",
    ("reindexing-row", 1): "4a9a991ef49945bc",
    ("work-item", 1): "c2fb32b5795cb912",
}


def released():
    for path in sorted(SCHEMAS.glob("released/*/*.avsc")):
        yield schema_of(json.loads(path.read_text(encoding="utf-8")), path.parent.name, int(path.stem))


def current(name):
    return shipped_schemas().current[name]


def examples(name):
    return [example(path) for path in sorted((SCHEMAS / "examples" / name).glob("*.json"))]


def known(record, value):
    """A value as a writer of an older schema would have it: without the fields that came later."""
    kept = {}
    for field in record["fields"]:
        if field["name"] in value:
            inner = isinstance(field["type"], dict) and field["type"]["type"] == "record"
            kept[field["name"]] = known(field["type"], value[field["name"]]) if inner else value[field["name"]]
    return kept


def unreadable(writer, reader):
    """What a reader cannot make of what a writer writes, in either format."""
    found = []
    for value in examples(writer.name):
        written = known(writer.declared, value)
        found += problems(reader.declared, written)
        try:
            read = decode_value(encode_value(writer, written), writer, reader)
        except Undecodable as error:
            found.append(str(error))
        else:
            found += problems(reader.declared, read)
    return found


def changed(name, change):
    declared = deepcopy(dict(current(name).declared))
    change(declared["fields"])
    return schema_of(declared, name, 2)


@pytest.mark.parametrize("schema", list(released()), ids=lambda schema: f"{schema.name}/{schema.version}")
def test_what_was_released_and_what_is_in_use_read_each_other(schema):
    assert unreadable(schema, current(schema.name)) == []
    assert unreadable(current(schema.name), schema) == []


def test_a_released_schema_was_not_changed():
    assert {(schema.name, schema.version): schema.fingerprint.hex() for schema in released()} == RELEASED


def test_every_message_was_released():
    assert {name for name, _ in RELEASED} == set(NAMES)


def test_writers_of_every_released_schema_are_known_by_fingerprint():
    known_here = {schema.fingerprint for schema in shipped_schemas().by_fingerprint.values()}
    assert {schema.fingerprint for schema in released()} <= known_here


@pytest.mark.parametrize("name", NAMES)
def test_a_new_optional_field_harms_nobody(name):
    newer = changed(
        name, lambda fields: fields.append({"name": "colour", "type": ["null", "string"], "default": None, "doc": "x"})
    )
    assert unreadable(newer, current(name)) == []
    assert unreadable(current(name), newer) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_new_required_field_is_found_to_break_readers(name):
    newer = changed(name, lambda fields: fields.append({"name": "colour", "type": "string", "doc": "a colour"}))
    assert any("$.colour: is missing (a colour)" in problem for problem in unreadable(current(name), newer))
    assert any("no Avro body" in problem for problem in unreadable(current(name), newer))


@pytest.mark.parametrize("name", NAMES)
def test_a_field_taken_away_is_found_to_break_readers(name):
    older = changed(name, lambda fields: fields.pop(0))
    assert any("is missing" in problem for problem in unreadable(older, current(name)))


@pytest.mark.parametrize("name", NAMES)
def test_a_field_of_another_type_is_found_to_break_readers(name):
    newer = changed(name, lambda fields: fields[0].update(type="boolean"))
    assert any("expected true or false" in problem for problem in unreadable(current(name), newer))


def test_a_message_written_by_a_newer_release_is_decoded_by_its_own_schema():
    newer = changed("event", lambda fields: fields.insert(0, {"name": "colour", "type": "string", "default": "red", "doc": "x"}))
    data = encode_value(newer, {**examples("event")[0], "colour": "blue"})
    mine = shipped_schemas()
    both = SchemaSet(current=mine.current, by_fingerprint={**mine.by_fingerprint, newer.fingerprint: newer})
    codec = next(message for message in MESSAGES if message.type is PublicEvent)
    expected = codec.json.decode(json.dumps(examples("event")[0]).encode())
    assert AvroCodec(PublicEvent, "event", lambda: both).decode(data) == expected
    with pytest.raises(Undecodable, match=f"unknown schema: fingerprint {newer.fingerprint.hex()}"):
        codec.decode(data)
