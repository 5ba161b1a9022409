"""Ports on the loopback interface: free ones that stay ours, and a clear answer when one is taken."""

from __future__ import annotations

import errno
import random
import socket

from pipeline.errors import Misconfigured

# Below the range from which the kernel takes ports for outgoing connections: while a server of ours is down, a client
# that keeps trying must not be given that very port, connect to itself and hold it.
LOWEST, HIGHEST = 20_000, 31_999


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def free_port(*, avoid: frozenset[int] = frozenset()) -> int:
    """A free port; random, so that several stacks started at once rarely want the same."""
    for _ in range(500):
        port = random.randint(LOWEST, HIGHEST)  # noqa: S311  # no secret depends on it
        if port not in avoid and is_free(port):
            return port
    raise Misconfigured(f"no free port between {LOWEST} and {HIGHEST} on 127.0.0.1", fix="see what listens there with: ss -ltnp")


def must_be_free(port: int, *, setting: str) -> None:
    """Raises Misconfigured when a port that somebody asked for is taken."""
    if not is_free(port):
        raise Misconfigured(
            f"port {port} on 127.0.0.1 ({setting}) is in use by another program",
            fix=f"see which with `ss -ltnp 'sport = :{port}'`, or set {setting} to another port (0 takes a free one)",
        )
