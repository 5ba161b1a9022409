"""Keeps one process running: starts it, sees that it becomes ready, kills it when it is silent, restarts it, stops it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import structlog

from pipeline.errors import OmeroMqError
from pipeline.stack import logs, timerslack
from pipeline.stack.backoff import Backoff
from pipeline.stack.identity import Identity, identity
from pipeline.stack.process import Process

State = Literal["down", "starting", "ready", "stopping", "waiting"]

_ROTATE_EVERY_S = 60.0
_PROBE_EVERY_S = 0.05
_ABORT_GRACE_S = 2.0  # after SIGABRT, in which a Python process writes its stacks into the log

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What one process does now.

    Attributes:
        state: ``waiting`` is the pause before a restart.
        who: the running process, if any.
        restarts: starts after the first one.
        status: its own last ``STATUS=``.
        error: why the last start failed or the last run ended; "" while all is well.
    """

    name: str
    state: State
    who: Identity | None
    restarts: int
    status: str
    error: str


class StartFailed(OmeroMqError):
    """A process ended, or did not answer in time, before it was ready for the first time."""


class Keeper:
    """One process under supervision, with a thread of its own.

    The thread starts the child and outlives it, because the kernel's parent-death signal follows the thread that
    forked, not the process. Every method may be called from any thread.
    """

    def __init__(self, process: Process, *, log_path: Path, notify_address: str, changed: Callable[[], None]) -> None:
        self.process = process
        self.log_path = log_path
        self._notify_address = notify_address
        self._changed = changed
        self._lock = threading.Condition()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._wanted = self._closing = self._hard = False
        self._state: State = "down"
        self._child: subprocess.Popen[bytes] | None = None
        self._who: Identity | None = None
        self._starts = 0
        self._status = self._killed_because = ""
        self._error: OmeroMqError | None = None
        self._heard_at = self._spawned_at = 0.0
        self._said_ready = False
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name=f"keep-{process.name}", daemon=True)
        self._thread.start()

    # Commands

    def up(self) -> None:
        """Wants it running; returns at once."""
        with self._lock:
            self._wanted, self._hard, self._error = True, False, None
            self._backoff = Backoff()
            self._lock.notify_all()

    def down(self, *, kill: bool = False) -> None:
        """Wants it ended, by its stop signal or by SIGKILL; returns at once."""
        with self._lock:
            self._wanted, self._hard = False, kill
            self._lock.notify_all()
        self._poke()

    def signal(self, signum: signal.Signals) -> None:
        """Sends a signal to the running process; it is restarted when it ends of that."""
        with self._lock:
            if self._child is not None:
                self._child.send_signal(signum)

    def close(self) -> None:
        """Ends it, and the thread; blocks until both are gone."""
        with self._lock:
            self._closing = True
        self.down(kill=self._hard)
        self._thread.join()
        with self._lock:
            os.close(self._wake)
            self._wake = -1

    # Questions

    @property
    def condition(self) -> Condition:
        """What it does now."""
        with self._lock:
            error = str(self._error) if self._error else ""
            restarts = max(0, self._starts - 1)
            return Condition(
                name=self.process.name, state=self._state, who=self._who, restarts=restarts, status=self._status, error=error
            )

    @property
    def error(self) -> OmeroMqError | None:
        """Why the last start failed or the last run ended."""
        with self._lock:
            return self._error

    @property
    def is_overdue(self) -> bool:
        """Whether it has been starting for longer than a first start may take; then `condition.status` may say why."""
        with self._lock:
            # A little more than the time after which it is killed for silence, which explains more.
            late_s = time.monotonic() - self._spawned_at - self.process.ready_within_s
            return self._state == "starting" and self._child is not None and late_s > 3.0  # noqa: PLR2004

    def wait_for(self, state: State, timeout_s: float) -> bool:
        """Blocks until it is in that state, at the most so long [s]; returns whether it is."""
        with self._lock:
            return self._lock.wait_for(lambda: self._state == state, timeout_s)

    def heard(self, fields: Mapping[str, str]) -> None:
        """Takes one notify datagram of the process."""
        with self._lock:
            self._heard_at = time.monotonic()
            self._said_ready = self._said_ready or fields.get("READY") == "1"
            changed = fields.get("STATUS", self._status) != self._status
            self._status = fields.get("STATUS", self._status)
        if "READY" in fields:
            self._poke()
        if changed:
            self._changed()

    def _poke(self) -> None:
        """Wakes the thread; a word that comes after `close` wakes nobody."""
        with self._lock:
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    # The thread

    def _run(self) -> None:
        while True:
            with self._lock:
                self._lock.wait_for(lambda: self._wanted or self._closing)
                if self._closing:
                    return
            try:
                self._one_life()
            except Exception as error:
                # A mistake of ours, or the system's: never a child that runs on with nobody watching.
                log.exception("process.unwatched", process=self.process.name)
                self._abandon(error)
            if self._backoff.wait_s and self._wanted:
                self._set("waiting")
                with self._lock:
                    self._lock.wait_for(lambda: not self._wanted or not self._backoff.failures, self._backoff.wait_s)
            if not self._wanted:
                self._set("down")

    def _one_life(self) -> None:
        """From before the start until the end of one child."""
        begin = self.log_path.stat().st_size if self.log_path.exists() else 0
        try:
            if self.process.make is not None:
                self._set("starting")
                self.process.make()
            child = self._spawn()
        except OmeroMqError as error:
            self._failed(error, 0.0)
            return
        except OSError as error:
            self._failed(StartFailed(f"{self.process.name} could not be started: {error}"), 0.0)
            return
        ready_at = self._watch(child)
        status = child.wait()
        with self._lock:
            self._child = self._who = None
            asked = not self._wanted
        if asked:
            log.info("process.stopped", process=self.process.name, exit_status=status)
            return
        ready_for_s = time.monotonic() - ready_at if ready_at else 0.0
        what = self._killed_because or ("ended" if ready_at else "ended before it was ready")
        last = logs.tail(self.log_path, from_byte=begin)
        message = f"{self.process.name} {what} ({_ended_by(status)}); its last lines were:\n{last}"
        self._failed(StartFailed(message, fix=f"read {self.log_path}"), ready_for_s)

    def _abandon(self, error: Exception) -> None:
        with self._lock:
            child, self._child, self._who = self._child, None, None
        if child is not None:
            child.kill()
            child.wait()
        self._failed(StartFailed(f"{self.process.name} could not be watched: {error!r}", fix=f"read {self.log_path}"), 0.0)

    def _failed(self, error: OmeroMqError, ready_for_s: float) -> None:
        with self._lock:
            self._error = error
            self._backoff = self._backoff.after(ready_for_s)
        log.warning("process.ended", process=self.process.name, error=str(error), next_start_in_s=self._backoff.wait_s)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Starts the child: own session (Ctrl-C is ours to hand on), told to end when this thread dies."""
        process = self.process
        environment = dict(process.environment)
        if process.probe is None:
            environment["NOTIFY_SOCKET"] = self._notify_address
        if process.watchdog_s:
            environment["WATCHDOG_USEC"] = str(int(process.watchdog_s * 1_000_000))
        setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
        prefix = (setpriv, "--pdeathsig", process.stop_signal.name.removeprefix("SIG"), "--") if setpriv else ()
        identity_of_user = {"user": process.user, "group": process.user, "extra_groups": []} if process.user else {}
        output = logs.open_for_child(self.log_path)
        timerslack.allow(process.timer_slack_us)  # inherited by the child
        try:
            # The lock is held until the pid is known: a READY=1 that comes first waits for it in `condition`.
            with self._lock:
                self._said_ready, self._heard_at = False, time.monotonic()
                self._spawned_at = self._heard_at
                self._status = self._killed_because = ""
                child = subprocess.Popen(
                    (*prefix, *process.argv),
                    cwd=process.directory,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    **identity_of_user,  # type: ignore[call-overload]
                )
                self._child, self._who = child, identity(child.pid)
                self._starts += 1
        finally:
            os.close(output)
        log.info("process.started", process=process.name, pid=child.pid)
        self._set("starting")
        return child  # type: ignore[no-any-return]

    def _watch(self, child: subprocess.Popen[bytes]) -> float:
        """Blocks until the child has ended; returns when it became ready (monotonic) [s], 0.0 for never."""
        handle = os.pidfd_open(child.pid)
        poller = select.poll()
        poller.register(handle, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        started_at, ready_at, asked_at = time.monotonic(), 0.0, 0.0
        try:
            while True:
                woken = {fd for fd, _ in poller.poll(self._pause_s(ready_at=ready_at, asked_at=asked_at) * 1000)}
                if self._wake in woken:
                    os.eventfd_read(self._wake)
                if handle in woken:
                    return ready_at
                now = time.monotonic()
                if not self._wanted:
                    asked_at = self._ask(child, asked_at, now)
                    continue
                if not ready_at and self._answers():
                    ready_at = time.monotonic()
                    self._set("ready")
                self._judge(child, ready_at=ready_at, started_at=started_at, now=time.monotonic())
                self._rotate_log()
        finally:
            os.close(handle)

    def _pause_s(self, *, ready_at: float, asked_at: float) -> float:
        if asked_at or not self._wanted:
            return 0.0 if not asked_at else 0.1
        if not ready_at:
            return _PROBE_EVERY_S if self.process.probe else min(1.0, self.process.ready_within_s)
        if self.process.watchdog_s:
            return max(0.05, self._heard_at + self.process.watchdog_s - time.monotonic())
        return _ROTATE_EVERY_S

    def _answers(self) -> bool:
        return self._said_ready if self.process.probe is None else self.process.probe()

    def _ask(self, child: subprocess.Popen[bytes], asked_at: float, now: float) -> float:
        """Asks the child to end, and kills it when its grace is over; returns when it was asked (monotonic) [s]."""
        if self._hard or (asked_at and now - asked_at > self.process.grace_s):
            child.kill()
            return asked_at or now
        if not asked_at:
            self._set("stopping")
            child.send_signal(self.process.stop_signal)
            child.send_signal(signal.SIGCONT)  # one that is frozen can end only when it runs
            return now
        return asked_at

    def _judge(self, child: subprocess.Popen[bytes], *, ready_at: float, started_at: float, now: float) -> None:
        """Kills a child that did not become ready in time or has been silent for too long."""
        silent_s = now - self._heard_at
        if ready_at and self.process.watchdog_s and silent_s > self.process.watchdog_s:
            self._killed_because = f"said nothing for {silent_s:.1f} s and was killed"
            log.error("process.silent", process=self.process.name, pid=child.pid, silent_s=round(silent_s, 1))
            child.send_signal(signal.SIGABRT)
            try:
                child.wait(_ABORT_GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()
        elif not ready_at and min(silent_s, now - started_at) > self.process.ready_within_s:
            # One that waits for a dependency and says so is not stuck: it waits in place, however long that takes.
            self._killed_because = f"was not ready after {self.process.ready_within_s:g} s and was killed"
            log.error("process.not_ready", process=self.process.name, pid=child.pid, after_s=self.process.ready_within_s)
            child.kill()

    def _rotate_log(self) -> None:
        try:
            logs.rotate(self.log_path)
        except OSError as error:
            log.warning("log.not_rotated", file=str(self.log_path), error=str(error))

    def _set(self, state: State) -> None:
        with self._lock:
            self._state = state
            if state == "ready":
                self._error = None
            self._lock.notify_all()
        self._changed()


def _ended_by(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
