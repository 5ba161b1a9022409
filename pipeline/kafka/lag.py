"""How far a group is behind, in records and in seconds of age; looked at from outside, without joining anything."""

# ruff: noqa: SLF001  (librdkafka's own errors are constants whose names begin with an underscore)
from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pipeline.kafka.admin import KafkaAdmin, Place
from pipeline.kafka.config import look_config, made
from pipeline.kafka.trouble import meaning
from pipeline.settings.model import KafkaSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Lag:
    """How far a group is behind on one topic.

    Attributes:
        end: sum of the partitions' end offsets.
        committed: sum of the group's offsets; where it has none, that of the oldest record.
        records: what is still to be read; 0 when nothing but transaction markers and compacted places is left. Otherwise an upper
            bound, since such places count as well.
        age_s: age of the oldest record that is not committed [s]; 0 when caught up, None when its time could not be read in time.
        placeless: partitions in which the group has no offset.
        lost: records that were deleted before the group read them.
    """

    group: str
    topic: str
    end: int
    committed: int
    records: int
    age_s: float | None
    placeless: tuple[int, ...] = ()
    lost: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Left:
    """One partition's unread part: first and end offset."""

    first: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """What the brokers said; ``times`` has an entry for each partition that really has an unread record."""

    committed: Mapping[Place, int | None]
    first: Mapping[Place, int]
    end: Mapping[Place, int]
    unread: Mapping[Place, _Left]
    times: Mapping[Place, int | None]


class LagMeter:
    """Measures lag; keeps its connections between measurements."""

    def __init__(self, kafka: KafkaSettings, *, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._admin = KafkaAdmin(kafka, timeout_s=timeout_s)
        self._consumer: Consumer = made(Consumer, look_config(kafka))

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()
        self._admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def lag(self, group: str, topics: Sequence[str], *, now_ms: int) -> list[Lag]:
        """How far the group is behind on each topic that exists; asks within bounds, reads one record per partition that lags.

        Raises:
            DependencyDown: ``kafka`` is away.
        """
        committed = self._admin.committed(group, topics)
        first, end = self._admin.beginnings(committed), self._admin.ends(committed)
        unread = {}
        for place, offset in committed.items():
            start = first[place] if offset is None else max(offset, first[place])
            if start < end[place]:
                unread[place] = _Left(first=start, end=end[place])
        seen = _Seen(committed=committed, first=first, end=end, unread=unread, times=self._first_times(unread))
        existing = {place[0] for place in committed}
        return [_lag(group, topic, seen, now_ms) for topic in topics if topic in existing]

    def oldest(self, topic: str) -> int | None:
        """Time of the oldest record that the topic still has [ms since 1970 UTC]; None when it has none."""
        places = [(topic, partition) for partition in range(self._admin.partitions([topic]).get(topic, 0))]
        first, end = self._admin.beginnings(places), self._admin.ends(places)
        times = self._first_times({p: _Left(first=first[p], end=end[p]) for p in places if first[p] < end[p]})
        return min((time_ms for time_ms in times.values() if time_ms is not None), default=None)

    def _first_times(self, unread: Mapping[Place, _Left]) -> dict[Place, int | None]:
        """Time of the first record of each unread part; parts without a record are left out, unreadable ones are None."""
        if not unread:
            return {}
        waiting = dict(unread)
        times: dict[Place, int | None] = {}
        self._consumer.assign([TopicPartition(topic, partition, left.first) for (topic, partition), left in unread.items()])
        until = time.monotonic() + self._timeout_s
        try:
            while waiting and time.monotonic() < until:
                for message in self._consumer.consume(max(1, len(waiting)), 0.05):
                    place = cast("str", message.topic()), cast("int", message.partition())
                    error = message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:
                        if error.code() in {KafkaError._AUTO_OFFSET_RESET, KafkaError._TRANSPORT}:
                            continue  # deleted while we looked, or a connection that is being made again
                        raise meaning(error, topic=place[0])
                    left = waiting.pop(place, None)
                    if left is None:
                        continue
                    if error is None and cast("int", message.offset()) < left.end:
                        kind, time_ms = message.timestamp()
                        times[place] = time_ms if kind else None
                    # Otherwise there is nothing but transaction markers or compacted places: caught up.
        except KafkaException as exc:
            raise meaning(exc.args[0]) from exc
        finally:
            self._consumer.unassign()
        return {**dict.fromkeys(waiting), **times}


def _lag(group: str, topic: str, seen: _Seen, now_ms: int) -> Lag:
    places = [place for place in seen.committed if place[0] == topic]
    behind = [place for place in places if place in seen.times]
    times = [seen.times[place] for place in behind]
    known = [time_ms for time_ms in times if time_ms is not None]
    age_s: float | None = 0.0
    if behind:
        age_s = None if len(known) < len(times) else max(0.0, (now_ms - min(known)) / 1000)
    offsets = {place: offset for place in places if (offset := seen.committed[place]) is not None}
    return Lag(
        group=group,
        topic=topic,
        end=sum(seen.end[place] for place in places),
        committed=sum(offsets.get(place, seen.first[place]) for place in places),
        records=sum(seen.unread[place].end - seen.unread[place].first for place in behind),
        age_s=age_s,
        placeless=tuple(partition for _, partition in places if (topic, partition) not in offsets),
        lost=sum(max(0, seen.first[place] - offset) for place, offset in offsets.items()),
    )
