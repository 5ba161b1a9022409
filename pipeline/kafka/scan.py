"""Looks at all that a topic holds, as a member of no group and without moving anybody's place."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from pipeline.delivery.record import Record
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.config import look_config, made
from pipeline.kafka.consume import headers_of
from pipeline.kafka.trouble import meaning
from pipeline.settings.model import KafkaSettings

_AT_ONCE = 10_000
_POLL_S = 0.05  # `consume` waits as long for a batch that is not full


def scan(
    kafka: KafkaSettings, topic: str, *, start: Mapping[int, int] | None = None, silence_s: float = 30.0
) -> Iterator[Record]:
    """All records from ``start`` up to the end as it is now, in order within each partition.

    Args:
        kafka: where.
        topic: which; it must exist.
        start: first offset wanted, by partition; without one: the oldest that is there.
        silence_s: how long nothing may come before Kafka counts as away [s].

    Raises:
        DependencyDown: ``kafka`` is away.
        Misconfigured: there is no such topic, or it may not be read.
    """
    places = _places(kafka, topic, start or {})
    if not places:
        return
    consumer = made(Consumer, look_config(kafka))
    try:
        consumer.assign([TopicPartition(topic, partition, first) for partition, (first, _) in places.items()])
        yield from _until(consumer, {partition: end for partition, (_, end) in places.items()}, topic, silence_s)
    finally:
        consumer.close()


def _places(kafka: KafkaSettings, topic: str, start: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    with KafkaAdmin(kafka) as admin:
        count = admin.partitions([topic]).get(topic, 0)
        if not count:
            raise Misconfigured(f"there is no topic {topic}", fix="omero-mq topic create")
        all_places = [(topic, partition) for partition in range(count)]
        first, end = admin.beginnings(all_places), admin.ends(all_places)
    places = {place[1]: (max(start.get(place[1], 0), first[place]), end[place]) for place in all_places}
    return {partition: (low, high) for partition, (low, high) in places.items() if low < high}


def _until(consumer: Consumer, ends: dict[int, int], topic: str, silence_s: float) -> Iterator[Record]:
    heard = time.monotonic()
    while ends:
        messages = consumer.consume(_AT_ONCE, _POLL_S)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > silence_s:
            raise DependencyDown("kafka", f"{topic}: nothing came for {silence_s:.0f} s", fix="see whether the brokers run")
        for message in messages:
            record = _record(message, topic)
            partition = message.partition() or 0
            if record is not None and partition in ends and record.offset < ends[partition]:
                yield record
            # The end of a partition may be a marker of a transaction, which is no record: hence the end event as well.
            if record is None or record.offset >= ends.get(partition, 0) - 1:
                ends.pop(partition, None)


def _record(message: Message, topic: str) -> Record | None:
    """The record; None for the end of a partition."""
    error = message.error()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  (librdkafka names its own errors so)
            return None
        raise meaning(error, topic=topic)
    kind, timestamp_ms = message.timestamp()
    return Record(
        topic=topic,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers=headers_of(message),
        timestamp_ms=timestamp_ms if kind else -1,
    )
