"""The OMERO server as the database sees it: one process with its connection, its blocks of ids, and calls one after another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import psycopg

from pipeline.demo.database import Secrets
from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.clock import Clock, wall_clock
from pipeline.demo.simulator.history import Actor
from pipeline.demo.simulator.ids import IdPool


class Server:
    """One server process. Same seed, same clock, same calls: same rows.

    Attributes:
        random: what names, numbers and uuids are made from.
        clock: what times are made from; the wall clock unless another is given.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], *, seed: int, clock: Clock = wall_clock, secrets: Secrets | None = None
    ) -> None:
        self.connection = connection
        self.seed = seed
        self.random = Random(f"server {seed}")  # noqa: S311 (repeatable on purpose)
        self.clock = clock
        self.secrets = secrets or Secrets()
        self.ids = IdPool(connection)

    @classmethod
    @contextmanager
    def connect(cls, conninfo: str, *, seed: int, clock: Clock = wall_clock, secrets: Secrets | None = None) -> Iterator[Server]:
        """A server on a connection of its own, closed at the end."""
        with psycopg.connect(conninfo, application_name="omero-mq demo") as connection:
            yield cls(connection, seed=seed, clock=clock, secrets=secrets)

    @contextmanager
    def call(self, actor: Actor, *, group_id: int | None = None, event_type: str = "User") -> Iterator[Call]:
        """One service call in one transaction; rolled back, without a trace but for the ids, if the block fails."""
        call = self.start(actor, group_id=group_id, event_type=event_type)
        try:
            yield call
            call.flush()
            call.commit()
        except BaseException:
            self.connection.rollback()
            raise

    def start(self, actor: Actor, *, group_id: int | None = None, event_type: str = "User") -> Call:
        """A call whose end the caller decides: `flush`, then `commit`, whenever that is."""
        call = Call(self, actor, group_id=actor.group_id if group_id is None else group_id, event_type=event_type)
        try:
            call.begin()
        except BaseException:
            self.connection.rollback()
            raise
        return call

    def uuid(self) -> str:
        """A uuid from the seed."""
        digits = f"{self.random.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
