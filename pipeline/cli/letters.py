"""Letters as Kafka has them, put together by cause: what `omero-mq dlq` knows without an inbox."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.cli import records
from pipeline.cli.when import iso
from pipeline.delivery.letter import Letter, read
from pipeline.errors import Undecodable
from pipeline.kafka.look import KafkaLook
from pipeline.settings import Settings
from pipeline.wire import topics
from pipeline.wire.consumers import CONSUMERS
from pipeline.wire.objects import simple_class
from pipeline.wire.reading import decode_any

ADVICE: Mapping[str, str] = {
    "undecodable": "its bytes are kept here; see who else writes the topic, or which connector setting changed",
    "oversize": "its result is larger than the topic takes: raise max.message.bytes of that topic, or make the input smaller",
    "poison": "the record or our code is wrong, and the error says which; one that you cannot place: report it with --stack",
    "transient-exhausted": "every attempt failed, for a reason that may have passed: see whether it holds",
    "timeout": "every attempt ran out of time: see what is slow",
}
"""What to do about a letter, by its class."""

CAUSE_LETTERS = 6  # characters of a fingerprint that name a cause; more are needed only when two begin alike


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What the failed record was about, as far as it can be read; empty where it cannot."""

    object: str = ""
    action: str = ""
    event: str = ""


@dataclass(kw_only=True, slots=True)
class Cause:
    """Letters of one fingerprint; a letter that was written twice counts once."""

    fingerprint: str
    consumer: str
    exception: str = ""
    letter_class: str = ""
    message: str = ""
    first_ms: int = -1
    last_ms: int = -1
    attempts: int = 0
    ids: set[str] = field(default_factory=set)

    def add(self, letter: Letter) -> None:
        """Count a letter; the newest one's message speaks for all."""
        self.ids.add(letter.id or letter.position)
        if self.first_ms < 0 or letter.failed_at_ms < self.first_ms:
            self.first_ms = letter.failed_at_ms
        if letter.failed_at_ms >= self.last_ms:
            self.last_ms, self.message, self.exception = letter.failed_at_ms, letter.message, letter.exception
            self.letter_class = letter.letter_class
        self.attempts = max(self.attempts, letter.attempts)

    @property
    def error(self) -> str:
        """The exception's own name and what it said."""
        return f"{self.exception.rpartition('.')[2]}: {self.message}" if self.exception else self.message

    @property
    def expires_ms(self) -> int:
        """When Kafka may delete the first of them."""
        return self.first_ms + topics.LETTERS.retention_ms if self.first_ms >= 0 else -1


def consumers() -> list[str]:
    """Consumers that write letters."""
    return [spec.name for spec in CONSUMERS if spec.letters and spec.runs]


def letters_of(settings: Settings, consumer: str, *, since_ms: int | None = None) -> Iterator[Letter]:
    """Every letter of a consumer that Kafka still has, in the order of writing.

    Raises:
        DependencyDown: ``kafka`` is away.
        Misconfigured: its letters topic does not exist.
    """
    with KafkaLook(settings.kafka, topics.letters_topic(consumer, settings.kafka.prefix)) as look:
        start = look.first if since_ms is None else look.since(since_ms)
        for record in look.until_end(start):
            yield read(record)


def causes(letters: Iterable[Letter]) -> list[Cause]:
    """Letters by cause, the largest first."""
    found: dict[tuple[str, str], Cause] = {}
    for letter in letters:
        name = letter.consumer, letter.fingerprint
        if name not in found:
            found[name] = Cause(fingerprint=letter.fingerprint, consumer=letter.consumer)
        found[name].add(letter)
    return sorted(found.values(), key=lambda cause: (-len(cause.ids), cause.first_ms))


def short(letter: Letter) -> str:
    """``relay/0@4117``: consumer and place, as people pass it on."""
    return f"{letter.consumer}/{letter.position.rpartition('/')[2]}"


def about(letter: Letter, prefix: str) -> About:
    """Object, action and event of the record that failed."""
    try:
        value = decode_any(letter.origin.topic, letter.value, prefix).value
    except Undecodable:
        value = _loosely(letter.value)
    if not isinstance(value, dict):
        return About()
    data: dict[str, Any] = value["data"] if isinstance(value.get("data"), dict) else value
    kind, number = data.get("entitytype", ""), data.get("entityid", "")
    named = f"{simple_class(str(kind))}:{number}" if kind else str(value.get("subject", ""))
    return About(object=named, action=str(data.get("action", "")), event=str(data.get("id", "")))


def _loosely(value: bytes | None) -> Any:
    """Any JSON: a row that is not as the schema says may still say which object it is about."""
    try:
        return json.loads(value or b"")
    except (ValueError, RecursionError):
        return None


def cause_facts(cause: Cause) -> dict[str, Any]:
    """What ``--json`` prints of a cause."""
    return {
        "cause": cause.fingerprint,
        "consumer": cause.consumer,
        "count": len(cause.ids),
        "first": iso(cause.first_ms) or None,
        "last": iso(cause.last_ms) or None,
        "expires": iso(cause.expires_ms) or None,
        "attempts": cause.attempts,
        "class": cause.letter_class,
        "exception": cause.exception,
        "message": cause.message,
    }


def letter_facts(letter: Letter, prefix: str) -> dict[str, Any]:
    """What ``--json`` prints of a letter: all of it."""
    what = about(letter, prefix)
    topic, _, place = letter.position.rpartition("/")
    partition, _, offset = place.partition("@")
    origin = letter.origin
    return {
        "record": short(letter),
        "id": letter.id,
        "topic": topic,
        "partition": int(partition),
        "offset": int(offset),
        "consumer": letter.consumer,
        "cause": letter.fingerprint,
        "class": letter.letter_class,
        "exception": letter.exception,
        "message": letter.message,
        "part": letter.part,
        "attempts": letter.attempts,
        "first_failed_at": iso(letter.first_failed_at_ms) or None,
        "failed_at": iso(letter.failed_at_ms) or None,
        "replays": letter.replay_count,
        "origin": {
            "topic": origin.topic,
            "partition": origin.partition,
            "offset": origin.offset,
            "time": iso(origin.timestamp_ms) or None,
        },
        "object": what.object or None,
        "action": what.action or None,
        "event": what.event or None,
        "key": records.text(letter.key),
        "value": records.text(letter.value),
        "headers": [{"name": name, "value": records.text(value)} for name, value in letter.headers],
        "stack": letter.stack,
        "worker": letter.worker,
        "version": letter.version,
        "dataref": dict(letter.dataref) if letter.dataref is not None else None,
    }
