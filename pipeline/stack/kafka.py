"""Apache Kafka as a supervised process: KRaft, one node; or several on one machine, for tests of replication."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import Misconfigured
from pipeline.stack.directory import explained, write_atomically
from pipeline.stack.java import Jvm
from pipeline.stack.probe import kafka_answers
from pipeline.stack.process import Process

HEAP_MB = (256, 1024)
_LARGEST_MESSAGE_BYTES = 4 * 1024 * 1024  # letters take 2 MiB by their topic; the broker's own limit leaves a margin

_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSX} %-5p %c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.start.name = kafka.server.KafkaRaftServer
logger.start.level = INFO
"""


def new_cluster_id() -> str:
    """A random cluster id in Kafka's own form: 22 characters of URL-safe base64."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):  # it would be taken for an option
            return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One broker that is a controller, too.

    Attributes:
        number: its node id, from 1.
        port: for clients.
        controller_port: for the other controllers.
    """

    number: int
    port: int
    controller_port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Kafka:
    """One broker of a cluster, below a directory of its own.

    Attributes:
        directory: its own.
        node: this broker.
        nodes: all brokers of the cluster, this one among them.
        extra: broker properties on top of ours.
    """

    name: str
    directory: Path
    jvm: Jvm
    cluster: str
    node: Node
    nodes: tuple[Node, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)

    def process(self) -> Process:
        """The process to supervise."""
        properties = self.directory / "server.properties"
        log4j = self.directory / "log4j2.properties"
        needed = len(self.nodes) // 2 + 1
        return Process(
            name=self.name,
            argv=self.jvm.argv("kafka.Kafka", str(properties), heap_mb=HEAP_MB, log_file=log4j),
            directory=self.directory.parent,
            environment={"PATH": self.environment.get("PATH", "/usr/bin:/bin"), "MALLOC_ARENA_MAX": "2"},
            make=self._make,
            probe=lambda: kafka_answers("127.0.0.1", self.node.port, brokers=needed),
            grace_s=20.0,
            ready_within_s=90.0,
            # A dozen threads look five times a second whether something has expired; together they wake the processor less often.
            timer_slack_us=2000,
        )

    def _make(self) -> None:
        """Formats the storage if it is not there, and writes today's properties. Idempotent, also after a kill at any point."""
        data, making = self.directory / "data", self.directory / "data.making"
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            write_atomically(self.directory / "log4j2.properties", _LOG4J, mode=0o644)
            if not data.exists():
                shutil.rmtree(making, ignore_errors=True)
                properties = self.directory / "format.properties"
                write_atomically(properties, self._properties(making), mode=0o644)
                self._format(properties)
                making.rename(data)
            meta = data / "meta.properties"
            if not meta.exists() or f"cluster.id={self.cluster}" not in meta.read_text(encoding="utf-8"):
                raise Misconfigured(
                    f"{data} was not made for this data directory: {meta} is missing or names another cluster",
                    fix=f"restore it from a backup, or start with an empty one: mv {data} {data}.broken",
                )
            write_atomically(self.directory / "server.properties", self._properties(data), mode=0o644)
        except OSError as error:
            raise explained(error, self.directory) from error

    def _format(self, properties: Path) -> None:
        tool = self.jvm.argv(
            "kafka.tools.StorageTool",
            *("format", "-t", self.cluster, "-c", str(properties)),
            heap_mb=(128, 128),
            log_file=self.directory / "log4j2.properties",
        )
        environment = {"PATH": self.environment.get("PATH", "/usr/bin:/bin")}
        done = subprocess.run(tool, capture_output=True, text=True, check=False, env=environment)
        if done.returncode != 0:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
            raise Misconfigured(f"Kafka could not format its storage in {self.directory}:\n{said}", fix="see the message")

    def _properties(self, data: Path) -> str:
        copies = min(3, len(self.nodes))
        values = {
            "process.roles": "broker,controller",
            "node.id": str(self.node.number),
            "controller.quorum.voters": ",".join(f"{node.number}@127.0.0.1:{node.controller_port}" for node in self.nodes),
            "listeners": f"CLIENTS://127.0.0.1:{self.node.port},CONTROLLERS://127.0.0.1:{self.node.controller_port}",
            "advertised.listeners": f"CLIENTS://127.0.0.1:{self.node.port}",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLERS:PLAINTEXT",
            "controller.listener.names": "CONTROLLERS",
            "inter.broker.listener.name": "CLIENTS",
            "log.dirs": str(data),
            **_BROKER,
            "default.replication.factor": str(copies),
            "offsets.topic.replication.factor": str(copies),
            "transaction.state.log.replication.factor": str(copies),
            "share.coordinator.state.topic.replication.factor": str(copies),
            "transaction.state.log.min.isr": str((copies + 1) // 2),
            "share.coordinator.state.topic.min.isr": str((copies + 1) // 2),
            "min.insync.replicas": str((copies + 1) // 2),
            **self.extra,
        }
        return "# Written by omero-mq at each start.\n" + "".join(f"{name}={value}\n" for name, value in values.items())


_BROKER: Mapping[str, str] = {
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(_LARGEST_MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(_LARGEST_MESSAGE_BYTES),
    # A gate that stays closed for weeks must not lose its group's place.
    "offsets.retention.minutes": str(90 * 24 * 60),
    # No record twice a second from a controller that has nothing to say.
    "metadata.max.idle.interval.ms": "5000",
    "group.initial.rebalance.delay.ms": "0",
    # A broker that was killed is let in again when its last session is over; the default is nine seconds.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "1000",
    "group.min.session.timeout.ms": "1000",
    "log.retention.hours": "-1",  # each topic says itself how long it keeps
    # Small: a handful of topics on one machine.
    "num.partitions": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    "log.index.size.max.bytes": str(2 * 1024 * 1024),
    "log.segment.bytes": str(256 * 1024 * 1024),
}
