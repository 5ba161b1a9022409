"""Kafka in memory and real Kafka behind one face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol

import pytest

from pipeline.delivery.memory import MemoryKafka, MemoryPublisher, MemoryReader
from pipeline.delivery.ports import Publisher, Reader
from pipeline.delivery.record import Record
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.consume import KafkaReader
from pipeline.kafka.publish import KafkaPublisher
from pipeline.kafka.scan import scan
from pipeline.settings.model import KafkaSettings
from pipeline.wire.topics import Topic


class World(Protocol):
    """What the laws of the two ports are told in."""

    publisher: Publisher

    def create(self, word: str, *, partitions: int = 1, max_message_bytes: int = 1_048_588) -> str:
        """A new topic; its full name."""

    def create_group(self, group: str, topics: Sequence[str]) -> None:
        """First offsets."""

    def reader(self, group: str, topics: Sequence[str]) -> Reader:
        """A new member; the one before must be closed."""

    def records(self, topic: str) -> list[Record]:
        """All that the topic holds, by partition and offset."""

    def committed(self, group: str, topic: str) -> list[int | None]:
        """By partition."""

    def forget(self, topic: str, *, before: int) -> None:
        """Delete the oldest records of partition 0."""


class InMemory:
    def __init__(self, word: str) -> None:
        self._word = word
        self._kafka = MemoryKafka()
        self.publisher: Publisher = MemoryPublisher(self._kafka)

    def create(self, word: str, *, partitions: int = 1, max_message_bytes: int = 1_048_588) -> str:
        return self._kafka.create(f"{self._word}.{word}", partitions=partitions, max_message_bytes=max_message_bytes).name

    def create_group(self, group: str, topics: Sequence[str]) -> None:
        self._kafka.create_group(group, topics)

    def reader(self, group: str, topics: Sequence[str]) -> Reader:
        return MemoryReader(self._kafka, group=group, topics=topics)

    def records(self, topic: str) -> list[Record]:
        return [replace(record, topic_id="", timestamp_ms=0) for record in self._kafka.records(topic)]

    def committed(self, group: str, topic: str) -> list[int | None]:
        return [self._kafka.offsets.get((group, topic, p)) for p in range(len(self._kafka.topic(topic).partitions))]

    def forget(self, topic: str, *, before: int) -> None:
        self._kafka.topic(topic).forget(0, before=before)


class OnKafka:
    def __init__(self, word: str, bootstrap: str, stack: ExitStack) -> None:
        self._word = word
        self._stack = stack
        self._kafka = KafkaSettings(bootstrap=bootstrap)
        self._admin = stack.enter_context(KafkaAdmin(self._kafka))
        self.publisher: Publisher = stack.enter_context(KafkaPublisher(self._kafka, timeout_s=10))

    def create(self, word: str, *, partitions: int = 1, max_message_bytes: int = 1_048_588) -> str:
        name = f"{self._word}.{word}"
        self._admin.create([topic(name, partitions=partitions, max_message_bytes=max_message_bytes)])
        return name

    def create_group(self, group: str, topics: Sequence[str]) -> None:
        self._admin.create_group(f"{self._word}.{group}", topics)

    def reader(self, group: str, topics: Sequence[str]) -> Reader:
        return self._stack.enter_context(KafkaReader(self._kafka, group=f"{self._word}.{group}", topics=topics))

    def records(self, topic: str) -> list[Record]:
        found = [replace(record, topic_id="", timestamp_ms=0) for record in scan(self._kafka, topic)]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def committed(self, group: str, topic: str) -> list[int | None]:
        return list(self._admin.committed(f"{self._word}.{group}", [topic]).values())

    def forget(self, topic: str, *, before: int) -> None:
        self._admin.forget({(topic, 0): before})


def topic(name: str, *, partitions: int = 1, max_message_bytes: int = 1_048_588, compacted: bool = False) -> Topic:
    return Topic(
        name=name,
        key="",
        format="original",
        schema="",
        partitions=partitions,
        retention_ms=3_600_000,
        written_by="",
        read_by="",
        max_message_bytes=max_message_bytes,
        compacted=compacted,
    )


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.stack)])
def world(request: pytest.FixtureRequest, unique: str) -> Iterator[World]:
    if request.param == "memory":
        yield InMemory(unique)
        return
    with ExitStack() as stack:
        yield OnKafka(unique, request.getfixturevalue("kafka").bootstrap, stack)
