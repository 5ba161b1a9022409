"""Ids as a server process hands them out: blocks of 50 used from memory, so neither gap-free nor in the order of time."""

from __future__ import annotations

from collections import deque
from typing import Any

import psycopg

BLOCK = 50


class IdPool:
    """The blocks that one server process (a JVM) holds. Ids of a call that failed are lost, as in the server."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._free: dict[str, deque[int]] = {}

    def take(self, table: str, count: int = 1) -> list[int]:
        """So many ids of the table, ascending unless another process drew in between."""
        free = self._free.setdefault(table, deque())
        if len(free) < count:
            wanted = -(-(count - len(free)) // BLOCK) * BLOCK
            free.extend(draw(self._connection, table, wanted))
        return [free.popleft() for _ in range(count)]


def draw(connection: psycopg.Connection[Any], table: str, count: int) -> range:
    """A block without gaps straight from the sequence."""
    row = connection.execute("SELECT ome_nextval(%s, %s)", (f"seq_{table}", count)).fetchone()
    assert row is not None  # noqa: S101 (a SELECT without FROM has one row)
    return range(row[0] - count + 1, row[0] + 1)
