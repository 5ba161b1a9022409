"""Makes letters: the failed record as it was, why it failed, within what the letters topic takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.delivery.classify import LetterClass
from pipeline.delivery.fingerprint import fingerprint, one_line, shortened, stack, type_name
from pipeline.delivery.letter import (
    DATAREF,
    HEADER_COUNT,
    KAFKAS,
    OURS,
    PART,
    REPLAY_COUNT,
    REPLAY_OF,
    TRACEPARENT,
    Origin,
    encoded,
    identity,
    iso,
    origin_texts,
    own_headers,
    replayed,
)
from pipeline.delivery.record import Headers, Outgoing, Record

SMALL_STACK_BYTES = 512
MOST_TRACEPARENT = 64  # bytes; W3C's is 55
FRAMING_BYTES = 200  # Kafka's framing of a batch with one record, without its headers
HEADER_FRAMING_BYTES = 10  # lengths of one header's name and value


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a record failed.

    Attributes:
        error: the last exception.
        letter_class: see `LetterClass`.
        part: which part of the work failed; "" for all of it.
        attempts: how often it was tried; 0 where that does not apply.
        timeouts: how many of the attempts ran out of time.
        first_failed_at_ms: when the first attempt failed [ms since 1970 UTC]; None: just now.
    """

    error: BaseException
    letter_class: LetterClass
    part: str = ""
    attempts: int = 1
    timeouts: int = 0
    first_failed_at_ms: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterMaker:
    """Makes one consumer's letters.

    Attributes:
        consumer: its name, as in ``omero.dlq.<consumer>``.
        group: its consumer group, in full.
        topic: its letters topic, in full.
        worker: which process, on which host.
        version: of our code.
        now_ms: the clock [ms since 1970 UTC].
        limit_bytes: what the letters topic takes, its ``max.message.bytes`` [bytes].
        stack_limit_bytes: most of a stack trace that is kept [bytes].
    """

    consumer: str
    group: str
    topic: str
    worker: str
    version: str
    now_ms: Callable[[], int]
    limit_bytes: int
    stack_limit_bytes: int = 4096

    def make(self, record: Record, failure: Failure, *, limit_bytes: int | None = None) -> Outgoing:
        """The letter. Within the limit, or the least that says where the record is: beyond that, nothing can be left out.

        Its time in Kafka is that of the failure, since retention counts from there: a letter about an old record must not be
        deleted as if it were old itself. The record's own time is in ``omero.dlq.timestamp``.

        Args:
            record: the failed record.
            failure: why.
            limit_bytes: when the topic turned out to take less than was thought [bytes].
        """
        limit = self.limit_bytes if limit_bytes is None else limit_bytes
        now_ms = self.now_ms()
        again = replayed(record)
        origin = again.origin if again else _here(record)
        own = own_headers(record)
        trace = stack(failure.error)
        texts = self._texts(origin, failure, now_ms, own)
        if again:
            texts |= {REPLAY_COUNT: again.count, REPLAY_OF: again.of}
        texts[OURS + "stack.sha256"] = hashlib.sha256(trace.encode()).hexdigest()

        def letter(stack_bytes: int, key: bytes | None, value: bytes | None, headers: Headers, *, missing: bool) -> Outgoing:
            added = {HEADER_COUNT: len(headers), **texts}
            if missing:
                added[DATAREF] = _dataref(record, (("key", key), ("value", value), ("headers", headers)), own)
            if stack_bytes:
                added[OURS + "stack"] = shortened(trace, stack_bytes)
            return Outgoing(topic=self.topic, key=key, value=value, headers=headers + encoded(added), timestamp_ms=now_ms)

        most, small = self.stack_limit_bytes, min(self.stack_limit_bytes, SMALL_STACK_BYTES)
        full = record.key, record.value, own
        shapes = [(stack_bytes, *full) for stack_bytes in (most, small, 0)]
        shapes += [(small, record.key, None, own), (small, record.key, None, ()), (0, None, None, ())]
        for stack_bytes, key, value, headers in shapes:
            made = letter(stack_bytes, key, value, headers, missing=(key, value, headers) != full)
            if on_the_wire(made) <= limit:
                break
        return made

    def _texts(self, origin: Origin, failure: Failure, now_ms: int, own: Headers) -> dict[str, str | int]:
        error = failure.error
        first_ms = now_ms if failure.first_failed_at_ms is None else failure.first_failed_at_ms
        return {
            OURS + "id": identity(self.consumer, origin, failure.part),
            OURS + "consumer": self.consumer,
            OURS + "class": failure.letter_class,
            OURS + "exception": type_name(error)[:256],
            KAFKAS + "message": one_line(error),
            **origin_texts(origin),
            KAFKAS + "group": self.group,
            KAFKAS + "delivery.count": failure.attempts,
            OURS + "attempts": failure.attempts,
            OURS + "timeouts": failure.timeouts,
            OURS + "first-failed-at": iso(first_ms),
            OURS + "failed-at": iso(now_ms),
            OURS + "worker": self.worker,
            OURS + "version": self.version,
            OURS + "fingerprint": fingerprint(self.consumer, failure.letter_class, error),
            PART: failure.part,
            REPLAY_COUNT: 0,
            OURS + "traceparent": _traceparent(own),
        }


def on_the_wire(record: Outgoing) -> int:
    """Bytes that a record takes at most in a batch of its own, before compression; what ``max.message.bytes`` is held against."""
    return FRAMING_BYTES + record.size + HEADER_FRAMING_BYTES * len(record.headers)


def _here(record: Record) -> Origin:
    return Origin(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        topic_id=record.topic_id,
    )


def _dataref(record: Record, kept: tuple[tuple[str, object], ...], own: Headers) -> str:
    """Where the rest is. The position is where the record was read last, so that of a replay it is the replay's."""
    value = record.value
    had = {"key": record.key, "value": value, "headers": own}
    return json.dumps(
        {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "missing": [name for name, here in kept if here != had[name]],
            "sha256": hashlib.sha256(value or b"").hexdigest(),
            "length": -1 if value is None else len(value),
        }
    )


def _traceparent(own: Headers) -> str:
    for name, value in reversed(own):
        if name == TRACEPARENT and value is not None and len(value) <= MOST_TRACEPARENT and value.isascii():
            return value.decode()
    return ""
