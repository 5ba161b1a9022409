"""SIGTERM and SIGINT as a flag that loops look at, so that what is under way is finished or left unacknowledged on purpose."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType


class StopSignal:
    """Set by the first SIGTERM or SIGINT; a second one ends the process at once, with nothing acknowledged.

    Not a `threading.Event`: setting one inside a signal handler can deadlock with a main thread that is about to
    wait on it. A pipe cannot.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._received = 0

    def install(self) -> None:
        """Takes SIGTERM and SIGINT over; main thread only."""
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    @property
    def is_set(self) -> bool:
        """Whether the process shall end."""
        return self._received != 0

    @property
    def received(self) -> int:
        """The signal's number; 0 before one came."""
        return self._received

    def set(self, signum: int = signal.SIGTERM) -> None:
        """Asks for the end from inside, e.g. because a gate closed."""
        if not self._received:
            self._received = signum
            os.write(self._write, b"\0")

    def wait(self, timeout_s: float) -> bool:
        """Sleeps until the process shall end, or so long [s]; returns whether it shall end."""
        if not self._received:
            poller = select.poll()
            poller.register(self._read, select.POLLIN)
            poller.poll(timeout_s * 1000)
        return self.is_set

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self._received:
            os._exit(128 + signum)
        self.set(signum)
