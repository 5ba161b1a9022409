"""Looks at a topic's records from outside: joins no group, moves nobody's place, and can wait for what comes."""

# ruff: noqa: SLF001  (librdkafka's own errors are constants whose names begin with an underscore)
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.delivery.record import Record
from pipeline.errors import DependencyDown, Misconfigured, OffsetGap, OmeroMqError
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.config import look_config, made
from pipeline.kafka.consume import _place, _record
from pipeline.kafka.trouble import meaning
from pipeline.settings.model import KafkaSettings

AT_ONCE = 1000
ASK_S = 10.0
SILENCE_S = 30.0
Offsets = Mapping[int, int]
"""Partition -> offset."""


class KafkaLook:
    """One topic, looked at by one thread.

    Args:
        kafka: where.
        topic: full name of a topic that exists.

    Raises:
        DependencyDown: ``kafka`` is away.
        Misconfigured: there is no such topic.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self.topic = topic
        self._consumer: Consumer = made(Consumer, {**look_config(kafka), "error_cb": self._hear})
        self._trouble: OmeroMqError | None = None
        self._at: dict[int, int] = {}
        with KafkaAdmin(kafka) as admin:
            count = admin.partitions([topic]).get(topic, 0)
            if not count:
                raise Misconfigured(f"there is no topic {topic}", fix="`omero-mq topic list` shows what there is")
            places = [(topic, partition) for partition in range(count)]
            self.first: Offsets = {partition: offset for (_, partition), offset in admin.beginnings(places).items()}
            self.end: Offsets = {partition: offset for (_, partition), offset in admin.ends(places).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._consumer.close()

    def since(self, moment_ms: int) -> Offsets:
        """First offset of each partition whose record is of that moment or later; the end where there is none.

        Raises:
            DependencyDown: ``kafka`` is away.
        """
        asked = [TopicPartition(self.topic, partition, moment_ms) for partition in self.first]
        try:
            answer = self._consumer.offsets_for_times(asked, timeout=ASK_S)
        except KafkaException as exc:
            raise meaning(exc.args[0], topic=self.topic) from exc
        return {found.partition: found.offset if found.offset >= 0 else self.end[found.partition] for found in answer}

    def latest(self, count: int) -> Offsets:
        """Offsets from which at least the newest ``count`` records of the topic are read."""
        return {partition: max(self.first[partition], end - count) for partition, end in self.end.items()}

    def begin(self, start: Offsets) -> None:
        """Read on from these offsets; partitions that are not named are left out."""
        self._at = dict(start)
        self._consumer.assign([TopicPartition(self.topic, partition, offset) for partition, offset in start.items()])

    def until_end(self, start: Offsets, *, at_most: int | None = None) -> Iterator[Record]:
        """Records from these offsets up to the end as it was when the look began, in order per partition.

        Args:
            start: first offset of each partition.
            at_most: places of each partition that are looked at; None: all.

        Raises:
            DependencyDown: ``kafka`` went away or is silent.
        """
        ends = {
            partition: min(self.end[partition], offset + (at_most or self.end[partition])) for partition, offset in start.items()
        }
        self.begin({partition: offset for partition, offset in start.items() if offset < ends[partition]})
        heard = time.monotonic()
        while any(offset < ends[partition] for partition, offset in self._at.items()):
            found = self.next(wait_s=0.2)
            if found:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENCE_S:
                raise DependencyDown(
                    "kafka", f"{self.topic}: nothing came for {SILENCE_S:.0f} s", fix="see whether the brokers run"
                )
            yield from (record for record in found if record.offset < ends[record.partition])

    def next(self, *, wait_s: float) -> list[Record]:
        """Records that are there, in order per partition; waits for the first at the most ``wait_s`` [s].

        Raises:
            DependencyDown: ``kafka`` went away; calling again goes on where it stopped.
            OffsetGap: records were deleted before they were read.
        """
        messages = [first for first in (self._consumer.poll(wait_s),) if first is not None]
        if messages:
            messages += self._consumer.consume(AT_ONCE, 0)
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(_record(message, _place(message), ""))
                self._at[records[-1].partition] = records[-1].offset + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                # Behind the last record there may be a transaction's marker, which is none.
                self._at[message.partition() or 0] = message.offset() or 0
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                self._trouble = OffsetGap(
                    f"records of {self.topic}/{message.partition()} were deleted before they were read",
                    fix="begin again, nearer the end",
                )
            elif error.code() not in {KafkaError._TRANSPORT, KafkaError._RESOLVE}:
                self._trouble = meaning(error, topic=self.topic)
        if self._trouble is not None and not records:
            trouble, self._trouble = self._trouble, None
            raise trouble
        return records

    def _hear(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in {KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL}:
            self._trouble = meaning(error)
