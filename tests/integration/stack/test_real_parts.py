"""Kafka, PostgreSQL and Kafka Connect themselves: killed, frozen, started again, and three brokers of which one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import httpx
import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.stack import identity, leftovers
from pipeline.stack.control import stop_running
from pipeline.stack.probe import kafka_answers

pytestmark = [pytest.mark.stack, pytest.mark.chaos]


def make_topic(bootstrap: str, name: str, *, copies: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topic = NewTopic(name, num_partitions=1, replication_factor=copies, config={"min.insync.replicas": str((copies + 1) // 2)})
    admin.create_topics([topic])[name].result(30)


def write(bootstrap: str, topic: str, values: list[str]) -> None:
    failed = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value.encode(), on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failed == []


def read(bootstrap: str, topic: str, count: int) -> list[str]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    found, deadline = [], time.monotonic() + 30
    while len(found) < count and time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            found.append(message.value().decode())
    consumer.close()
    return found


def test_each_part_comes_back_by_itself_with_its_data_and_its_address(own_stack, unique):
    with own_stack() as stack:
        where = stack.start()
        make_topic(where.kafka_bootstrap, unique)
        write(where.kafka_bootstrap, unique, ["before"])
        before = {name: stack.pid(name) for name in ("postgres", "kafka", "connect")}
        for name in before:
            stack.kill(name)
        for name, pid in before.items():
            deadline = time.monotonic() + 30
            while stack.pid(name) in (0, pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            stack.wait_ready(name)
        write(where.kafka_bootstrap, unique, ["after"])
        assert read(where.kafka_bootstrap, unique, 2) == ["before", "after"]
        with psycopg.connect(where.superuser_dsn()) as connection:
            assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
        assert httpx.get(f"{where.connect_url}/connectors", trust_env=False).json() == []
        assert stack.addresses() == where


def test_a_stack_whose_supervisor_was_killed_starts_again_with_everything(own_stack, unique):
    stack = own_stack()
    path = stack.directory.path
    argv = [sys.executable, "-m", "pipeline.stack.serve", str(path), "--jvm", str(stack.settings.jvm_directory)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as first:
        while not (line := first.stdout.readline()).startswith("ready"):
            assert line, "the first one did not start"
        before = leftovers.recorded(stack.directory)
        os.kill(next(one.pid for one in before if one.name == "kafka"), signal.SIGSTOP)
        first.kill()
    assert [one.name for one in before] == ["postgres", "kafka", "connect"]
    where = stack.start()
    assert [identity.identity(one.pid) for one in before] == [None, None, None]
    make_topic(where.kafka_bootstrap, unique)
    write(where.kafka_bootstrap, unique, ["alive"])
    assert read(where.kafka_bootstrap, unique, 1) == ["alive"]
    stack.stop()
    assert stop_running(stack.directory) is False


def test_kafka_makes_no_topic_by_itself(kafka, unique):
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.timeout.ms": 2000})
    failed = []
    producer.produce(unique, b"x", on_delivery=lambda error, _: failed.append(error))
    producer.flush(10)
    assert len(failed) == 1
    assert unique not in AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics


def test_a_letter_of_the_largest_size_fits(kafka, unique):
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topic = NewTopic(unique, num_partitions=1, replication_factor=1, config={"max.message.bytes": str(2 * 1_048_588)})
    admin.create_topics([topic])[unique].result(30)
    failed = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.max.bytes": 4_000_000})
    producer.produce(unique, os.urandom(2 * 1_048_588 - 200), on_delivery=lambda error, _: failed.append(error))
    producer.flush(10)
    assert failed == [None]


def test_connect_reads_secrets_from_its_own_directory_only(connect, tmp_path):
    outside = tmp_path / "outside.properties"
    outside.write_text("word=canary\n")
    configuration = {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "database.password": f"${{file:{outside}:word}}",
    }
    url = f"{connect.url}/connector-plugins/PostgresConnector/config/validate"
    answer = httpx.put(url, json=configuration, trust_env=False, timeout=30)
    assert "canary" not in answer.text


def test_three_brokers_lose_one_and_keep_what_was_acknowledged(own_stack, unique):
    with own_stack(parts=("kafka",), brokers=3) as stack:
        where = stack.start()
        make_topic(where.kafka_bootstrap, unique, copies=3)
        write(where.kafka_bootstrap, unique, [str(n) for n in range(100)])
        stack.take_down("kafka", kill=True)
        write(where.kafka_bootstrap, unique, [str(n) for n in range(100, 200)])
        assert read(where.kafka_bootstrap, unique, 200) == [str(n) for n in range(200)]
        stack.bring_up("kafka")
        first = int(where.kafka_bootstrap.split(",")[0].rsplit(":", 1)[1])
        deadline = time.monotonic() + 30
        while not kafka_answers("127.0.0.1", first, brokers=3):
            assert time.monotonic() < deadline, "the first broker did not join again"
            time.sleep(0.1)


def test_nothing_answers_where_nothing_listens():
    assert kafka_answers("127.0.0.1", 1) is False
