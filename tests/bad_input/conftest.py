"""A whole installation with secrets that can be looked for, on a disk of its own that can be filled."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from pipeline.demo import database
from pipeline.settings.load import Given, load
from pipeline.stack.install import Wish, installation
from pipeline.stack.parts import Options
from pipeline.stack.postgres import find_programs
from pipeline.stack.stack import Stack
from tests.conftest import FOR_TESTS, jvm_directory, missing

ROOT = Path(__file__).resolve().parents[2]
WORD = "canary-2b7e"
PLANTED = database.Secrets.marked(WORD)
DISK_MIB = 700
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass
class Site:
    """What `omero-mq up` makes, with passwords of ours; `environ` is what a user's shell has."""

    home: Path
    environ: dict[str, str]
    disk_is_its_own: bool
    stack: Stack = field(init=False)

    @property
    def data(self) -> Path:
        return self.home / "data"

    def start(self) -> None:
        given = Given(environ=self.environ, config=self.home / "omero-mq.toml", directory=self.home)
        wish = Wish(
            read=lambda: load(given).settings,
            environment=self.environ,
            make_database=partial(database.create, secrets=PLANTED),
            config=given.config,
            options=Options(postgres=FOR_TESTS, least_free_bytes=0),
        )
        self.stack = installation(wish)
        self.where = self.stack.start()
        self.settings = load(given).settings

    def omero_mq(self, *arguments: str, expect: int | None = 0, text: bool = True, **more: str) -> subprocess.CompletedProcess:
        """The command as a process; its words, whatever they are, hold no traceback."""
        command = [sys.executable, "-m", "pipeline", *arguments]
        done = subprocess.run(
            command, cwd=self.home, env={**self.environ, **more}, capture_output=True, text=text, check=False, timeout=90
        )
        assert expect is None or done.returncode == expect, (done.stdout, done.stderr)
        return done

    def sql(self, statement: str, *values: object, dbname: str = "") -> list[tuple]:
        with psycopg.connect(self.where.superuser_dsn(dbname or self.settings.omero.database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def records(self, *topics: str) -> Iterator[bytes]:
        """Key, value and headers of every record, internal topics included; without names: of all topics."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.where.kafka_bootstrap,
                "group.id": "looking",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        found = consumer.list_topics(timeout=10).topics
        wanted = [(name, topic) for name, topic in found.items() if not topics or name in topics]
        places = [TopicPartition(name, number, OFFSET_BEGINNING) for name, topic in wanted for number in topic.partitions]
        consumer.assign(places)
        left = len(places)
        while left:
            message = consumer.poll(20)
            assert message is not None, "Kafka does not answer"
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                left -= 1
                continue
            yield from (message.key() or b"", message.value() or b"")
            for header, value in message.headers() or ():
                yield from (header.encode(), value or b"")
        consumer.close()


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """Started once for all tests of this folder."""
    home = Path(tempfile.mkdtemp(prefix="omero-mq-test-"))
    home.chmod(0o711)
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0711", "omero-mq-test", str(home))
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        find_programs(os.environ)
        jvm = jvm_directory()
    except Exception as error:  # whatever is missing is told by the fixture that knows how
        missing(error)
    made = Site(home=home, environ=_environment(home, jvm), disk_is_its_own=mounted)
    try:
        made.start()
        yield made
    finally:
        try:
            made.stack.stop()
        finally:
            subprocess.run(("umount", "-l", str(home)) if mounted else ("rm", "-rf", str(home)), check=False)
            if mounted:
                home.rmdir()


def _environment(home: Path, jvm: Path) -> dict[str, str]:
    """Every secret that an installation has, each with the word in it; the passwords of ours are in files."""
    secrets = home / "data" / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    secrets.parent.chmod(0o711)
    for name in ("postgres-superuser", "omero-mq", "omero-cdc"):
        (secrets / name).write_text(f"{WORD}-{name}")
        (secrets / name).chmod(0o600)
    config = home / "omero-mq.toml"
    config.write_text(f'[kafka.client]\n"sasl.password" = "{WORD}-sasl"\n"ssl.key.password" = "{WORD}-key"\n')
    config.chmod(0o600)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "OMERO_MQ_STACK_DATA_DIRECTORY": str(secrets.parent),
        "OMERO_MQ_STACK_JVM_DIRECTORY": str(jvm),
        "OMERO_MQ_OMERO_PASSWORD_FILE": str(secrets / "omero-mq"),
        "OMERO_MQ_STATE_PASSWORD_FILE": str(secrets / "omero-mq"),
        "OMERO_MQ_CDC_PASSWORD_FILE": str(secrets / "omero-cdc"),
        # What an OMERO server's container has in its environment, and what nobody but OMERO needs.
        "CONFIG_omero_db_pass": f"{WORD}-database",
        "CONFIG_omero_mail_password": f"{WORD}-mail",
    }
