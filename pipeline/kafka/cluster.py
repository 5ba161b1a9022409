"""What the brokers say about themselves: where they can be reached, whether copies are complete, how busy a topic is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, only not in its type hints
    AdminClient,
    OffsetSpec,
)

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.kafka.admin import Place
from pipeline.kafka.config import admin_config, made
from pipeline.kafka.trouble import meaning
from pipeline.settings.model import KafkaSettings

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Broker:
    """One broker, at the address that it tells clients to use, which need not be the one that was asked."""

    id: int
    host: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Brokers:
    """All brokers, and of which partitions a copy is missing or behind.

    Attributes:
        out_of_sync: (topic, partition) of the topics that were asked about.
        unled: partitions that have no leader, so that nothing can be read or written.
    """

    brokers: tuple[Broker, ...]
    out_of_sync: tuple[Place, ...] = ()
    unled: tuple[Place, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Activity:
    """How busy a topic is.

    Attributes:
        held: records that it holds; an upper bound where it is compacted.
        recent: those since the moment that was asked about.
        newest_ms: time of the newest [ms since 1970 UTC]; None when it holds none.
    """

    held: int
    recent: int
    newest_ms: int | None


class Cluster:
    """Asks brokers, changes nothing; every call is bounded by ``timeout_s`` [s]."""

    def __init__(self, kafka: KafkaSettings, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._client: AdminClient = made(AdminClient, admin_config(kafka))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.__dict__.pop("_client", None)  # the client has no close() of its own: it ends with its last reference

    def brokers(self, topics: Iterable[str] = ()) -> Brokers:
        """The brokers, and the state of the topics that exist among these. Needs no more than the first broker's answer.

        Raises:
            DependencyDown: ``kafka`` is away.
        """
        try:
            found = self._client.list_topics(timeout=self._timeout_s)
        except KafkaException as exc:
            raise meaning(exc.args[0]) from exc
        partitions = [
            ((name, number), partition)
            for name in topics
            if name in found.topics
            for number, partition in found.topics[name].partitions.items()
        ]
        return Brokers(
            brokers=tuple(
                Broker(id=b.id, host=str(b.host), port=int(b.port)) for b in sorted(found.brokers.values(), key=lambda b: b.id)
            ),
            out_of_sync=tuple(place for place, p in partitions if len(p.isrs) < len(p.replicas)),
            unled=tuple(place for place, p in partitions if p.leader < 0),
        )

    def activity(self, counts: Mapping[str, int], *, since_ms: int) -> dict[str, Activity]:
        """How busy topics are, by name.

        Args:
            counts: number of partitions by topic; only topics that exist.
            since_ms: from when on a record is recent [ms since 1970 UTC].

        Raises:
            DependencyDown: ``kafka`` is away.
        """
        places = [(name, partition) for name, count in counts.items() for partition in range(count)]
        first, end = self._offsets(places, OffsetSpec.earliest()), self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        since = self._offsets(places, OffsetSpec.for_timestamp(since_ms))
        newest = self._offsets(places, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
        found = {}
        for name in counts:
            own = [place for place in places if place[0] == name]
            times = [newest[place][1] for place in own if newest[place][0] >= 0 and newest[place][1] >= 0]
            found[name] = Activity(
                held=sum(end[place][0] - first[place][0] for place in own),
                recent=sum(end[place][0] - since[place][0] for place in own if since[place][0] >= 0),
                newest_ms=max(times, default=None),
            )
        return found

    def members(self, group: str) -> int:
        """How many processes read as this group now; 0 as well when there is no such group.

        Raises:
            DependencyDown: ``kafka`` is away.
        """
        future = self._client.describe_consumer_groups([group], request_timeout=self._timeout_s)[group]
        return len(self._answer(future).members)

    def _offsets(self, places: Iterable[Place], which: OffsetSpec) -> dict[Place, tuple[int, int]]:
        """(offset, time) of each partition; -1 where there is no such record."""
        request = {TopicPartition(topic, partition): which for topic, partition in places}
        if not request:
            return {}
        futures = self._client.list_offsets(request, request_timeout=self._timeout_s)
        answers = {(place.topic, place.partition): self._answer(future) for place, future in futures.items()}
        # For a leader that did not answer in time librdkafka gives an offset that means "invalid", and no error.
        silent = [f"{topic}/{partition}" for (topic, partition), answer in answers.items() if answer.offset < -1]
        if silent:
            raise DependencyDown("kafka", f"nobody answers for {', '.join(silent)}", fix="see whether all brokers run")
        return {place: (answer.offset, answer.timestamp) for place, answer in answers.items()}

    def _answer(self, future: Future[Answer]) -> Answer:
        try:
            return future.result(self._timeout_s + 1)
        except KafkaException as exc:
            raise meaning(exc.args[0]) from exc


CODECS = ("gzip", "snappy", "lz4", "zstd")


def codecs_of_librdkafka(kafka: KafkaSettings) -> frozenset[str]:
    """Which compressions the native Kafka client was built with; connects to nothing."""

    def is_built_in(codec: str) -> bool:
        try:
            made(AdminClient, {"bootstrap.servers": kafka.bootstrap, "log_level": 0, "builtin.features": codec})
        except Misconfigured:
            return False
        return True

    return frozenset(codec for codec in CODECS if is_built_in(codec))
