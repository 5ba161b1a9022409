"""Looks at every part of an installation at once, within seconds, whatever is away."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import msgspec

from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import KINDS, Connector, connector
from pipeline.cdc.slots import publications, slots
from pipeline.delivery.letter import Letter, read
from pipeline.health.ask import ask_all
from pipeline.health.facts import (
    ConnectSeen,
    ConsumerSeen,
    KafkaSeen,
    LetterCause,
    LettersSeen,
    LocalProcess,
    OmeroSeen,
    Seen,
    StateSeen,
)
from pipeline.health.listening import where_listened
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.cluster import Cluster
from pipeline.kafka.installation import installed_topics
from pipeline.kafka.lag import LagMeter
from pipeline.kafka.look import KafkaLook
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.grants import ROW_FILTER
from pipeline.omero.lookups import read_epoch
from pipeline.settings.model import Settings
from pipeline.state import migrate
from pipeline.state.epochs import Epochs
from pipeline.state.gates import PostgresGateStore
from pipeline.state.outbox import OutboxStatus, outbox_status, poller_runs
from pipeline.state.pool import StateDatabase
from pipeline.wire import topics
from pipeline.wire.consumers import CONSUMERS, RELAY, group_name

WITHIN_S = 1.8  # with the start of a Python process, an answer in less than three seconds
RECENT_MS = 5 * 60_000
FRESH_LETTERS_MS = topics.DAY_MS
TAIL = 20  # records of each partition: what somebody else wrote there and nobody can read is passed over
LETTERS_READ = 1000  # newest ones, of each consumer
_LAST_ID = f"select id from eventlog where {ROW_FILTER} order by id desc limit 1"


def observe(settings: Settings, *, processes: Sequence[LocalProcess] = (), within_s: float = WITHIN_S) -> Seen:
    """One look at everything; blocks for ``within_s`` at the most [s], and says of what is away that it is."""
    now_ms = time.time_ns() // 1_000_000
    ours = tuple(connector(kind, settings) for kind in KINDS)
    own_s = max(0.5, within_s - 0.2)
    listened = partial(where_listened, settings.kafka.bootstrap)
    seen = ask_all(
        {
            ("omero-database", "omero"): lambda: see_omero(settings, ours, timeout_s=own_s),
            ("kafka-connect", "connect"): lambda: see_connect(settings, ours),
            ("kafka", "kafka"): listened(lambda: see_kafka(settings, now_ms=now_ms, timeout_s=own_s)),
            ("kafka", "relay"): listened(lambda: see_relay(settings, now_ms=now_ms, timeout_s=own_s)),
            ("kafka", "captured_id"): listened(lambda: see_captured(settings)),
            ("state-database", "state"): lambda: see_state(settings),
            ("kafka", "letters"): listened(lambda: see_letters(settings, now_ms=now_ms, timeout_s=own_s)),
        },
        within_s=within_s,
    )
    return Seen(
        now_ms=now_ms,
        prefix=settings.kafka.prefix,
        omero_at=f"{settings.omero.host}:{settings.omero.port}",
        database=settings.omero.database,
        kafka_at=settings.kafka.bootstrap,
        connectors=ours,
        processes=tuple(processes),
        **seen,
    )


def see_omero(settings: Settings, ours: Sequence[Connector], *, timeout_s: float) -> OmeroSeen:
    """OMERO's database.

    Raises:
        DependencyDown, Misconfigured: it is away, or refuses.
    """
    with OmeroDatabase(settings.omero, service="status", statement_timeout_s=timeout_s) as database:
        epoch = read_epoch(database)
        with database.connected() as connection:
            last = connection.execute(_LAST_ID.encode()).fetchone()
            return OmeroSeen(
                last_id=None if last is None else int(last[0]),
                slots=slots(connection, [each.slot for each in ours]),
                publications=publications(connection, [each.publication for each in ours]),
                epoch=epoch,
            )


def see_connect(settings: Settings, ours: Sequence[Connector]) -> ConnectSeen:
    """Kafka Connect.

    Raises:
        DependencyDown, Misconfigured, Transient: it is away, or refuses, or is rebalancing.
    """
    client = KafkaConnect(settings.cdc.connect_url, patience_s=0)
    try:
        return ConnectSeen(states={each.name: client.status(each.name) for each in ours})
    finally:
        client.close()


def see_kafka(settings: Settings, *, now_ms: int, timeout_s: float) -> KafkaSeen:
    """Brokers and topics.

    Raises:
        DependencyDown, Misconfigured: Kafka is away, or refuses.
    """
    wanted = [topic.name for topic in installed_topics(settings.kafka.prefix)]
    with Cluster(settings.kafka, timeout_s=timeout_s) as cluster, KafkaAdmin(settings.kafka, timeout_s=timeout_s) as admin:
        brokers = cluster.brokers(wanted)
        counts = admin.partitions(wanted)
        unled = {name for name, _ in brokers.unled}
        led = {name: count for name, count in counts.items() if name not in unled}
        return KafkaSeen(
            brokers=len(brokers.brokers),
            topics=len(counts),
            missing=tuple(name for name in wanted if name not in counts),
            out_of_sync=tuple(f"{name}/{partition}" for name, partition in brokers.out_of_sync),
            unled=tuple(f"{name}/{partition}" for name, partition in brokers.unled),
            activity=cluster.activity(led, since_ms=now_ms - RECENT_MS),
        )


def see_relay(settings: Settings, *, now_ms: int, timeout_s: float) -> ConsumerSeen:
    """The relay's consumer group.

    Raises:
        DependencyDown, Misconfigured: Kafka is away, or refuses.
    """
    group = group_name(RELAY, settings.kafka.prefix)
    sources = [topics.named(topic, settings.kafka.prefix) for topic in RELAY.sources]
    with Cluster(settings.kafka, timeout_s=timeout_s) as cluster, LagMeter(settings.kafka, timeout_s=timeout_s) as meter:
        return ConsumerSeen(members=cluster.members(group), lags=tuple(meter.lag(group, sources, now_ms=now_ms)))


def see_captured(settings: Settings) -> int | None:
    """The highest eventlog id among the newest records; ids are not in the order of commits, so this is about right.

    Raises:
        DependencyDown, Misconfigured: Kafka is away, or the topic does not exist.
    """
    with KafkaLook(settings.kafka, topics.named(topics.EVENTLOG, settings.kafka.prefix)) as look:
        ids = [_row_id(record.value) for record in look.until_end(look.latest(TAIL))]
    return max((one for one in ids if one is not None), default=None)


def see_state(settings: Settings) -> StateSeen:
    """The state database.

    Raises:
        DependencyDown, Misconfigured, Transient: it is away, or refuses, or lacks the schema.
    """
    database = StateDatabase(settings.state, service="status")
    try:
        with database.transaction() as connection:
            schema = migrate.status(connection)
        if not schema.usable:
            nothing = OutboxStatus(waiting=0, oldest_s=0.0, parked=0)
            return StateSeen(schema=schema, epoch=None, gates=(), outbox=nothing, poller=False)
        with database.transaction() as connection:
            outbox, poller = outbox_status(connection), poller_runs(connection)
        gates = tuple(PostgresGateStore(database).all())
        return StateSeen(schema=schema, epoch=Epochs(database).accepted(), gates=gates, outbox=outbox, poller=poller)
    finally:
        database.close()


def see_letters(settings: Settings, *, now_ms: int, timeout_s: float) -> LettersSeen:
    """Letters of every consumer, counted, and the newest of them by cause.

    Raises:
        DependencyDown, Misconfigured: Kafka is away, or refuses.
    """
    names = {
        spec.name: topics.letters_topic(spec.name, settings.kafka.prefix) for spec in CONSUMERS if spec.letters and spec.runs
    }
    with Cluster(settings.kafka, timeout_s=timeout_s) as cluster, KafkaAdmin(settings.kafka, timeout_s=timeout_s) as admin:
        activity = cluster.activity(admin.partitions(names.values()), since_ms=now_ms - FRESH_LETTERS_MS)
    held = {consumer: activity[topic].held for consumer, topic in names.items() if topic in activity}
    recent = {consumer: activity[topic].recent for consumer, topic in names.items() if topic in activity}
    letters: list[Letter] = []
    for consumer, count in held.items():
        if count:
            with KafkaLook(settings.kafka, names[consumer]) as look:
                letters += [replace(read(one), consumer=consumer) for one in look.until_end(look.latest(LETTERS_READ))]
    return LettersSeen(held=held, recent=recent, causes=by_cause(letters))


def by_cause(letters: Sequence[Letter]) -> tuple[LetterCause, ...]:
    """Letters put together by fingerprint, the largest first; one that was written twice counts once."""
    found: dict[tuple[str, str], dict[str, Letter]] = defaultdict(dict)
    for letter in letters:
        found[letter.consumer, letter.fingerprint][letter.id or letter.position] = letter
    causes = [
        LetterCause(
            consumer=consumer,
            fingerprint=fingerprint,
            count=len(same),
            message=_said(list(same.values())[-1]),
            first_ms=min(letter.failed_at_ms for letter in same.values()),
        )
        for (consumer, fingerprint), same in found.items()
    ]
    return tuple(sorted(causes, key=lambda cause: (-cause.count, cause.first_ms)))


def _said(letter: Letter) -> str:
    kind = letter.exception.rpartition(".")[2]
    return f"{kind}: {letter.message}" if kind else letter.message


def _row_id(value: bytes | None) -> int | None:
    """The id in a row's JSON; None where it cannot be read, which is for the relay to complain about."""
    try:
        row = cast("Any", msgspec.json.decode(value or b""))
    except msgspec.DecodeError:
        return None
    found = row.get("id") if isinstance(row, dict) else None
    return found if isinstance(found, int) else None
