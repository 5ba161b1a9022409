"""Lets the Kafka library say each thing every so often, instead of a hundred times a second while a broker is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

LIBRARY = "aiokafka"
AGAIN_AFTER_S = 10.0


class Damper(logging.Handler):
    """Passes a record on to the root logger's handlers unless the same line of code spoke within ``AGAIN_AFTER_S``."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock_s = clock_s
        self._said_s: dict[tuple[str, int], float] = {}
        self._kept_back: dict[tuple[str, int], int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        place, now_s = (record.pathname, record.lineno), self._clock_s()
        said_s = self._said_s.get(place)
        if said_s is not None and now_s - said_s < AGAIN_AFTER_S:
            self._kept_back[place] = self._kept_back.get(place, 0) + 1
            return
        self._said_s[place] = now_s
        if kept_back := self._kept_back.pop(place, 0):
            record.msg, record.args = f"{record.getMessage()} ({kept_back} more like this)", ()
        for handler in logging.getLogger().handlers:
            if record.levelno >= handler.level:
                handler.handle(record)


def damp() -> None:
    """Put it in front of the library's loggers. Idempotent; after the root logger was configured."""
    logger = logging.getLogger(LIBRARY)
    logger.propagate = False
    logger.handlers = [Damper()]
