"""What an action did: small values to print, to count, and to match with what consumers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """A user in a session, acting in one group."""

    user_id: int
    name: str
    group_id: int
    session_id: int


ROOT = Actor(user_id=0, name="root", group_id=0, session_id=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """One committed transaction.

    Attributes:
        action: what a person would call it, e.g. ``rename``.
        objects: what it was done to, most important first: ``Image:42``.
        event_id: the event of the call; 0 where there is none (the indexer's own work).
        log_ids: ids of its eventlog rows, ascending. Usually one block without a gap.
        transaction_id: PostgreSQL's, 64 bits (`pg_current_xact_id`).
        committed_ns: wall clock right after COMMIT had returned [ns since 1970 UTC].
    """

    action: str
    actor: Actor
    objects: tuple[str, ...]
    event_id: int
    log_ids: Sequence[int]
    transaction_id: int
    committed_ns: int

    @property
    def rows(self) -> int:
        """Number of eventlog rows."""
        return len(self.log_ids)

    @property
    def object_id(self) -> int:
        """The id of the first object."""
        return int(self.objects[0].rpartition(":")[2])
