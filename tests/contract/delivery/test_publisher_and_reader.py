"""The laws of `Publisher` and `Reader`, held against memory and against real Kafka."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from pipeline.delivery.ports import Reader
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import Misconfigured, OffsetGap, Permanent, RecordTooLarge
from tests.contract.delivery.conftest import World


def numbered(topic: str, count: int, *, key: bytes = b"k", start: int = 0) -> list[Outgoing]:
    return [Outgoing(topic=topic, key=key, value=b"%d" % n) for n in range(start, start + count)]


def read(reader: Reader, count: int, *, at_most: int = 1000) -> list[Record]:
    found: list[Record] = []
    until = time.monotonic() + 20
    while len(found) < count and time.monotonic() < until:
        found += reader.read(at_most=at_most, wait_s=0.5)
    return found


def values(records: list[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]


def incompressible(length: int) -> bytes:
    return random.Random(length).randbytes(length)  # the broker holds its limit against compressed batches


def eventually(check: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not check() and time.monotonic() < until:
        time.sleep(0.05)
    return check()


def test_what_is_published_is_there_byte_for_byte(world: World) -> None:
    topic = world.create("a")
    headers = (("same", b"1"), ("same", b"\xff\x00"), ("none", None), ("empty", b""), ("", b"x"), ("ключ", b"y"))
    sent = [
        Outgoing(topic=topic, key=b"\x00\xff", value=b"\x80", headers=headers),
        Outgoing(topic=topic, key=None, value=b""),
        Outgoing(topic=topic, key=b"", value=None),
        Outgoing(topic=topic, key=b"k", value=b"v", partition=0),
    ]

    world.publisher.publish(sent)

    assert world.records(topic) == [
        Record(topic=topic, partition=0, offset=n, key=one.key, value=one.value, headers=one.headers, timestamp_ms=0)
        for n, one in enumerate(sent)
    ]


def test_a_given_time_is_kept(world: World) -> None:
    topic = world.create("a")
    world.create_group("g", [topic])

    world.publisher.publish([Outgoing(topic=topic, key=b"k", value=b"v", timestamp_ms=1_700_000_000_123)])

    (record,) = read(world.reader("g", [topic]), 1)
    assert record.timestamp_ms == 1_700_000_000_123


def test_records_of_one_key_stay_in_order(world: World) -> None:
    topic = world.create("a", partitions=3)
    keys = [b"Image:%d" % n for n in range(10)]

    for start in range(0, 300, 100):
        world.publisher.publish([one for key in keys for one in numbered(topic, 100, key=key, start=start)])

    records = world.records(topic)
    for key in keys:
        mine = [record for record in records if record.key == key]
        assert len({record.partition for record in mine}) == 1
        assert values(mine) == list(range(300))


@pytest.mark.parametrize("name", ["lone \ud800 surrogate", "zero \0 byte"])
def test_a_header_name_that_cannot_be_written_is_refused_and_the_next_record_is_taken(world: World, name: str) -> None:
    topic = world.create("a")

    with pytest.raises(Permanent, match="header name"):
        world.publisher.publish([Outgoing(topic=topic, key=b"k", value=b"v", headers=((name, b""),))])
    world.publisher.publish(numbered(topic, 1))

    assert values(world.records(topic)) == [0]


def test_publishing_nothing_is_nothing(world: World) -> None:
    assert world.publisher.publish([]) is None


def test_a_missing_topic_is_named(world: World) -> None:
    topic = world.create("a")

    with pytest.raises(Misconfigured, match=f"{topic}-nowhere") as caught:
        world.publisher.publish([Outgoing(topic=topic + "-nowhere", key=b"k", value=b"v")])

    assert "topic create" in caught.value.fix


@pytest.mark.parametrize("excess", [0, 300, 20_000], ids=["just below", "just above", "2x"])
def test_a_record_beyond_the_topics_limit_is_refused_and_the_next_is_taken(world: World, excess: int) -> None:
    topic = world.create("a", max_message_bytes=20_000)
    large = Outgoing(topic=topic, key=b"k", value=incompressible(19_800 + excess))

    if excess:
        with pytest.raises(RecordTooLarge):
            world.publisher.publish([large])
    else:
        world.publisher.publish([large])
    world.publisher.publish(numbered(topic, 1))

    assert [len(record.value or b"") for record in world.records(topic)] == ([] if excess else [19_800]) + [1]


def test_small_records_that_together_are_beyond_the_limit_are_taken(world: World) -> None:
    topic = world.create("a", max_message_bytes=20_000)

    world.publisher.publish(numbered(topic, 3000))

    assert values(world.records(topic)) == list(range(3000))


def test_a_too_large_record_does_not_turn_the_order_round(world: World) -> None:
    topic = world.create("a", max_message_bytes=20_000)
    batch = numbered(topic, 400)
    batch[100] = Outgoing(topic=topic, key=b"k", value=incompressible(30_000))

    with pytest.raises(RecordTooLarge):
        world.publisher.publish(batch)
    written = values(world.records(topic))
    del batch[100]
    world.publisher.publish(batch)

    assert written == list(range(len(written)))
    assert len(written) <= 100
    first_seen = list(dict.fromkeys(values(world.records(topic))))
    assert first_seen == [n for n in range(400) if n != 100]


def test_a_new_group_reads_from_the_beginning_in_order(world: World) -> None:
    topic = world.create("a", partitions=3)
    world.publisher.publish([one for n in range(6) for one in numbered(topic, 50, key=b"%d" % n)])
    world.create_group("g", [topic])

    records = read(world.reader("g", [topic]), 300)

    assert len(records) == 300
    for partition in range(3):
        offsets = [record.offset for record in records if record.partition == partition]
        assert offsets == list(range(len(offsets)))
    assert len({record.topic_id for record in records}) == 1
    assert records[0].topic_id != ""


def test_reading_takes_no_more_than_asked_for_and_does_not_wait_for_more(world: World) -> None:
    topic = world.create("a")
    world.publisher.publish(numbered(topic, 10))
    world.create_group("g", [topic])
    reader = world.reader("g", [topic])
    first = read(reader, 1, at_most=4)

    began = time.monotonic()
    rest = read(reader, 10 - len(first), at_most=1000)

    assert len(first) <= 4
    assert values(first + rest) == list(range(10))
    assert time.monotonic() - began < 2


def test_what_is_done_is_committed_and_nothing_more(world: World) -> None:
    topic = world.create("a")
    world.publisher.publish(numbered(topic, 10))
    world.create_group("g", [topic])
    reader = world.reader("g", [topic])
    records = read(reader, 10)

    reader.done(records[:4])
    reader.done(records[6:])
    reader.close()

    assert world.committed("g", topic) == [4]
    assert values(read(world.reader("g", [topic]), 6)) == [4, 5, 6, 7, 8, 9]


def test_done_in_any_order_and_twice_moves_the_offset_only_over_what_is_done(world: World) -> None:
    topic = world.create("a")
    world.publisher.publish(numbered(topic, 10))
    world.create_group("g", [topic])
    reader = world.reader("g", [topic])
    records = read(reader, 10)

    for record in reversed(records[2:7]):
        reader.done([record])
    reader.done([records[0]])
    reader.done([records[0]])
    reader.done([records[1]])
    reader.done(records[:3])
    reader.close()

    assert world.committed("g", topic) == [7]


def test_offsets_are_committed_without_being_asked_for(world: World) -> None:
    topic = world.create("a")
    world.publisher.publish(numbered(topic, 10))
    world.create_group("g", [topic])
    reader = world.reader("g", [topic])

    reader.done(read(reader, 10))

    assert eventually(lambda: world.committed("g", topic) == [10])


def test_a_group_without_a_place_is_an_error_and_not_a_guess(world: World) -> None:
    topic = world.create("a")
    world.publisher.publish(numbered(topic, 10))

    with pytest.raises(OffsetGap, match="has no place in"):
        read(world.reader("g", [topic]), 1)


def test_records_that_were_deleted_before_they_were_read_are_named_again_and_again(world: World) -> None:
    topic = world.create("a")
    world.publisher.publish(numbered(topic, 10))
    world.create_group("g", [topic])
    reader = world.reader("g", [topic])
    reader.done(read(reader, 10)[:2])
    reader.close()
    world.forget(topic, before=7)
    reader = world.reader("g", [topic])

    for _ in range(2):
        with pytest.raises(OffsetGap, match=rf"stands at 2 in {topic}/0.* 5 records"):
            read(reader, 1)


def test_a_group_that_exists_is_never_moved(world: World) -> None:
    topic = world.create("a")
    world.publisher.publish(numbered(topic, 10))
    world.create_group("g", [topic])
    reader = world.reader("g", [topic])
    reader.done(read(reader, 10))
    reader.close()

    world.create_group("g", [topic])

    assert world.committed("g", topic) == [10]


def test_a_missing_source_topic_is_named(world: World) -> None:
    topic = world.create("a") + "-nowhere"

    with pytest.raises(Misconfigured, match=topic):
        world.create_group("g", [topic])
