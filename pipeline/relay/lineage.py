"""Which incarnation of OMERO's database a record comes from: the one that is accepted now, or one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.omero.epoch import Epoch
from pipeline.state.epochs import AcceptedEpoch
from pipeline.wire.events import event_source


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """The accepted epoch and where it begins.

    Attributes:
        epoch: the database that must be there.
        source: CloudEvents source of its events.
        older_source: source of events that only the epoch before had.
        boundaries: by topic and partition, the first offset that surely belongs to the accepted epoch.
    """

    epoch: Epoch
    source: str
    older_source: str
    boundaries: Mapping[tuple[str, int], int]

    def may_be_older(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the record there was written before the epoch was accepted, so that its ids may mean something else by now."""
        return offset < self.boundaries.get((topic, partition), 0)


def lineage(history: Sequence[AcceptedEpoch]) -> Lineage:
    """From the accepted epochs, newest first; at least one."""
    now, before = history[0], history[min(1, len(history) - 1)]
    return Lineage(
        epoch=Epoch(
            system=now.system,
            timeline=now.timeline,
            database_oid=now.database_oid,
            eventlog_oid=now.eventlog_oid,
            omero_uuid=now.omero_uuid,
        ),
        source=event_source(now.omero_uuid, now.number),
        older_source=event_source(before.omero_uuid, before.number),
        boundaries=now.boundaries,
    )
