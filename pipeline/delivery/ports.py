"""What the delivery core needs from outside, as the smallest possible promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pipeline.delivery.record import Outgoing, Record


class Publisher(Protocol):
    """Writes records so that they survive."""

    def publish(self, records: Sequence[Outgoing]) -> None:
        """Write all records, in order per key, and return only when every one is acknowledged by all in-sync replicas.

        Blocks while the broker is slow, within bounds. Not atomic: after an error some records may be written, of each partition
        the first ones; publishing all again is safe, since every consumer of ours deduplicates by id and first occurrences stay
        in order. A timestamp below 0 means none.

        Raises:
            DependencyDown: ``kafka`` did not acknowledge in time.
            RecordTooLarge: a record is beyond the topic's limit.
            Permanent: the broker will never take this record, e.g. for a time in the far future.
            Misconfigured: the topic does not exist or may not be written.
        """


class Reader(Protocol):
    """Reads records and moves its group's offsets only as told."""

    def read(self, *, at_most: int, wait_s: float) -> list[Record]:
        """Records that are there, in order per partition; waits up to ``wait_s`` for the first and not at all for more.

        Raises:
            DependencyDown: ``kafka`` is away.
            OffsetGap: records that were not read yet are gone from a topic.
        """

    def done(self, records: Sequence[Record]) -> None:
        """Mark records as finished: their offsets may be committed. Idempotent; never moves an offset backwards."""

    def close(self) -> None:
        """Commit what is done, leave the group."""
