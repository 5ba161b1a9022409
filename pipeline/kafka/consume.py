"""Reads records as a member of a group, whose offsets move only over what is done, and never jump in silence."""

# ruff: noqa: SLF001  (librdkafka's own errors are constants whose names begin with an underscore)
from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from pipeline.delivery.record import UNREADABLE_HEADERS, Headers, Record
from pipeline.errors import Halt, OffsetGap, OmeroMqError
from pipeline.kafka.admin import KafkaAdmin, Place
from pipeline.kafka.config import consumer_config, made
from pipeline.kafka.trouble import meaning
from pipeline.settings.model import KafkaSettings

ASK_S = 3.0
REPAIR = "run `omero-mq repair`: it reads again from the database what the gap holds, and then moves the group behind it"
FIRST_OFFSETS = "run `omero-mq topic create`: it writes the first offsets of a new group or of new partitions"
UNREADABLE = frozenset(
    {
        KafkaError._BAD_MSG,
        KafkaError._BAD_COMPRESSION,
        KafkaError._UNDERFLOW,
        KafkaError._NOT_IMPLEMENTED,
        KafkaError._CRIT_SYS_RESOURCE,
    }
)
# Not `message.headers()`: for a name that is not UTF-8 the client answers and leaves an exception pending at the same time. A
# direct call does not notice, once the interpreter has made a shortcut of it, and something innocent fails later.
_ask_headers: Callable[[Message], list[tuple[str, bytes | None]] | None] = operator.methodcaller("headers")
# Said about a partition or a connection while librdkafka goes on by itself.
PASSES = frozenset({KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._MAX_POLL_EXCEEDED, KafkaError._PARTITION_EOF})


@dataclass(slots=True)
class _Progress:
    """What was handed out of one partition since it was assigned, and what of it is done."""

    handed_out: deque[int] = field(default_factory=deque)
    done: set[int] = field(default_factory=set)

    def finish(self, offset: int) -> None:
        """Note it; what was handed out before an earlier revocation, and is before this assignment's start, is not ours."""
        if self.handed_out and self.handed_out[0] <= offset <= self.handed_out[-1]:
            self.done.add(offset)

    def advance(self) -> int | None:
        """The offset to commit, if it moved: behind the last record of which it and all before it are done."""
        last = None
        while self.handed_out and self.handed_out[0] in self.done:
            last = self.handed_out.popleft()
            self.done.discard(last)
        return None if last is None else last + 1


class _Membership:
    """What librdkafka tells while it is polled: which partitions are ours, and what is the matter.

    Apart from the reader, so that the client refers to nothing that refers to it: the garbage collector would take such a circle
    apart in any order, and the client calls back while it is destroyed.
    """

    def __init__(self) -> None:
        self.progress: dict[Place, _Progress] = {}
        self.topic_ids: dict[str, str] = {}
        self.trouble: OmeroMqError | None = None

    def gain(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self.progress[partition.topic, partition.partition] = _Progress()
            self.topic_ids.pop(partition.topic, None)  # it may have been made anew

    def give_up(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # librdkafka commits what was stored, which is what is done and no more.
        for partition in partitions:
            self.progress.pop((partition.topic, partition.partition), None)

    def hear(self, error: KafkaError) -> None:
        # Single connections come and go; these are about the whole.
        if error.fatal() or error.code() in {KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION, KafkaError._SSL}:
            self.trouble = meaning(error)


def gap(group: str, place: str, *, committed: int, first: int, end: int) -> OffsetGap:
    """Say what is missing.

    Args:
        group: name of the group.
        place: ``topic/partition``.
        committed: the group's position, below 0 when it has none.
        first: offset of the oldest record that the topic still has.
        end: offset behind its newest record.
    """
    if committed < 0:
        return OffsetGap(f"group {group} has no place in {place}, which has records {first} to {end}", fix=FIRST_OFFSETS)
    if committed < first:
        return OffsetGap(
            f"group {group} stands at {committed} in {place}, whose oldest record is {first}: "
            f"{first - committed} records ({committed} to {first - 1}) were deleted before they were read",
            fix=REPAIR,
        )
    return OffsetGap(f"group {group} stands at {committed} in {place}, which ends at {end}: the topic was made anew", fix=REPAIR)


class KafkaReader:
    """A `Reader` on librdkafka. One thread uses it.

    Joins the group at the first `read`. The group's first offsets must have been written (`KafkaAdmin.create_group`): a partition
    without one is an error, because reading from its end would skip records and reading from its beginning would repeat them.

    Args:
        kafka: where and how.
        group: full name of the group.
        topics: full names of the topics.
    """

    def __init__(self, kafka: KafkaSettings, *, group: str, topics: Sequence[str]) -> None:
        self._group = group
        self._admin = KafkaAdmin(kafka, timeout_s=ASK_S)
        self._fetched: list[Message] = []
        self._closed = False
        self._member = member = _Membership()
        self._consumer: Consumer = made(Consumer, {**consumer_config(kafka, group=group), "error_cb": member.hear})
        self._consumer.subscribe(list(topics), on_assign=member.gain, on_revoke=member.give_up, on_lost=member.give_up)

    def read(self, *, at_most: int, wait_s: float) -> list[Record]:
        """See `Reader.read`."""
        if not self._fetched and self._member.trouble is None:
            self._fetch(at_most, wait_s)
        records = self._translate(at_most)
        if not records and self._member.trouble is not None:
            trouble = self._member.trouble
            if not isinstance(trouble, Halt):  # librdkafka says only once that a position is lost, and then leaves it alone
                self._member.trouble = None
            raise trouble
        for record in records:
            self._member.progress[record.topic, record.partition].handed_out.append(record.offset)
        return records

    def done(self, records: Sequence[Record]) -> None:
        """See `Reader.done`."""
        touched: dict[Place, _Progress] = {}
        for record in records:
            place = record.topic, record.partition
            progress = self._member.progress.get(place)
            if progress is not None:
                progress.finish(record.offset)
                touched[place] = progress
        moved = [(place, offset) for place, progress in touched.items() if (offset := progress.advance()) is not None]
        if moved:
            self._store([TopicPartition(topic, partition, offset) for (topic, partition), offset in moved])

    def close(self) -> None:
        """See `Reader.close`. Idempotent."""
        if not self._closed:
            self._closed = True
            self._consumer.close()
        self._admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def assigned(self) -> frozenset[Place]:
        """Topics and partitions that this member has."""
        return frozenset(self._member.progress)

    def _fetch(self, at_most: int, wait_s: float) -> None:
        first = self._consumer.poll(wait_s)
        if first is None:
            return
        messages = [first]
        if at_most > 1:
            # Never with a time: consume() waits for all that were asked for, not for the first.
            messages += self._consumer.consume(at_most - 1, 0)
        for message in messages:
            error = message.error()
            if error is None:
                self._fetched.append(message)
            else:
                self._member.trouble = self._understand(error, message) or self._member.trouble

    def _translate(self, at_most: int) -> list[Record]:
        """Take records off what was fetched; what cannot be finished now stays there."""
        taken, rest = self._fetched[:at_most], self._fetched[at_most:]
        unknown = sorted({_place(message)[0] for message in taken} - self._member.topic_ids.keys())
        if unknown:
            self._member.topic_ids.update(self._admin.topic_ids(unknown))
        self._fetched = rest
        mine, ids = self._member.progress, self._member.topic_ids
        # Of a partition that was revoked meanwhile its next reader reads what is left out here.
        return [_record(message, place, ids[place[0]]) for message in taken if (place := _place(message)) in mine]

    def _understand(self, error: KafkaError, message: Message) -> OmeroMqError | None:
        code, (topic, partition) = error.code(), _place(message)
        if code in PASSES:
            return None
        if code == KafkaError._AUTO_OFFSET_RESET:
            return self._gap(topic, partition, error)
        if code in UNREADABLE:
            return Halt(
                f"{topic}/{partition}@{message.offset()} cannot be read: {error.str()}",
                fix="the broker's copy is damaged or of an unknown format; look at it with kafka-dump-log",
            )
        return meaning(error, topic=topic)

    def _gap(self, topic: str, partition: int, error: KafkaError) -> OmeroMqError:
        """Name what is missing between the group's position and what the topic still has."""
        place = TopicPartition(topic, partition)
        try:
            committed = self._consumer.committed([place], timeout=ASK_S)[0].offset
            first, end = self._consumer.get_watermark_offsets(place, timeout=ASK_S)
        except KafkaException:
            return OffsetGap(f"group {self._group} lost its place in {topic}/{partition}: {error.str()}", fix=REPAIR)
        return gap(self._group, f"{topic}/{partition}", committed=committed, first=first, end=end)

    def _store(self, offsets: list[TopicPartition]) -> None:
        try:
            self._consumer.store_offsets(offsets=offsets)
        except KafkaException:
            # A partition was lost meanwhile: its next reader reads it again. The others must not suffer from it.
            for offset in offsets:
                try:
                    self._consumer.store_offsets(offsets=[offset])
                except KafkaException as exc:
                    if exc.args[0].code() not in {KafkaError._STATE, KafkaError._UNKNOWN_PARTITION}:
                        raise


def _place(message: Message) -> Place:
    return cast("str", message.topic()), cast("int", message.partition())


def _record(message: Message, place: Place, topic_id: str) -> Record:
    kind, timestamp_ms = message.timestamp()
    return Record(
        topic=place[0],
        partition=place[1],
        offset=cast("int", message.offset()),
        key=message.key(),
        value=message.value(),
        headers=headers_of(message),
        timestamp_ms=timestamp_ms if kind else -1,
        topic_id=topic_id,
    )


def headers_of(message: Message) -> Headers:
    """A message's headers, or the mark that says that they cannot be read."""
    try:
        return tuple(_ask_headers(message) or ())
    except (SystemError, UnicodeDecodeError):
        return ((UNREADABLE_HEADERS, b"a header name is not UTF-8; the record at its source position has them all"),)
