"""Timers that may be late: asked of the kernel for one thread, and inherited by what it starts."""

from __future__ import annotations

import ctypes
import threading

from pipeline.stack import timerslack

GET_TIMERSLACK = 30


def slack_ns() -> int:
    return ctypes.CDLL(None).prctl(GET_TIMERSLACK, 0, 0, 0, 0)


def test_timers_of_one_thread_are_relaxed_and_those_of_the_others_are_not():
    before, seen = slack_ns(), []

    def relaxed():
        timerslack.allow(2000)
        heir = threading.Thread(target=lambda: seen.append(slack_ns()))
        heir.start()
        heir.join()
        seen.append(slack_ns())

    thread = threading.Thread(target=relaxed)
    thread.start()
    thread.join()
    assert seen == [2_000_000, 2_000_000]
    assert slack_ns() == before
