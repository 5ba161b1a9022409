"""Hears the notify protocol from the supervised services and knows who speaks by what the kernel says, not by what they say."""

from __future__ import annotations

import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Mapping

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid

Heard = Callable[[int, Mapping[str, str]], None]


class Listener:
    """One abstract socket for all services; calls `heard(pid, fields)` in a thread of its own.

    Abstract, because a path may be longer than the 107 bytes that a socket takes, and because nothing is left over
    after kill -9. The sender's pid comes from the kernel with each datagram, so no other user's process can speak
    for a service.
    """

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._name = f"omero-mq-{os.getpid()}-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + self._name)
        self._thread = threading.Thread(target=self._listen, name="notify-listener", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The value of ``NOTIFY_SOCKET`` for the services."""
        return "@" + self._name

    def close(self) -> None:
        """Stops listening; idempotent."""
        if self._socket.fileno() == -1:
            return
        # A datagram to oneself wakes the thread on every kernel; shutting a datagram socket down does not.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"CLOSE=1", "\0" + self._name)
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        room = socket.CMSG_SPACE(_CREDENTIALS.size)
        while True:
            data, extra, _flags, _from = self._socket.recvmsg(8192, room)
            pid = sender(extra)
            fields = parse(data)
            if pid == os.getpid() and "CLOSE" in fields:
                return
            if pid:
                self._heard(pid, fields)


def sender(extra: list[tuple[int, int, bytes]]) -> int:
    """The sending process's id as the kernel gives it; 0 when it gave none."""
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack_from(data)[0])
    return 0


def parse(datagram: bytes) -> dict[str, str]:
    """The fields of one datagram; lines that are not ``NAME=value`` are left out."""
    lines = datagram.decode("utf-8", errors="replace").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)
