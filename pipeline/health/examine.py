"""Looks at everything that `doctor` judges, several parts at once; changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from typing import TypeVar

from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import KINDS, Connector, connector, render
from pipeline.cdc.slots import publications, slots
from pipeline.health import examine_database as omero
from pipeline.health.ask import ask_all
from pipeline.health.examined import CaptureExamined, ConnectExamined, Examined, Host, KafkaExamined, StateExamined
from pipeline.health.listening import reach, where_listened
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.cluster import CODECS, Cluster, codecs_of_librdkafka
from pipeline.kafka.installation import installed_topics
from pipeline.omero.database import Connection, OmeroDatabase
from pipeline.omero.epoch import Epoch
from pipeline.omero.lookups import read_epoch
from pipeline.omero.schema import compare, read_database
from pipeline.settings.model import Settings
from pipeline.settings.places import data_directory
from pipeline.state import migrate
from pipeline.state.epochs import Epochs
from pipeline.state.pool import StateDatabase

WITHIN_S = 15.0
DEBEZIUM = "io.debezium.connector.postgresql.PostgresConnector"
PACKAGES = ("faust-streaming", "aiokafka", "cramjam", "confluent-kafka")
Answer = TypeVar("Answer")


def examine(settings: Settings, *, within_s: float = WITHIN_S) -> Examined:
    """One look at everything; blocks for ``within_s`` at the most [s]."""
    ours = tuple(connector(kind, settings) for kind in KINDS)

    def database(look: Callable[[Connection], Answer]) -> Callable[[], Answer]:
        return lambda: _in_omero(settings, look)

    seen = ask_all(
        {
            ("omero-database", "server"): database(lambda connection: omero.server(connection, settings)),
            ("omero-database", "rights"): database(lambda connection: omero.rights(connection, settings)),
            ("omero-database", "log"): database(omero.log),
            ("omero-database", "schema"): database(lambda connection: tuple(compare(read_database(connection)))),
            ("omero-database", "capture"): database(lambda connection: _capture(connection, ours)),
            ("omero-database", "identity"): lambda: _identity(settings),
            ("kafka-connect", "connect"): lambda: _connect(settings, ours),
            ("kafka", "kafka"): where_listened(settings.kafka.bootstrap, lambda: _kafka(settings, timeout_s=within_s / 3)),
            ("state-database", "state"): lambda: _state(settings),
            ("this machine", "host"): lambda: host(settings),
        },
        within_s=within_s,
    )
    return Examined(settings=settings, connectors=ours, **seen)


def host(settings: Settings) -> Host:
    """This machine and this environment."""
    path = data_directory(settings.stack.data_directory)
    usage = shutil.disk_usage(path) if path.is_dir() else None
    return Host(
        installed={name: _version(name) for name in PACKAGES},
        native_codecs=codecs_of_librdkafka(settings.kafka),
        faust_codecs=frozenset(CODECS) if _version("cramjam") else frozenset({"gzip"}),
        directory=str(path) if usage else "",
        free_bytes=usage.free if usage else 0,
        disk_bytes=usage.total if usage else 0,
    )


def _in_omero(settings: Settings, look: Callable[[Connection], Answer]) -> Answer:
    with (
        OmeroDatabase(settings.omero, service="doctor", statement_timeout_s=10.0) as database,
        database.connected() as connection,
    ):
        return look(connection)


def _identity(settings: Settings) -> Epoch:
    with OmeroDatabase(settings.omero, service="doctor", statement_timeout_s=10.0) as database:
        return read_epoch(database)


def _capture(connection: Connection, ours: Sequence[Connector]) -> CaptureExamined:
    return CaptureExamined(
        slots=slots(connection, [each.slot for each in ours]),
        publications=publications(connection, [each.publication for each in ours]),
    )


def _connect(settings: Settings, ours: Sequence[Connector]) -> ConnectExamined:
    client = KafkaConnect(settings.cdc.connect_url, patience_s=0)
    try:
        changes = {}
        for each in ours:
            if client.config(each.name) is not None:
                changes[each.name] = tuple(client.differences(each.name, render(each.kind, settings)))
        return ConnectExamined(
            debezium=client.plugins().get(DEBEZIUM, ""),
            states={each.name: client.status(each.name) for each in ours},
            changes=changes,
        )
    finally:
        client.close()


def _kafka(settings: Settings, *, timeout_s: float) -> KafkaExamined:
    wanted = installed_topics(settings.kafka.prefix)
    with Cluster(settings.kafka, timeout_s=timeout_s) as cluster:
        brokers = cluster.brokers().brokers
    unreachable = reach(brokers)
    if len(unreachable) == len(brokers):  # nothing more can be asked of them, and each question would wait for its time limit
        return KafkaExamined(brokers=brokers, unreachable=unreachable, differences=(), retention_ms={}, topics=0)
    with KafkaAdmin(settings.kafka, timeout_s=timeout_s) as admin:
        differences = tuple(admin.check(wanted))
        there = [name for name, exists in admin.exist(topic.name for topic in wanted).items() if exists]
        retention = {name: int(admin.config(name).get("retention.ms", "-1")) for name in there}
    return KafkaExamined(
        brokers=brokers, unreachable=unreachable, differences=differences, retention_ms=retention, topics=len(wanted)
    )


def _state(settings: Settings) -> StateExamined:
    database = StateDatabase(settings.state, service="doctor")
    try:
        with database.transaction() as connection:
            schema, version = migrate.status(connection), connection.info.server_version
        accepted = Epochs(database).accepted() if schema.usable else None
        return StateExamined(version=version, schema=schema, accepted=accepted)
    finally:
        database.close()


def _version(package: str) -> str | None:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None
