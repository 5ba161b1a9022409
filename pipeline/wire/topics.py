"""Every topic, once: name, key, value, partitions, how long it keeps, who writes and reads it.

Names are written with the default prefix ``omero``; `named` gives the name under a site's own prefix.
A name with ``<...>`` is a family: one topic per queue or consumer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DAY_MS = 24 * 60 * 60 * 1000
DEFAULT_PREFIX = "omero"

Format = Literal["json", "avro", "json or avro", "original"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """One topic or family of topics.

    Attributes:
        name: with the default prefix.
        key: what the key's bytes are, for people.
        format: how the value is encoded.
        schema: file stem in ``schemas/``, or "" where the value is somebody else's.
        partitions: number of partitions.
        retention_ms: how long records are kept [ms]; -1 for ever.
        max_message_bytes: largest record batch that the broker takes [bytes].
    """

    name: str
    key: str
    format: Format
    schema: str
    partitions: int
    retention_ms: int
    written_by: str
    read_by: str
    max_message_bytes: int = 1_048_588
    compacted: bool = False

    @property
    def is_family(self) -> bool:
        """Whether the name stands for one topic per queue or consumer."""
        return "<" in self.name


EVENTLOG = Topic(
    name="omero.eventlog",
    key='{"entitytype":...,"entityid":...}',
    format="json",
    schema="eventlog-row",
    partitions=6,
    retention_ms=30 * DAY_MS,
    written_by="Kafka Connect",
    read_by="relay, documents, kcat",
)
REINDEXING = Topic(
    name="omero.reindexing",
    key='{"entity_type":...,"entity_id":...}',
    format="json",
    schema="reindexing-row",
    partitions=6,
    retention_ms=7 * DAY_MS,
    written_by="Kafka Connect",
    read_by="documents",
)
REINDEX = Topic(
    name="omero.reindex",
    key="Image:42",
    format="json",
    schema="reindex-request",
    partitions=6,
    retention_ms=7 * DAY_MS,
    written_by="documents, reconciler, command line, replay",
    read_by="documents",
)
EVENTS = Topic(
    name="omero.events",
    key="Image:42",
    format="json",
    schema="event",
    partitions=6,
    retention_ms=7 * DAY_MS,
    written_by="relay",
    read_by="gateway, clients, kcat",
)
DOCUMENTS = Topic(
    name="omero.search.documents",
    key="Image:42",
    format="avro",
    schema="search-document",
    partitions=6,
    retention_ms=7 * DAY_MS,
    written_by="documents",
    read_by="indexer",
)
WORK = Topic(
    name="omero.work.<queue>",
    key="order_key if set, else work item id",
    format="json or avro",
    schema="work-item",
    partitions=6,
    retention_ms=30 * DAY_MS,
    written_by="relay's rules, everyone",
    read_by="that queue's agent",
)
JOB_EVENTS = Topic(
    name="omero.job-events",
    key="job id",
    format="json",
    schema="job-event",
    partitions=6,
    retention_ms=7 * DAY_MS,
    written_by="outbox poller",
    read_by="gateway, clients",
)
RETRY_RELAY = Topic(
    name="omero.retry.relay",
    key="original",
    format="original",
    schema="",
    partitions=1,
    retention_ms=30 * DAY_MS,
    written_by="replay",
    read_by="relay",
)
LETTERS = Topic(
    name="omero.dlq.<consumer>",
    key="original",
    format="original",
    schema="",
    partitions=1,
    retention_ms=90 * DAY_MS,
    written_by="delivery core",
    read_by="inbox, kcat, command line",
    max_message_bytes=2 * 1_048_588,  # the largest record of any source plus its headers
)
DECISIONS = Topic(
    name="omero.dlq.decisions",
    key="letter id",
    format="json",
    schema="",
    partitions=1,
    retention_ms=-1,
    written_by="inbox, command line",
    read_by="inbox (rebuild)",
)
HEARTBEAT = Topic(
    name="omero.cdc.heartbeat.<connector>",
    key='{"serverName":...}',
    format="json",
    schema="",
    partitions=1,
    retention_ms=DAY_MS,
    written_by="Kafka Connect",
    read_by="status, doctor",
)
SIGNAL = Topic(
    name="omero.cdc.signal",
    key="connector's topic prefix",
    format="json",
    schema="",
    partitions=1,
    retention_ms=DAY_MS,
    written_by="repair",
    read_by="Kafka Connect",
)
