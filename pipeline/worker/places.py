"""Where a group stands, and what is left between two offsets; asked of the brokers directly, not of the library that reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.consume import gap
from pipeline.kafka.look import KafkaLook
from pipeline.settings.model import KafkaSettings
from pipeline.worker.ledger import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where the group stands in some partitions.

    Attributes:
        committed: its offsets.
        ends: the offsets behind the newest records.
        topic_ids: Kafka's id of each topic.
    """

    committed: Mapping[Place, int]
    ends: Mapping[Place, int]
    topic_ids: Mapping[str, str]


class Places:
    """A group's places. Every method blocks, within bounds, and raises DependencyDown while ``kafka`` is away."""

    def __init__(self, kafka: KafkaSettings, *, group: str, topics: Sequence[str]) -> None:
        self._kafka = kafka
        self._admin = KafkaAdmin(kafka)
        self.group = group
        self.topics = tuple(topics)

    def standing(self, places: Iterable[Place] | None = None) -> Standing:
        """Where the group stands; in all partitions unless some are named.

        Raises:
            OffsetGap: a place was lost, or records that were not read are gone; it says which, and what to do.
            Misconfigured: a topic does not exist.
        """
        topic_ids = self._admin.topic_ids(self.topics)
        committed = self._admin.committed(self.group, self.topics)
        wanted = sorted(committed if places is None else places)
        first, ends = self._admin.beginnings(wanted), self._admin.ends(wanted)
        found = {}
        for place in wanted:
            at = committed.get(place)
            if at is None or not first[place] <= at <= ends[place]:
                name = f"{place[0]}/{place[1]}"
                raise gap(self.group, name, committed=-1 if at is None else at, first=first[place], end=ends[place])
            found[place] = at
        return Standing(committed=found, ends=ends, topic_ids=topic_ids)

    def first_record(self, place: Place, *, start: int, end: int) -> int | None:
        """Offset of the first record in ``start <= offset < end``; None when nothing but holes is there.

        Raises:
            OffsetGap: records that were there were deleted meanwhile.
        """
        with KafkaLook(self._kafka, place[0]) as look:
            for record in look.until_end({place[1]: start}, at_most=end - start):
                return record.offset
        return None

    def close(self) -> None:
        """Let go of the connection."""
        self._admin.close()
