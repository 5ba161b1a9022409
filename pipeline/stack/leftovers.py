"""What a supervisor that was killed left running: found by the pids and start times that it wrote down, and ended."""

from __future__ import annotations

import signal

import msgspec
import structlog

from pipeline.stack.directory import DataDirectory, write_atomically
from pipeline.stack.identity import Identity, end, identity, send

log = structlog.get_logger(__name__)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One line of ``processes.json``: for `status`, and for the supervisor that comes after a kill.

    Attributes:
        state: down, starting, ready, stopping, or waiting (for the pause before a restart).
        pid, start, boot: the process; 0 and "" when none runs.
        stop_signal: how to ask it to end.
        restarts: starts after the first.
        status: its own words.
        error: why it last ended; "" while all is well.
    """

    name: str
    state: str
    pid: int = 0
    start: int = 0
    boot: str = ""
    stop_signal: int = signal.SIGTERM
    restarts: int = 0
    status: str = ""
    error: str = ""


def recorded(directory: DataDirectory) -> list[Recorded]:
    """The supervised processes as last written down, in start order."""
    try:
        return msgspec.json.decode(directory.processes_file.read_bytes(), type=list[Recorded])
    except (FileNotFoundError, msgspec.MsgspecError):
        return []


def record(directory: DataDirectory, processes: list[Recorded]) -> None:
    """Writes them down."""
    write_atomically(directory.processes_file, msgspec.json.format(msgspec.json.encode(processes)).decode() + "\n", mode=0o644)


def clean_up(directory: DataDirectory, *, grace_s: float = 8.0) -> list[str]:
    """Ends what still runs from an earlier supervisor; the caller holds the lock. Returns the names of what was there.

    The kernel has already asked each of them to end when the supervisor died; a frozen or slow one is killed here.
    Adopting them instead would mean processes whose exit nobody is told of.
    """
    found = []
    left = [(one, Identity(pid=one.pid, start=one.start, boot=one.boot)) for one in recorded(directory) if one.pid]
    for _, who in left:
        send(who, signal.SIGCONT)  # those that wait for a frozen one could not end either
    for one, who in reversed(left):
        if end(who, ask=signal.Signals(one.stop_signal), grace_s=grace_s):
            log.warning("process.left_over", process=one.name, pid=one.pid)
            found.append(one.name)
    if _end_postmaster(directory, grace_s=grace_s):
        found.append("postgres")
    record(directory, [])
    return found


def _end_postmaster(directory: DataDirectory, *, grace_s: float) -> bool:
    """Ends a PostgreSQL that runs on our data without being written down (killed between its start and our note)."""
    try:
        pid = int((directory.postgres / "data" / "postmaster.pid").read_text(encoding="ascii").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return False
    who = identity(pid)
    if who is None or not _runs_on(pid, str(directory.postgres / "data")):
        return False
    return end(who, ask=signal.SIGINT, grace_s=grace_s)


def _runs_on(pid: int, data: str) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123  # a kernel file, not a path of ours
            return data.encode() in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False
