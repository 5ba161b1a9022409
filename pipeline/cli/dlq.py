"""`omero-mq dlq`: what failed for good, by cause and one by one, straight from the letters topics."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from itertools import chain
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli import letters, records
from pipeline.cli.app import typer_app
from pipeline.cli.call import Call
from pipeline.cli.exits import Exit
from pipeline.cli.letters import Cause
from pipeline.cli.when import clock, iso, lasting, since_ms
from pipeline.delivery.letter import Letter, read
from pipeline.errors import Misconfigured, Undecodable
from pipeline.kafka.look import KafkaLook
from pipeline.settings import Settings
from pipeline.wire import topics
from pipeline.wire.reading import decode_any

app = typer_app(help="What failed for good: letters, by cause and one by one.")
MOST_HEADERS = 20
_PLACE = re.compile(r"(?P<consumer>[a-z0-9-]+)/(?P<partition>\d+)@(?P<offset>\d+)")


@app.command("list")
def list_(
    context: typer.Context,
    cause: Annotated[str, typer.Argument(help="Only this cause, by the beginning of its name.")] = "",
    *,
    each: Annotated[bool, typer.Option("--records", help="Every letter instead of the causes.")] = False,
    consumer: Annotated[str, typer.Option("--consumer", help="Only of this consumer.")] = "",
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only from this time on: 2h, 2026-11-24T01:00.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many lines at the most.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Without a limit.")] = False,
) -> int:
    """What failed for good, by cause: how many, since when, how long Kafka keeps them, and why.

    \b
    Examples:
      omero-mq dlq list
      omero-mq dlq list 9f3c1a --records
      omero-mq dlq list --json | jq -r '[.consumer, .count, .message] | @tsv'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    from_ms = None if since is None else since_ms(since, now_ms=_now_ms())
    found = (each for each in _letters(settings, consumer, from_ms) if each.fingerprint.startswith(cause))
    at_most = None if everything else limit
    shown = _list_letters(found, call, settings, at_most) if each else _list_causes(letters.causes(found), call, at_most)
    if not shown and not call.output.json:
        call.output.note("no letters" + (f" of cause {cause}" if cause else "") + (f" since {since}" if since else ""))
    return Exit.OK if shown else Exit.NOTHING


@app.command()
def show(
    context: typer.Context,
    record: Annotated[str, typer.Argument(help="The letter: relay/0@4117, or the beginning of its id.")],
    *,
    stack: Annotated[bool, typer.Option("--stack", help="The whole stack trace.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="The payload as hexadecimal bytes.")] = False,
) -> int:
    """One letter: what failed, why, where it came from, and what was in it.

    \b
    Examples:
      omero-mq dlq show relay/0@4117
      omero-mq dlq show 6f1c52f0 --stack
      omero-mq dlq show relay/0@4117 --json | jq -r .value
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    letter = _one(settings, record)
    if letter is None:
        call.output.note(f"no letter {record}; `omero-mq dlq list --records` shows what there is")
        return Exit.NOTHING
    call.output.item("letter", letters.letter_facts(letter, settings.kafka.prefix))
    if not call.output.json:
        alike = letters.causes(
            each for each in letters.letters_of(settings, letter.consumer) if each.fingerprint == letter.fingerprint
        )
        for line in _described(letter, settings, alike=alike, stack=stack, raw=raw):
            call.output.line(line)
    name = letter.fingerprint[: letters.CAUSE_LETTERS]
    call.output.following(f"omero-mq dlq list {name} --records", f"omero-mq topic cat {letter.origin.topic} --since 1h")
    return Exit.OK


def _letters(settings: Settings, consumer: str, from_ms: int | None) -> Iterator[Letter]:
    known = letters.consumers()
    if consumer and consumer not in known:
        raise Misconfigured(f"no consumer {consumer!r} writes letters", fix=f"choose one of {', '.join(known)}")
    return chain.from_iterable(letters.letters_of(settings, name, since_ms=from_ms) for name in known if consumer in {"", name})


def _list_causes(found: list[Cause], call: Call, limit: int | None) -> int:
    now_ms = _now_ms()
    output = call.output
    total = sum(len(each.ids) for each in found)
    if found and not output.json:
        output.line(f"{total} failed in {len(found)} {'cause' if len(found) == 1 else 'causes'} (--records lists each)\n")
    rows = []
    for each in found[:limit]:
        output.item("cause", letters.cause_facts(each))
        first, last = clock(each.first_ms, now_ms=now_ms), clock(each.last_ms, now_ms=now_ms)
        expires = lasting(each.expires_ms - now_ms)
        name = each.fingerprint[: letters.CAUSE_LETTERS] or "-"
        rows.append((name, each.consumer, len(each.ids), first, last, each.attempts, expires, each.error))
    if rows:
        output.table(("CAUSE", "CONSUMER", "COUNT", "FIRST", "LAST", "TRIES", "EXPIRES", "ERROR"), rows)
        _more(call, len(found) - len(rows))
        output.following(f"omero-mq dlq list {rows[0][0]} --records", "omero-mq queues")
    return len(rows)


def _list_letters(found: Iterator[Letter], call: Call, settings: Settings, limit: int | None) -> int:
    """The newest ones, one per letter however often it was written."""
    by_id = {each.id or each.position: (each.failed_at_ms, number, each) for number, each in enumerate(found)}
    newest = [each for _, _, each in sorted(by_id.values(), key=lambda one: one[:2], reverse=True)]
    rows = []
    for each in newest[:limit]:
        what = letters.about(each, settings.kafka.prefix)
        call.output.item("letter", letters.letter_facts(each, settings.kafka.prefix))
        failed = clock(each.failed_at_ms, now_ms=_now_ms())
        named = (records.bounded(each, at_most=40) or "-" for each in (what.event, what.object, what.action))
        rows.append((letters.short(each), *named, failed, each.attempts, each.replay_count, each.message))
    if rows:
        call.output.table(("RECORD", "EVENT", "OBJECT", "ACTION", "FAILED AT", "TRIES", "REPLAYED", "ERROR"), rows)
        _more(call, len(newest) - len(rows))
        call.output.following(f"omero-mq dlq show {rows[0][0]}")
    return len(rows)


def _more(call: Call, left: int) -> None:
    if left > 0 and not call.output.json:
        call.output.note(f"... {left} more (use --all)")


def _one(settings: Settings, named: str) -> Letter | None:
    place = _PLACE.fullmatch(named)
    if place is None:
        return next((each for each in _letters(settings, "", None) if each.id and each.id.startswith(named)), None)
    topic = topics.letters_topic(place["consumer"], settings.kafka.prefix)
    partition, offset = int(place["partition"]), int(place["offset"])
    with KafkaLook(settings.kafka, topic) as look:
        if not look.first.get(partition, 0) <= offset < look.end.get(partition, 0):
            return None
        return next((read(each) for each in look.until_end({partition: offset}, at_most=1) if each.offset == offset), None)


def _described(letter: Letter, settings: Settings, *, alike: list[Cause], stack: bool, raw: bool) -> Iterator[str]:
    prefix = settings.kafka.prefix
    what = letters.about(letter, prefix)
    expires = iso(letter.failed_at_ms + topics.LETTERS.retention_ms)[:10] if letter.failed_at_ms >= 0 else "-"
    yield f"Record     {letter.position}      from {letter.origin.position}      letter {letter.id or '-'}"
    tries = f"tries {letter.attempts}, the first {iso(letter.first_failed_at_ms) or '-'}"
    yield f"Failed     {iso(letter.failed_at_ms) or '-'}    {tries}    replayed {letter.replay_count}    expires {expires}"
    yield f"By         {letter.consumer} {letter.version} on {letter.worker or '-'}"
    if what.object:
        named = f"{records.bounded(what.object)}    {records.bounded(what.action)}"
        yield f"Object     {named}    eventlog id {records.bounded(what.event) or '-'}"
    yield f"Error      {letter.exception}: {letter.message}    ({letter.letter_class})"
    if advice := letters.ADVICE.get(letter.letter_class):
        yield f"To do      {advice}"
    if letter.part:
        yield f"Part       {letter.part}"
    yield from _where(letter, whole=stack)
    others = sum(len(cause.ids) for cause in alike) - 1
    name = letter.fingerprint[: letters.CAUSE_LETTERS] or "-"
    first = f", first {iso(alike[0].first_ms) or '-'}" if others > 0 else ""
    yield f"Similar    {max(0, others)} other letters of cause {name}{first}"
    yield from _payload(letter, prefix, raw=raw)
    if letter.dataref is not None:
        yield f"Rest       not copied, too large: {json.dumps(dict(letter.dataref))}"
    for number, (header, value) in enumerate(letter.headers[:MOST_HEADERS]):
        yield f"{'Headers' if number == 0 else '':<10} {records.bounded(header)}={records.bounded(records.shown_text(value))}"
    if len(letter.headers) > MOST_HEADERS:
        yield f"{'':<10} ... {len(letter.headers) - MOST_HEADERS} more (--json has all)"


def _where(letter: Letter, *, whole: bool) -> Iterator[str]:
    lines = letter.stack.splitlines()
    if whole:
        yield from (f"{'Stack' if number == 0 else '':<10} {line}" for number, line in enumerate(lines))
    elif places := [line.strip() for line in lines if line.lstrip().startswith("File ")]:
        yield f"Where      {places[-1]}          (full stack: --stack)"


def _payload(letter: Letter, prefix: str, *, raw: bool) -> Iterator[str]:
    value = letter.value
    if value is None:
        yield "Payload    none"
        return
    try:
        decoded = decode_any(letter.origin.topic, value, prefix)
    except Undecodable as error:
        yield f"Payload    cannot be decoded: {error}"
        yield f"           {value.hex(' ') if raw else records.preview(value)}"
        return
    yield f"Payload    {decoded.encoding}, {decoded.schema or 'no schema of ours'}, {len(value)} bytes"
    yield f"           {value.hex(' ') if raw else json.dumps(decoded.value, ensure_ascii=False)}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
