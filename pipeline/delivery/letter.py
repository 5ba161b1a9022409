"""A message that failed for good, as it lies in a letters topic: the record as it was, and why it failed.

Our headers stand behind the record's own; ``omero.dlq.headers`` says how many of those there are, so that equal names, duplicates
and letters of letters can be told apart. All of them are decimal numbers or UTF-8 text: `kcat` shows a letter as it is.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipeline.delivery.record import Headers, Record

OURS: Final = "omero.dlq."
KAFKAS: Final = "__dlq.errors."  # Kafka's own names, for tools that know them
HEADER_COUNT: Final = OURS + "headers"
REPLAY_OF: Final = OURS + "replay.of"
REPLAY_COUNT: Final = OURS + "replay.count"
PART: Final = OURS + "part"
TOPIC_ID: Final = OURS + "topic.id"
TIMESTAMP: Final = OURS + "timestamp"
DATAREF: Final = OURS + "dataref"
TRACEPARENT: Final = "traceparent"

_NAMESPACE: Final = uuid.UUID("6f1c52f0-7a55-5d0e-9f43-0b6f0f6f9b0d")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DIGITS: Final = 20  # a 64-bit number's
_MOST_MS: Final = 253_402_300_799_999  # end of the year 9999, the last that can be written


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a failed record first was.

    Attributes:
        timestamp_ms: the record's own time [ms since 1970 UTC], or -1.
        topic_id: Kafka's id of the topic, or "".
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int = -1
    topic_id: str = ""

    @property
    def position(self) -> str:
        """``topic/partition@offset``."""
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A letter.

    Attributes:
        id: the same for one failed part of one record and consumer, however often it is written.
        origin: where the record first was, over all replays.
        part: which part of the work failed (a rule, recipient or object); "" for all of it.
        message: one line.
        replay_count: how often it had been replayed when it failed this time.
        dataref: where the rest is, when the record was too large to be copied; None when it is here in full.
        key, value, headers: the record's own, byte for byte, except what ``dataref`` says is missing.
        position: where the letter itself lies.
    """

    id: str
    consumer: str
    letter_class: str
    exception: str
    message: str
    group: str
    origin: Origin
    attempts: int
    timeouts: int
    first_failed_at_ms: int
    failed_at_ms: int
    worker: str
    version: str
    fingerprint: str
    part: str
    replay_count: int
    replay_of: str
    traceparent: str
    stack: str
    stack_sha256: str
    dataref: Mapping[str, Any] | None
    key: bytes | None
    value: bytes | None
    headers: Headers
    position: str


def identity(consumer: str, origin: Origin, part: str) -> str:
    """The id of the letter for this failure: the same whenever and by whichever worker it is written."""
    name = [consumer, origin.topic, origin.topic_id, origin.partition, origin.offset, part]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(name)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What a record that is a replay says of itself.

    Attributes:
        of: the letter's id.
        count: which replay this is; 1 is the first.
        origin: where the record first was.
        part: the part to be done again; "" for all of it.
    """

    of: str
    count: int
    origin: Origin
    part: str


def own_headers(record: Record) -> Headers:
    """The headers that the record had when it was written first; of a replay or a letter, without what we added."""
    count = _added_behind(record)
    return record.headers if count is None else record.headers[:count]


def replayed(record: Record) -> Replayed | None:
    """What the record says of itself as a replay; None where it is none."""
    count = _added_behind(record)
    if count is None:
        return None
    ours = _texts(record.headers[count:])
    if not ours.get(REPLAY_OF):
        return None
    return Replayed(of=ours[REPLAY_OF], count=_number(ours.get(REPLAY_COUNT), 0), origin=_origin(ours), part=ours.get(PART, ""))


def replay_headers(letter: Letter) -> Headers:
    """Headers of the record that gives a letter's message another chance: its own, and behind them what makes it a replay."""
    return letter.headers + encoded(
        {
            HEADER_COUNT: len(letter.headers),
            REPLAY_OF: letter.id,
            REPLAY_COUNT: letter.replay_count + 1,
            **origin_texts(letter.origin),
            PART: letter.part,
        }
    )


def origin_texts(origin: Origin) -> dict[str, str | int]:
    """The headers that say where a record first was."""
    return {
        KAFKAS + "topic": origin.topic,
        KAFKAS + "partition": origin.partition,
        KAFKAS + "offset": origin.offset,
        TOPIC_ID: origin.topic_id,
        TIMESTAMP: origin.timestamp_ms,
    }


def encoded(texts: Mapping[str, str | int]) -> Headers:
    """Headers of ours; empty texts are left out."""
    return tuple((name, str(value).encode(errors="replace")) for name, value in texts.items() if value != "")


def read(record: Record) -> Letter:
    """The letter that a record of a letters topic is; never raises: what is missing or unreadable is empty, 0 or -1."""
    count = _added_behind(record)
    own, added = (record.headers, ()) if count is None else (record.headers[:count], record.headers[count:])
    texts = _texts(added)
    origin = _origin(texts)
    part = texts.get(PART, "")
    return Letter(
        id=texts.get(OURS + "id", ""),
        consumer=texts.get(OURS + "consumer", ""),
        letter_class=texts.get(OURS + "class", "unknown"),
        exception=texts.get(OURS + "exception", ""),
        message=texts.get(KAFKAS + "message", ""),
        group=texts.get(KAFKAS + "group", ""),
        origin=origin,
        attempts=_number(texts.get(OURS + "attempts"), 0),
        timeouts=_number(texts.get(OURS + "timeouts"), 0),
        first_failed_at_ms=_from_iso(texts.get(OURS + "first-failed-at")),
        failed_at_ms=_from_iso(texts.get(OURS + "failed-at")),
        worker=texts.get(OURS + "worker", ""),
        version=texts.get(OURS + "version", ""),
        fingerprint=texts.get(OURS + "fingerprint", ""),
        part=part,
        replay_count=_number(texts.get(REPLAY_COUNT), 0),
        replay_of=texts.get(REPLAY_OF, ""),
        traceparent=texts.get(OURS + "traceparent", ""),
        stack=texts.get(OURS + "stack", ""),
        stack_sha256=texts.get(OURS + "stack.sha256", ""),
        dataref=_dataref(texts.get(DATAREF)),
        key=record.key,
        value=record.value,
        headers=own,
        position=record.position,
    )


def iso(time_ms: int) -> str:
    """A time as people and `date -d` read it, e.g. ``2026-11-24T07:00:00.123Z``."""
    moment = _EPOCH + timedelta(milliseconds=min(max(time_ms, 0), _MOST_MS))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _from_iso(text: str | None) -> int:
    try:
        return (datetime.fromisoformat(text or "") - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, TypeError, OverflowError):
        return -1


def _added_behind(record: Record) -> int | None:
    """How many headers of its own the record has; None where nothing of ours stands behind them."""
    for place in range(len(record.headers) - 1, -1, -1):
        name, value = record.headers[place]
        if name == HEADER_COUNT:
            return place if _number((value or b"").decode(errors="replace"), -1) == place else None
        if not name.startswith((OURS, KAFKAS)):
            return None
    return None


def _texts(headers: Headers) -> dict[str, str]:
    return {name: (value or b"").decode(errors="replace") for name, value in headers}


def _origin(texts: Mapping[str, str]) -> Origin:
    return Origin(
        topic=texts.get(KAFKAS + "topic", ""),
        partition=_number(texts.get(KAFKAS + "partition"), -1),
        offset=_number(texts.get(KAFKAS + "offset"), -1),
        timestamp_ms=_number(texts.get(TIMESTAMP), -1),
        topic_id=texts.get(TOPIC_ID, ""),
    )


def _number(text: str | None, otherwise: int) -> int:
    if text is None or not text.lstrip("-").isdecimal() or not text.isascii() or len(text) > _MOST_DIGITS:
        return otherwise
    try:
        return int(text)
    except ValueError:  # "--1"
        return otherwise


def _dataref(text: str | None) -> Mapping[str, Any] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"unreadable": text}
