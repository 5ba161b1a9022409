"""JSON is decoded exactly when the schema says so, and what is wrong is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import ANY_JSON, EXAMPLE_IDS, EXAMPLES, damaged, example, outcome, values

from pipeline.errors import Undecodable
from pipeline.wire.messages import EVENTLOG_ROW, MESSAGES, WORK_ITEM
from pipeline.wire.rows import EventlogRow
from pipeline.wire.schemas import shipped_schemas
from pipeline.wire.text import unfit_texts
from pipeline.wire.validation import problems
from pipeline.wire.work import WorkItem, work_key

ROW = {
    "id": 101,
    "action": "INSERT",
    "permissions": -35,
    "entityid": 42,
    "entitytype": "ome.model.core.Image",
    "external_id": None,
    "event": 7,
    "__op": "c",
    "__commit_us": 1795503030123456,
    "__lsn": 234881024,
    "__txid": 7411,
}
ITEM = {"id": "a", "queue": "pixels", "requested_by": "2", "payload": {}}
FIX = "write it as schemas/eventlog-row.avsc says; docs/reference/messages.md has examples"

each_message = pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.schema)


def declared(message):
    return shipped_schemas().current[message.schema].declared


def refused(data, message=EVENTLOG_ROW):
    with pytest.raises(Undecodable) as caught:
        message.json.decode(data)
    return str(caught.value)


def row(**changed):
    return json.dumps({**ROW, **changed}).encode()


def item(**changed):
    return json.dumps({**ITEM, **changed}).encode()


def test_a_row_is_decoded_as_debezium_writes_it():
    assert EVENTLOG_ROW.json.decode(row()) == EventlogRow(
        id=101,
        action="INSERT",
        permissions=-35,
        entityid=42,
        entitytype="ome.model.core.Image",
        external_id=None,
        event=7,
        op="c",
        commit_us=1795503030123456,
        lsn=234881024,
        txid=7411,
    )


def test_a_row_that_was_read_again_has_no_transaction():
    decoded = EVENTLOG_ROW.json.decode(row(__op="r", __lsn=None, __txid=None))
    assert (decoded.op, decoded.lsn, decoded.txid) == ("r", None, None)


def test_new_columns_are_passed_over():
    assert EVENTLOG_ROW.json.decode(row(colour="µ", nested={"a": [1.5]})) == EVENTLOG_ROW.json.decode(row())


@pytest.mark.parametrize("name", [name for name in ROW if name not in {"external_id", "__lsn", "__txid"}])
def test_a_missing_field_is_named(name):
    data = json.dumps({key: value for key, value in ROW.items() if key != name}).encode()
    assert refused(data).startswith(f"no eventlog-row: $.{name}: is missing (")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"entityid": -1}, "$.entityid: expected a whole number of 0 to 9223372036854775807, got -1"),
        ({"id": 2**63}, "$.id: expected a whole number of 0 to 9223372036854775807, got 9223372036854775808"),
        ({"permissions": -(2**63) - 1}, "$.permissions: expected a whole number of -9223372036854775808 to 9223372036854775807"),
        ({"id": True}, "$.id: expected a whole number, got true"),
        ({"id": 1.0}, "$.id: expected a whole number, got 1.0"),
        ({"id": "101"}, "$.id: expected a whole number, got '101'"),
        ({"id": None}, "$.id: expected a whole number, got null"),
        ({"entitytype": ""}, "$.entitytype: expected some text, got ''"),
        ({"entitytype": ["x"]}, "$.entitytype: expected text, got a list"),
        ({"action": "a\x00b"}, "$.action: NUL (\\u0000) at character 1"),
        ({"action": "a\ud800"}, "$.action: lone surrogate (\\ud800) at character 1"),
        ({"new": {"a": ["\x00"]}}, "$.new.a[0]: NUL (\\u0000) at character 0"),
        ({"new\x00": 1}, "$['new\\x00'], the name: NUL (\\u0000) at character 3"),
        ({"new": "\udc00"}, "$.new: lone surrogate (\\udc00) at character 0"),
        ({"__commit_us": 2**62}, "$.__commit_us: expected a whole number of 0 to 253402300799999999"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(changed, why):
    assert refused(row(**changed)).startswith(f"no eventlog-row: {why}")


def test_several_missing_fields_are_told_in_few_words_with_what_is_there():
    assert refused(b'{"schema":null,"payload":{}}') == (
        "no eventlog-row: $: missing are id, action, permissions, entityid, entitytype, event, __op, __commit_us;"
        " there is 'schema', 'payload'"
    )


def test_every_wrong_field_is_named_at_once():
    assert refused(row(id=-1, event=-2)) == (
        "no eventlog-row: $.id: expected a whole number of 0 to 9223372036854775807, got -1; "
        "$.event: expected a whole number of 0 to 9223372036854775807, got -2"
    )


def test_the_reader_is_told_what_to_do():
    with pytest.raises(Undecodable) as caught:
        EVENTLOG_ROW.json.decode(row(id=-1))
    assert caught.value.fix == FIX


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON: there are 0 bytes"),
        (b"\xc3\x01\x02", "not JSON but Avro (its first bytes are C3 01)"),
        (b'{"id":', "not JSON: Expecting value: line 1 column 7 (char 6)"),
        (row() + b"x", f"not JSON: something follows after its end: line 1 column {len(row()) + 1} (char {len(row())})"),
        (row() + row(), f"not JSON: something follows after its end: line 1 column {len(row()) + 1} (char {len(row())})"),
        (b"\xff", "not UTF-8: invalid start byte at byte 0"),
        (row()[:-1] + b', "x": "\xff"}', f"not UTF-8: invalid start byte at byte {len(row()) + 7}"),
        (b"\xef\xbb\xbf" + row(), "not JSON: Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)"),
        (b'{"id": NaN}', "not JSON: NaN is no JSON number"),
        (b'{"id": 1, "id": -1}', "not JSON: name 'id' stands twice in one object"),
        (b"[" * 100_000, "not decodable JSON: nested too deeply"),
        (b"[]", "no eventlog-row: $: expected an object, got a list"),
        (b"null", "no eventlog-row: $: expected an object, got null"),
    ],
)
def test_what_is_no_json_object_is_said_to_be_none(data, why):
    assert refused(data) == why


def test_a_number_of_ten_thousand_digits_is_only_too_large():
    data = row().replace(b'"id": 101', b'"id": ' + b"9" * 10_000)
    assert refused(data).startswith("no eventlog-row: $.id: expected a whole number of 0 to 9223372036854775807, got 99999")


def test_an_escaped_backslash_before_u0000_is_no_nul():
    assert EVENTLOG_ROW.json.decode(row(action="\\u0000")).action == "\\u0000"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"queue": "Pixels"}, "$.queue: expected kebab-case like mail-digest, got 'Pixels'"),
        ({"queue": "pixels\n"}, "$.queue: expected kebab-case like mail-digest, got 'pixels\\n'"),
        ({"id": "x" * 201}, "$.id: expected at most 200 characters, not 201, got 'xxxx"),
        ({"urgency": "asap"}, "$.urgency: expected one of interactive, normal, bulk, got 'asap'"),
        ({"payload": []}, "$.payload: expected an object, got a list"),
        ({"payload": {"a": [{"b": 10**20}]}}, "$.payload.a[0].b: 100000000000000000000 is beyond 64 bits"),
        ({"not_before_ms": -1}, "$.not_before_ms: expected a whole number of 0 to 253402300799999, got -1"),
    ],
)
def test_what_is_wrong_with_a_work_item_is_said(changed, why):
    assert refused(item(**changed), WORK_ITEM).startswith(f"no work-item: {why}")


def test_a_payload_may_not_be_deeper_than_anybody_needs():
    deep = {}
    for _ in range(40):
        deep = {"a": deep}
    assert refused(item(payload=deep), WORK_ITEM).endswith(": more than 32 levels deep")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**63, "\x00", "\ud800", {1: 2}, {"a": object()}, [b"bytes"]])
def test_a_payload_that_json_would_change_is_refused_where_it_is_made(value):
    with pytest.raises(ValueError, match=r"^payload\.a"):
        WorkItem(id="a", queue="pixels", requested_by="2", payload={"a": value})


def test_a_message_that_nobody_could_read_is_not_written():
    wrong = WorkItem(id="", queue="Pixels", requested_by="\ud800", payload={})
    with pytest.raises(Undecodable, match=r"work-item cannot be written as JSON: .*surrogates not allowed"):
        WORK_ITEM.json.encode_checked(wrong)
    with pytest.raises(Undecodable, match=r"\$\.id: expected some text, got ''; \$\.queue: expected kebab-case"):
        WORK_ITEM.json.encode_checked(WorkItem(id="", queue="Pixels", requested_by="2", payload={}))


def test_work_goes_by_its_order_key_and_else_by_its_id():
    assert work_key(WORK_ITEM.json.decode(item())) == b"a"
    assert work_key(WORK_ITEM.json.decode(item(order_key="Pixels:42"))) == b"Pixels:42"


@pytest.mark.parametrize(("message", "path"), EXAMPLES, ids=EXAMPLE_IDS)
def test_every_example_decodes_and_encodes_to_the_same(message, path):
    decoded = message.json.decode(path.read_bytes())
    assert json.loads(message.json.encode(decoded)) == example(path)
    assert message.json.encode_checked(decoded) == message.json.encode(decoded)


@each_message
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_the_decoder_accepts_exactly_what_the_schema_accepts(message, data):
    value = data.draw(damaged(declared(message)))
    encoded = json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass")
    fits = not [*unfit_texts(value), *problems(declared(message), value)]
    try:
        message.json.decode(encoded)
    except Undecodable:
        decoded = False
    else:
        decoded = True
    assert decoded == fits


@each_message
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_fits_comes_back_as_it_was(message, data):
    value = data.draw(values(declared(message)))
    decoded = message.json.decode(json.dumps(value).encode())
    assert message.json.decode(message.json.encode(decoded)) == decoded


@each_message
@given(st.binary(max_size=200) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_message_or_undecodable_in_words_that_fit_a_log(message, data):
    assert isinstance(outcome(message.json.decode, data), message.type | str)
