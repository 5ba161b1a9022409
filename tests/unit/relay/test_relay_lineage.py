"""Which epoch a record belongs to."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.omero.epoch import Epoch
from pipeline.relay.lineage import Lineage, lineage
from pipeline.state.epochs import AcceptedEpoch


def accepted(number: int, uuid: str = "abc", boundaries: dict[tuple[str, int], int] | None = None) -> AcceptedEpoch:
    return AcceptedEpoch(
        number=number,
        system="7",
        timeline=f"{number:08X}",
        database_oid=1,
        eventlog_oid=2,
        omero_uuid=uuid,
        accepted_at=datetime(2026, 11, 24, tzinfo=UTC),
        accepted_by="relay",
        reason="test",
        boundaries=boundaries or {},
    )


def test_in_the_first_epoch_nothing_is_older() -> None:
    first = lineage([accepted(1)])
    assert first == Lineage(
        epoch=Epoch(system="7", timeline="00000001", database_oid=1, eventlog_oid=2, omero_uuid="abc"),
        source="/omero/abc",
        older_source="/omero/abc",
        boundaries={},
    )
    assert not first.may_be_older("omero.eventlog", 0, 0)


def test_after_an_accepted_epoch_only_what_lies_below_its_boundary_may_be_older() -> None:
    second = lineage([accepted(2, boundaries={("omero.eventlog", 0): 10}), accepted(1)])
    assert (second.source, second.older_source) == ("/omero/abc/epoch/2", "/omero/abc")
    assert second.may_be_older("omero.eventlog", 0, 9)
    assert not second.may_be_older("omero.eventlog", 0, 10)
    assert not second.may_be_older("omero.eventlog", 1, 0)
    assert not second.may_be_older("omero.other", 0, 9)
