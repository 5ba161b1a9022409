"""What can be set: names, defaults, units and meanings. What a person changes while it runs is control, not a setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def option(
    default: Any,
    doc: str,
    *,
    secret: bool = False,
    lowest: float | None = None,
    highest: float | None = None,
    choices: tuple[str, ...] = (),
    pattern: str = "",
) -> Any:
    """A setting with its meaning; a secret is never printed, logged or given on a command line.

    Args:
        default: its value when nobody says anything.
        doc: what it means, with its unit.
        secret: whether it is one.
        lowest: smallest number allowed.
        highest: largest number allowed.
        choices: the only words allowed.
        pattern: a regular expression that the whole text matches.
    """
    meta = {"doc": doc, "secret": secret, "lowest": lowest, "highest": highest, "choices": choices, "pattern": pattern}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=meta)
    return field(default=default, metadata=meta)


SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
POSTGRES_NAME = "[a-z_][a-z0-9_]{0,62}"  # what needs no quotes; a slot's name may be nothing else


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaSettings:
    """Where Kafka is and how topics are made."""

    bootstrap: str = option("127.0.0.1:9092", "host:port list of brokers to ask first")
    prefix: str = option(
        "omero",
        "first word of every topic, group and connector name; one per OMERO on a shared Kafka",
        pattern="[A-Za-z0-9._-]{1,100}",
    )
    replication_factor: int = option(1, "copies of each partition: 1 on one broker, 3 in production", lowest=1, highest=32767)
    min_insync_replicas: int = option(
        1, "copies that must have a record before it counts as written: 2 in production", lowest=1, highest=32767
    )
    client: Mapping[str, str] = option({}, "librdkafka properties passed on unchanged, e.g. security.protocol, sasl.username")


@dataclass(frozen=True, kw_only=True, slots=True)
class OmeroSettings:
    """OMERO's PostgreSQL database, which is read and never owned."""

    host: str = option("127.0.0.1", "host or socket directory")
    port: int = option(5432, "TCP port", lowest=1, highest=65535)
    database: str = option("omero", "database name (omero.db.name)")
    owner: str = option(
        "omero", "OMERO's own role, which owns its tables (omero.db.user): grants name it, nothing connects as it"
    )
    user: str = option("omero_mq", "the read-only role that `omero-mq init --print-sql` describes")
    password: str = option("", "its password", secret=True)
    sslmode: str = option("prefer", "libpq sslmode", choices=SSL_MODES)
    timezone: str = option("UTC", "zone of OMERO's timestamps without zone: that of the OMERO server's JVM")
    config_file: str = option("", "OMERO's etc/grid/config.xml, or the saved output of `omero config get`; read for omero.db.*")


@dataclass(frozen=True, kw_only=True, slots=True)
class StateSettings:
    """Our own small PostgreSQL database."""

    host: str = option("127.0.0.1", "host or socket directory")
    port: int = option(5432, "TCP port", lowest=1, highest=65535)
    database: str = option("omero_mq", "database name")
    user: str = option("omero_mq", "its owner")
    password: str = option("", "its password", secret=True)
    sslmode: str = option("prefer", "libpq sslmode", choices=SSL_MODES)


@dataclass(frozen=True, kw_only=True, slots=True)
class CdcSettings:
    """Kafka Connect and what Debezium reads."""

    connect_url: str = option("http://127.0.0.1:8083", "Kafka Connect's REST address", pattern="https?://.+")
    database_host: str = option("", "OMERO's database as Kafka Connect sees it; empty: the same as omero.host")
    database_port: int = option(0, "its port as Kafka Connect sees it; 0: the same as omero.port", lowest=0, highest=65535)
    user: str = option("omero_cdc", "the replication role that `omero-mq init --print-sql` describes")
    password: str = option("", "its password, for the Connect that `omero-mq up` starts", secret=True)
    password_reference: str = option(
        "${file:/run/secrets/cdc.properties:password}", "what the connector's configuration says instead of the password"
    )
    sslmode: str = option("prefer", "Debezium's database.sslmode", choices=SSL_MODES)
    eventlog_slot: str = option(
        "omero_eventlog", "replication slot for eventlog (names are unique in a PostgreSQL cluster)", pattern="[a-z0-9_]{1,63}"
    )
    reindexing_slot: str = option("omero_reindexing", "replication slot for _reindexing_required", pattern="[a-z0-9_]{1,63}")
    eventlog_publication: str = option("omero_eventlog_pub", "publication of eventlog, inserts only", pattern=POSTGRES_NAME)
    reindexing_publication: str = option(
        "omero_reindexing_pub", "publication of _reindexing_required, inserts only", pattern=POSTGRES_NAME
    )
    poll_interval_ms: int = option(
        50, "Debezium's poll.interval.ms; commit to topic takes about half of it, at the most all of it [ms]", lowest=1
    )
    heartbeat_ms: int = option(10_000, "Debezium's heartbeat.interval.ms; keeps an idle slot from pinning WAL [ms]", lowest=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class RelaySettings:
    """The service that makes public events."""

    batch_rows: int = option(4000, "rows read, enriched and published together, at the most", lowest=1, highest=1_000_000)
    visibility_alert_s: float = option(
        30.0, "a commit that was decoded but is not visible for this long raises an alert [s]", lowest=0.001
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliverySettings:
    """Retries and letters, for every consumer."""

    attempts: int = option(5, "attempts before a transient failure becomes a letter", lowest=1)
    retry_base_s: float = option(0.2, "longest wait before the second attempt; doubles each time, with full jitter [s]", lowest=0)
    retry_cap_s: float = option(30.0, "longest wait between two attempts [s]", lowest=0)
    stack_limit_bytes: int = option(4096, "bytes of stack trace kept in a letter [bytes]", lowest=0, highest=1_000_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class StackSettings:
    """What `omero-mq up` starts on this machine."""

    data_directory: str = option(
        "", "everything that `omero-mq up` keeps; empty: ~/.local/share/omero-mq, for root /var/lib/omero-mq"
    )
    jvm_directory: str = option("", "where scripts/setup put Kafka and Debezium; empty: jvm in the data directory")
    postgres_port: int = option(0, "PostgreSQL's port; 0: a free one, remembered", lowest=0, highest=65535)
    kafka_port: int = option(0, "Kafka's port; 0: a free one, remembered", lowest=0, highest=65535)
    connect_port: int = option(0, "Kafka Connect's port; 0: a free one, remembered", lowest=0, highest=65535)
    profile: str = option("small", "JVM and process sizes: small (default) or full", choices=("small", "full"))


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoSettings:
    """The facility that `omero-mq run facility` plays in an OMERO-shaped database of its own; never for a real OMERO."""

    superuser: str = option("postgres", "superuser of that database's server, which makes it and the roles")
    superuser_password: str = option("", "its password", secret=True)
    rate_per_s: float = option(1.0, "things that people begin [1/s]", lowest=0.1, highest=1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSettings:
    """Logs of the services, on standard error."""

    format: str = option("auto", "human, json, or auto: human on a terminal", choices=("human", "json", "auto"))
    level: str = option("info", "debug, info, warning or error", choices=("debug", "info", "warning", "error"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings of one installation."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    omero: OmeroSettings = field(default_factory=OmeroSettings)
    state: StateSettings = field(default_factory=StateSettings)
    cdc: CdcSettings = field(default_factory=CdcSettings)
    relay: RelaySettings = field(default_factory=RelaySettings)
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    stack: StackSettings = field(default_factory=StackSettings)
    demo: DemoSettings = field(default_factory=DemoSettings)
    log: LogSettings = field(default_factory=LogSettings)
