from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.compose import Failure, LetterMaker, on_the_wire
from pipeline.delivery.letter import Origin, identity, own_headers, read, replay_headers, replayed
from pipeline.delivery.record import Headers, Outgoing, Record
from pipeline.errors import Undecodable
from tests.unit.delivery.conftest import letter_maker

NAMES = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12),
    st.sampled_from(["omero.dlq.headers", "omero.dlq.id", "omero.dlq.x", "__dlq.errors.topic", "traceparent", "same"]),
)
HEADERS = st.lists(st.tuples(NAMES, st.one_of(st.none(), st.binary(max_size=20))), max_size=8).map(tuple)
RECORDS = st.builds(
    Record,
    topic=st.sampled_from(["omero.eventlog", "omero.work.pixels"]),
    partition=st.integers(0, 5),
    offset=st.integers(0, 2**62),
    key=st.one_of(st.none(), st.binary(max_size=30)),
    value=st.one_of(st.none(), st.just(b""), st.binary(max_size=300)),
    headers=HEADERS,
    timestamp_ms=st.integers(-1, 4_000_000_000_000),
    topic_id=st.sampled_from(["", "Xx0aKq1RTyqB8oRfbM9sLQ"]),
)
FAILURES = st.builds(
    Failure,
    error=st.text(max_size=400).map(ValueError),
    letter_class=st.sampled_from(["poison", "undecodable", "timeout"]),
    part=st.sampled_from(["", "rule-a", "jo@example.org"]),
    attempts=st.integers(0, 9),
    timeouts=st.integers(0, 9),
    first_failed_at_ms=st.one_of(st.none(), st.integers(0, 4_000_000_000_000)),
)
RECORD = Record(
    topic="omero.eventlog", partition=2, offset=17, key=b"k", value=b"v", timestamp_ms=1_700_000_000_000, topic_id="T"
)


def refuse(message: str) -> None:
    raise Undecodable(message)


def raised(message: str = "row 42 of 'Image' has no owner") -> Failure:
    try:
        refuse(message)
    except Undecodable as exc:
        return Failure(error=exc, letter_class="undecodable", attempts=1)
    raise AssertionError


def arrived(letter: Outgoing, *, offset: int = 0) -> Record:
    return Record(
        topic=letter.topic,
        partition=0,
        offset=offset,
        key=letter.key,
        value=letter.value,
        headers=letter.headers,
        timestamp_ms=letter.timestamp_ms or 0,
    )


@given(RECORDS, FAILURES)
def test_a_letter_keeps_the_record_byte_for_byte_and_says_why(record: Record, failure: Failure) -> None:
    letter = read(arrived(letter_maker().make(record, failure)))

    ours_behind = replayed(record) is not None or own_headers(record) != record.headers
    if not ours_behind:
        assert (letter.key, letter.value, letter.headers) == (record.key, record.value, record.headers)
        assert letter.origin == Origin(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            topic_id=record.topic_id,
        )
    assert letter.id == identity("relay", letter.origin, failure.part)
    assert (letter.letter_class, letter.part) == (failure.letter_class, failure.part)
    assert (letter.attempts, letter.timeouts) == (failure.attempts, failure.timeouts)
    assert letter.first_failed_at_ms == (1_764_000_000_000 if failure.first_failed_at_ms is None else failure.first_failed_at_ms)
    assert letter.failed_at_ms == 1_764_000_000_000
    assert letter.dataref is None
    assert len(letter.message) <= 256
    assert letter.message.isprintable()


@given(RECORDS, FAILURES)
def test_headers_do_not_grow_over_replays(record: Record, failure: Failure) -> None:
    sizes, ids = [], []
    for count in range(1, 11):
        letter = read(arrived(letter_maker().make(record, failure), offset=count))
        record = Record(
            topic="omero.retry.relay",
            partition=0,
            offset=count,
            key=letter.key,
            value=letter.value,
            headers=replay_headers(letter),
        )
        again = letter_maker().make(record, failure)
        digits = len(str(read(arrived(again)).replay_count))
        sizes.append((len(again.headers), again.size - digits))
        ids.append(read(arrived(again)).id)

    assert set(sizes) == {sizes[0]}
    assert set(ids) == {letter.id}
    assert read(arrived(again)).replay_count >= 10


@given(RECORDS)
def test_a_replay_says_where_it_comes_from_and_what_is_to_be_done_again(record: Record) -> None:
    letter = read(arrived(letter_maker().make(record, replace(raised(), part="rule-a"))))

    again = replayed(Record(topic="omero.retry.relay", partition=0, offset=3, key=b"", value=b"", headers=replay_headers(letter)))

    assert again is not None
    assert (again.of, again.origin, again.part) == (letter.id, letter.origin, "rule-a")
    assert again.count == letter.replay_count + 1


@given(RECORDS, st.integers(1, 6))
def test_anything_can_be_read_as_a_letter(record: Record, cut: int) -> None:
    whole = arrived(letter_maker().make(record, raised()))

    for damaged in (record, replace(whole, headers=whole.headers[:-cut]), replace(whole, headers=whole.headers[cut:])):
        assert read(damaged).value == damaged.value


def test_the_id_is_the_same_whoever_writes_the_letter_and_differs_for_anything_else() -> None:
    here = Origin(topic="omero.eventlog", partition=2, offset=17, topic_id="T")
    others = [
        identity("documents", here, ""),
        identity("relay", here, "rule-a"),
        identity("relay", replace(here, topic="omero.eventlog2"), ""),
        identity("relay", replace(here, partition=21, offset=7), ""),
        identity("relay", replace(here, offset=18), ""),
        identity("relay", replace(here, topic_id="U"), ""),
    ]

    # Written out, because letters of an older version must keep their ids.
    assert identity("relay", here, "") == "cb1ea4ca-a1b9-5d69-a358-618f959ab7e1"
    assert len({identity("relay", here, ""), *others}) == 7


def test_a_letter_can_be_read_with_kcat() -> None:
    record = replace(RECORD, headers=(("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),))
    failure = replace(raised(), part="rule-a", first_failed_at_ms=1_763_999_999_123)

    headers = letter_maker().make(record, failure).headers

    stack = dict(headers)["omero.dlq.stack"].decode()
    assert stack.startswith("Traceback (most recent call last):")
    assert "raise Undecodable(message)" in stack
    assert [(name, value) for name, value in headers if "stack" not in name] == [
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("omero.dlq.headers", b"1"),
        ("omero.dlq.id", identity("relay", read(arrived(letter_maker().make(record, failure))).origin, "rule-a").encode()),
        ("omero.dlq.consumer", b"relay"),
        ("omero.dlq.class", b"undecodable"),
        ("omero.dlq.exception", b"pipeline.errors.Undecodable"),
        ("__dlq.errors.message", b"row 42 of 'Image' has no owner"),
        ("__dlq.errors.topic", b"omero.eventlog"),
        ("__dlq.errors.partition", b"2"),
        ("__dlq.errors.offset", b"17"),
        ("omero.dlq.topic.id", b"T"),
        ("omero.dlq.timestamp", b"1700000000000"),
        ("__dlq.errors.group", b"omero.relay"),
        ("__dlq.errors.delivery.count", b"1"),
        ("omero.dlq.attempts", b"1"),
        ("omero.dlq.timeouts", b"0"),
        ("omero.dlq.first-failed-at", b"2025-11-24T15:59:59.123Z"),
        ("omero.dlq.failed-at", b"2025-11-24T16:00:00.000Z"),
        ("omero.dlq.worker", b"host-a/4711"),
        ("omero.dlq.version", b"0.1.0"),
        ("omero.dlq.fingerprint", read(arrived(letter_maker().make(record, failure))).fingerprint.encode()),
        ("omero.dlq.part", b"rule-a"),
        ("omero.dlq.replay.count", b"0"),
        ("omero.dlq.traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ]


@pytest.mark.parametrize("excess", [-1, 0, 1, 4096, 1_000_000], ids=["limit-1", "limit", "limit+1", "limit+4k", "2x"])
def test_a_letter_fits_its_topic_whatever_the_size_of_the_record(excess: int) -> None:
    limit = 1_000_000
    maker = letter_maker(limit)
    bare = on_the_wire(maker.make(replace(RECORD, value=b""), raised()))
    value = b"x" * (limit - bare + excess)

    letter = maker.make(replace(RECORD, value=value), raised())
    found = read(arrived(letter))

    assert on_the_wire(letter) <= limit
    if excess <= 1:
        assert (found.value, found.dataref) == (value, None)
        assert bool(found.stack) == (excess <= 0) or len(found.stack) < len(read(arrived(maker.make(RECORD, raised()))).stack)
    elif excess == 1_000_000:
        assert found.value is None
        assert found.dataref == {
            "topic": "omero.eventlog",
            "partition": 2,
            "offset": 17,
            "missing": ["value"],
            "sha256": hashlib.sha256(value).hexdigest(),
            "length": len(value),
        }


@given(st.integers(1200, 6000), st.binary(max_size=3000), HEADERS, st.integers(0, 8000))
def test_what_is_left_out_is_named_and_nothing_else_is_left_out(limit: int, key: bytes, headers: Headers, length: int) -> None:
    record = replace(RECORD, key=key, value=b"v" * length, headers=headers)
    if own_headers(record) != headers:
        return
    letter = letter_maker(limit).make(record, raised())
    found = read(arrived(letter))
    missing = found.dataref["missing"] if found.dataref else []

    assert on_the_wire(letter) <= max(limit, 2200)
    assert ("key" in missing) == (found.key != record.key)
    assert ("value" in missing) == (found.value != record.value)
    assert ("headers" in missing) == (found.headers != record.headers)


@pytest.mark.parametrize(
    ("key", "value"),
    [(None, b"v"), (b"k", None), (None, None), (b"", b""), (b"\xff\xfe", b"\x00\x80")],
    ids=["null key", "tombstone", "nothing", "0 bytes", "not text"],
)
def test_null_and_empty_are_told_apart(maker: LetterMaker, key: bytes | None, value: bytes | None) -> None:
    headers = (("same", b"\xff"), ("same", None), ("", b""), ("same", b""))

    found = read(arrived(maker.make(replace(RECORD, key=key, value=value, headers=headers), raised())))

    assert (found.key, found.value, found.headers) == (key, value, headers)


def test_retention_counts_from_the_failure_and_not_from_the_event(maker: LetterMaker) -> None:
    letter = maker.make(replace(RECORD, timestamp_ms=0), raised())

    assert letter.timestamp_ms == 1_764_000_000_000
    assert read(arrived(letter)).origin.timestamp_ms == 0
