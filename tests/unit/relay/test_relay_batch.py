"""The steps of one batch, with everything outside in memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest

from pipeline.delivery.batch import Rejected, deliver_batch
from pipeline.delivery.compose import LetterMaker
from pipeline.delivery.deliver import Delivery
from pipeline.delivery.letter import read
from pipeline.delivery.memory import MemoryKafka, MemoryPublisher, outage
from pipeline.delivery.record import Record
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.omero.epoch import Epoch
from pipeline.omero.lookups import EventFacts, Facts, Wanted
from pipeline.omero.snapshot import parse
from pipeline.omero.wallclock import zone
from pipeline.relay.batch import Relay
from pipeline.relay.lineage import Lineage
from pipeline.relay.rules import Rule
from pipeline.state.last_known import LastKnown
from pipeline.wire.events import PublicEvent
from pipeline.wire.messages import EVENT

EPOCH = Epoch(system="7", timeline="00000001", database_oid=1, eventlog_oid=2, omero_uuid="abc")
LINEAGE = Lineage(epoch=EPOCH, source="/omero/abc", older_source="/omero/abc", boundaries={})


class Table:
    """The last-known table in memory."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], LastKnown] = {}
        self.gone: set[tuple[str, int]] = set()
        self.down: DependencyDown | None = None

    def recall(self, wanted: Mapping[str, Collection[int]]) -> dict[tuple[str, int], LastKnown]:
        asked = {(kind, id_) for kind, ids in wanted.items() for id_ in ids}
        return {this: row for this, row in self.rows.items() if this in asked}

    def learn(self, rows: Sequence[LastKnown]) -> int:
        for row in rows:
            self.rows.setdefault((row.kind, row.id), row)
        return len(rows)

    def keep(self, *, remember: Sequence[LastKnown], forget: Sequence[tuple[str, int]]) -> int:
        if self.down is not None:
            raise self.down
        self.rows |= {(row.kind, row.id): row for row in remember}
        self.gone |= set(forget)
        return len(remember) + len(forget)


class World:
    """OMERO's database as a value, Kafka and the last-known table in memory."""

    def __init__(self, *, rules: Sequence[Rule] = ()) -> None:
        self.kafka = MemoryKafka()
        for name in ("omero.events", "omero.dlq.relay", "omero.work.thumbnails"):
            self.kafka.create(name)
        self.table = Table()
        self.owners: dict[str, dict[int, tuple[int, int]]] = {"image": {}}
        self.events_of_omero: dict[int, EventFacts] = {}
        self.snapshots = ["900:900:"]
        self.paused_s: list[float] = []
        self.never_begun: set[int] = set()
        self.publisher = MemoryPublisher(self.kafka)
        self.relay = Relay(
            look_up=self._look_up,
            never_begun=lambda xids: {xid for xid in xids if xid in self.never_begun},
            memory=self.table,
            publisher=self.publisher,
            lineage=LINEAGE,
            rules=rules,
            prefix="omero",
            place=zone("Asia/Tokyo"),
            pause=self._pause,
            visibility_alert_s=30.0,
        )

    def events(self) -> list[PublicEvent]:
        return [EVENT.json.decode(record.value or b"") for record in self.kafka.records("omero.events")]

    def deliver(self, records: Sequence[Record]) -> list[str]:
        letters = LetterMaker(
            consumer="relay",
            group="omero.relay",
            topic="omero.dlq.relay",
            worker="test",
            version="0",
            now_ms=lambda: 0,
            limit_bytes=10_000,
        )
        delivery = Delivery(letters=letters, publisher=self.publisher, random=lambda: 0.5)
        return [outcome.kind for outcome in deliver_batch(records, self.relay.process, delivery=delivery, pause=lambda _: False)]

    def _look_up(self, _wanted: Wanted) -> Facts:
        snapshot = self.snapshots[0] if len(self.snapshots) == 1 else self.snapshots.pop(0)
        return Facts(
            epoch=EPOCH, snapshot=parse(snapshot), events=self.events_of_omero, owners=self.owners, memberships={}, rows={}
        )

    def _pause(self, wait_s: float) -> bool:
        self.paused_s.append(wait_s)
        return False


ROW = {
    "action": "UPDATE",
    "permissions": -35,
    "entityid": 42,
    "entitytype": "ome.model.core.Image",
    "external_id": None,
    "event": 70,
    "__op": "c",
    "__commit_us": 1_795_503_684_503_741,
    "__lsn": 5,
    "__txid": 800,
}


def row(offset: int = 0, **change: Any) -> Record:
    value = json.dumps({"id": 100 + offset, **ROW, **change}).encode()
    return Record(topic="omero.eventlog", partition=0, offset=offset, key=b"{}", value=value)


def test_rows_become_events_in_their_order_and_the_table_learns() -> None:
    world = World()
    world.owners["image"] = {42: (2, 3), 43: (4, 5)}
    assert world.relay.process([row(0), row(1, entityid=43), row(2)]) == []
    assert [(event.id, event.owner) for event in world.events()] == [
        ("eventlog:100", "2"),
        ("eventlog:101", "4"),
        ("eventlog:102", "2"),
    ]
    assert set(world.table.rows) == {("image", 42), ("image", 43)}


def test_killed_between_the_events_and_the_table_the_same_events_come_again_with_the_same_past() -> None:
    world = World()
    world.table.rows["image", 42] = LastKnown(kind="image", id=42, owner=2, group=3)
    world.owners["image"] = {42: (2, 9)}
    world.table.down = outage("state-database")
    with pytest.raises(DependencyDown):
        world.relay.process([row()])
    world.table.down = None
    world.relay.process([row()])
    first, again = world.events()
    assert first == again
    assert again.previousgroup == "3"
    assert world.table.rows["image", 42].group == 9


def test_while_kafka_is_away_the_table_does_not_forget_where_an_object_was() -> None:
    world = World()
    world.table.rows["image", 42] = LastKnown(kind="image", id=42, owner=2, group=3)
    world.owners["image"] = {42: (2, 9)}
    world.kafka.down = outage()
    with pytest.raises(DependencyDown):
        world.relay.process([row()])
    assert world.table.rows["image", 42].group == 3


def test_a_new_object_that_is_deleted_between_a_crash_and_the_next_start_is_still_known() -> None:
    world = World()
    world.owners["image"] = {42: (2, 3)}
    world.kafka.down = outage()
    with pytest.raises(DependencyDown):
        world.relay.process([row(action="INSERT")])
    world.kafka.down = None
    world.owners["image"] = {}
    world.relay.process([row(0, action="INSERT"), row(1, action="DELETE")])
    assert [(event.owner, event.group) for event in world.events()] == [("2", "3"), ("2", "3")]


def test_a_deleted_object_stays_in_the_table_marked_as_gone() -> None:
    world = World()
    world.table.rows["image", 42] = LastKnown(kind="image", id=42, owner=2, group=3)
    for _ in range(2):
        world.relay.process([row(action="DELETE")])
    assert [(event.owner, event.group) for event in world.events()] == [("2", "3")] * 2
    assert world.table.gone == {("image", 42)}


def test_a_commit_that_is_not_visible_yet_is_looked_for_in_new_snapshots() -> None:
    world = World()
    world.snapshots = ["800:801:800", "799:801:800", "800:800:", "801:801:"]
    world.relay.process([row()])
    assert len(world.events()) == 1
    assert world.paused_s == [0.002, 0.004, 0.008]


def test_a_stop_ends_the_wait_for_a_commit_and_publishes_nothing() -> None:
    world = World()
    world.snapshots = ["800:801:800"]
    world.relay._pause = lambda _: True
    with pytest.raises(DependencyDown, match="transaction 800 was logged as committed but is not visible yet"):
        world.relay.process([row()])
    assert world.events() == []


def test_a_row_of_a_transaction_that_never_began_is_rejected_and_the_others_are_published() -> None:
    world = World()
    world.snapshots = ["800:801:"]
    world.never_begun = {4_000_000}
    world.relay._pause = lambda wait_s: wait_s > 0.1
    strange = row(1, __txid=4_000_000)
    (rejected,) = world.relay.process([row(0), strange, row(2)])
    assert rejected.record == strange
    assert str(rejected.error).startswith("transaction 4000000 has not begun in OMERO's database")
    assert [event.id for event in world.events()] == ["eventlog:100", "eventlog:102"]


def test_what_holds_no_row_is_rejected_and_the_others_are_published() -> None:
    world = World()
    bad = Record(topic="omero.eventlog", partition=0, offset=1, key=None, value=b"no")
    (rejected,) = world.relay.process([row(0), bad, row(2)])
    assert rejected == Rejected(record=bad, error=rejected.error)
    assert [event.id for event in world.events()] == ["eventlog:100", "eventlog:102"]


def test_a_time_before_the_calendar_is_one_letter_and_no_more() -> None:
    world = World()
    world.events_of_omero = {71: EventFacts(actor=5, event_type="User", time=datetime.min, sudoer=None)}  # noqa: DTZ901
    assert world.deliver([row(0), row(1, event=71), row(2)]) == ["done", "letter", "done"]
    assert [event.id for event in world.events()] == ["eventlog:100", "eventlog:102"]
    (letter,) = [read(record) for record in world.kafka.records("omero.dlq.relay")]
    assert (letter.letter_class, letter.exception, letter.origin.offset) == ("poison", "OverflowError", 1)


def test_an_event_that_is_too_large_is_one_letter_and_all_others_are_there() -> None:
    world = World()
    world.kafka.create("omero.events", max_message_bytes=2000)
    records = [row(offset) for offset in range(8)]
    records[5] = row(5, action="A" * 2000)
    assert world.deliver(records) == ["done"] * 5 + ["letter"] + ["done"] * 2
    assert list(dict.fromkeys(event.id for event in world.events())) == [f"eventlog:{100 + n}" for n in range(8) if n != 5]


def test_a_topic_that_does_not_exist_is_an_error_for_a_person() -> None:
    world = World()
    del world.kafka.topics["omero.events"]
    with pytest.raises(Misconfigured, match=r"no such topic: omero\.events"):
        world.relay.process([row()])
