"""`omero-mq topic`: the topics of this installation, as declared and as they are, and what is in them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli import records
from pipeline.cli.app import typer_app
from pipeline.cli.exits import Exit
from pipeline.cli.when import since_ms
from pipeline.delivery.record import Record
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.installation import installed_topics, make_groups, make_topics
from pipeline.kafka.look import KafkaLook, Offsets
from pipeline.settings import Settings
from pipeline.wire import topics
from pipeline.wire.topics import DAY_MS

app = typer_app(help="The topics of this installation, and what is in them.")
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many records at the most.")]
All = Annotated[bool, typer.Option("--all", help="Without a limit.")]


@app.command("list")
def list_(context: typer.Context) -> int:
    """Every topic of this installation, how much is in it and who uses it.

    \b
    Examples:
      omero-mq topic list
      omero-mq topic list --json | jq -r 'select(.exists|not).name'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    wanted = installed_topics(settings.kafka.prefix)
    with KafkaAdmin(settings.kafka) as admin:
        partitions = admin.partitions([topic.name for topic in wanted])
        places = [(name, partition) for name, count in partitions.items() for partition in range(count)]
        first, end = admin.beginnings(places), admin.ends(places)
    rows = []
    for topic in wanted:
        exists = topic.name in partitions
        held = sum(end[place] - first[place] for place in places if place[0] == topic.name)
        users = {"written_by": topic.written_by, "read_by": topic.read_by}
        shape = {"partitions": partitions.get(topic.name, 0), "records": held, "retention_ms": topic.retention_ms}
        call.output.item("topic", {"name": topic.name, "exists": exists, **shape, "format": topic.format, **users})
        keeps = "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} d"
        numbers = (partitions[topic.name], held) if exists else ("-", "missing")
        rows.append((topic.name, *numbers, keeps, topic.format, topic.written_by, topic.read_by))
    call.output.table(("TOPIC", "PARTITIONS", "RECORDS", "KEEPS", "FORMAT", "WRITTEN BY", "READ BY"), rows)
    missing = len(partitions) < len(wanted)
    call.output.following("omero-mq topic create" if missing else "omero-mq topic cat events", "omero-mq topic check")
    return Exit.OK


@app.command()
def create(context: typer.Context) -> int:
    """Make the topics that are missing, and the first offsets of the services' groups; what exists is not touched.

    \b
    Examples:
      omero-mq topic create
      omero-mq topic create --set kafka.replication_factor=3 --set kafka.min_insync_replicas=2
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    with KafkaAdmin(settings.kafka) as admin:
        made = make_topics(admin, settings.kafka.prefix)
        groups = make_groups(admin, settings.kafka)
    for name in made:
        call.output.item("topic-created", {"name": name}, f"made {name}")
    for group in groups:
        call.output.line(f"group {group} begins at the oldest record")
    if not made and not call.output.json:
        call.output.note("nothing to do: every topic exists")
    call.output.following("omero-mq topic check")
    return Exit.OK


@app.command()
def check(context: typer.Context) -> int:
    """Say how the topics differ from what is declared, and how to mend it; exit status 3 when records are at risk.

    \b
    Examples:
      omero-mq topic check
      omero-mq topic check --json | jq -r .fix
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    wanted = installed_topics(settings.kafka.prefix)
    with KafkaAdmin(settings.kafka) as admin:
        found = admin.check(wanted)
    for each in found:
        facts = {"topic": each.topic, "what": each.what, "wanted": each.wanted, "found": each.found}
        call.output.item("topic-difference", {**facts, "serious": each.serious, "fix": each.fix})
        said = f"{each.topic}: {each.what} is {each.found}, declared is {each.wanted}\n      fix: {each.fix}"
        call.output.marked(*(("FAIL", "red") if each.serious else ("warn", "yellow")), said)
    if not found:
        call.output.marked("ok  ", "green", f"all {len(wanted)} topics are as declared")
    return Exit.UNHEALTHY if any(each.serious for each in found) else Exit.OK


@app.command()
def cat(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(help="Its name, with or without the prefix: events, dlq.relay, omero.events.")],
    *,
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="From this time on: 2h, 2026-11-24T01:00.")] = None,
    beginning: Annotated[bool, typer.Option("--from-beginning", help="From the oldest record on.")] = False,
    key: Annotated[str | None, typer.Option("--key", help="Only records with this key, e.g. Image:42.")] = None,
    headers: Annotated[bool, typer.Option("--headers", help="Show headers as well.")] = False,
    limit: Limit = 20,
    everything: All = False,
) -> int:
    """Records of a topic, decoded whatever they are written in: the newest ones, or those from a time on.

    \b
    Examples:
      omero-mq topic cat events
      omero-mq topic cat eventlog --since 10m --all --json | jq .value
      omero-mq topic cat dlq.relay --headers --from-beginning
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    with KafkaLook(settings.kafka, full_name(topic, settings)) as look:
        newest = since is None and not beginning
        start = look.first if since is None else look.since(since_ms(since, now_ms=time.time_ns() // 1_000_000))
        shown = 0
        for record in chosen(look, start, newest=newest, key=key, limit=None if everything else limit):
            call.output.item("record", records.facts(record, settings.kafka.prefix))
            call.output.line(records.line(record, settings.kafka.prefix, headers=headers))
            shown += 1
        left = sum(max(0, look.end[partition] - offset) for partition, offset in start.items()) - shown
    if not call.output.json:
        if left > 0 and key is None and not everything:
            call.output.note(f"... {left} more (use --all)")
        if not shown:
            call.output.note("no records")
        call.output.following(f"omero-mq topic cat {topic} --since 1h", "omero-mq topic list")
    return Exit.OK if shown else Exit.NOTHING


def chosen(look: KafkaLook, start: Offsets, *, newest: bool, key: str | None, limit: int | None) -> Iterable[Record]:
    """The newest or the first records in the order of their times; all of them, or those of a key, as they come."""
    if limit is None or key is not None:
        found = (record for record in look.until_end(start) if key is None or records.text(record.key) == key)
        return islice(found, limit)
    if newest:
        start = look.latest(limit)
    by_time = sorted(look.until_end(start, at_most=limit), key=lambda each: (each.timestamp_ms, each.partition, each.offset))
    return by_time[-limit:] if newest else by_time[:limit]


def full_name(name: str, settings: Settings) -> str:
    """The real name of a topic that was named with or without the prefix.

    Raises:
        Misconfigured: it is none of ours; the message names the nearest.
    """
    prefix = settings.kafka.prefix
    full = name if name.startswith(f"{prefix}.") else f"{prefix}.{name}"
    topics.by_name(full, prefix)
    return full
