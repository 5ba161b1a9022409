"""Tells whoever started this process how it is: systemd's notify protocol, understood by systemd and by `omero-mq up`."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

_SEND_TIMEOUT_S = 0.5

log = structlog.get_logger(__name__)


class Notifier:
    """Sends READY, STATUS, WATCHDOG and STOPPING to ``$NOTIFY_SOCKET``; does nothing when there is none.

    No method raises or blocks for longer than half a second: a process must not die of a listener that went away.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = _watchdog_s(environment)
        self._failed = False

    @property
    def enabled(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    @property
    def watchdog_interval_s(self) -> float:
        """How often to call `watchdog` [s]: a third of the time after which silence kills; 0.0 when nobody watches."""
        return self._watchdog_s / 3

    def ready(self, status: str = "") -> None:
        """Start-up is finished: work is being done."""
        self._send("READY=1", status)

    def status(self, text: str) -> None:
        """One line for people: what this process does or waits for."""
        self._send("", text)

    def watchdog(self) -> None:
        """Still alive. Call it from the loop that does the work, never from a thread of its own."""
        if self._watchdog_s:
            self._send("WATCHDOG=1", "")

    def stopping(self, status: str = "") -> None:
        """A clean end has begun."""
        self._send("STOPPING=1", status)

    def _send(self, state: str, status: str) -> None:
        if not self._address:
            return
        lines = [line for line in (state, status and "STATUS=" + " ".join(status.split())) if line]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(_SEND_TIMEOUT_S)
                channel.connect(self._address)
                channel.send("\n".join(lines).encode())
        except OSError as error:
            if not self._failed:
                log.warning("notify.failed", error=str(error), state=state or "STATUS")
            self._failed = True
        else:
            self._failed = False


def _address(text: str) -> bytes:
    """The socket's address: a path, or an abstract name written with a leading ``@``."""
    raw = os.fsencode(text)
    return b"\0" + raw[1:] if raw.startswith(b"@") else raw


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """Time after which silence kills [s]; 0.0 when there is no watchdog, or it is for another process."""
    for_pid = environment.get("WATCHDOG_PID", "")
    if for_pid and for_pid != str(os.getpid()):
        return 0.0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdecimal() else 0.0
