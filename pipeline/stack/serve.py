"""Runs a stack until a signal; `python -m pipeline.stack.serve DIR` runs the parts alone, for tests to share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from pipeline.errors import OmeroMqError
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings, StackSettings
from pipeline.stack.addresses import Addresses
from pipeline.stack.parts import PARTS, Options
from pipeline.stack.stack import Cancelled, Stack

# What is thrown away after the tests need not survive a power cut.
FOR_TESTS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


def serve(stack: Stack, *, stop: StopSignal, announce: Callable[[Addresses], None]) -> None:
    """Starts the stack, announces it, and stops it in order when the signal comes, also in the middle of the start.

    Raises:
        OmeroMqError: it could not be started; what had been started is stopped again.
    """
    with stack:
        try:
            where = stack.start(cancelled=lambda: stop.is_set)
        except Cancelled:
            return
        announce(where)
        while not stop.wait(3600.0):
            pass


def main(arguments: Sequence[str]) -> int:
    """PostgreSQL, Kafka and Kafka Connect without our services; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.stack.serve", description=__doc__)
    parser.add_argument("directory", help="data directory")
    parser.add_argument("--jvm", default="", help="directory with libs/ and plugins/; default: jvm in the data directory")
    parser.add_argument("--profile", default="small", choices=("small", "full"))
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated, default: %(default)s")
    given = parser.parse_args(arguments)
    where = StackSettings(data_directory=given.directory, profile=given.profile, jvm_directory=given.jvm)
    options = Options(parts=tuple(given.parts.split(",")), postgres=FOR_TESTS)
    stop = StopSignal()
    stop.install()
    stack = Stack(
        Settings(stack=where),
        environment={"PATH": "/usr/local/bin:/usr/bin:/bin"},
        options=options,
        command="python -m pipeline.stack.serve",
    )
    try:
        serve(stack, stop=stop, announce=lambda ready: print_line(f"ready: {ready}"))
    except OmeroMqError as error:
        print_line(f"{error}\n{error.fix}")
        return 1
    return 0


def print_line(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
