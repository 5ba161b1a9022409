"""`omero-mq demo`: users at work in an OMERO-shaped database, and each of their changes as a consumer sees it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pipeline.cli import call as calls
from pipeline.cli import stage
from pipeline.cli.call import Call
from pipeline.cli.events import latency_ms
from pipeline.cli.exits import Exit
from pipeline.demo import database
from pipeline.demo.commands import worth_trying
from pipeline.demo.show import TOUR, Change, Foreign, Show, percentile
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings
from pipeline.stack.addresses import Addresses
from pipeline.stack.install import Wish
from pipeline.stack.stack import Cancelled

COLUMNS = (
    ("COMMITTED", 12),
    ("CHANGE", 17),
    ("OBJECT", 22),
    ("ACTION", 13),
    ("ACTOR", 9),
    ("OWNER", 9),
    ("GROUP", 26),
    ("EVENTS", 6),
)
HEAD = "  ".join([f"{name:<{width}}" for name, width in COLUMNS] + [f"{'MS':>5}"])
ABOUT = (
    "Each line is one change, seen as events on Kafka. Times are UTC; MS is from the return of COMMIT, in the process of the\n"
    "users, to the arrival of the change's last event at this consumer. Events carry ids; the names are looked up for you."
)
ONCE_ACTIONS = len(TOUR) + 6


@dataclass(kw_only=True, slots=True)
class Sums:
    """What was seen so far."""

    changes: int = 0
    events: int = 0
    others: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def take(self, change: Change) -> None:
        """Count one change; how long the first users took to settle says nothing about later."""
        self.changes += 1
        self.events += change.events
        self.problems += change.problems
        if change.latency_ms is not None and not change.settling:
            self.latencies_ms.append(change.latency_ms)


def demo(
    context: typer.Context,
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Do every kind of work once, prove that each change arrives, end.")
    ] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end; `omero-mq down` stops it.")] = False,
    actions: Annotated[
        int | None, typer.Option("--actions", min=1, help="End after so many; default: none, Ctrl-C ends.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", min=0.01, max=1000, help="Things begun a second, at the most.")] = 2.0,
) -> int:
    """Let users work in an OMERO-shaped database and show each change as it arrives on Kafka; Ctrl-C stops everything.

    Starts what `omero-mq up` starts, or uses it where it runs. Every event is held against the database: what is missing or
    wrong is shown below its line, and the exit status is 1.

    \b
    Examples:
      omero-mq demo
      omero-mq demo --once
      omero-mq demo --keep --actions 50 --rate 10
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    stop = StopSignal()
    stop.install()
    count = actions or (ONCE_ACTIONS if once else None)
    try:
        with _place(call, stop, keep=keep) as place:
            where, stays = place
            settings = call.settings()
            show = Show(settings.kafka, where.superuser_dsn(settings.omero.database), stop=lambda: stop.is_set)
            sums = play(call, show, actions=count, rate_per_s=0.0 if once else rate, give_up=once)
            _end(call, sums, where, settings, stays=stays)
    except Cancelled:
        return Exit.INTERRUPTED
    if sums.problems or (once and not sums.latencies_ms):
        return Exit.ERROR
    return Exit.INTERRUPTED if stop.is_set and count is not None else Exit.OK


def play(call: Call, show: Show, *, actions: int | None, rate_per_s: float, give_up: bool = False) -> Sums:
    """Print each change as it comes; answers what was seen when it ends.

    Args:
        call: this call.
        show: users and consumer.
        actions: how many things are done; None: no end.
        rate_per_s: how many are begun a second, at the most; 0: as fast as they arrive [1/s].
        give_up: end at the first change of which events do not arrive.
    """
    sums = Sums()
    call.output.note(f"\n{ABOUT}\n")
    call.output.line(HEAD)
    for seen in show.run(actions=actions, rate_per_s=rate_per_s):
        if isinstance(seen, Change):
            sums.take(seen)
            call.output.item("change", facts(seen), line(seen))
            for problem in seen.problems:
                call.output.note(f"  WRONG  {problem}")
            if give_up and seen.latency_ms is None:
                call.output.note(f"  see: {stage.shown([*stage.our_command(call), 'connector', 'status'])}")
                break
        else:
            sums.others += 1
            print_foreign(call, seen)
        call.output.flush()
    return sums


def facts(change: Change) -> dict[str, Any]:
    """What ``--json`` prints of a change."""
    event = change.main
    return {
        "action": change.action,
        "committed": _moment(change.committed_ns),
        "id": event.id if event else None,
        "object": event.subject if event else None,
        "event_action": event.data.action if event else None,
        "actor": change.actor,
        "owner": change.owner,
        "group": change.group,
        "events": change.events,
        "latency_ms": None if change.latency_ms is None else round(change.latency_ms, 1),
        "problems": list(change.problems),
    }


def line(change: Change) -> str:
    """A change as columns."""
    event = change.main
    return _columns(
        _moment(change.committed_ns)[11:23],
        change.action,
        event.subject if event else "-",
        event.data.action if event else "-",
        *(change.actor, change.owner, change.group),
        f"{change.events:>6}",
        took_ms=change.latency_ms,
    )


def print_foreign(call: Call, seen: Foreign) -> None:
    """Print an event that somebody else caused; its time is the server's own time of the commit."""
    event = seen.event
    took = latency_ms(event, seen_ms=seen.seen_ns // 1_000_000)
    people = (event.actor or "-", event.owner or "-", event.group or "-")
    committed = event.committime or event.time
    text = _columns(
        committed[11:23].rstrip("Z"), "(somebody else)", event.subject, event.data.action, *people, f"{1:>6}", took_ms=took
    )
    places = dict(zip(("actor", "owner", "group"), people, strict=True))
    call.output.item(
        "change",
        {
            "action": None,
            "committed": committed,
            "id": event.id,
            "object": event.subject,
            "event_action": event.data.action,
            **places,
            "events": 1,
            "latency_ms": took,
            "problems": [],
        },
        text,
    )


def _columns(*texts: str, took_ms: float | None) -> str:
    cells = [f"{text:<{width}}" for text, (_, width) in zip(texts, COLUMNS, strict=True)]
    return "  ".join([*cells, f"{'-' if took_ms is None else f'{took_ms:.0f}':>5}"])


@contextmanager
def _place(call: Call, stop: StopSignal, *, keep: bool) -> Iterator[tuple[Addresses, bool]]:
    """Where the play is, and whether it goes on running after it."""
    where = stage.already_running(call, stop=lambda: stop.is_set)
    if where is not None:
        call.output.note(f"using what runs in {where.directory}")
        yield where, True
    elif keep:
        yield stage.start_to_stay(call, stop=lambda: stop.is_set), True
    else:
        wish = Wish(
            read=call.settings,
            environment=call.environ,
            make_database=database.create,
            config=call.sourced().file,
            overrides=call.given.overrides,
            command="omero-mq demo",
        )
        with stage.started(call, wish, stop=lambda: stop.is_set) as ours:
            yield ours, False


def _end(call: Call, sums: Sums, where: Addresses, settings: Settings, *, stays: bool) -> None:
    p50, p95 = percentile(sums.latencies_ms, 50), percentile(sums.latencies_ms, 95)
    ours = stage.our_command(call)
    commands = worth_trying(where, settings, ours)
    call.output.item(
        "demo",
        {
            "changes": sums.changes,
            "events": sums.events,
            "p50_ms": p50 and round(p50, 1),
            "p95_ms": p95 and round(p95, 1),
            "problems": sums.problems,
            "start": None if stays else stage.shown([*ours, "up"]),
            "commands": [command for _, command in commands],
        },
    )
    wrong = len(sums.problems)
    verdict = (
        f"{wrong} {'things were' if wrong > 1 else 'thing was'} WRONG" if wrong else "ids, actors, owners and groups all right"
    )
    call.output.line(f"\n{sums.changes} changes, {sums.events} events: {verdict}")
    if p50 is not None and p95 is not None:
        call.output.line(f"commit to event: p50 {p50:.0f} ms, p95 {p95:.0f} ms (of {len(sums.latencies_ms)} changes)")
    for problem in sums.problems[:10]:
        call.output.line(f"  WRONG  {problem}")
    call.output.line("\nWorth trying while it runs:" if stays else "\nWorth trying; first start it again in another terminal:")
    if not stays:
        call.output.line(f"  {stage.shown([*ours, 'up'])}\n")
    for what, command in commands:
        call.output.line(f"  # {what}\n  {command}")
    if stays:
        call.output.line(f"\nIt stays as it is. To stop it:\n  {stage.shown([*ours, 'down'])}")
    call.output.flush()


def _moment(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
