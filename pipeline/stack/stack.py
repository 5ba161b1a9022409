"""The real parts on this machine, under one supervisor: Kafka, PostgreSQL, Kafka Connect and our services."""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

import structlog

from pipeline.errors import Misconfigured, OmeroMqError
from pipeline.settings import Settings
from pipeline.stack import addresses as address_files
from pipeline.stack.addresses import Addresses
from pipeline.stack.directory import DataDirectory, chosen
from pipeline.stack.keeper import Condition, Keeper, StartFailed
from pipeline.stack.leftovers import Recorded, clean_up, record
from pipeline.stack.listener import Listener
from pipeline.stack.parts import PARTS, Options, Plan, settle
from pipeline.stack.process import Process, levels, with_needs

log = structlog.get_logger(__name__)


class Cancelled(OmeroMqError):
    """A start was given up because somebody asked for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """Something to do once at each start, after some parts are ready and before the services start; idempotent.

    Attributes:
        run: gets the addresses; blocks until done; raises OmeroMqError to stop the start.
    """

    name: str
    run: Callable[[Addresses], None]
    after: tuple[str, ...] = PARTS


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
        self.settings = settings.stack
        self._services = tuple(services)
        self._preparations = tuple(prepare)
        self._environment = environment
        self._options = options or Options()
        self._command = command
        self.directory: DataDirectory = chosen(settings.stack.data_directory)
        self._held = ExitStack()
        self._plan: Plan | None = None
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

    def start(self, *names: str, cancelled: Callable[[], bool] = lambda: False) -> Addresses:
        """Starts these and what they need, or everything; returns when all of it is ready. Idempotent.

        Args:
            names: parts, preparations and services; none: all.
            cancelled: asked about once a second; True stops what was started.

        Raises:
            Cancelled: `cancelled` said so.
            Misconfigured: see the message and its `fix`; what was started is stopped again.
            StartFailed: a process ended or did not answer before it was ready.
        """
        try:
            self._open()
            wanted = with_needs(self._steps, names or [step.name for step in self._steps])
            self._start_steps([step for step in self._steps if step.name in wanted], cancelled)
        except BaseException:
            self.stop()
            raise
        self._changed()  # what `status` reads is true from here on
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
        if self._plan is not None:
            self._write_down([])
            self._plan = None
        self._held.close()

    # Questions

    def addresses(self) -> Addresses:
        """Where everything is."""
        return self._opened().addresses()

    def conditions(self) -> list[Condition]:
        """What each process does now, in start order."""
        return [self._keepers[step.name].condition for step in self._steps if step.name in self._keepers]

    def ready(self) -> list[str]:
        """Names of what is prepared or ready, in start order; may be asked during a start, from its `cancelled`."""
        done = self._prepared | {name for name, keeper in self._keepers.items() if keeper.condition.state == "ready"}
        return [step.name for step in self._steps if step.name in done]

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

    def _opened(self) -> Plan:
        if self._plan is None:
            raise Misconfigured(f"nothing was started in {self.directory.path}", fix="start it first")
        return self._plan

    def _open(self) -> None:
        """Takes the directory, cleans up after a killed supervisor, settles the ports, works out what to start."""
        if self._plan is not None:
            return
        self.directory.prepare(least_free_bytes=self._options.least_free_bytes)
        self._held.enter_context(self.directory.locked(command=self._command))
        clean_up(self.directory)
        memory = settle(self.settings, self._options, self.directory.remembered())
        self.directory.remember(memory)
        self._plan = Plan(
            settings=self.settings,
            directory=self.directory,
            memory=memory,
            options=self._options,
            environment=self._environment,
        )
        parts = self._plan.processes()
        names = tuple(part.name for part in parts)
        known = {*names, *(one.name for one in self._preparations)}
        preparations = [replace(one, after=tuple(need for need in one.after if need in known)) for one in self._preparations]
        before = (*names, *(one.name for one in preparations))
        services = [replace(one, after=(*before, *one.after)) for one in self._services]
        self._steps = [*parts, *preparations, *services]
        levels(self._steps)
        self._listener = Listener(self._hear)
        address_files.write(self.directory, self._plan.addresses(), self._plan.generated_settings())

    def _start_steps(self, steps: list[Process | Preparation], cancelled: Callable[[], bool]) -> None:
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
                if cancelled():
                    raise Cancelled("the start was cancelled")
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
            if keeper.is_overdue:
                words = keeper.condition.status or "nothing"
                raise StartFailed(f"{keeper.process.name} does not become ready; it says: {words}", fix=f"read {keeper.log_path}")
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
            self._keepers[process.name].up()  # taken down before
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
        with self._recording:
            self._write_down([_recorded(keeper) for keeper in tuple(self._keepers.values())])
        self._events.put(None)

    def _write_down(self, processes: list[Recorded]) -> None:
        try:
            record(self.directory, processes)
        except OSError as error:
            # A full disk must not end the supervision of what still runs, nor an ordered stop.
            log.warning("stack.not_recorded", error=str(error), file=str(self.directory.processes_file))


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
