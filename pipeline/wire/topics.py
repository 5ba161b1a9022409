"""Every topic, once: name, key, value, partitions, how long it keeps, who writes and reads it.

Names are written with the default prefix ``omero``; `named` gives the name under a site's own prefix.
A name with ``<...>`` is a family: one topic per queue or consumer.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import Misconfigured

DAY_MS = 24 * 60 * 60 * 1000
DEFAULT_PREFIX = "omero"
MAX_NAME_LENGTH = 249  # Kafka's own limit

_PREFIX = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9._-]*[a-zA-Z0-9])?", re.ASCII)
_MEMBER = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_TAKEN = frozenset({"decisions"})  # the inbox's own topic stands beside the letters
_PLACE = re.compile(r"<[a-z]+>")

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
        planned: named here so that nothing else takes the name; its schema and its message come with its first user.
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
    planned: bool = False

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
    planned=True,
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
    planned=True,
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
    planned=True,
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
    planned=True,
)

TOPICS: Final[tuple[Topic, ...]] = (
    EVENTLOG,
    REINDEXING,
    REINDEX,
    EVENTS,
    DOCUMENTS,
    WORK,
    JOB_EVENTS,
    RETRY_RELAY,
    LETTERS,
    DECISIONS,
    HEARTBEAT,
    SIGNAL,
)


def named(topic: Topic, prefix: str = DEFAULT_PREFIX, member: str = "") -> str:
    """The real name of a topic under a site's prefix, e.g. ``named(WORK, "site-a", "pixels")`` -> ``site-a.work.pixels``.

    Raises:
        Misconfigured: the prefix or the member is no name, or the whole is longer than Kafka allows.
    """
    if topic.is_family != bool(member):
        what = "stands for many: which one?" if topic.is_family else f"is a single topic, so {member!r} has no place in its name"
        raise Misconfigured(f"{topic.name} {what}", fix="name one queue, consumer or connector of a family, and none otherwise")
    return _checked_length(checked_prefix(prefix) + _after_prefix(topic, _checked_member(member)))


def letters_topic(consumer: str, prefix: str = DEFAULT_PREFIX) -> str:
    """Where a consumer's letters go, e.g. ``omero.dlq.relay``."""
    return named(LETTERS, prefix, consumer)


def by_name(name: str, prefix: str = DEFAULT_PREFIX) -> Topic:
    """The entry of the table for a real topic name.

    Raises:
        Misconfigured: it is none of ours; the message names the nearest that is.
    """
    return lookup(name, prefix)[0]


def lookup(name: str, prefix: str = DEFAULT_PREFIX) -> tuple[Topic, str]:
    """The entry of the table for a real topic name, and which member of the family it is ("" for a single topic).

    Raises:
        Misconfigured: it is none of ours; the message names the nearest that is.
    """
    for topic in sorted(TOPICS, key=lambda one: one.is_family):  # omero.dlq.decisions is no consumer's
        before, _, _ = _after_prefix(topic, "<>").partition("<>")
        member = name.removeprefix(checked_prefix(prefix) + before)
        if topic.is_family and member != name and _MEMBER.fullmatch(member):
            return topic, member
        if not topic.is_family and name == prefix + before:
            return topic, ""
    raise Misconfigured(f"{name} is no topic of ours under the prefix {prefix!r}", fix=_nearest(name, prefix))


def checked_prefix(prefix: str) -> str:
    """The prefix itself.

    Raises:
        Misconfigured: Kafka would not take it.
    """
    if not _PREFIX.fullmatch(prefix):
        raise Misconfigured(
            f"kafka.prefix {prefix!r} cannot begin a topic name",
            fix="use letters, digits, dots, underscores and hyphens, beginning and ending with a letter or digit",
        )
    return prefix


def _checked_member(member: str) -> str:
    if not member or (_MEMBER.fullmatch(member) and member not in _TAKEN):
        return member
    if member in _TAKEN:
        raise Misconfigured(
            f"{member!r} cannot name a queue, consumer or connector",
            fix=f"{DEFAULT_PREFIX}.dlq.{member} is a topic of its own: choose another name",
        )
    raise Misconfigured(
        f"{member!r} cannot name a queue, consumer or connector",
        fix="use kebab-case: small letters and digits, words joined by single hyphens, a letter first",
    )


def _checked_length(name: str) -> str:
    if len(name) > MAX_NAME_LENGTH:
        raise Misconfigured(
            f"topic name {name[:40]}... has {len(name)} characters, Kafka takes {MAX_NAME_LENGTH}",
            fix="choose a shorter kafka.prefix",
        )
    return name


def _after_prefix(topic: Topic, member: str) -> str:
    return _PLACE.sub(member, topic.name.removeprefix(DEFAULT_PREFIX))


def _nearest(name: str, prefix: str) -> str:
    ours = [prefix + topic.name.removeprefix(DEFAULT_PREFIX) for topic in TOPICS]
    close = difflib.get_close_matches(name, ours, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(ours)}"
