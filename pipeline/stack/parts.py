"""Which processes and ports one installation on this machine has: plain values, worked out before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from pipeline.settings import StackSettings
from pipeline.stack import java
from pipeline.stack.addresses import Addresses
from pipeline.stack.connect import Connect
from pipeline.stack.directory import LEAST_FREE_BYTES, DataDirectory, Memory, write_atomically
from pipeline.stack.kafka import Kafka, Node, new_cluster_id
from pipeline.stack.ports import free_port, is_free, must_be_free
from pipeline.stack.postgres import Postgres
from pipeline.stack.process import Process

PARTS = ("postgres", "kafka", "connect")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What tests and benchmarks want otherwise.

    Attributes:
        parts: which of postgres, kafka and connect there are.
        brokers: 3 makes a cluster of three with replication factor 3.
        postgres: server settings on top of ours.
        kafka: broker properties on top of ours.
        least_free_bytes: refuse to start with less room on the disk [bytes].
    """

    parts: tuple[str, ...] = PARTS
    brokers: int = 1
    postgres: Mapping[str, str] = field(default_factory=dict)
    kafka: Mapping[str, str] = field(default_factory=dict)
    least_free_bytes: int = LEAST_FREE_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The parts of one data directory, with their ports settled."""

    settings: StackSettings
    directory: DataDirectory
    memory: Memory
    options: Options
    environment: Mapping[str, str]

    def addresses(self) -> Addresses:
        """Where everything is once it runs."""
        parts, ports = self.options.parts, self.memory.ports
        return Addresses(
            directory=str(self.directory.path),
            postgres_port=ports["postgres"] if "postgres" in parts else 0,
            superuser_password_file=str(self.directory.secrets / "postgres-superuser"),
            kafka_bootstrap=self._bootstrap() if "kafka" in parts else "",
            connect_url=f"http://127.0.0.1:{ports['connect']}" if "connect" in parts else "",
            secrets_directory=str(self.directory.secrets),
        )

    def processes(self) -> list[Process]:
        """PostgreSQL, the brokers and Kafka Connect, as far as they are wanted.

        Raises:
            Misconfigured: a program or a jar is missing or too old.
        """
        found: list[Process] = []
        if "postgres" in self.options.parts:
            found.append(
                Postgres(
                    directory=self.directory,
                    port=self.memory.ports["postgres"],
                    environment=self.environment,
                    extra=self.options.postgres,
                ).process()
            )
        if "kafka" in self.options.parts:
            home = Path(self.settings.jvm_directory).expanduser().resolve() if self.settings.jvm_directory else self.directory.jvm
            jvm = java.find(home=home, profile=self.settings.profile, environment=self.environment)
            brokers = self._brokers(jvm)
            found.extend(brokers)
            if "connect" in self.options.parts:
                found.append(self._connect(jvm, tuple(broker.name for broker in brokers)))
        return found

    def generated_settings(self) -> dict[str, dict[str, str | int]]:
        """What every other command needs to find this stack, with the passwords of our own roles; makes those once."""
        where = self.addresses()
        found: dict[str, dict[str, str | int]] = {"stack": {"data_directory": where.directory}}
        if where.postgres_port:
            database: dict[str, str | int] = {"host": where.postgres_host, "port": where.postgres_port}
            password = self.directory.secret("omero-mq")
            found["omero"] = {**database, "password": password}
            found["state"] = {**database, "password": password}
        if where.kafka_bootstrap:
            found["kafka"] = {"bootstrap": where.kafka_bootstrap}
        if where.connect_url:
            password = self.directory.secret("omero-cdc")
            properties = self.directory.secrets / "cdc.properties"
            write_atomically(properties, f"password={password}\n", mode=0o600)
            reference = f"${{file:{properties}:password}}"
            found["cdc"] = {"connect_url": where.connect_url, "password": password, "password_reference": reference}
        return found

    def _nodes(self) -> tuple[Node, ...]:
        names = ["kafka", *(f"kafka-{n}" for n in range(2, self.options.brokers + 1))]
        ports = self.memory.ports
        return tuple(
            Node(number=n, port=ports[name], controller_port=ports[f"{name}-controller"]) for n, name in enumerate(names, 1)
        )

    def _bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{node.port}" for node in self._nodes())

    def _brokers(self, jvm: java.Jvm) -> list[Process]:
        nodes = self._nodes()
        return [
            Kafka(
                name="kafka" if node.number == 1 else f"kafka-{node.number}",
                directory=self.directory.kafka / f"node-{node.number}",
                jvm=jvm,
                cluster=self.memory.cluster,
                node=node,
                nodes=nodes,
                environment=self.environment,
                extra=self.options.kafka,
            ).process()
            for node in nodes
        ]

    def _connect(self, jvm: java.Jvm, after: tuple[str, ...]) -> Process:
        return Connect(
            directory=self.directory,
            jvm=jvm,
            port=self.memory.ports["connect"],
            bootstrap=self._bootstrap(),
            after=after,
            copies=min(3, self.options.brokers),
            environment=self.environment,
        ).process()


def settle(settings: StackSettings, options: Options, remembered: Memory | None) -> Memory:
    """Ports: those asked for, else those of last time while they are free, else free ones.

    Raises:
        Misconfigured: a port that was asked for is taken.
    """
    asked = {"postgres": settings.postgres_port, "kafka": settings.kafka_port, "connect": settings.connect_port}
    others = [f"kafka-{n}{part}" for n in range(2, options.brokers + 1) for part in ("", "-controller")]
    before = remembered.ports if remembered else {}
    ports: dict[str, int] = {}
    for name in (*asked, "kafka-controller", *others):
        last = before.get(name, 0)
        if asked.get(name):
            must_be_free(asked[name], setting=f"stack.{name}_port")
            ports[name] = asked[name]
        elif last and is_free(last):
            ports[name] = last
        else:
            ports[name] = free_port(avoid=frozenset((*ports.values(), *before.values())))
            if last:
                log.warning("port.taken", part=name, port=last, now=ports[name])
    return Memory(cluster=remembered.cluster if remembered else new_cluster_id(), ports={**before, **ports})
