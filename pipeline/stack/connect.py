"""Kafka Connect as a supervised process: distributed, one worker, with Debezium and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.stack.directory import DataDirectory, explained, write_atomically
from pipeline.stack.java import Jvm
from pipeline.stack.probe import connect_answers
from pipeline.stack.process import Process

HEAP_MB = (256, 1024)

_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSX} %-5p %X{connector.context}%c{1} %m%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
logger.herder.name = org.apache.kafka.connect.runtime.distributed.DistributedHerder
logger.herder.level = INFO
logger.task.name = io.debezium.connector.common.BaseSourceTask
logger.task.level = INFO
logger.stream.name = io.debezium.connector.postgresql.PostgresStreamingChangeEventSource
logger.stream.level = INFO
logger.metrics.name = io.debezium.metrics.Metrics
logger.metrics.level = ERROR
logger.config.name = org.apache.kafka.clients
logger.config.level = ERROR
logger.jersey.name = org.glassfish.jersey
logger.jersey.level = ERROR
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connect:
    """One worker below the data directory."""

    directory: DataDirectory
    jvm: Jvm
    port: int
    bootstrap: str
    after: tuple[str, ...]
    copies: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its REST address."""
        return f"http://127.0.0.1:{self.port}"

    def process(self) -> Process:
        """The process to supervise."""
        home = self.directory.connect
        return Process(
            name="connect",
            argv=self.jvm.argv(
                "org.apache.kafka.connect.cli.ConnectDistributed",
                str(home / "worker.properties"),
                heap_mb=HEAP_MB,
                log_file=home / "log4j2.properties",
            ),
            directory=home,
            environment={"PATH": self.environment.get("PATH", "/usr/bin:/bin"), "MALLOC_ARENA_MAX": "2"},
            after=self.after,
            make=self._make,
            probe=lambda: connect_answers(self.url),
            grace_s=15.0,
            ready_within_s=90.0,
            # Debezium looks every `poll.interval.ms`, and for the last, broken millisecond of each wait it does not sleep but
            # asks the clock in a loop: half of what an idle Connect costs. A timer that is later than that leaves nothing over.
            timer_slack_us=2000,
        )

    def _make(self) -> None:
        home = self.directory.connect
        try:
            write_atomically(home / "log4j2.properties", _LOG4J, mode=0o644)
            text = "".join(f"{name}={value}\n" for name, value in self._properties().items())
            write_atomically(home / "worker.properties", "# Written by omero-mq at each start.\n" + text, mode=0o644)
        except OSError as error:
            raise explained(error, home) from error

    def _properties(self) -> dict[str, str]:
        copies = str(self.copies)
        json = "org.apache.kafka.connect.json.JsonConverter"
        return {
            "bootstrap.servers": self.bootstrap,
            "group.id": "omero-mq-connect",
            "listeners": self.url,
            "rest.advertised.host.name": "127.0.0.1",
            "plugin.path": str(self.jvm.home / "plugins"),
            "plugin.discovery": "service_load",
            "key.converter": json,
            "key.converter.schemas.enable": "false",
            "value.converter": json,
            "value.converter.schemas.enable": "false",
            "config.storage.topic": "omero-mq.connect.configs",
            "config.storage.replication.factor": copies,
            "offset.storage.topic": "omero-mq.connect.offsets",
            "offset.storage.replication.factor": copies,
            "offset.storage.partitions": "4",
            "status.storage.topic": "omero-mq.connect.status",
            "status.storage.replication.factor": copies,
            "status.storage.partitions": "2",
            # After a kill, so many seconds of rows at the most are read twice.
            "offset.flush.interval.ms": "1000",
            # For its own three topics: an answer comes as soon as a record is there; this is how often it asks when none is.
            "fetch.max.wait.ms": "5000",
            # A worker that was killed comes back itself; do not wait five minutes for its ghost.
            "scheduled.rebalance.max.delay.ms": "0",
            "session.timeout.ms": "4000",
            "heartbeat.interval.ms": "1000",
            "connector.client.config.override.policy": "All",
            "config.providers": "file",
            "config.providers.file.class": "org.apache.kafka.common.config.provider.FileConfigProvider",
            "config.providers.file.param.allowed.paths": str(self.directory.secrets),
        }
