"""Who a process id belongs to: a pid alone is reused, together with its start time and this boot it is not."""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """One process, for as long as the machine runs.

    Attributes:
        pid: process id.
        start: start time in clock ticks since boot, from /proc.
        boot: the kernel's id of this boot.
    """

    pid: int
    start: int
    boot: str


def identity(pid: int) -> Identity | None:
    """The process that has this id now; None when there is none (a zombie counts as none)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name stands in parentheses and may hold anything, so count from the last one.
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        return None
    return Identity(pid=pid, start=int(fields[19]), boot=boot)


def is_alive(who: Identity) -> bool:
    """Whether exactly this process still runs."""
    return identity(who.pid) == who


def send(who: Identity, signum: signal.Signals) -> bool:
    """Sends a signal to exactly this process; returns whether it was there."""
    handle = _handle(who)
    if handle is None:
        return False
    try:
        _send(handle, signum)
    finally:
        os.close(handle)
    return True


def end(who: Identity, *, ask: signal.Signals, grace_s: float) -> bool:
    """Ends exactly this process: asks, waits, kills. Blocks up to the grace plus a few seconds.

    Returns:
        Whether it was there at all.
    """
    handle = _handle(who)
    if handle is None:
        return False
    try:
        _send(handle, ask)
        _send(handle, signal.SIGCONT)  # one that was frozen can only end when it runs
        if not _ended(handle, grace_s):
            _send(handle, signal.SIGKILL)
            _ended(handle, 5.0)
    finally:
        os.close(handle)
    return True


def _handle(who: Identity) -> int | None:
    """A handle on exactly this process; None when it is gone."""
    try:
        handle = os.pidfd_open(who.pid)
    except ProcessLookupError:
        return None
    # Only now is the pid pinned: compare after the handle is open, or a reused pid could be killed.
    if is_alive(who):
        return handle
    os.close(handle)
    return None


def _send(handle: int, signum: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        return  # ended by itself in between, which is what we want


def _ended(handle: int, within_s: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    deadline = time.monotonic() + within_s
    while (left_s := deadline - time.monotonic()) > 0:
        if poller.poll(left_s * 1000):
            return True
    return False
