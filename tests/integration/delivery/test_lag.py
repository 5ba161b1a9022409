"""Lag in records and in seconds, on real Kafka with all that makes arithmetic lie: markers, compaction, retention, silence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Producer

from pipeline.delivery.record import Outgoing
from pipeline.errors import DependencyDown
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.lag import Lag, LagMeter
from pipeline.kafka.publish import KafkaPublisher
from pipeline.settings.model import KafkaSettings
from tests.contract.delivery.conftest import topic

pytestmark = pytest.mark.stack
NOW_MS = 1_764_000_000_000


@pytest.fixture
def settings(kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka.bootstrap)


@pytest.fixture
def admin(settings: KafkaSettings) -> Iterator[KafkaAdmin]:
    with KafkaAdmin(settings) as admin:
        yield admin


@pytest.fixture
def meter(settings: KafkaSettings) -> Iterator[LagMeter]:
    with LagMeter(settings) as meter:
        yield meter


@pytest.fixture
def write(settings: KafkaSettings):
    with KafkaPublisher(settings) as publisher:

        def write(name: str, *ages_s: float, partition: int = 0) -> None:
            publisher.publish(
                [
                    Outgoing(topic=name, key=b"k", value=b"v", partition=partition, timestamp_ms=NOW_MS - int(age_s * 1000))
                    for age_s in ages_s
                ]
            )

        yield write


@pytest.fixture
def place(admin: KafkaAdmin, unique: str) -> tuple[str, str]:
    """A topic of two partitions that keeps for ever, and a group at its beginning."""
    name, group = f"{unique}.a", f"{unique}.g"
    admin.create([replace(topic(name, partitions=2), retention_ms=-1)])
    admin.create_group(group, [name])
    return name, group


def test_an_empty_topic_has_no_lag(meter: LagMeter, place: tuple[str, str]) -> None:
    name, group = place

    assert meter.lag(group, [name], now_ms=NOW_MS) == [Lag(group=group, topic=name, end=0, committed=0, records=0, age_s=0.0)]
    assert meter.oldest(name) is None


def test_lag_is_the_age_of_the_oldest_record_that_is_not_done(meter, admin, write, place) -> None:
    name, group = place
    write(name, 600, 500, 400)
    write(name, 300, partition=1)

    assert meter.lag(group, [name], now_ms=NOW_MS) == [Lag(group=group, topic=name, end=4, committed=0, records=4, age_s=600.0)]
    admin.move_group(group, {(name, 0): 2})
    assert meter.lag(group, [name], now_ms=NOW_MS) == [Lag(group=group, topic=name, end=4, committed=2, records=2, age_s=400.0)]
    admin.move_group(group, {(name, 0): 3})
    assert meter.lag(group, [name], now_ms=NOW_MS) == [Lag(group=group, topic=name, end=4, committed=3, records=1, age_s=300.0)]
    assert meter.oldest(name) == NOW_MS - 600_000


def test_an_idle_topic_that_is_caught_up_has_no_age_however_old_it_is(meter, admin, write, place) -> None:
    name, group = place
    write(name, 90_000)
    admin.move_group(group, {(name, 0): 1})

    assert meter.lag(group, [name], now_ms=NOW_MS) == [Lag(group=group, topic=name, end=1, committed=1, records=0, age_s=0.0)]


def test_a_transactions_marker_is_no_lag(settings, meter, admin, place, unique: str) -> None:
    name, group = place
    producer = Producer({"bootstrap.servers": settings.bootstrap, "transactional.id": unique})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(name, b"v", b"k", partition=0, timestamp=NOW_MS - 5000)
    producer.commit_transaction(20)
    while admin.ends([(name, 0)]) != {(name, 0): 2}:  # the marker follows the commit
        pass

    before = meter.lag(group, [name], now_ms=NOW_MS)[0]
    admin.move_group(group, {(name, 0): 1})
    after = meter.lag(group, [name], now_ms=NOW_MS)[0]

    assert before.age_s == 5.0
    assert (after.end - after.committed, after.records, after.age_s) == (1, 0, 0.0)


def test_an_aborted_transaction_is_no_lag(settings, meter, admin, place, unique: str) -> None:
    name, group = place
    producer = Producer({"bootstrap.servers": settings.bootstrap, "transactional.id": unique})
    producer.init_transactions(20)
    producer.begin_transaction()
    for _ in range(10):
        producer.produce(name, b"v", b"k", partition=0)
    producer.flush(10)
    producer.abort_transaction(20)

    while admin.ends([(name, 0)]) != {(name, 0): 11}:
        pass
    lag = meter.lag(group, [name], now_ms=NOW_MS)[0]

    assert (lag.end, lag.records, lag.age_s) == (11, 0, 0.0)


def test_records_that_retention_took_before_they_were_read_are_counted_as_lost(meter, admin, write, place) -> None:
    name, group = place
    write(name, 600, 500, 400, 300)
    admin.forget({(name, 0): 3})

    assert meter.lag(group, [name], now_ms=NOW_MS) == [
        Lag(group=group, topic=name, end=4, committed=0, records=1, age_s=300.0, lost=3)
    ]


def test_a_group_without_a_place_is_said_to_have_none(meter, write, place, unique: str) -> None:
    name, _ = place
    write(name, 60)

    assert meter.lag(f"{unique}.new", [name], now_ms=NOW_MS) == [
        Lag(group=f"{unique}.new", topic=name, end=1, committed=0, records=1, age_s=60.0, placeless=(0, 1))
    ]


def test_a_topic_that_does_not_exist_is_left_out(meter, place, unique: str) -> None:
    name, group = place

    assert [lag.topic for lag in meter.lag(group, [name, f"{unique}.nowhere"], now_ms=NOW_MS)] == [name]


def test_measuring_takes_a_fraction_of_a_second_and_can_be_repeated(meter, admin, write, place) -> None:
    name, group = place
    write(name, *[100.0] * 500)
    write(name, *[100.0] * 500, partition=1)
    meter.lag(group, [name], now_ms=NOW_MS)

    began = time.monotonic()
    for done in range(1, 6):
        admin.move_group(group, {(name, 0): done})
        assert meter.lag(group, [name], now_ms=NOW_MS)[0].records == 1000 - done
    assert time.monotonic() - began < 2.5


def test_without_a_broker_lag_is_not_zero_but_unknown(unique: str) -> None:
    with LagMeter(KafkaSettings(bootstrap="127.0.0.1:1"), timeout_s=1) as meter, pytest.raises(DependencyDown):
        meter.lag(unique, [unique], now_ms=NOW_MS)
