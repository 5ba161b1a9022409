"""`omero-mq events`: public events as they happen, one line each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from pipeline.cli import call as calls
from pipeline.cli import records
from pipeline.cli.app import typer_app
from pipeline.cli.call import Call
from pipeline.cli.exits import Exit
from pipeline.cli.when import since_ms
from pipeline.delivery.record import Record
from pipeline.errors import DependencyDown, Undecodable
from pipeline.kafka.look import KafkaLook, Offsets
from pipeline.wire import topics
from pipeline.wire.events import PublicEvent
from pipeline.wire.messages import EVENT

app = typer_app(help="Public events as they happen.")
POLL_S = 0.2
HEAD = f"{'COMMITTED':<12}  {'OBJECT':<24}  {'ACTION':<10}  {'ACTOR':>6}  {'OWNER':>6}  {'GROUP':>6}  {'MS':>6}"


@app.callback()
def events() -> None:
    """Public events as they happen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which events are shown; an empty set means all.

    Attributes:
        types: simple class names in small letters.
        actions: in small letters, without what stands in brackets.
    """

    types: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def takes(self, event: PublicEvent) -> bool:
        """Whether the event is wanted; one that leaves a group counts for that group, too."""
        kind, action = event.subject.partition(":")[0].lower(), event.data.action.partition("(")[0].lower()
        return (
            (not self.types or kind in self.types)
            and (not self.actions or action in self.actions)
            and (not self.objects or event.subject.lower() in self.objects)
            and (not self.groups or bool({event.group, event.previousgroup} & self.groups))
        )


@app.command()
def follow(
    context: typer.Context,
    *,
    type_: Annotated[str, typer.Option("--type", metavar="TYPES", help="Only these, e.g. Image,Dataset.")] = "",
    action: Annotated[str, typer.Option("--action", metavar="ACTIONS", help="Only these, e.g. INSERT,DELETE.")] = "",
    object_: Annotated[str, typer.Option("--object", metavar="OBJECTS", help="Only these, e.g. Image:42.")] = "",
    group: Annotated[str, typer.Option("--group", metavar="IDS", help="Only of these groups, e.g. 3.")] = "",
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="From this time on: 2h, 2026-11-24T01:00.")] = None,
    beginning: Annotated[bool, typer.Option("--from-beginning", help="From the oldest event on.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for what comes, or stop at the end.")] = True,
    count: Annotated[int | None, typer.Option("--count", min=1, help="Stop after so many.")] = None,
) -> int:
    """One line per event: object, action, actor, owner, group, and the milliseconds from commit to here.

    For events that were there already the last column says how long they took to the topic.

    \b
    Examples:
      omero-mq events follow
      omero-mq events follow --type Image,Dataset --group 3
      omero-mq events follow --since 2h --no-wait --json | jq -r .event.subject
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    wanted = Wanted(types=_words(type_), actions=_words(action), objects=_words(object_), groups=_words(group))
    topic = topics.named(topics.EVENTS, settings.kafka.prefix)
    shown = 0
    with KafkaLook(settings.kafka, topic) as look:
        if not call.output.json:
            call.output.note(HEAD)
        asked = look.first if beginning else look.end
        start = asked if since is None else look.since(since_ms(since, now_ms=_now_ms()))
        for record in _following(look, start, call) if wait else look.until_end(start):
            shown += _show(record, wanted, call, live=record.offset >= look.end[record.partition])
            if count is not None and shown >= count:
                break
    return Exit.OK if shown else Exit.NOTHING


def facts(event: PublicEvent, record: Record, *, latency_ms: int | None, live: bool) -> dict[str, Any]:
    """What ``--json`` prints: the whole event, where it is, and how long it took."""
    place = {"partition": record.partition, "offset": record.offset}
    return {**place, "latency_ms": latency_ms, "live": live, "event": msgspec.to_builtins(event)}


def line(event: PublicEvent, *, latency_ms: int | None) -> str:
    """One event as columns; ``2>3`` where it was moved from group 2 to group 3."""
    committed = (event.committime or event.time)[11:23].rstrip("Z")
    owner = _moved(event.previousowner, event.owner)
    group = _moved(event.previousgroup, event.group)
    took = "-" if latency_ms is None else str(latency_ms)
    actor = event.actor or "-"
    subject, action = records.bounded(event.subject, at_most=60), records.bounded(event.data.action, at_most=40)
    return f"{committed:<12}  {subject:<24}  {action:<10}  {actor:>6}  {owner:>6}  {group:>6}  {took:>6}"


def latency_ms(event: PublicEvent, *, seen_ms: int) -> int | None:
    """Milliseconds from the commit to when it was seen; None where the commit's time is not known."""
    if event.committime is None:
        return None
    return seen_ms - int(datetime.fromisoformat(event.committime).timestamp() * 1000)


def _show(record: Record, wanted: Wanted, call: Call, *, live: bool) -> int:
    try:
        event = EVENT.decode(record.value or b"")
    except Undecodable as error:
        call.output.note(f"{record.position} is no event: {error}; {records.preview(record.value or b'')}")
        return 0
    if not wanted.takes(event):
        return 0
    took = latency_ms(event, seen_ms=_now_ms() if live else record.timestamp_ms)
    call.output.item("event", facts(event, record, latency_ms=took, live=live), line(event, latency_ms=took))
    if live:
        call.output.flush()
    return 1


def _following(look: KafkaLook, start: Offsets, call: Call) -> Iterator[Record]:
    """Records for ever; while Kafka is away it waits, and says so once."""
    look.begin(start)
    away = False
    while True:
        try:
            found = look.next(wait_s=POLL_S)
        except DependencyDown as error:
            if not away:
                call.output.note(f"waiting: {error}")
            away = True
            continue
        if found and away:
            call.output.note("kafka is back")
            away = False
        yield from found
        call.output.flush()


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())


def _moved(before: str | None, now: str | None) -> str:
    return f"{before}>{now or '-'}" if before is not None and before != now else now or "-"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
