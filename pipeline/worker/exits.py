"""Ends the process at once, with nothing acknowledged: the exit that neither Faust nor Python turns into an acknowledgement."""

from __future__ import annotations

import os
import sys
from enum import IntEnum
from typing import Any, NoReturn

import structlog

log = structlog.get_logger(__name__)


class Left(IntEnum):
    """Exit statuses of a worker that left at once. Whoever reads its offsets next repeats what was not finished."""

    UNFINISHED = 70  # it had to give its partitions up, or was cancelled, while an effect was still running
    STALLED = 71  # work waited and nothing was committed for too long
    PASSED_OVER = 72  # records were left out by the library below us
    CRASHED = 73  # Faust stopped working by itself


def leave(status: Left, event: str, **facts: Any) -> NoReturn:
    """Say why, and end the process without any clean-up."""
    try:
        log.error(event, exit_status=int(status), **facts)
        sys.stderr.flush()
    finally:
        os._exit(status)
