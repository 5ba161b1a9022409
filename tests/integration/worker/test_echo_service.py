"""The trivial agent as the service that `omero-mq run echo` starts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from pipeline.delivery.record import Outgoing
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.publish import KafkaPublisher
from pipeline.settings.model import KafkaSettings
from pipeline.state.migrate import migrate, shipped

from .site import topic

pytestmark = pytest.mark.stack


def test_echo_reads_all_events_and_stops_when_told(kafka, postgres, database, unique, tmp_path):
    def make(dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            migrate(connection)

    name = database(prefix="echo", template=postgres.template(shipped()[-1].checksum, make))
    settings = KafkaSettings(bootstrap=kafka.bootstrap, prefix=unique)
    events, places = f"{unique}.events", [(f"{unique}.events", partition) for partition in range(3)]
    environment = {
        **os.environ,
        "OMERO_MQ_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "OMERO_MQ_KAFKA_PREFIX": unique,
        "OMERO_MQ_STATE_HOST": postgres.host,
        "OMERO_MQ_STATE_PORT": str(postgres.port),
        "OMERO_MQ_STATE_DATABASE": name,
        "OMERO_MQ_STATE_USER": postgres.superuser,
        "OMERO_MQ_STATE_PASSWORD": postgres.password,
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
    }
    with KafkaAdmin(settings) as admin, KafkaPublisher(settings) as publisher:
        admin.create([topic(events, 3)])
        publisher.publish([Outgoing(topic=events, key=b"%d" % number, value=b"{}", partition=number % 3) for number in range(60)])
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "echo"],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
        )
        try:
            until_s = time.monotonic() + 40
            while admin.committed(f"{unique}.echo", [events]) != admin.ends(places):
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < until_s
                time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
    assert process.returncode == 0, said
    assert b"worker.ended" in said
