"""What was seen of each part, for `status`: facts without judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.cdc.connect import ConnectorState
from pipeline.cdc.connectors import Connector
from pipeline.cdc.slots import Publication, Slot
from pipeline.delivery.gate import Gate
from pipeline.health.ask import Away
from pipeline.kafka.cluster import Activity
from pipeline.kafka.lag import Lag
from pipeline.omero.epoch import Epoch
from pipeline.state.epochs import AcceptedEpoch
from pipeline.state.migrate import SchemaStatus
from pipeline.state.outbox import OutboxStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class OmeroSeen:
    """OMERO's database.

    Attributes:
        last_id: of the newest committed row of `eventlog` that is meant to be captured; None when there is none.
        slots, publications: ours, those that exist, by name.
        epoch: which database it is.
    """

    last_id: int | None
    slots: Mapping[str, Slot]
    publications: Mapping[str, Publication]
    epoch: Epoch


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectSeen:
    """Our connectors, as Kafka Connect shows them."""

    states: Mapping[str, ConnectorState]


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaSeen:
    """Brokers and topics.

    Attributes:
        missing: topics of ours that do not exist.
        out_of_sync, unled: partitions without all copies, and without a leader, as ``topic/partition``.
        activity: how busy each topic is, by real name; ``recent`` covers five minutes.
    """

    brokers: int
    topics: int
    missing: tuple[str, ...]
    out_of_sync: tuple[str, ...]
    unled: tuple[str, ...]
    activity: Mapping[str, Activity]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerSeen:
    """One consumer group: how many processes read as it, and how far it is behind on each of its topics."""

    members: int
    lags: tuple[Lag, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StateSeen:
    """The state database.

    Attributes:
        poller: whether an outbox poller runs.
        gates: those that somebody ever touched.
    """

    schema: SchemaStatus
    epoch: AcceptedEpoch | None
    gates: tuple[Gate, ...]
    outbox: OutboxStatus
    poller: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterCause:
    """Letters of one cause among those that were read."""

    consumer: str
    fingerprint: str
    count: int
    message: str
    first_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersSeen:
    """Letters that Kafka holds, by consumer.

    Attributes:
        held: how many there are.
        recent: those of the last 24 hours.
        causes: the largest first; of the newest letters only, where there are many.
    """

    held: Mapping[str, int]
    recent: Mapping[str, int]
    causes: tuple[LetterCause, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalProcess:
    """One process that `omero-mq up` runs on this machine, in its own words."""

    name: str
    state: str
    restarts: int = 0
    said: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """Everything that one look at an installation saw.

    Attributes:
        connectors: ours, whether they exist or not.
        captured_id: highest id among the newest records of `omero.eventlog`; None when it holds none.
        processes: of the local stack; empty where none runs here.
    """

    now_ms: int
    prefix: str
    omero_at: str
    database: str
    kafka_at: str
    connectors: tuple[Connector, ...]
    omero: OmeroSeen | Away
    connect: ConnectSeen | Away
    kafka: KafkaSeen | Away
    relay: ConsumerSeen | Away
    captured_id: int | Away | None
    state: StateSeen | Away
    letters: LettersSeen | Away
    processes: tuple[LocalProcess, ...] = ()


def plain(accepted: AcceptedEpoch) -> Epoch:
    """The identity in an accepted epoch."""
    return Epoch(
        system=accepted.system,
        timeline=accepted.timeline,
        database_oid=accepted.database_oid,
        eventlog_oid=accepted.eventlog_oid,
        omero_uuid=accepted.omero_uuid,
    )
