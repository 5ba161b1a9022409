"""What `doctor` looked at: facts of each part without judgement, or that it was away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pipeline.cdc.connect import Change, ConnectorState
from pipeline.cdc.connectors import Connector
from pipeline.cdc.slots import Publication, Slot
from pipeline.health.ask import Away
from pipeline.kafka.admin import Difference
from pipeline.kafka.cluster import Broker
from pipeline.omero.epoch import Epoch
from pipeline.omero.schema import Finding
from pipeline.settings.model import Settings
from pipeline.state.epochs import AcceptedEpoch
from pipeline.state.migrate import SchemaStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Role:
    """What one of our roles may do that it should not, or does not need.

    Attributes:
        exists: whether there is such a role.
        powers: role attributes beyond LOGIN (and REPLICATION for capture), e.g. ``SUPERUSER``.
        reads: secrets that it can read, e.g. ``session.uuid``.
        writes: tables of OMERO's that it can change.
    """

    name: str
    exists: bool = True
    replication: bool = False
    powers: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """OMERO's PostgreSQL server.

    Attributes:
        version: as in ``server_version_num``.
        standby: whether it is in recovery.
        wal_keep_mb: `max_slot_wal_keep_size` [MB]; -1: without limit.
        slots_used, slots: replication slots in use, and how many there may be.
        senders_used, senders: likewise for connections that stream.
        skew_s: server's clock minus ours [s].
        omero_connections: of OMERO's own role to this database.
    """

    version: int
    standby: bool
    wal_level: str
    wal_keep_mb: int
    slots_used: int
    slots: int
    senders_used: int
    senders: int
    skew_s: float
    omero_connections: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rights:
    """Grants in OMERO's database.

    Attributes:
        missing: ``table.column`` that is to be read and may not be; ``function()`` likewise.
        reader: the role that reads.
        streamer: the role that Debezium uses.
    """

    missing: tuple[str, ...]
    reader: Role
    streamer: Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """OMERO's log of changes.

    Attributes:
        last_id: newest row; None when there is none.
        last_event: `event.time` of it, as OMERO's clock showed it.
        now: the server's time, with zone.
        reindexing: rows in `_reindexing_required`; counting stops at ``REINDEXING_COUNTED``.
    """

    last_id: int | None
    last_event: datetime | None
    now: datetime
    reindexing: int


REINDEXING_COUNTED = 100_001


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptureExamined:
    """Slots and publications of ours that exist, by name."""

    slots: Mapping[str, Slot]
    publications: Mapping[str, Publication]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectExamined:
    """Kafka Connect.

    Attributes:
        debezium: version of its PostgreSQL connector; empty when that is not installed.
        states: by connector.
        changes: what `connector apply` would change, by connector.
    """

    debezium: str
    states: Mapping[str, ConnectorState]
    changes: Mapping[str, tuple[Change, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaExamined:
    """Brokers and topics.

    Attributes:
        unreachable: brokers that cannot be reached at the address that they advertise, and why.
        differences: topics that are not as declared.
        retention_ms: as set, by topic that exists [ms]; -1: for ever.
        topics: how many were compared.
    """

    brokers: tuple[Broker, ...]
    unreachable: tuple[tuple[Broker, str], ...]
    differences: tuple[Difference, ...]
    retention_ms: Mapping[str, int]
    topics: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StateExamined:
    """The state database."""

    version: int
    schema: SchemaStatus
    accepted: AcceptedEpoch | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """This machine.

    Attributes:
        installed: version of each Python package that was looked for; None where it is missing.
        native_codecs: compressions of the native Kafka client.
        faust_codecs: compressions that the Faust worker can read.
        directory: where the local stack keeps its data; empty where there is none.
        free_bytes, disk_bytes: of the disk that holds it.
    """

    installed: Mapping[str, str | None]
    native_codecs: frozenset[str]
    faust_codecs: frozenset[str]
    directory: str = ""
    free_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """Everything that one examination saw."""

    settings: Settings
    connectors: tuple[Connector, ...]
    server: Server | Away
    rights: Rights | Away
    log: Log | Away
    schema: tuple[Finding, ...] | Away
    identity: Epoch | Away
    capture: CaptureExamined | Away
    connect: ConnectExamined | Away
    kafka: KafkaExamined | Away
    state: StateExamined | Away
    host: Host | Away
