"""Kafka in memory: topics, a publisher and a reader that keep the ports' promises, for tests and for trying things out."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import DependencyDown, Misconfigured, OffsetGap, OmeroMqError, RecordTooLarge

FRAMING_BYTES = 100  # what Kafka's own framing of one record in one batch takes, rounded up


@dataclass(slots=True)
class MemoryTopic:
    """Partitions as lists; ``first`` is the offset of each partition's oldest record."""

    name: str
    topic_id: str
    max_message_bytes: int = 1_048_588
    partitions: list[list[Record]] = field(default_factory=list)
    first: list[int] = field(default_factory=list)

    def end(self, partition: int) -> int:
        """Offset behind the newest record."""
        return self.first[partition] + len(self.partitions[partition])

    def forget(self, partition: int, *, before: int) -> None:
        """Delete the records below an offset, as retention does."""
        count = max(0, min(before, self.end(partition)) - self.first[partition])
        del self.partitions[partition][:count]
        self.first[partition] += count


@dataclass(slots=True)
class MemoryKafka:
    """What stands in for the brokers. ``down`` is what every call raises while it is set, to play an outage."""

    topics: dict[str, MemoryTopic] = field(default_factory=dict)
    offsets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    down: OmeroMqError | None = None
    made: int = 0

    def create(self, name: str, *, partitions: int = 1, max_message_bytes: int = 1_048_588) -> MemoryTopic:
        """Make a topic; one of the same name is replaced by a new one with another id."""
        self.made += 1
        topic = MemoryTopic(name=name, topic_id=f"memory-{self.made}", max_message_bytes=max_message_bytes)
        topic.partitions = [[] for _ in range(partitions)]
        topic.first = [0] * partitions
        self.topics[name] = topic
        return topic

    def create_group(self, group: str, topics: Sequence[str]) -> None:
        """Put a new group at the oldest record of each partition; one that exists stays where it is."""
        for topic in topics:
            for partition, first in enumerate(self.topic(topic).first):
                self.offsets.setdefault((group, topic, partition), first)

    def topic(self, name: str) -> MemoryTopic:
        """The topic.

        Raises:
            Misconfigured: it does not exist.
        """
        if name not in self.topics:
            raise Misconfigured(f"no such topic: {name}", fix="run `omero-mq topic create`")
        return self.topics[name]

    def records(self, name: str) -> list[Record]:
        """All records of a topic, by partition and offset."""
        return [record for partition in self.topic(name).partitions for record in partition]

    def check(self) -> None:
        """Raise what is the matter, if something is."""
        if self.down is not None:
            raise self.down


class MemoryPublisher:
    """A `Publisher` into memory."""

    def __init__(self, kafka: MemoryKafka, *, now_ms: int = 0) -> None:
        self._kafka = kafka
        self._now_ms = now_ms

    def publish(self, records: Sequence[Outgoing]) -> None:
        """See `Publisher.publish`."""
        self._kafka.check()
        for record in records:
            self._write(record, self._kafka.topic(record.topic))

    def _write(self, record: Outgoing, topic: MemoryTopic) -> None:
        record.check_header_names()
        if record.size + FRAMING_BYTES > topic.max_message_bytes:
            raise RecordTooLarge(f"record is beyond what the topic takes ({topic.name}: {record.size} bytes)")
        partition = record.partition
        if partition is None:
            partition = zlib.crc32(record.key or b"") % len(topic.partitions)
        if not 0 <= partition < len(topic.partitions):
            raise Misconfigured(f"no such partition: {topic.name}/{partition}")
        given = record.timestamp_ms
        topic.partitions[partition].append(
            Record(
                topic=topic.name,
                partition=partition,
                offset=topic.end(partition),
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_ms=self._now_ms if given is None or given < 0 else given,
                topic_id=topic.topic_id,
            )
        )


class MemoryReader:
    """A `Reader` from memory: one member that has all partitions of its topics."""

    def __init__(self, kafka: MemoryKafka, *, group: str, topics: Sequence[str]) -> None:
        self._kafka = kafka
        self._group = group
        self._topics = list(topics)
        self._next: dict[tuple[str, int], int] = {}
        self._open: dict[tuple[str, int], list[int]] = {}
        self._finished: set[tuple[str, int, int]] = set()

    def read(self, *, at_most: int, wait_s: float) -> list[Record]:  # noqa: ARG002  nothing comes while one thread waits
        """See `Reader.read`."""
        self._kafka.check()
        read: list[Record] = []
        for name in self._topics:
            topic = self._kafka.topic(name)
            for partition in range(len(topic.partitions)):
                read += self._take(topic, partition, at_most - len(read))
        return read

    def done(self, records: Sequence[Record]) -> None:
        """See `Reader.done`."""
        for record in records:
            self._finished.add((record.topic, record.partition, record.offset))
        for place, handed_out in self._open.items():
            while handed_out and (*place, handed_out[0]) in self._finished:
                offset = handed_out.pop(0)
                self._finished.discard((*place, offset))
                self._kafka.offsets[self._group, *place] = offset + 1

    def close(self) -> None:
        """See `Reader.close`."""
        self._next.clear()
        self._open.clear()
        self._finished.clear()

    def _take(self, topic: MemoryTopic, partition: int, at_most: int) -> list[Record]:
        place = topic.name, partition
        start = self._next.get(place, self._kafka.offsets.get((self._group, *place)))
        if start is None:
            raise OffsetGap(f"group {self._group} has no place in {topic.name}/{partition}")
        if start < topic.first[partition]:
            gone = topic.first[partition] - start
            raise OffsetGap(f"group {self._group} stands at {start} in {topic.name}/{partition}: {gone} records were deleted")
        index = start - topic.first[partition]
        taken = topic.partitions[partition][index : index + max(0, at_most)]
        self._next[place] = start + len(taken)
        self._open.setdefault(place, []).extend(record.offset for record in taken)
        return taken


def outage(name: str = "kafka") -> DependencyDown:
    """What a call raises while a dependency is away, for `MemoryKafka.down`."""
    return DependencyDown(name, "played")
