"""A healthy installation as facts, for tests to spoil."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipeline.cdc.connect import ConnectorState, TaskState
from pipeline.cdc.connectors import KINDS, connector
from pipeline.cdc.slots import Publication, Slot
from pipeline.health.examined import (
    CaptureExamined,
    ConnectExamined,
    Examined,
    Host,
    KafkaExamined,
    Log,
    Rights,
    Role,
    Server,
    StateExamined,
)
from pipeline.health.facts import ConnectSeen, ConsumerSeen, KafkaSeen, LettersSeen, OmeroSeen, Seen, StateSeen
from pipeline.kafka.cluster import Activity, Broker
from pipeline.kafka.lag import Lag
from pipeline.omero.epoch import Epoch
from pipeline.settings import Settings
from pipeline.state.epochs import AcceptedEpoch
from pipeline.state.migrate import SchemaStatus
from pipeline.state.outbox import OutboxStatus

NOW_MS = 1_795_500_000_000
NOW = datetime.fromtimestamp(NOW_MS / 1000, tz=UTC)
IDENTITY = {"system": "77", "timeline": "00000001", "database_oid": 16384, "eventlog_oid": 16649, "omero_uuid": "uuid"}
ACCEPTED = AcceptedEpoch(number=1, accepted_at=NOW, accepted_by="relay", reason="first start", boundaries={}, **IDENTITY)
SETTINGS = Settings()
OURS = tuple(connector(kind, SETTINGS) for kind in KINDS)


def slot_of(this, **other) -> Slot:
    facts = {"database": "omero", "plugin": "pgoutput", "active": True, "wal_status": "reserved"}
    numbers = {"retained_bytes": 12_400, "behind_bytes": 592, "safe_bytes": 10**10}
    return Slot(name=this.slot, **{**facts, **numbers, **other})


def publication_of(this, **other) -> Publication:
    facts = {"all_tables": False, "inserts_only": True, "tables": (f"public.{this.table}",), "row_filter": "NOT ..."}
    return Publication(name=this.publication, **{**facts, **other})


def running(this) -> ConnectorState:
    return ConnectorState(name=this.name, state="RUNNING", tasks=(TaskState(task=0, state="RUNNING", worker="w"),))


def lag(records=0, age_s=0.0, lost=0, topic="omero.eventlog") -> Lag:
    return Lag(group="omero.relay", topic=topic, end=500, committed=500 - records, records=records, age_s=age_s, lost=lost)


@pytest.fixture
def seen() -> Seen:
    """As `observe` sees it when all is well and somebody works."""
    busy = Activity(held=1000, recent=710, newest_ms=NOW_MS - 400)
    beat = Activity(held=9, recent=9, newest_ms=NOW_MS - 3000)
    return Seen(
        now_ms=NOW_MS,
        prefix="omero",
        omero_at="db.example.org:5432",
        database="omero",
        kafka_at="kafka.example.org:9092",
        connectors=OURS,
        omero=OmeroSeen(
            last_id=8_412_907,
            slots={this.slot: slot_of(this) for this in OURS},
            publications={this.publication: publication_of(this) for this in OURS},
            epoch=Epoch(**IDENTITY),
        ),
        connect=ConnectSeen(states={this.name: running(this) for this in OURS}),
        kafka=KafkaSeen(
            brokers=3,
            topics=8,
            missing=(),
            out_of_sync=(),
            unled=(),
            activity={"omero.events": busy, **{this.heartbeat_topic: beat for this in OURS}},
        ),
        relay=ConsumerSeen(members=1, lags=(lag(), lag(topic="omero.retry.relay"))),
        captured_id=8_412_907,
        state=StateSeen(
            schema=SchemaStatus(current=1, needed=1, verdict="current"),
            epoch=ACCEPTED,
            gates=(),
            outbox=OutboxStatus(waiting=0, oldest_s=0.0, parked=0),
            poller=True,
        ),
        letters=LettersSeen(held={"relay": 0}, recent={"relay": 0}, causes=()),
    )


@pytest.fixture
def examined() -> Examined:
    """As `examine` sees it when all is well."""
    return Examined(
        settings=SETTINGS,
        connectors=OURS,
        server=Server(
            version=150_018,
            standby=False,
            wal_level="logical",
            wal_keep_mb=10_240,
            slots_used=2,
            slots=10,
            senders_used=2,
            senders=10,
            skew_s=0.02,
            omero_connections=12,
        ),
        rights=Rights(missing=(), reader=Role(name="omero_mq"), streamer=Role(name="omero_cdc", replication=True)),
        log=Log(last_id=8_412_907, last_event=NOW.replace(tzinfo=None), now=NOW, reindexing=3),
        schema=(),
        identity=Epoch(**IDENTITY),
        capture=CaptureExamined(
            slots={this.slot: slot_of(this) for this in OURS},
            publications={this.publication: publication_of(this) for this in OURS},
        ),
        connect=ConnectExamined(
            debezium="3.7.0.Final", states={this.name: running(this) for this in OURS}, changes={this.name: () for this in OURS}
        ),
        kafka=KafkaExamined(
            brokers=(Broker(id=1, host="127.0.0.1", port=9092),),
            unreachable=(),
            differences=(),
            retention_ms={"omero.eventlog": 30, "omero.retry.relay": 30, "omero.dlq.relay": 90},
            topics=8,
        ),
        state=StateExamined(version=150_018, schema=SchemaStatus(current=1, needed=1, verdict="current"), accepted=ACCEPTED),
        host=Host(
            installed={"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "cramjam": "2.14.0", "confluent-kafka": "2.16.1"},
            native_codecs=frozenset({"gzip", "snappy", "lz4", "zstd"}),
            faust_codecs=frozenset({"gzip", "snappy", "lz4", "zstd"}),
            directory="/srv/omero-mq",
            free_bytes=10**11,
            disk_bytes=10**12,
        ),
    )
