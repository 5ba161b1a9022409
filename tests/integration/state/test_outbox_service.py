"""The outbox poller as the process that production runs: real Kafka, real database, signals."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from confluent_kafka import Consumer, TopicPartition

from pipeline.delivery.record import Outgoing
from pipeline.kafka.admin import KafkaAdmin
from pipeline.settings.model import KafkaSettings
from pipeline.state.outbox import append, outbox_status, parked
from pipeline.wire.topics import JOB_EVENTS, named

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(kafka, unique):
    return KafkaSettings(bootstrap=kafka.bootstrap, prefix=unique)


@pytest.fixture
def notified(tmp_path):
    """What the service tells its supervisor."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(20)
        yield channel


@pytest.fixture
def service(state, settings, notified, tmp_path):
    environment = {
        **os.environ,
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "3000000",
        "OMERO_MQ_KAFKA_BOOTSTRAP": settings.bootstrap,
        "OMERO_MQ_KAFKA_PREFIX": settings.prefix,
        "OMERO_MQ_STATE_HOST": state.host,
        "OMERO_MQ_STATE_PORT": str(state.port),
        "OMERO_MQ_STATE_DATABASE": state.database,
        "OMERO_MQ_STATE_USER": state.user,
        "OMERO_MQ_STATE_PASSWORD": state.password,
    }
    with subprocess.Popen(
        [sys.executable, "-m", "pipeline", "run", "outbox"], env=environment, stderr=subprocess.PIPE
    ) as process:
        yield process
        if process.poll() is None:
            process.kill()


def _heard(channel: socket.socket, wanted: str) -> None:
    while wanted not in channel.recv(4096).decode():
        pass


def _read(settings: KafkaSettings, topic: str, *, count: int) -> list[tuple]:
    consumer, read, end = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "unused"}), [], time.monotonic() + 30
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(JOB_EVENTS.partitions)])
    while len(read) < count and time.monotonic() < end:
        read += [(m.key(), m.value(), m.headers()) for m in consumer.consume(count, timeout=1)]
    consumer.close()
    return read


def test_rows_reach_their_topic_as_they_are_and_sigterm_ends_the_process(settings, service, notified, connection):
    topic = named(JOB_EVENTS, settings.prefix)
    with KafkaAdmin(settings) as admin:
        admin.create([replace(JOB_EVENTS, name=topic)])
    records = [
        Outgoing(topic=topic, key=b"job 1", value=f"state {number}".encode(), headers=(("ce_id", b"1"), ("none", None)))
        for number in range(20)
    ]
    append(connection, records, order_key="job 1")
    append(connection, [Outgoing(topic=f"{settings.prefix}.no-such-topic", key=None, value=b"v")])
    _heard(notified, "READY=1")
    assert _read(settings, topic, count=20) == [(r.key, r.value, list(r.headers)) for r in records]
    end = time.monotonic() + 30
    while outbox_status(connection).waiting and time.monotonic() < end:
        time.sleep(0.05)
    assert [row.reason.split(" (")[0] for row in parked(connection)] == ["no such topic or partition"]
    _heard(notified, "WATCHDOG=1")
    began_s = time.monotonic()
    service.send_signal(signal.SIGTERM)
    assert service.wait(timeout=10) == 0
    assert time.monotonic() - began_s < 3
    _heard(notified, "STOPPING=1")
