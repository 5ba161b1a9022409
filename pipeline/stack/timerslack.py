"""Lets the timers of a process that only waits fire a little late, so that waiting costs less."""

from __future__ import annotations

import ctypes
import sys

import structlog

_PR_SET_TIMERSLACK = 29

log = structlog.get_logger(__name__)


def allow(slack_us: int) -> None:
    """Lets timed waits of this thread, and of every process that it starts from now on, end so much later [us].

    Whatever arrives still wakes at once; only time-outs are late. The kernel's own default is 50 us. A system that refuses is
    left as it is: nothing but the cost of waiting depends on it.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(slack_us * 1000), 0, 0, 0) != 0:
        log.debug("timers.not_relaxed", errno=ctypes.get_errno())
