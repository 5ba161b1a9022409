"""The installation that `demo` and `try` play on: the one that runs here, or one that is started for them and stopped after."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.cli.call import Call
from pipeline.errors import Misconfigured
from pipeline.stack import addresses
from pipeline.stack.addresses import Addresses
from pipeline.stack.control import running
from pipeline.stack.directory import chosen
from pipeline.stack.install import SERVICES, Wish, installation
from pipeline.stack.stack import Stack

READY_WITHIN_S = 180.0
ASK_S = 0.2


class Progress:
    """Says which part became ready when; handed to `Stack.start` as ``cancelled``, which is asked at each change."""

    def __init__(self, call: Call, stack: Stack, stop: Callable[[], bool]) -> None:
        self._call = call
        self._stack = stack
        self._stop = stop
        self._begun = time.monotonic()
        self._told: set[str] = set()

    def __call__(self) -> bool:
        """Whether the start shall be given up."""
        for name in self._stack.ready():
            if name not in self._told:
                self._told.add(name)
                if self._call.verbose:
                    self._call.output.note(f"  {self.seconds:5.1f} s  {name} ready")
        return self._stop()

    @property
    def seconds(self) -> float:
        """Since the start [s]."""
        return time.monotonic() - self._begun


@contextmanager
def started(call: Call, wish: Wish, *, stop: Callable[[], bool]) -> Iterator[Addresses]:
    """Start everything, and stop it in order at the end.

    Raises:
        Cancelled: `stop` said so during the start.
        Misconfigured: see the message.
    """
    with installation(wish) as stack:
        call.output.note(f"starting PostgreSQL, Kafka, Kafka Connect and {', '.join(wish.services)} in {stack.directory.path}")
        progress = Progress(call, stack, stop)
        where = stack.start(cancelled=progress)
        progress()
        call.output.note(f"ready after {progress.seconds:.0f} s; logs are in {stack.directory.logs}")
        yield where
        call.output.note("stopping")
        begun = time.monotonic()
    call.output.note(f"stopped everything in {time.monotonic() - begun:.0f} s")


def already_running(call: Call, *, stop: Callable[[], bool]) -> Addresses | None:
    """Where the stack is that runs in this call's data directory, once its services are ready; None when none runs.

    Raises:
        Misconfigured: it has not our services, or they do not become ready.
    """
    directory = chosen(call.settings().stack.data_directory)
    deadline = time.monotonic() + READY_WITHIN_S
    while (found := running(directory)) is not None:
        states = {one.name: one.state for one in found.processes}
        if all(states.get(name) == "ready" for name in SERVICES):
            return addresses.load(directory.path)
        if stop() or time.monotonic() > deadline:
            late = ", ".join(f"{name} is {states.get(name, 'not there')}" for name in SERVICES)
            raise Misconfigured(
                f"{directory.path} is held by process {found.holder.who.pid} ({found.holder.command}), and {late}",
                fix=f"look into {directory.logs}, or stop that one: omero-mq down",
            )
        time.sleep(ASK_S)
    return None


def start_to_stay(call: Call, *, stop: Callable[[], bool]) -> Addresses:
    """Start `omero-mq up` as a process of its own, which outlives this one, and wait until it is ready.

    Raises:
        Misconfigured: it ended; says what it said.
    """
    directory = chosen(call.settings().stack.data_directory)
    directory.prepare()
    log = directory.logs / "up.log"
    call.output.note(f"starting everything in {directory.path}, to stay")
    with log.open("w", encoding="utf-8") as said:
        command = [sys.executable, "-m", "pipeline", "up", *given_options(call)]
        # Its own session: Ctrl-C here is not for it.
        process = subprocess.Popen(
            command, env=dict(call.environ), stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
    while process.poll() is None:
        if stop():
            process.terminate()
            process.wait()
        elif running(directory) is not None and (where := already_running(call, stop=stop)) is not None:
            return where
        time.sleep(ASK_S)
    last = " ".join(log.read_text(encoding="utf-8").split())[-300:]
    raise Misconfigured(f"`omero-mq up` ended with exit status {process.returncode}: {last}", fix=f"read {log}")


def given_options(call: Call) -> list[str]:
    """The options that make another `omero-mq` mean the same installation as this one."""
    file = call.sourced().file
    return [*([f"--config={file.resolve()}"] if file else []), *(f"--set={each}" for each in call.given.overrides)]


def our_command(call: Call, *, config: Path | None = None) -> list[str]:
    """The words that `omero-mq` begins with in a shell here, so that it finds this installation from any directory.

    Args:
        call: this call.
        config: a file of settings that says everything; None: the file and options that this call was given.
    """
    name = "omero-mq"
    beside = Path(sys.executable).parent / name
    words = [name] if shutil.which(name, path=call.environ.get("PATH", "")) else [str(beside)]
    if config is not None:
        return [*words, f"--config={config}"]
    sourced = call.sourced()
    given = given_options(call)
    for field in ("data_directory", "jvm_directory"):  # said by this shell's variables, and another shell may have none
        option = f"--set=stack.{field}="
        if sourced.sources[f"stack.{field}"].kind == "environment" and not any(each.startswith(option) for each in given):
            given.append(f"{option}{Path(getattr(sourced.settings.stack, field)).expanduser().resolve()}")
    return [*words, *given]


def shown(words: list[str]) -> str:
    """Words as they are typed into a shell."""
    return shlex.join(words)
