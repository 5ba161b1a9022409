"""Avro in single-object encoding: what is written can be read, and what cannot be read says why."""

from __future__ import annotations

import io
import json

import fastavro
import pytest
from fastavro.schema import fingerprint as fastavro_fingerprint
from fastavro.schema import to_parsing_canonical_form
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import EXAMPLE_IDS, EXAMPLES, outcome, values

from pipeline.errors import Undecodable
from pipeline.wire.messages import MESSAGES, REINDEX_REQUEST, WORK_ITEM
from pipeline.wire.schemas import fingerprint, shipped_schemas
from pipeline.wire.work import ReindexRequest, WorkItem

ITEM = WorkItem(id="a", queue="pixels", requested_by="2", payload={"µ": [1, 0.5, None, {"Å": "x"}]}, urgency="bulk")
ENCODED = WORK_ITEM.avro.encode(ITEM)
FINGERPRINT = shipped_schemas().current["work-item"].fingerprint

each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.schema)


def refused(data, message=WORK_ITEM):
    with pytest.raises(Undecodable) as caught:
        message.decode(data)
    return str(caught.value)


def of_body(value, schema="work-item"):
    """Bytes that claim to be of a schema and have limits of ours broken."""
    out = io.BytesIO(b"\xc3\x01" + shipped_schemas().current[schema].fingerprint)
    out.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(out, shipped_schemas().current[schema].parsed, value)
    return out.getvalue()


@pytest.mark.parametrize(
    ("primitive", "expected"),
    [("null", 0x63DD24E7CC258F8A), ("int", 0x7275D51A3F395C8F), ("string", 0x8F014872634503C7)],
)
def test_fingerprints_are_those_of_the_avro_specification(primitive, expected):
    assert fingerprint(f'"{primitive}"') == expected.to_bytes(8, "little")


@each_message
def test_fingerprints_agree_with_another_implementation(message):
    schema = shipped_schemas().current[message.schema]
    canonical = to_parsing_canonical_form(dict(schema.declared))
    assert schema.fingerprint.hex() == fastavro_fingerprint(canonical, "CRC-64-AVRO")


@each_message
def test_the_canonical_form_keeps_names_types_and_order_and_nothing_else(message):
    def form(declared):
        if isinstance(declared, list):
            return [form(branch) for branch in declared]
        if isinstance(declared, str):
            return declared
        if declared["type"] == "record":
            fields = [{"name": field["name"], "type": form(field["type"])} for field in declared["fields"]]
            return {"name": f"omero_mq.{declared['name']}", "type": "record", "fields": fields}
        if declared["type"] == "enum":
            return {"name": f"omero_mq.{declared['name']}", "type": "enum", "symbols": declared["symbols"]}
        return declared["type"]

    declared = shipped_schemas().current[message.schema].declared
    assert to_parsing_canonical_form(dict(declared)) == json.dumps(form(declared), separators=(",", ":"))


def test_bytes_begin_with_the_marker_and_the_fingerprint():
    assert ENCODED[:10] == b"\xc3\x01" + FINGERPRINT
    assert WORK_ITEM.avro.decode(ENCODED) == ITEM


def test_any_avro_reader_can_read_the_body():
    value = fastavro.schemaless_reader(io.BytesIO(ENCODED[10:]), shipped_schemas().current["work-item"].parsed, None)
    assert json.loads(value["payload"]) == ITEM.payload
    assert {**value, "payload": None} == {
        "id": "a",
        "queue": "pixels",
        "requested_by": "2",
        "payload": None,
        "order_key": None,
        "dedupe_key": None,
        "urgency": "bulk",
        "cause": None,
        "not_before_ms": None,
        "expires_ms": None,
    }


@pytest.mark.parametrize(("message", "path"), EXAMPLES, ids=EXAMPLE_IDS)
def test_every_example_survives_avro(message, path):
    decoded = message.json.decode(path.read_bytes())
    assert message.decode(message.avro.encode(decoded)) == decoded


@pytest.mark.parametrize("length", range(len(ENCODED)))
def test_truncated_avro_is_said_to_be_truncated(length):
    with pytest.raises(Undecodable, match=r"^(truncated Avro: \d+ bytes|no Avro single-object encoding: begins with)"):
        WORK_ITEM.avro.decode(ENCODED[:length])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (ENCODED + b"x", f"1 trailing bytes after the Avro body of a work-item (fingerprint {FINGERPRINT.hex()})"),
        (
            ENCODED + ENCODED,
            f"{len(ENCODED)} trailing bytes after the Avro body of a work-item (fingerprint {FINGERPRINT.hex()})",
        ),
        (b"\xc3\x01" + bytes(range(8)) + ENCODED[10:], "Avro by an unknown schema: fingerprint 0001020304050607"),
        (b"\xc3\x01", "truncated Avro: 2 bytes, and the marker and fingerprint alone take 10"),
        (ENCODED[:10] + b"\x02a\x02", f"truncated Avro: 13 bytes end within a work-item (fingerprint {FINGERPRINT.hex()})"),
        (
            REINDEX_REQUEST.avro.encode(ReindexRequest(object="Image:1", reason="r", requested_by="2", requested_at_ms=1)),
            "Avro of a reindex-request, where a work-item is expected",
        ),
    ],
)
def test_what_is_wrong_with_the_frame_is_said(data, why):
    assert refused(data) == why


def test_json_and_avro_are_told_apart_by_the_first_bytes():
    assert WORK_ITEM.decode(WORK_ITEM.json.encode(ITEM)) == WORK_ITEM.decode(ENCODED) == ITEM
    with pytest.raises(Undecodable, match="no Avro single-object encoding: begins with 7b 22, not with c3 01"):
        WORK_ITEM.avro.decode(b'{"id":')


def test_limits_hold_in_avro_as_in_json():
    value = {"id": "", "queue": "Pixels", "requested_by": "2", "payload": "{}", "urgency": "normal"}
    assert refused(of_body(value)) == (
        "no work-item: $.id: expected some text, got ''; $.queue: expected kebab-case like mail-digest, got 'Pixels'"
    )


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("[]", "no work-item: $.payload: expected an object, got a list"),
        ("{", "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ('{"a": "\\u0000"}', "no work-item: $.payload.a: NUL (\\u0000) at character 0"),
    ],
)
def test_a_payload_in_avro_is_the_text_of_a_json_object(payload, why):
    assert refused(of_body({"id": "a", "queue": "pixels", "requested_by": "2", "payload": payload, "urgency": "bulk"})) == why


def test_a_nul_is_refused_in_avro_too():
    value = {"object": "Image:1", "reason": "a\x00", "requested_by": "2", "requested_at_ms": 1}
    assert refused(of_body(value, "reindex-request"), REINDEX_REQUEST) == (
        "no reindex-request: $.reason: NUL (\\u0000) at character 1"
    )


def test_what_the_schema_forbids_is_not_written():
    with pytest.raises(Undecodable, match=r"no work-item: \$\.id: expected some text, got ''"):
        WORK_ITEM.avro.encode(WorkItem(id="", queue="pixels", requested_by="2", payload={}))
    with pytest.raises(Undecodable, match=r"\$\.requested_by: lone surrogate"):
        WORK_ITEM.avro.encode(WorkItem(id="a", queue="pixels", requested_by="\ud800", payload={}))


@each_message
@given(st.data())
@settings(max_examples=50, deadline=None)
def test_whatever_fits_comes_back_from_avro(message, data):
    decoded = message.json.decode(json.dumps(data.draw(values(shipped_schemas().current[message.schema].declared))).encode())
    assert message.avro.decode(message.avro.encode(decoded)) == decoded


@each_message
@given(st.binary(max_size=100))
@settings(max_examples=200, deadline=None)
def test_any_body_is_a_message_or_undecodable(message, body):
    framed = b"\xc3\x01" + shipped_schemas().current[message.schema].fingerprint + body
    assert isinstance(outcome(message.avro.decode, framed), message.type | str)


@given(st.integers(0, len(ENCODED) - 1), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_changed_byte_is_noticed_or_changes_only_values(at, byte):
    changed = bytearray(ENCODED)
    changed[at] = byte
    assert isinstance(outcome(WORK_ITEM.avro.decode, bytes(changed)), WorkItem | str)
