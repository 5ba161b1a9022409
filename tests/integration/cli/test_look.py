"""Looking at a topic from outside: to its end whatever stands there, from a time on, and never over a gap in silence."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.errors import Misconfigured, OffsetGap
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.look import KafkaLook
from pipeline.settings.model import KafkaSettings

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(kafka):
    return KafkaSettings(bootstrap=kafka.bootstrap)


@pytest.fixture
def topic(kafka, unique):
    """A topic with two partitions."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(unique, 2, 1)])[unique].result(20)
    return unique


def write(kafka, topic, *values, partition=0, **options):
    producer = Producer({"bootstrap.servers": kafka.bootstrap, **options})
    if "transactional.id" in options:
        producer.init_transactions(20)
        producer.begin_transaction()
    for value in values:
        producer.produce(topic, value=value, partition=partition)
    if "transactional.id" in options:
        producer.commit_transaction(20)
    assert producer.flush(20) == 0


def values(records):
    return [record.value for record in records]


def until_it_ends_at(settings, topic, offset):
    deadline = time.monotonic() + 10
    with KafkaAdmin(settings) as admin:
        while admin.ends([(topic, 0)]) != {(topic, 0): offset}:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_the_end_is_reached_although_a_transactions_marker_stands_there(kafka, settings, topic):
    write(kafka, topic, b"1", b"2", **{"transactional.id": topic})
    write(kafka, topic, b"3", partition=1)
    until_it_ends_at(settings, topic, 3)  # the marker is written a moment after the commit has returned
    with KafkaLook(settings, topic) as look:
        assert (dict(look.first), dict(look.end)) == ({0: 0, 1: 0}, {0: 3, 1: 1})
        assert sorted(values(look.until_end(look.first))) == [b"1", b"2", b"3"]
        assert values(look.until_end(look.end)) == []
        assert values(look.until_end({0: 0}, at_most=1)) == [b"1"]
        assert dict(look.latest(1)) == {0: 2, 1: 0}


def test_records_from_a_time_on_are_found_and_the_end_where_there_are_none(kafka, settings, topic):
    write(kafka, topic, b"old")
    time.sleep(0.05)
    between_ms = time.time_ns() // 1_000_000
    time.sleep(0.05)
    write(kafka, topic, b"new")
    with KafkaLook(settings, topic) as look:
        assert dict(look.since(between_ms)) == {0: 1, 1: 0}
        assert dict(look.since(between_ms + 3_600_000)) == {0: 2, 1: 0}


def test_what_is_written_later_comes_after_the_beginning_of_the_look(kafka, settings, topic):
    write(kafka, topic, b"before")
    with KafkaLook(settings, topic) as look:
        look.begin(look.end)
        assert look.next(wait_s=0.3) == []
        write(kafka, topic, b"after", partition=1)
        deadline = time.monotonic() + 10
        found: list[bytes] = []
        while not found and time.monotonic() < deadline:
            found += values(look.next(wait_s=0.2))
        assert found == [b"after"]


def test_records_that_were_deleted_before_they_were_read_are_told(kafka, settings, topic):
    write(kafka, topic, b"1", b"2", b"3")
    with KafkaLook(settings, topic) as look:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        assert [gone.result(20).low_watermark for gone in admin.delete_records([TopicPartition(topic, 0, 2)]).values()] == [2]
        with pytest.raises(OffsetGap, match=rf"records of {topic}/0 were deleted before they were read"):
            list(look.until_end(look.first))


def test_a_topic_that_does_not_exist_is_told(settings, unique):
    with pytest.raises(Misconfigured, match=f"there is no topic {unique}"):
        KafkaLook(settings, unique)
