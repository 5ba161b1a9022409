"""Everything that a benchmark measures on: real PostgreSQL, Kafka and Debezium with tuned settings, in a directory of its own."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import psycopg
from confluent_kafka import Message

from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import connector, render
from pipeline.demo import database as demo
from pipeline.kafka.admin import KafkaAdmin
from pipeline.omero import grants
from pipeline.process import logs
from pipeline.process.signals import StopSignal
from pipeline.services import relay
from pipeline.settings import CdcSettings, KafkaSettings, LogSettings, OmeroSettings, Settings, StackSettings, StateSettings
from pipeline.stack import directory
from pipeline.stack.parts import PARTS, Options
from pipeline.stack.stack import Stack
from pipeline.state.migrate import migrate
from pipeline.wire import topics

WORD = "bench"
PASSWORDS = {"cdc_password": "bench-cdc", "mq_password": "bench-mq", "state_password": "bench-state"}


@dataclass(kw_only=True)
class Site:
    """A running stack with an OMERO-shaped database."""

    stack: Stack
    settings: Settings
    admin_dsn: str
    processes: list[multiprocessing.process.BaseProcess] = field(default_factory=list)

    def omero(self, *, autocommit: bool = True) -> psycopg.Connection:
        """A superuser's connection to OMERO's database."""
        return psycopg.connect(
            psycopg.conninfo.make_conninfo(self.admin_dsn, dbname=self.settings.omero.database), autocommit=autocommit
        )

    def topic(self, topic: topics.Topic) -> str:
        """A topic's real name."""
        return topics.named(topic, self.settings.kafka.prefix)

    def start_connector(self, overrides: Mapping[str, str] | None = None) -> None:
        """Let Debezium read eventlog from its slot on, configured as shipped but for the overrides."""
        with closing(KafkaConnect(self.settings.cdc.connect_url)) as connect:
            config = {**render("eventlog", self.settings), **(overrides or {})}
            connect.apply(connector("eventlog", self.settings).name, config)

    def stop_connector(self) -> None:
        """Take Kafka Connect down, so that it costs nothing."""
        self.stack.take_down("connect")

    def start_relay(self) -> psutil.Process:
        """The relay as a process of its own."""
        process = multiprocessing.get_context("spawn").Process(target=_relay, args=(self.settings,))
        process.start()
        self.processes.append(process)
        return psutil.Process(process.pid)

    def stop_relay(self) -> None:
        """Ask it to end, and wait."""
        while self.processes:
            process = self.processes.pop()
            process.terminate()
            process.join(30)


@contextmanager
def site(*, parts: tuple[str, ...] = PARTS, profile: str = "full") -> Iterator[Site]:
    """A stack of this program's own, stopped and removed at the end.

    Args:
        parts: which of postgres, kafka, connect.
        profile: JVM sizes; ``full`` has the optimising compiler.
    """
    where = Path(tempfile.mkdtemp(prefix="omero-mq-bench-"))
    where.chmod(0o711)
    jvm = os.environ.get("OMERO_MQ_STACK_JVM_DIRECTORY") or str(directory.chosen("").jvm)
    stack = Stack(
        Settings(stack=StackSettings(data_directory=str(where), profile=profile, jvm_directory=jvm)),
        environment=os.environ,
        options=Options(parts=parts),
        command="python -m benchmarks",
    )
    made: Site | None = None
    try:
        made = _furnish(stack)
        yield made
    finally:
        if made is not None:
            made.stop_relay()
        stack.stop()
        shutil.rmtree(where, ignore_errors=True)


def peak_rss_mb(process: psutil.Process) -> float:
    """The most memory that a process ever had [MB]."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def until(holds: Callable[[], bool], *, within_s: float, every_s: float = 0.1) -> None:
    """Wait for something.

    Raises:
        TimeoutError: it did not come true.
    """
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not true within {within_s} s")
        time.sleep(every_s)


def time_of(message: Message | None) -> int:
    """Kafka's time of a record that must be there [ms since 1970].

    Raises:
        TimeoutError: it did not come.
    """
    if message is None:
        raise TimeoutError("Kafka gave no record")
    return int(message.timestamp()[1])


def _furnish(stack: Stack) -> Site:
    where = stack.start()
    password = Path(where.superuser_password_file).read_text(encoding="utf-8")
    dsn = psycopg.conninfo.make_conninfo(
        host=where.postgres_host, port=where.postgres_port, user=where.superuser, password=password, dbname="postgres"
    )
    secret = Path(where.secrets_directory) / "bench.properties"
    secret.write_text(f"password={PASSWORDS['cdc_password']}\n", encoding="utf-8")
    host, port = where.postgres_host, where.postgres_port
    settings = Settings(
        kafka=KafkaSettings(bootstrap=where.kafka_bootstrap, prefix=WORD),
        omero=OmeroSettings(host=host, port=port, database=WORD, user=f"{WORD}_mq", password=PASSWORDS["mq_password"]),
        state=StateSettings(
            host=host, port=port, database=f"{WORD}_state", user=f"{WORD}_state", password=PASSWORDS["state_password"]
        ),
        cdc=CdcSettings(
            connect_url=where.connect_url,
            user=f"{WORD}_cdc",
            password=PASSWORDS["cdc_password"],
            password_reference=f"${{file:{secret}:password}}",
        ),
        log=LogSettings(level="warning"),
    )
    demo.create(dsn, WORD)
    with psycopg.connect(psycopg.conninfo.make_conninfo(dsn, dbname=WORD), autocommit=True) as admin:
        grants.apply(admin, settings, PASSWORDS)
    with psycopg.connect(
        psycopg.conninfo.make_conninfo(dsn, dbname=f"{WORD}_state", user=settings.state.user, password=settings.state.password),
        autocommit=True,
    ) as state:
        migrate(state)
    wanted = [topics.EVENTLOG, topics.EVENTS, topics.RETRY_RELAY]
    declared = [replace(topic, name=topics.named(topic, WORD)) for topic in wanted]
    declared.append(replace(topics.LETTERS, name=topics.letters_topic("relay", WORD)))
    declared.append(replace(topics.HEARTBEAT, name=topics.named(topics.HEARTBEAT, WORD, "eventlog")))
    with KafkaAdmin(settings.kafka) as kafka:
        kafka.create(declared)
    return Site(stack=stack, settings=settings, admin_dsn=dsn)


def _relay(settings: Settings) -> None:
    logs.configure(settings.log, "relay")
    stop = StopSignal()
    stop.install()
    relay.run(settings, os.environ, stop)
