"""The real parts on this machine, under one supervisor: Kafka, PostgreSQL, Kafka Connect and our services."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import structlog

from pipeline.errors import Misconfigured
from pipeline.settings import Settings
from pipeline.stack import addresses as address_files
from pipeline.stack import java
from pipeline.stack.addresses import Addresses
from pipeline.stack.connect import Connect
from pipeline.stack.directory import LEAST_FREE_BYTES, DataDirectory, Memory, chosen, write_atomically
from pipeline.stack.kafka import Kafka, Node, new_cluster_id
from pipeline.stack.keeper import Condition, Keeper, StartFailed
from pipeline.stack.leftovers import Recorded, clean_up, record
from pipeline.stack.listener import Listener
from pipeline.stack.ports import free_port, is_free, must_be_free
from pipeline.stack.postgres import Postgres
from pipeline.stack.process import Process, levels, with_needs

PARTS = ("postgres", "kafka", "connect")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """Something to do once at each start, after some parts are ready and before the services start; idempotent.

    Attributes:
        run: gets the addresses; blocks until done; raises OmeroMqError to stop the start.
    """

    name: str
    run: Callable[[Addresses], None]
    after: tuple[str, ...] = PARTS


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


class Stack:
    """Starts, watches and stops everything below one data directory; a context manager that stops at its end.

    Args:
        settings: `stack` says where and how; everything else is only handed on.
        services: processes of ours; each starts after all parts and preparations are ready.
        prepare: see `Preparation`.
        environment: of this process; PATH and JAVA_HOME are looked at.
        command: how this supervisor was started, for whoever finds the directory locked.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        services: Sequence[Process] = (),
        prepare: Sequence[Preparation] = (),
        environment: Mapping[str, str],
        options: Options | None = None,
        command: str = "omero-mq up",
    ) -> None:
        self._settings = settings
        self._services = tuple(services)
        self._preparations = tuple(prepare)
        self._environment = environment
        self._options = options or Options()
        self._command = command
        self.directory: DataDirectory = chosen(settings.stack.data_directory)
        self._held = ExitStack()
        self._memory: Memory | None = None
        self._steps: list[Process | Preparation] = []
        self._keepers: dict[str, Keeper] = {}
        self._listener: Listener | None = None
        self._prepared: set[str] = set()
        self._recording = threading.Lock()
        self._events: queue.SimpleQueue[None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Start and stop

    def start(self, *names: str) -> Addresses:
        """Starts these and what they need, or everything; returns when all of it is ready. Idempotent.

        Raises:
            Misconfigured: see the message and its `fix`; what was started is stopped again.
            StartFailed: a process ended or did not answer before it was ready.
        """
        try:
            self._open()
            wanted = with_needs(self._steps, names or [step.name for step in self._steps])
            self._start_steps([step for step in self._steps if step.name in wanted])
        except BaseException:
            self.stop()
            raise
        log.info("stack.ready", directory=str(self.directory.path))
        return self.addresses()

    def stop(self) -> None:
        """Ends services, then Kafka Connect, Kafka and PostgreSQL, each asked first; lets the directory go. Idempotent."""
        for level in reversed(levels(self._steps)) if self._keepers else ():
            keepers = [self._keepers.pop(name) for name in level if name in self._keepers]
            for keeper in keepers:
                keeper.down()
            for keeper in keepers:
                keeper.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._prepared.clear()
        if self._memory is not None:
            record(self.directory, [])
            self._memory = None
        self._held.close()

    # Questions

    def addresses(self) -> Addresses:
        """Where everything is."""
        ports = self._open_memory().ports
        parts = self._options.parts
        return Addresses(
            directory=str(self.directory.path),
            postgres_port=ports["postgres"] if "postgres" in parts else 0,
            superuser_password_file=str(self.directory.secrets / "postgres-superuser"),
            kafka_bootstrap=",".join(f"127.0.0.1:{node.port}" for node in self._nodes()) if "kafka" in parts else "",
            connect_url=f"http://127.0.0.1:{ports['connect']}" if "connect" in parts else "",
            secrets_directory=str(self.directory.secrets),
        )

    def conditions(self) -> list[Condition]:
        """What each process does now, in start order."""
        return [self._keepers[step.name].condition for step in self._steps if step.name in self._keepers]

    def pid(self, name: str) -> int:
        """The process's id now; 0 while none runs."""
        who = self._keeper(name).condition.who
        return who.pid if who else 0

    def wait_ready(self, name: str, timeout_s: float = 60.0) -> None:
        """Blocks until that process is ready.

        Raises:
            StartFailed: it is not, after so long.
        """
        keeper = self._keeper(name)
        if not keeper.wait_for("ready", timeout_s):
            raise StartFailed(f"{name} is not ready after {timeout_s} s: {keeper.condition}", fix=f"read {keeper.log_path}")

    # Disturbances, for tests and for people

    def kill(self, name: str) -> None:
        """Sends SIGKILL; the supervisor starts it again."""
        self._keeper(name).signal(signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """SIGTERM from outside, as a person would send it; the supervisor starts it again."""
        self._keeper(name).signal(signal.SIGTERM)

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self._keeper(name).signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self._keeper(name).signal(signal.SIGCONT)

    def take_down(self, name: str, *, kill: bool = False) -> None:
        """Ends it and keeps it down until `bring_up`; blocks until it is gone."""
        keeper = self._keeper(name)
        keeper.down(kill=kill)
        keeper.wait_for("down", keeper.process.grace_s + 10.0)

    def bring_up(self, name: str) -> None:
        """Starts what `take_down` ended; blocks until it is ready."""
        self._keeper(name).up()
        self.wait_ready(name)

    def restart(self, name: str) -> None:
        """Ends it cleanly and starts it again; blocks until it is ready."""
        self.take_down(name)
        self.bring_up(name)

    # Inside

    def _keeper(self, name: str) -> Keeper:
        if name not in self._keepers:
            raise Misconfigured(f"{name} is not running here", fix=f"running are: {', '.join(self._keepers) or 'none'}")
        return self._keepers[name]

    def _open_memory(self) -> Memory:
        if self._memory is None:
            raise Misconfigured(f"nothing was started in {self.directory.path}", fix="start it first")
        return self._memory

    def _open(self) -> None:
        """Takes the directory, cleans up after a killed supervisor, settles the ports, works out what to start."""
        if self._memory is not None:
            return
        self.directory.prepare(least_free_bytes=self._options.least_free_bytes)
        self._held.enter_context(self.directory.locked(command=self._command))
        clean_up(self.directory)
        self._memory = self._settle(self.directory.remembered())
        self.directory.remember(self._memory)
        parts = self._parts()
        names = tuple(part.name for part in parts)
        preparations = [replace(one, after=tuple(need for need in one.after if need in names)) for one in self._preparations]
        before = (*names, *(one.name for one in preparations))
        services = [replace(one, after=(*before, *one.after), directory=self.directory.path) for one in self._services]
        self._steps = [*parts, *preparations, *services]
        levels(self._steps)
        self._listener = Listener(self._hear)
        address_files.write(self.directory, self.addresses(), self._generated_settings())

    def _settle(self, remembered: Memory | None) -> Memory:
        """Ports: those asked for, else those of last time if they are still free, else free ones."""
        stack = self._settings.stack
        asked = {"postgres": stack.postgres_port, "kafka": stack.kafka_port, "connect": stack.connect_port}
        brokers = range(2, self._options.brokers + 1)
        names = [*asked, "kafka-controller", *(f"kafka-{n}{part}" for n in brokers for part in ("", "-controller"))]
        before = remembered.ports if remembered else {}
        ports: dict[str, int] = {}
        for name in names:
            if asked.get(name):
                must_be_free(asked[name], setting=f"stack.{name}_port")
                ports[name] = asked[name]
                continue
            last = before.get(name, 0)
            if last and is_free(last):
                ports[name] = last
                continue
            ports[name] = free_port(avoid=frozenset(ports.values()))
            if last:
                log.warning("port.taken", part=name, port=last, now=ports[name])
        return Memory(cluster=remembered.cluster if remembered else new_cluster_id(), ports={**before, **ports})

    def _nodes(self) -> tuple[Node, ...]:
        ports = self._open_memory().ports
        first = Node(number=1, port=ports["kafka"], controller_port=ports["kafka-controller"])
        others = (
            Node(number=n, port=ports[f"kafka-{n}"], controller_port=ports[f"kafka-{n}-controller"])
            for n in range(2, self._options.brokers + 1)
        )
        return (first, *others)

    def _parts(self) -> list[Process]:
        stack, parts, memory = self._settings.stack, self._options.parts, self._open_memory()
        found: list[Process] = []
        if "postgres" in parts:
            found.append(self._postgres().process())
        if "kafka" not in parts:
            return found
        home = Path(stack.jvm_directory).expanduser().resolve() if stack.jvm_directory else self.directory.jvm
        jvm = java.find(home=home, profile=stack.profile, environment=self._environment)
        nodes = self._nodes()
        brokers = [
            Kafka(
                name="kafka" if node.number == 1 else f"kafka-{node.number}",
                directory=self.directory.kafka / f"node-{node.number}",
                jvm=jvm,
                cluster=memory.cluster,
                node=node,
                nodes=nodes,
                environment=self._environment,
                extra=self._options.kafka,
            ).process()
            for node in nodes
        ]
        found.extend(brokers)
        if "connect" in parts:
            connect = Connect(
                directory=self.directory,
                jvm=jvm,
                port=memory.ports["connect"],
                bootstrap=",".join(f"127.0.0.1:{node.port}" for node in nodes),
                after=tuple(broker.name for broker in brokers),
                copies=min(3, len(nodes)),
                environment=self._environment,
            )
            found.append(connect.process())
        return found

    def _postgres(self) -> Postgres:
        return Postgres(
            directory=self.directory,
            port=self._open_memory().ports["postgres"],
            environment=self._environment,
            extra=self._options.postgres,
        )

    def _generated_settings(self) -> dict[str, dict[str, str | int]]:
        """What every other command needs to find this stack, with the passwords of our own roles."""
        where = self.addresses()
        database: dict[str, str | int] = {"host": where.postgres_host, "port": where.postgres_port}
        omero_mq = self.directory.secret("omero-mq")
        found: dict[str, dict[str, str | int]] = {"stack": {"data_directory": where.directory}}
        if where.postgres_port:
            found["omero"] = {**database, "password": omero_mq}
            found["state"] = {**database, "password": omero_mq}
        if where.kafka_bootstrap:
            found["kafka"] = {"bootstrap": where.kafka_bootstrap}
        if where.connect_url:
            cdc = self.directory.secret("omero-cdc")
            properties = self.directory.secrets / "cdc.properties"
            write_atomically(properties, f"password={cdc}\n", mode=0o600)
            reference = f"${{file:{properties}:password}}"
            found["cdc"] = {"connect_url": where.connect_url, "password": cdc, "password_reference": reference}
        return found

    def _start_steps(self, steps: list[Process | Preparation]) -> None:
        """Starts each step as soon as all that it needs is ready."""
        waiting = list(steps)
        running: dict[str, Future[None]] = {}
        with ThreadPoolExecutor(thread_name_prefix="prepare") as pool:
            while True:
                done = self._done(running)
                for step in [one for one in waiting if set(one.after) <= done]:
                    waiting.remove(step)
                    if isinstance(step, Preparation):
                        if step.name not in self._prepared:
                            running[step.name] = pool.submit(step.run, self.addresses())
                            running[step.name].add_done_callback(lambda _: self._events.put(None))
                    else:
                        self._keep(step)
                if {step.name for step in steps} <= done:
                    return
                self._wait_for_event()

    def _done(self, running: dict[str, Future[None]]) -> set[str]:
        """Names of what is ready; raises what made something fail."""
        for name, future in running.items():
            if future.done():
                future.result()
                self._prepared.add(name)
        for keeper in self._keepers.values():
            error = keeper.error
            if error is not None and keeper.condition.state == "waiting":
                raise error
        return self._prepared | {name for name, keeper in self._keepers.items() if keeper.condition.state == "ready"}

    def _wait_for_event(self) -> None:
        try:
            self._events.get(timeout=1.0)
            while True:
                self._events.get_nowait()
        except queue.Empty:
            return

    def _keep(self, process: Process) -> None:
        if process.name in self._keepers:
            return
        keeper = Keeper(
            process,
            log_path=self.directory.logs / f"{process.name}.log",
            notify_address=self._listener.address if self._listener else "",
            changed=self._changed,
        )
        self._keepers[process.name] = keeper
        keeper.up()

    def _hear(self, pid: int, fields: Mapping[str, str]) -> None:
        for keeper in tuple(self._keepers.values()):
            who = keeper.condition.who
            if who is not None and who.pid == pid:
                keeper.heard(fields)

    def _changed(self) -> None:
        """Writes down who runs, for `status` and for a supervisor that comes after a kill."""
        try:
            with self._recording:
                record(self.directory, [_recorded(keeper) for keeper in tuple(self._keepers.values())])
        except OSError as error:
            # A full disk must not end the supervision of what still runs.
            log.warning("stack.not_recorded", error=str(error), file=str(self.directory.processes_file))
        self._events.put(None)


def _recorded(keeper: Keeper) -> Recorded:
    now = keeper.condition
    return Recorded(
        name=now.name,
        state=now.state,
        pid=now.who.pid if now.who else 0,
        start=now.who.start if now.who else 0,
        boot=now.who.boot if now.who else "",
        stop_signal=keeper.process.stop_signal,
        restarts=now.restarts,
        status=now.status,
        error=now.error,
    )
