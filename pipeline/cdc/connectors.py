"""The two connectors: their names, and their complete Debezium configuration from the shipped templates and the settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline import shipped
from pipeline.errors import Misconfigured
from pipeline.settings.model import Settings
from pipeline.wire import topics

ConnectorKind = Literal["eventlog", "reindexing"]
KINDS: tuple[ConnectorKind, ...] = ("eventlog", "reindexing")

_PLACEHOLDER = re.compile(r"@\{([^}]*)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Connector:
    """What belongs to one connector, under this site's names.

    Attributes:
        table: the one table that it reads, without schema.
        topic: where rows go.
        heartbeat_topic: where a record every `cdc.heartbeat_ms` says that it lives.
        server: Debezium's `topic.prefix`: the name of its metrics and of its offsets.
    """

    kind: ConnectorKind
    name: str
    table: str
    topic: str
    heartbeat_topic: str
    server: str
    slot: str
    publication: str


def connector(kind: ConnectorKind, settings: Settings) -> Connector:
    """The connector of one kind.

    Raises:
        Misconfigured: `kafka.prefix` cannot begin the name of a topic.
    """
    prefix = settings.kafka.prefix
    cdc = settings.cdc
    if kind == "eventlog":
        table, topic = "eventlog", topics.EVENTLOG
        slot, publication = cdc.eventlog_slot, cdc.eventlog_publication
    else:
        table, topic = "_reindexing_required", topics.REINDEXING
        slot, publication = cdc.reindexing_slot, cdc.reindexing_publication
    return Connector(
        kind=kind,
        name=f"{prefix}-{kind}",
        table=table,
        topic=topics.named(topic, prefix),
        heartbeat_topic=topics.named(topics.HEARTBEAT, prefix, kind),
        server=f"{prefix}.{kind}",
        slot=slot,
        publication=publication,
    )


def render(kind: ConnectorKind, settings: Settings) -> dict[str, str]:
    """The configuration that Kafka Connect gets; holds a reference to the password, never the password.

    Raises:
        Misconfigured: the template is missing or damaged, or has a placeholder that nothing fills.
    """
    path = shipped.directory("connectors") / f"omero-{kind}.json"
    try:
        template = json.loads(path.read_text(encoding="utf-8"))
        options = dict(template.items())
    except (OSError, ValueError, AttributeError) as error:
        raise Misconfigured(f"the connector template {path} cannot be read: {error}", fix="install omero-mq again") from error
    values = _values(connector(kind, settings), settings)
    return {str(key): _fill(str(value), values, where=f"{path.name}: {key}") for key, value in options.items()}


def _values(this: Connector, settings: Settings) -> dict[str, str]:
    cdc, omero = settings.cdc, settings.omero
    return {
        "database.host": cdc.database_host or omero.host,
        "database.port": str(cdc.database_port or omero.port),
        "omero.database": omero.database,
        "cdc.user": cdc.user,
        "cdc.password_reference": cdc.password_reference,
        "cdc.sslmode": cdc.sslmode,
        "cdc.poll_interval_ms": str(cdc.poll_interval_ms),
        "cdc.heartbeat_ms": str(cdc.heartbeat_ms),
        "connector.publication": this.publication,
        "connector.slot": this.slot,
        "connector.server": this.server,
        "connector.table": this.table,
        "connector.topic": this.topic,
        "connector.heartbeat_topic": this.heartbeat_topic,
        "connector.raw_topic_regex": f"{this.server}.public.{this.table}".replace(".", r"\."),
    }


def _fill(text: str, values: Mapping[str, str], *, where: str) -> str:
    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in values:
            raise Misconfigured(
                f"{where}: nothing fills the placeholder @{{{name}}}",
                fix=f"placeholders are: {', '.join(sorted(values))}",
            )
        return values[name]

    return _PLACEHOLDER.sub(value, text)
