"""Waits for what becomes true by itself."""

import time

from pipeline.errors import DependencyDown


def until(holds, *, within_s=60.0, what="it"):
    """The first true value of a function that is asked again and again."""
    deadline = time.monotonic() + within_s
    while not (value := holds()):
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s:.0f} s"
        time.sleep(0.1)
    return value


def patiently(ask, *, within_s=60.0):
    """The answer of a Kafka that may still be choosing leaders and coordinators."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return ask()
        except DependencyDown:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
