"""Lets users work in a database, one change after another, and watches each change arrive as events on Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg

from pipeline.demo.facility import Facility
from pipeline.demo.simulator.history import ROOT, Done
from pipeline.demo.simulator.server import Server
from pipeline.demo.truth import Expected, Truth
from pipeline.errors import DependencyDown, Misconfigured, Undecodable
from pipeline.kafka.look import KafkaLook
from pipeline.settings.model import KafkaSettings
from pipeline.wire import topics
from pipeline.wire.events import PublicEvent
from pipeline.wire.messages import EVENT
from pipeline.wire.objects import object_name

POLL_S = 0.1
ARRIVES_WITHIN_S = 20.0
FIRST_SEED = 7

# Every kind of work once, in an order in which each finds something to work on.
TOUR = (
    "create dataset",
    "import image",
    "import image",
    "rename",
    "new tag",
    "tag",
    "add key-values",
    "edit key-values",
    "comment",
    "rate",
    "draw ROI",
    "create folder",
    "chgrp",
    "import image",
    "chmod",
    "run script",
    "import plate",
    "delete image",
    "reword tag",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One committed transaction and the events that came of it.

    Attributes:
        main: the event about what the change is about; None when none came.
        events: how many came.
        latency_ms: from the return of COMMIT to when the last event was seen by this consumer [ms]; None when one is missing.
        settling: whether it made the groups and users, before the work began.
        problems: what is missing or different from what the database says, a phrase each.
    """

    action: str
    committed_ns: int
    main: PublicEvent | None
    actor: str
    owner: str
    group: str
    events: int
    latency_ms: float | None
    settling: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Foreign:
    """An event about a change that somebody else made."""

    event: PublicEvent
    seen_ns: int


@dataclass(kw_only=True, slots=True)
class _Arrivals:
    """Events by id, each with when it was first seen [ns since 1970 UTC]."""

    events: dict[str, PublicEvent] = field(default_factory=dict)
    seen_ns: dict[str, int] = field(default_factory=dict)

    def add(self, event: PublicEvent, seen_ns: int) -> None:
        """Take one; a second one of the same id is a repetition."""
        self.events.setdefault(event.id, event)
        self.seen_ns.setdefault(event.id, seen_ns)

    def claim(self, others: _Arrivals, names: Iterable[str]) -> None:
        """Take over those of these ids."""
        for name in names:
            if name in others.events:
                self.add(others.events.pop(name), others.seen_ns.pop(name))


class Show:
    """Users at work in one database, and a consumer beside them. For one thread.

    Args:
        kafka: where the events are.
        conninfo: libpq string of a superuser, to the OMERO-shaped database.
        stop: whether to end; asked about ten times a second.
    """

    def __init__(self, kafka: KafkaSettings, conninfo: str, *, stop: Callable[[], bool]) -> None:
        self._kafka = kafka
        self._conninfo = conninfo
        self._stop = stop

    def run(
        self, *, actions: int | None = None, rate_per_s: float = 0.0, within_s: float = ARRIVES_WITHIN_S
    ) -> Iterator[Change | Foreign]:
        """First every kind of work once, then whatever people do; each change is waited for before the next begins.

        Args:
            actions: how many things are done after the users have settled; None: no end.
            rate_per_s: how many are begun a second, at the most; 0: as fast as they arrive [1/s].
            within_s: longest wait for the events of one change [s].

        Raises:
            DependencyDown: ``omero-database`` or ``kafka`` went away.
            Misconfigured: the database is not one that the simulator can work in.
        """
        with self._scene() as (look, truth, server):
            facility = Facility(server)
            yield from self._watched(facility.settle(), look, truth, settling=True, within_s=within_s)
            begun = time.monotonic()
            for count, deeds in enumerate(_work(facility, actions)):
                yield from self._idle(look, until=begun + count / rate_per_s if rate_per_s else 0.0)
                if self._stop():
                    return
                yield from self._watched(deeds, look, truth, settling=False, within_s=within_s)

    def touch(self, class_name: str, entity_id: int, *, within_s: float = ARRIVES_WITHIN_S) -> Iterator[Change | Foreign]:
        """Ask OMERO's indexer to read one object again, as root, and watch that arrive: it changes nothing of the object.

        Raises:
            DependencyDown: ``omero-database`` or ``kafka`` went away.
            Misconfigured: the database is not one that the simulator can work in.
        """
        with self._scene() as (look, truth, server):
            yield from self._watched(_touch(server, class_name, entity_id), look, truth, settling=False, within_s=within_s)

    @contextmanager
    def _scene(self) -> Iterator[tuple[KafkaLook, Truth, Server]]:
        """The consumer, at the topic's end before anything is done, and two connections to the database."""
        try:
            with (
                KafkaLook(self._kafka, topics.named(topics.EVENTS, self._kafka.prefix)) as look,
                Truth(self._conninfo) as truth,
                Server.connect(self._conninfo, seed=_seed(self._conninfo)) as server,
            ):
                look.begin(look.end)
                yield look, truth, server
        except psycopg.OperationalError as error:
            raise DependencyDown("omero-database", _first_line(error)) from error
        except (psycopg.Error, LookupError) as error:
            raise Misconfigured(
                f"the simulated users cannot work in this database: {_first_line(error)}",
                fix="it needs OMERO 5.4's tables, functions and enumerations; `omero-mq doctor --schema` names what is missing",
            ) from error

    def _watched(
        self, deeds: Iterator[Done], look: KafkaLook, truth: Truth, *, settling: bool, within_s: float
    ) -> Iterator[Change | Foreign]:
        unclaimed = _Arrivals()
        while True:
            truth.remember()
            done = next(deeds, None)
            if done is None:
                break
            wanted = truth.published(done)
            if not wanted:
                continue
            here = self._wait(look, wanted, unclaimed, within_s)
            if len(here.events) < len(wanted) and self._stop():
                break
            yield _change(done, wanted, here, truth, settling=settling, within_s=within_s)
            if self._stop():
                break
        for name, event in unclaimed.events.items():
            yield Foreign(event=event, seen_ns=unclaimed.seen_ns[name])

    def _wait(self, look: KafkaLook, wanted: Sequence[str], unclaimed: _Arrivals, within_s: float) -> _Arrivals:
        """The events of one change; others, some of which may be those of a change that is yet to be told, stay unclaimed."""
        here = _Arrivals()
        deadline = time.monotonic() + within_s
        here.claim(unclaimed, wanted)
        while len(here.events) < len(wanted) and time.monotonic() < deadline and not self._stop():
            for event, seen_ns in _read(look, POLL_S):
                unclaimed.add(event, seen_ns)
            here.claim(unclaimed, wanted)
        return here

    def _idle(self, look: KafkaLook, *, until: float) -> Iterator[Foreign]:
        while (left := until - time.monotonic()) > 0 and not self._stop():
            for event, seen_ns in _read(look, min(left, POLL_S)):
                yield Foreign(event=event, seen_ns=seen_ns)


def follow(kafka: KafkaSettings, *, stop: Callable[[], bool]) -> Iterator[Foreign]:
    """Events as they happen, from now on until `stop` says so."""
    with KafkaLook(kafka, topics.named(topics.EVENTS, kafka.prefix)) as look:
        look.begin(look.end)
        while not stop():
            for event, seen_ns in _read(look, POLL_S):
                yield Foreign(event=event, seen_ns=seen_ns)


def percentile(values: Iterable[float], percent: int) -> float | None:
    """The value that so many percent do not exceed (nearest rank); None of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None


def _work(facility: Facility, actions: int | None) -> Iterator[Iterator[Done]]:
    """The tour by one person, so that what is made is there to be worked on, and then everybody."""
    count = 0
    while actions is None or count < actions:
        yield facility.do(TOUR[count], facility.people[0]) if count < len(TOUR) else facility.act()
        count += 1


def _touch(server: Server, class_name: str, entity_id: int) -> Iterator[Done]:
    with server.call(ROOT, event_type="Internal") as call:
        call.note("REINDEX", class_name, [entity_id])
    yield call.done("read again", object_name(class_name.rpartition(".")[2], entity_id))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _seed(conninfo: str) -> int:
    """Another one for each history, so that a second run does not draw the uuids of the first; a fresh database has always 7."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        found = connection.execute("SELECT coalesce(max(id), 0) FROM eventlog").fetchone()
    return FIRST_SEED + (found[0] if found else 0)


def _read(look: KafkaLook, wait_s: float) -> list[tuple[PublicEvent, int]]:
    records = look.next(wait_s=wait_s)
    seen_ns = time.time_ns()
    found = []
    for record in records:
        try:
            found.append((EVENT.decode(record.value or b""), seen_ns))
        except Undecodable as error:
            raise Misconfigured(
                f"{record.position} is no event: {error}",
                fix=f"see who else writes to {look.topic}; `omero-mq topic cat {look.topic}` shows what is there",
            ) from error
    return found


def _change(done: Done, wanted: Sequence[str], here: _Arrivals, truth: Truth, *, settling: bool, within_s: float) -> Change:
    expected: Mapping[str, Expected] = truth.expected(done)
    events = [here.events[name] for name in wanted if name in here.events]
    problems = [problem for event in events for problem in expected[event.id].problems(event)]
    missing = len(wanted) - len(events)
    if missing:
        problems.insert(0, f"{missing} of {len(wanted)} events did not come within {within_s:.0f} s")
    main = next((event for event in events if done.objects and event.subject == done.objects[0]), events[0] if events else None)
    last_ns = max(here.seen_ns.values(), default=0)
    group = truth.name("experimentergroup", main.group if main else None)
    if main and main.previousgroup:
        group = f"{truth.name('experimentergroup', main.previousgroup)} > {group}"
    return Change(
        action=done.action,
        committed_ns=done.committed_ns,
        main=main,
        actor=truth.name("experimenter", main.actor if main else None),
        owner=truth.name("experimenter", main.owner if main else None),
        group=group,
        events=len(events),
        latency_ms=None if missing else (last_ns - done.committed_ns) / 1e6,
        settling=settling,
        problems=tuple(problems),
    )
