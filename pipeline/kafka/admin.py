"""Topics and groups: made as declared, compared with what is declared, and their first offsets written."""

# ruff: noqa: SLF001  (librdkafka's own errors are constants whose names begin with an underscore)
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, only not in its type hints
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
    TopicDescription,
)

from pipeline.errors import DependencyDown, Misconfigured, OmeroMqError
from pipeline.kafka.config import admin_config, made, place_config
from pipeline.kafka.trouble import NO_TOPIC, meaning
from pipeline.settings.model import KafkaSettings
from pipeline.wire.topics import Topic

Answer = TypeVar("Answer")
Place = tuple[str, int]


RUNNING = frozenset({KafkaError.NON_EMPTY_GROUP, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Something about a topic that is not as declared.

    Attributes:
        what: ``missing``, ``partitions``, ``replication_factor`` or the name of a topic configuration.
        wanted: as declared.
        found: as the broker says.
        serious: whether records may be lost or refused because of it.
        fix: the command that mends it.
    """

    topic: str
    what: str
    wanted: str
    found: str
    serious: bool
    fix: str


_SPREAD_S = 3.0  # in which every broker hears of a new topic
_ASKED = 4  # how often offsets are asked for, at the most, in the time that a call has
# The client goes on asking the controller that it knew, and hears late or never that another took over: a new client asks anew.
LOST_TOUCH = frozenset({KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})


class KafkaAdmin:
    """Asks and changes what the brokers know; every call is bounded by ``timeout_s`` [s].

    After a call that nobody answered the next one asks through a new client, which finds the brokers that are there by then.
    """

    def __init__(self, kafka: KafkaSettings, *, timeout_s: float = 10.0) -> None:
        self._kafka = kafka
        self._timeout_s = timeout_s
        self._groups: dict[str, Consumer] = {}
        self._connect()

    def _connect(self) -> None:
        """A new client in the place of one that lost touch."""
        self._client: AdminClient = made(AdminClient, admin_config(self._kafka))

    def close(self) -> None:
        """Let go of the connections; idempotent. Afterwards nothing can be asked."""
        self.__dict__.pop("_client", None)  # the client has no close() of its own: it ends with its last reference
        while self._groups:
            self._groups.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def create(self, topics: Sequence[Topic]) -> list[str]:
        """Make the topics that do not exist yet; answers which were made. Those that exist are not touched.

        Raises:
            DependencyDown: ``kafka`` is away.
            Misconfigured: the broker refuses, e.g. a replication factor beyond the number of brokers.
        """
        if not topics:
            return []
        wanted = [
            NewTopic(t.name, t.partitions, self._kafka.replication_factor, config=dict(topic_config(t, self._kafka)))
            for t in topics
        ]
        futures = self._client.create_topics(wanted, operation_timeout=self._timeout_s, request_timeout=self._timeout_s)
        created = []
        for name, future in futures.items():
            try:
                self._answer(future, name)
            except _Exists:
                continue
            created.append(name)
        self._wait_for_leaders(created)
        return created

    def check(self, topics: Sequence[Topic]) -> list[Difference]:
        """What differs from the declarations; empty when all is as declared."""
        found = self._describe([topic.name for topic in topics])
        configs = self._configs([name for name, description in found.items() if description is not None])
        differences = []
        for topic in topics:
            description = found[topic.name]
            if description is None:
                create = f"run `omero-mq topic create`, or make {topic.name} with {topic.partitions} partitions"
                differences.append(_difference(topic, "missing", "exists", "no such topic", create))
            else:
                differences += self._compare(topic, description, configs[topic.name])
        return differences

    def exist(self, names: Iterable[str]) -> dict[str, bool]:
        """Which of the topics exist."""
        return {name: description is not None for name, description in self._describe(list(names)).items()}

    def partitions(self, names: Iterable[str]) -> dict[str, int]:
        """Number of partitions of each topic; topics that do not exist are left out."""
        return {name: len(d.partitions) for name, d in self._describe(list(names)).items() if d is not None}

    def topic_ids(self, names: Iterable[str]) -> dict[str, str]:
        """Kafka's id of each topic, which a topic made anew does not share with its predecessor.

        Raises:
            Misconfigured: a topic does not exist.
        """
        found = self._describe(list(names))
        missing = [name for name, description in found.items() if description is None]
        if missing:
            raise Misconfigured(f"no such topic: {', '.join(missing)}", fix="run `omero-mq topic create`")
        return {name: str(description.topic_id) for name, description in found.items() if description is not None}

    def config(self, name: str) -> dict[str, str]:
        """All configurations of one topic, in effect."""
        return self._configs([name])[name]

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Offset behind the newest record of each partition."""
        return self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def beginnings(self, places: Iterable[Place]) -> dict[Place, int]:
        """Offset of the oldest record of each partition that is still there."""
        return self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def committed(self, group: str, topics: Iterable[str]) -> dict[Place, int | None]:
        """The group's position in each partition of the topics; None where it has none."""
        places = self._places(topics)
        if not places:
            return {}
        try:
            found = self._group(group).committed([TopicPartition(*place) for place in places], timeout=self._timeout_s)
        except KafkaException as exc:
            raise _explained(exc.args[0], group) from exc
        for place in found:
            if place.error is not None:
                raise _explained(place.error, group)
        return {(place.topic, place.partition): None if place.offset < 0 else place.offset for place in found}

    def create_group(self, group: str, topics: Iterable[str]) -> dict[Place, int]:
        """Write the first offset, that of the oldest record, wherever the group has none; answers what was written.

        Idempotent: a partition in which the group has a place is not touched, so a group that exists never moves.

        Raises:
            DependencyDown: ``kafka`` is away.
            Misconfigured: a topic is missing, or the group is running while partitions of it have no place.
        """
        found = self._committed_everywhere(group, list(topics))
        placeless = [place for place, offset in found.items() if offset is None]
        if not placeless:
            return {}
        first = self.beginnings(placeless)
        self.move_group(group, first)
        return first

    def _committed_everywhere(self, group: str, names: list[str]) -> dict[Place, int | None]:
        """As `committed`, and of every topic: one that was just made is not known to each broker that may be asked."""
        deadline = time.monotonic() + _SPREAD_S
        while True:
            found = self.committed(group, names)
            missing = sorted(set(names) - {topic for topic, _ in found})
            if not missing:
                return found
            if time.monotonic() > deadline:
                raise Misconfigured(f"no such topic: {', '.join(missing)}", fix="run `omero-mq topic create`")
            time.sleep(0.1)

    def move_group(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Put the group at the offsets, whatever it had. Only while no member of it runs.

        Raises:
            Misconfigured: the group is running.
        """
        wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        try:
            found = self._group(group).commit(offsets=wanted, asynchronous=False) or ()
        except KafkaException as exc:
            raise _explained(exc.args[0], group) from exc
        for place in found:
            if place.error is not None:
                raise _explained(place.error, group)

    def _group(self, group: str) -> Consumer:
        """A client that may ask for and set the group's places; it never joins.

        Not the admin client's own calls for this: librdkafka 2.16 ends the process in them (a null pointer at OffsetFetch)
        when the coordinator answers that it is still loading, as in the first seconds of a broker.
        """
        if group not in self._groups:
            self._groups[group] = made(Consumer, place_config(self._kafka, group=group))
        return self._groups[group]

    def _wait_for_leaders(self, names: list[str]) -> None:
        """The brokers hear of a topic a moment after the controller has made it; whoever asked for it wants to use it now."""
        until = time.monotonic() + self._timeout_s
        while names and time.monotonic() < until:
            found = self._describe(names)
            names = [name for name, d in found.items() if d is None or any(p.leader is None for p in d.partitions)]
            if names:
                time.sleep(0.02)

    def forget(self, before: Mapping[Place, int]) -> None:
        """Delete the records below the offsets, for good."""
        futures = self._client.delete_records(
            [TopicPartition(topic, partition, offset) for (topic, partition), offset in before.items()],
            request_timeout=self._timeout_s,
        )
        for place, future in futures.items():
            self._answer(future, place.topic)

    def delete(self, names: Sequence[str]) -> None:
        """Delete topics that exist, with all that they hold."""
        if not names:
            return
        for name, future in self._client.delete_topics(list(names), request_timeout=self._timeout_s).items():
            with suppress(_Absent):
                self._answer(future, name)

    def _places(self, topics: Iterable[str]) -> list[Place]:
        return [(name, partition) for name, count in self.partitions(topics).items() for partition in range(count)]

    def _offsets(self, places: Iterable[Place], which: OffsetSpec) -> dict[Place, int]:
        request = {TopicPartition(topic, partition): which for topic, partition in places}
        if not request:
            return {}

        def ask() -> dict[Place, int]:
            # A part of the time for each question, since a leader that was killed never answers and its successor soon would.
            futures = self._client.list_offsets(request, request_timeout=self._timeout_s / _ASKED)
            found = {(p.topic, p.partition): self._answer(future, p.topic).offset for p, future in futures.items()}
            self._require_answers(found)
            return found

        return self._patiently(ask)

    def _require_answers(self, found: Mapping[Place, int]) -> None:
        """See that each is an offset: for a leader that did not answer in time librdkafka gives one below 0, and no error."""
        silent = [f"{topic}/{partition}" for (topic, partition), offset in found.items() if offset < 0]
        if silent:
            self._connect()
            raise DependencyDown("kafka", f"nobody answers for {', '.join(silent)}", fix="see whether all brokers run")

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again while leaders or coordinators are being chosen or do not answer, as with a new topic or a killed broker."""
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                return ask()
            except DependencyDown:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _describe(self, names: list[str]) -> dict[str, TopicDescription | None]:
        if not names:
            return {}
        futures = self._client.describe_topics(TopicCollection(names), request_timeout=self._timeout_s)
        found: dict[str, TopicDescription | None] = {}
        for name in names:
            try:
                found[name] = self._answer(futures[name], name)
            except _Absent:
                found[name] = None
        return found

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        futures = self._client.describe_configs(resources, request_timeout=self._timeout_s)
        return {r.name: {k: str(v.value) for k, v in self._answer(f, r.name).items()} for r, f in futures.items()}

    def _compare(self, topic: Topic, description: TopicDescription, config: Mapping[str, str]) -> list[Difference]:
        kafka, name = self._kafka, topic.name
        differences = []
        count = len(description.partitions)
        if count != topic.partitions:
            fix = f"kafka-topics --alter --topic {name} --partitions {topic.partitions} (moves keys: stop the writers first)"
            differences.append(_difference(topic, "partitions", str(topic.partitions), str(count), fix, serious=False))
        copies = min((len(partition.replicas) for partition in description.partitions), default=0)
        if copies < kafka.replication_factor:
            fix = f"kafka-reassign-partitions, until {name} has {kafka.replication_factor} copies of each partition"
            differences.append(_difference(topic, "replication_factor", str(kafka.replication_factor), str(copies), fix))
        for what, wanted in topic_config(topic, kafka).items():
            found = config.get(what, "")
            if found != wanted:
                fix = f"kafka-configs --alter --topic {name} --add-config {what}={wanted}"
                differences.append(_difference(topic, what, wanted, found, fix))
        return differences

    def _answer(self, future: Future[Answer], name: str) -> Answer:
        try:
            return future.result(self._timeout_s + 5)
        except KafkaException as exc:
            if exc.args[0].code() in LOST_TOUCH:
                self._connect()
            raise _explained(exc.args[0], name) from exc


class _Absent(Misconfigured):
    """The topic does not exist."""


class _Exists(Misconfigured):
    """The topic exists already."""


def _explained(error: KafkaError, name: str) -> OmeroMqError:
    code = error.code()
    if code == KafkaError.TOPIC_ALREADY_EXISTS:
        return _Exists(name)
    if code in NO_TOPIC:
        return _Absent(f"no such topic: {name}", fix="run `omero-mq topic create`")
    if code in RUNNING:
        return Misconfigured(f"group {name} is running", fix="stop its service, then try again")
    return meaning(error, topic=name)


def topic_config(topic: Topic, kafka: KafkaSettings) -> Mapping[str, str]:
    """The topic configurations that a declaration stands for."""
    return {
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_message_bytes),
        "min.insync.replicas": str(kafka.min_insync_replicas),
        "cleanup.policy": "compact" if topic.compacted else "delete",
    }


def _difference(topic: Topic, what: str, wanted: str, found: str, fix: str, *, serious: bool = True) -> Difference:
    return Difference(topic=topic.name, what=what, wanted=wanted, found=found, serious=serious, fix=fix)
