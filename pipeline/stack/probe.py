"""Does it answer? One question to each server in its own protocol."""

from __future__ import annotations

import socket
import struct

import httpx
import psycopg

_TIMEOUT_S = 1.0
_METADATA = 3  # the request's key
_METADATA_VERSION = 1


def postgres_answers(dsn: str) -> bool:
    """Whether PostgreSQL takes a connection and runs a query."""
    try:
        with psycopg.connect(dsn, connect_timeout=2, autocommit=True) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def kafka_answers(host: str, port: int, *, brokers: int = 1) -> bool:
    """Whether a broker answers a metadata request with at least so many brokers that are up.

    Written out by hand, because a Kafka client in the supervisor would cost more memory than the supervisor.
    """
    client = b"omero-mq-probe"
    request = struct.pack(f">hhih{len(client)}s", _METADATA, _METADATA_VERSION, 1, len(client), client)
    request += struct.pack(">i", 0)  # no topics
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                head = answer.read(12)
                return len(head) == 12 and int(struct.unpack(">iii", head)[2]) >= brokers  # noqa: PLR2004
    except OSError:
        return False


def connect_answers(url: str) -> bool:
    """Whether a Kafka Connect worker has joined its group and can take requests."""
    try:
        return httpx.get(f"{url}/health", timeout=_TIMEOUT_S, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
