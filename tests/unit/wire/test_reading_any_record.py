"""`omero-mq topic cat` shows whatever lies on a topic, or says why it cannot."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import ANY_JSON, EXAMPLE_IDS, EXAMPLES, example, outcome

from pipeline.errors import Undecodable
from pipeline.wire.messages import WORK_ITEM, message_of
from pipeline.wire.reading import Decoded, decode_any
from pipeline.wire.topics import TOPICS, named
from pipeline.wire.work import WorkItem

ITEM = WorkItem(id="a", queue="pixels", requested_by="2", payload={"levels": 5})
SHOWN = {"id": "a", "queue": "pixels", "requested_by": "2", "payload": {"levels": 5}}
NAMES = [named(topic, "site", "relay" if topic.is_family else "") for topic in TOPICS] + ["foreign", "", "site.dlq.Bad Name"]


@pytest.mark.parametrize(("message", "path"), EXAMPLES, ids=EXAMPLE_IDS)
def test_every_example_is_shown_as_it_stands(message, path):
    topic = next(topic for topic in TOPICS if topic.schema == message.schema)
    shown = decode_any(named(topic, "site", "pixels" if topic.is_family else ""), path.read_bytes(), "site")
    assert shown == Decoded(encoding="json", schema=message.schema, value=example(path))


def test_work_is_shown_in_either_format():
    assert decode_any("omero.work.pixels", WORK_ITEM.json.encode(ITEM)) == Decoded(
        encoding="json", schema="work-item", value=SHOWN
    )
    assert decode_any("omero.work.pixels", WORK_ITEM.avro.encode(ITEM)) == Decoded(
        encoding="avro", schema="work-item", value=SHOWN
    )


@pytest.mark.parametrize("topic", ["omero.dlq.relay", "omero.retry.relay", "foreign"])
def test_others_bytes_are_shown_if_they_are_json_or_avro(topic):
    empty = dict.fromkeys(["order_key", "dedupe_key", "cause", "not_before_ms", "expires_ms"])
    avro = Decoded(encoding="avro", schema="work-item", value={**SHOWN, **empty, "urgency": "normal"})
    assert decode_any(topic, WORK_ITEM.avro.encode(ITEM)) == avro
    assert decode_any(topic, b'[1, "x"]') == Decoded(encoding="json", schema="", value=[1, "x"])


@pytest.mark.parametrize(
    ("topic", "data", "why"),
    [
        ("omero.events", None, "there is no value (a tombstone)"),
        ("omero.dlq.relay", b"\x00\x01", "not JSON: Expecting value: line 1 column 1 (char 0)"),
        ("omero.dlq.relay", b"\xc3\x01abcdefgh", "Avro by an unknown schema: fingerprint 6162636465666768"),
        ("omero.dlq.relay", b'"a\\u0000"', "$: NUL (\\u0000) at character 1"),
        (
            "omero.events",
            b"{}",
            "no event: $: missing are specversion, id, source, type, subject, time, datacontenttype, data",
        ),
        ("omero.reindex", WORK_ITEM.avro.encode(ITEM), "Avro of a work-item, where a reindex-request is expected"),
    ],
)
def test_what_cannot_be_shown_says_why(topic, data, why):
    with pytest.raises(Undecodable) as caught:
        decode_any(topic, data)
    assert str(caught.value).startswith(why)


@given(st.sampled_from(NAMES), st.none() | st.binary(max_size=60) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300, deadline=None)
def test_any_bytes_on_any_topic_are_shown_or_undecodable(name, data):
    shown = outcome(lambda value: decode_any(name, value, "site"), data)
    assert isinstance(shown, Decoded | str)


def test_topics_that_carry_others_bytes_have_no_message():
    assert [topic.name for topic in TOPICS if message_of(topic) is None] == [
        "omero.search.documents",
        "omero.job-events",
        "omero.retry.relay",
        "omero.dlq.<consumer>",
        "omero.dlq.decisions",
        "omero.cdc.heartbeat.<connector>",
        "omero.cdc.signal",
    ]
