"""Records that nobody should ever write, put by hand on omero.eventlog beside the real connector, in front of the real relay."""

from __future__ import annotations

import json
import struct
import time

import pytest
from confluent_kafka import Producer

from .conftest import Site

pytestmark = pytest.mark.stack

ROW = {
    "id": 900_001,
    "action": "UPDATE",
    "permissions": -52,
    "entityid": 1,
    "entitytype": "ome.model.core.Image",
    "external_id": None,
    "event": 0,
    "__op": "c",
    "__commit_us": 1_764_000_000_000_000,
    "__lsn": 1,
    "__txid": None,
}
LIMIT = 1_048_588  # max.message.bytes of omero.eventlog
OVERHEAD = 72  # of a batch with one record whose key has 5 bytes


def row(**changes: object) -> bytes:
    return json.dumps({**ROW, **changes}).encode()


def without(*names: str) -> bytes:
    return json.dumps({name: value for name, value in ROW.items() if name not in names}).encode()


NEEDED = [name for name in ROW if name not in {"external_id", "__lsn", "__txid"}]
AVRO = b"\xc3\x01" + struct.pack("<Q", 0x0123_4567_89AB_CDEF) + b"\x02\x06abc"
BETWEEN = "expected a whole number of 0 to 9223372036854775807, got"
BAD: dict[str, tuple[bytes | None, str]] = {
    "cut short": (row()[:30], "not JSON: Unterminated string starting at: line 1 column 26 (char 25)"),
    "latin-1": (row().replace(b"UPDATE", b"\xdcBER"), "not UTF-8: invalid continuation byte at byte 26"),
    "a field missing": (without("event"), "no eventlog-row: $.event: is missing (id in table event, which knows actor"),
    "fields missing": (without("id", "event"), "no eventlog-row: $: missing are id, event; there is 'action', 'permissions'"),
    "Connect's envelope": (
        json.dumps({"schema": None, "payload": {"after": ROW}}).encode(),
        f"no eventlog-row: $: missing are {', '.join(NEEDED)}; there is 'schema', 'payload'",
    ),
    "empty": (b"", "not JSON: there are 0 bytes"),
    "tombstone": (None, "no value (a tombstone)"),
    "a negative id": (row(entityid=-1), f"no eventlog-row: $.entityid: {BETWEEN} -1"),
    "an id beyond 64 bits": (row(id=2**63), f"no eventlog-row: $.id: {BETWEEN} 9223372036854775808"),
    "an id of 5,000 digits": (row().replace(b"900001", b"9" * 5000), f"no eventlog-row: $.id: {BETWEEN} {'9' * 40}"),
    "an id in words": (row(event="seven"), "no eventlog-row: $.event: expected a whole number, got 'seven'"),
    "an id that is infinite": (row().replace(b"900001", b"1e999"), "no eventlog-row: $.id: expected a whole number, got inf"),
    "a year beyond the calendar": (
        row(__commit_us=10**18),
        "no eventlog-row: $.__commit_us: expected a whole number of 0",
    ),
    "a transaction to come": (row(__txid=2**31), "transaction 2147483648 has not begun in OMERO's database, so this row was not"),
    "a null byte": (row(action="UP\0DATE"), "no eventlog-row: $.action: NUL (\\u0000) at character 2"),
    "a lone surrogate": (row(entitytype="a.\ud800"), "no eventlog-row: $.entitytype: lone surrogate (\\ud800) at character 2"),
    "avro by an unknown schema": (AVRO, "not JSON but Avro (its first bytes are C3 01)"),
    "avro cut short": (AVRO[:5], "not JSON but Avro (its first bytes are C3 01)"),
    "trailing bytes": (row() + b"\0\0", "not JSON: something follows after its end: line 1 column"),
    "nested 100,000 deep": (b"[" * 100_000, "not decodable JSON: nested too deeply"),
    "at the limit": (b"x" * (LIMIT - OVERHEAD - 5), "not JSON: Expecting value: line 1 column 1 (char 0)"),
}
GOOD: dict[str, bytes] = {
    "unknown type": row(id=900_003, entitytype="org.example.Custom", action="FROBNICATE"),
    "any script": row(id=900_004, entitytype="a.🔬", action="ÜBER"),
    "the largest ids": row(id=2**63 - 1, entityid=2**63 - 1, event=2**63 - 1, permissions=-(2**63)),
    "a long name": row(id=900_005, entitytype="a." + "X" * 150_000),
    "the next": row(id=900_009),
}
HUGE_HEADERS = [("big", b"h" * 500_000), *((f"many-{n}", b"v") for n in range(3000))]


@pytest.fixture(scope="module")
def written(site: Site) -> dict[str, int]:
    """All of them in one partition, each bad one before a good one; answers the offset of each by its name."""
    producer = Producer({"bootstrap.servers": site.where.kafka_bootstrap, "message.max.bytes": 3_000_000})
    offsets: dict[str, int] = {}

    def send(name: str, value: bytes | None, headers=()) -> None:
        def told(error, message) -> None:
            assert error is None, (name, error)
            offsets[name] = message.offset()

        producer.produce("omero.eventlog", key=name[:5], value=value, headers=list(headers), partition=0, on_delivery=told)
        producer.flush(20)

    for name, (value, _) in BAD.items():
        send(name, value)
    send("huge headers", b"no row", HUGE_HEADERS)
    for name, value in GOOD.items():
        send(name, value)
    deadline = time.monotonic() + 60
    while f"eventlog:{ROW['id'] + 8}".encode() not in b"".join(site.records("omero.events")):
        assert time.monotonic() < deadline, site.stack.conditions()
        time.sleep(0.5)
    return offsets


@pytest.fixture(scope="module")
def letters(site: Site, written: dict[str, int]) -> dict[int, dict]:
    """What `omero-mq dlq list` says, by offset in omero.eventlog."""
    lines = site.omero_mq("dlq", "list", "--records", "--all", "--json").stdout.splitlines()
    return {found["origin"]["offset"]: found for found in map(json.loads, lines)}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_becomes_a_letter_that_says_why_with_its_bytes_untouched(written, letters, site, name):
    value, said = BAD[name]
    letter = letters[written[name]]
    assert letter["message"].startswith(said)
    assert (letter["origin"]["topic"], letter["origin"]["partition"], letter["attempts"]) == ("omero.eventlog", 0, 1)
    assert letter["key"] == name[:5]
    text = letter["value"]
    kept = text if text is None else bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()
    assert kept == value
    assert letter["dataref"] is None


def test_huge_headers_are_kept_and_shown_within_a_screen(written, letters, site):
    letter = letters[written["huge headers"]]
    assert [(each["name"], each["value"].encode()) for each in letter["headers"]] == HUGE_HEADERS
    shown = site.omero_mq("dlq", "show", letter["record"]).stdout.splitlines()
    assert len(shown) < 40
    assert max(map(len, shown)) < 400
    assert shown[-1].split() == ["...", "2981", "more", "(--json", "has", "all)"]


def test_there_is_no_other_letter_and_none_is_missing(written, letters):
    assert set(letters) == {written[name] for name in (*BAD, "huge headers")}


@pytest.mark.parametrize("name", ["Connect's envelope", "tombstone", "a lone surrogate", "a transaction to come", "at the limit"])
def test_each_letter_can_be_read_aloud(letters, written, site, name):
    done = site.omero_mq("dlq", "show", letters[written[name]]["record"])
    lines = {line[:11].strip(): line[11:] for line in done.stdout.splitlines() if line[:1].strip()}
    assert f"from omero.eventlog/0@{written[name]}" in lines["Record"]
    assert letters[written[name]]["message"] in lines["Error"]
    assert lines["To do"]
    assert "Next:  omero-mq" in done.stderr
    assert max(map(len, done.stdout.splitlines())) < 700


def test_what_is_only_strange_is_told_as_it_is(written, site):
    done = site.omero_mq("events", "follow", "--from-beginning", "--no-wait", "--json")
    told = {each["event"]["id"]: each["event"] for each in map(json.loads, done.stdout.splitlines())}
    for value in GOOD.values():
        sent = json.loads(value)
        event = told[f"eventlog:{sent['id']}"]
        assert event["data"]["entitytype"] == sent["entitytype"]
        assert event["data"]["entityid"] == str(sent["entityid"])
        assert event["data"]["action"] == sent["action"]
    lines = site.omero_mq("events", "follow", "--from-beginning", "--no-wait").stdout.splitlines()
    assert max(map(len, lines)) < 250


def test_a_record_beyond_the_limit_is_refused_to_whoever_writes_it(site):
    refused = []
    producer = Producer({"bootstrap.servers": site.where.kafka_bootstrap, "message.max.bytes": 3_000_000})
    producer.produce("omero.eventlog", value=b"x" * LIMIT, partition=0, on_delivery=lambda error, _: refused.append(error.name()))
    producer.flush(20)
    assert refused == ["MSG_SIZE_TOO_LARGE"]


def test_the_relay_never_restarted_and_says_what_it_did(written, letters, site):
    deadline = time.monotonic() + 20  # it speaks every few seconds
    while True:
        (relay,) = [each for each in site.stack.conditions() if each.name == "relay"]
        if f"{len(letters)} letters" in relay.status or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert (relay.state, relay.restarts) == ("ready", 0)
    assert f"{len(letters)} letters" in relay.status
