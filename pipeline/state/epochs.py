"""Which identities of OMERO's database were accepted, and where in each topic the older ones end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pipeline.state.last_known import start_over
from pipeline.state.pool import StateDatabase

Boundaries = Mapping[tuple[str, int], int]
"""(topic, partition) -> first offset that belongs to the new epoch."""


class Identity(Protocol):
    """What tells one incarnation of OMERO's database from another."""

    @property
    def system(self) -> str:
        """The cluster's system identifier."""
        ...

    @property
    def timeline(self) -> str:
        """Eight hexadecimal digits."""
        ...

    @property
    def database_oid(self) -> int:
        """Of the database itself."""
        ...

    @property
    def eventlog_oid(self) -> int:
        """Of the table ``eventlog``."""
        ...

    @property
    def omero_uuid(self) -> str:
        """``omero.db.uuid``, OMERO's own name for its database."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptedEpoch:
    """One accepted identity.

    Attributes:
        number: 1 for the first, then one more each time; part of every event's source from 2 on.
        boundaries: records of a topic's partition below the offset belong to an older epoch.
    """

    number: int
    system: str
    timeline: str
    database_oid: int
    eventlog_oid: int
    omero_uuid: str
    accepted_at: datetime
    accepted_by: str
    reason: str
    boundaries: Boundaries


_IDENTITY = "system, timeline, database_oid, eventlog_oid, omero_uuid"
_COLUMNS = f"number, {_IDENTITY}, accepted_at, accepted_by, reason"
_NEWEST = f"SELECT number, {_IDENTITY} FROM omero_mq.epochs ORDER BY number DESC LIMIT 1"
_INSERT = f"INSERT INTO omero_mq.epochs (number, {_IDENTITY}, accepted_by, reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"


class Epochs:
    """The accepted epochs in the state database."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    def accepted(self) -> AcceptedEpoch | None:
        """The epoch that counts; None before the first start.

        Raises:
            DependencyDown, Misconfigured: the state database is away or lacks the schema.
        """
        history = self.history(at_most=1)
        return history[0] if history else None

    def history(self, *, at_most: int = 20) -> list[AcceptedEpoch]:
        """Accepted epochs, newest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM omero_mq.epochs ORDER BY number DESC LIMIT %s", (at_most,)
            ).fetchall()
            bounds = connection.execute(
                'SELECT epoch, topic, "partition", "offset" FROM omero_mq.epoch_boundaries WHERE epoch = ANY(%s)',
                ([row[0] for row in rows],),
            ).fetchall()
        by_epoch: dict[int, dict[tuple[str, int], int]] = {}
        for epoch, topic, partition, offset in bounds:
            by_epoch.setdefault(epoch, {})[topic, partition] = offset
        names = _COLUMNS.split(", ")
        return [AcceptedEpoch(**dict(zip(names, row, strict=True)), boundaries=by_epoch.get(row[0], {})) for row in rows]

    def accept(self, identity: Identity, *, actor: str, reason: str, boundaries: Boundaries) -> AcceptedEpoch:
        """Make ``identity`` the one that counts, and begin the last-known table anew: what it remembers is of another database.

        One transaction. Accepting the identity that counts already changes nothing and returns it, so a repeated command and two
        services that start at once are harmless.

        Args:
            identity: as it was read from OMERO's database.
            actor: who says so: a person, or the service that started first.
            reason: why, for those who come later.
            boundaries: end offsets of the topics whose records carry transaction ids.
        """
        values = (identity.system, identity.timeline, identity.database_oid, identity.eventlog_oid, identity.omero_uuid)
        with self._database.transaction() as connection:
            connection.execute("LOCK TABLE omero_mq.epochs IN SHARE ROW EXCLUSIVE MODE")
            last = connection.execute(_NEWEST).fetchone()
            if last is None or last[1:] != values:
                number = last[0] + 1 if last else 1
                connection.execute(_INSERT, (number, *values, actor, reason))
                connection.cursor().executemany(
                    "INSERT INTO omero_mq.epoch_boundaries VALUES (%s, %s, %s, %s)",
                    [(number, topic, partition, offset) for (topic, partition), offset in sorted(boundaries.items())],
                )
                start_over(connection)
        accepted = self.accepted()
        assert accepted is not None  # noqa: S101 - it was written above or found there; rows of this table are never deleted
        return accepted
