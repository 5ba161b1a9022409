"""Runs Kafka, PostgreSQL and Kafka Connect alone, until Ctrl-C: `python -m pipeline.stack.serve DIR`; tests can share them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence

from pipeline.errors import OmeroMqError
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings, StackSettings
from pipeline.stack.stack import PARTS, Options, Stack

# What is thrown away after the tests need not survive a power cut.
FOR_TESTS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Starts the parts, prints where they are, and waits; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.stack.serve", description=__doc__)
    parser.add_argument("directory", help="data directory")
    parser.add_argument("--jvm", default="", help="directory with libs/ and plugins/; default: jvm in the data directory")
    parser.add_argument("--profile", default="small", choices=("small", "full"))
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated, default: %(default)s")
    given = parser.parse_args(arguments)
    settings = Settings(
        stack=StackSettings(data_directory=given.directory, profile=given.profile, jvm_directory=given.jvm),
    )
    options = Options(parts=tuple(given.parts.split(",")), postgres=FOR_TESTS)
    stop = StopSignal()
    began = time.monotonic()
    try:
        with Stack(settings, environment=environment, options=options, command="pipeline.stack.serve") as stack:
            where = stack.start()
            stop.install()
            sys.stdout.write(f"ready after {time.monotonic() - began:.1f} s: {where}\n")
            sys.stdout.flush()
            while not stop.wait(3600.0):
                pass
    except OmeroMqError as error:
        sys.stderr.write(f"{error}\n{error.fix}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
