"""Asks the supervisor of a data directory, from another process: does it run, what does it run, stop it."""

from __future__ import annotations

import signal
from dataclasses import dataclass

import msgspec

from pipeline.stack.directory import DataDirectory, Holder
from pipeline.stack.identity import Identity, end, is_alive
from pipeline.stack.leftovers import Recorded, clean_up, recorded

_GRACE_S = 90.0  # longer than all graces of one ordered stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """The supervisor of a data directory and its processes, in start order."""

    holder: Holder
    processes: tuple[Recorded, ...]


def running(directory: DataDirectory) -> Running | None:
    """What runs in a data directory; None when no supervisor does."""
    holder = directory.holder()
    return Running(holder=holder, processes=tuple(map(_as_it_is, recorded(directory)))) if holder else None


def _as_it_is(one: Recorded) -> Recorded:
    """What was written down, held against the process table: on a full disk the supervisor cannot write down what it sees."""
    if one.state != "ready" or is_alive(Identity(pid=one.pid, start=one.start, boot=one.boot)):
        return one
    return msgspec.structs.replace(one, state="gone", error="it ended, and nobody could write that down: is the disk full?")


def stop_running(directory: DataDirectory, *, grace_s: float = _GRACE_S) -> bool:
    """Ends the supervisor of a data directory, which ends its processes in order; blocks until they are gone.

    Also ends what a killed supervisor left behind. Idempotent.

    Returns:
        Whether anything ran.
    """
    holder = directory.holder()
    found = end(holder.who, ask=signal.SIGTERM, grace_s=grace_s) if holder else False
    if not directory.lock_file.exists():
        return found
    with directory.locked(command="omero-mq down"):
        return bool(clean_up(directory)) or found
