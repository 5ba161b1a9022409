"""The loop: gates, probes, acknowledgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pipeline.delivery.batch import Rejected
from pipeline.delivery.compose import LetterMaker
from pipeline.delivery.deliver import Delivery
from pipeline.delivery.gate import Gate, Gatekeeper, MemoryGateStore
from pipeline.delivery.memory import MemoryKafka, MemoryPublisher, MemoryReader, outage
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import EpochChanged, Undecodable
from pipeline.relay.loop import Loop

TOPIC = "omero.eventlog"


class Voice:
    def __init__(self) -> None:
        self.said: list[str] = []

    def ready(self, status: str = "") -> None:
        self.said.append(f"ready: {status}")

    def status(self, text: str) -> None:
        self.said.append(text)

    def watchdog(self) -> None:
        pass


class Ground:
    """What the loop stands on; stops after so many pauses, and may do something at each."""

    def __init__(self, *, turns: int = 6) -> None:
        self.worker = "relay@test"
        self.voice = Voice()
        self.kafka = MemoryKafka()
        for name in (TOPIC, "omero.dlq.relay"):
            self.kafka.create(name)
        self.kafka.create_group("omero.relay", [TOPIC])
        self.store = MemoryGateStore()
        self.gatekeeper = Gatekeeper(self.store, "relay")
        letters = LetterMaker(
            consumer="relay",
            group="omero.relay",
            topic="omero.dlq.relay",
            worker="test",
            version="0",
            now_ms=self.now_ms,
            limit_bytes=10_000,
        )
        self.delivery = Delivery(letters=letters, publisher=MemoryPublisher(self.kafka), random=lambda: 0.5)
        self.turns = turns
        self.then: Callable[[], None] = lambda: None

    def pause(self, wait_s: float) -> bool:
        self.turns -= 1
        if wait_s:
            self.then()
        return self.turns < 0

    def now_ms(self) -> int:
        return 1_000

    def reader(self) -> MemoryReader:
        return MemoryReader(self.kafka, group="omero.relay", topics=[TOPIC])

    def write(self, count: int) -> None:
        MemoryPublisher(self.kafka).publish([Outgoing(topic=TOPIC, key=b"k", value=b"%d" % n) for n in range(count)])

    @property
    def committed(self) -> int:
        return self.kafka.offsets["omero.relay", TOPIC, 0]

    def set_gate(self, change: Callable[[Gate], Gate]) -> None:
        before = self.store.read("relay")
        assert self.store.write(change(before), instead_of=before)


def test_what_is_processed_is_acknowledged() -> None:
    ground = Ground()
    ground.write(5)
    seen: list[Record] = []

    def process(records: Sequence[Record]) -> list[Rejected]:
        seen.extend(records)
        return []

    assert Loop(ground, batch_rows=2).run(ground.reader(), process) == "stopped"
    assert [record.value for record in seen] == [b"0", b"1", b"2", b"3", b"4"]
    assert ground.committed == 5
    assert ground.voice.said[0] == "ready: relaying"


def test_a_closed_gate_ends_the_loop_before_anything_is_read() -> None:
    ground = Ground()
    ground.write(1)
    ground.set_gate(lambda gate: gate.closed(by="person", actor="ann", reason="repair", now_ms=0))
    assert Loop(ground, batch_rows=2).run(ground.reader(), lambda _: []) == "gate closed"
    assert ground.committed == 0


def test_outside_the_group_it_waits_for_the_gate_and_says_who_closed_it() -> None:
    ground = Ground()
    ground.set_gate(lambda gate: gate.closed(by="person", actor="ann", reason="repair", now_ms=0))
    ground.then = lambda: ground.set_gate(lambda gate: gate.opened(by="person", actor="ann", reason="done", now_ms=0))
    assert Loop(ground, batch_rows=2).wait_for_gate()
    assert ground.voice.said == ["ready: gate closed by person ann: repair"]


def test_told_to_stop_it_waits_no_longer_for_the_gate() -> None:
    ground = Ground(turns=3)
    ground.set_gate(lambda gate: gate.closed(by="person", actor="ann", reason="repair", now_ms=0))
    assert not Loop(ground, batch_rows=2).wait_for_gate()


def test_a_half_open_gate_lets_only_its_probes_through_until_they_have_succeeded() -> None:
    ground = Ground(turns=4)
    ground.write(20)
    ground.set_gate(lambda gate: gate.opened(by="person", actor="ann", reason="try", now_ms=0, probes=3))
    sizes: list[int] = []

    def process(records: Sequence[Record]) -> list[Rejected]:
        sizes.append(len(records))
        return []

    Loop(ground, batch_rows=10).run(ground.reader(), process)
    assert sizes == [3, 10, 7]
    assert not ground.store.read("relay").half_open


def test_a_probe_that_fails_closes_the_gate_again() -> None:
    ground = Ground()
    ground.write(20)
    ground.set_gate(lambda gate: gate.opened(by="person", actor="ann", reason="try", now_ms=0, probes=3))

    def process(records: Sequence[Record]) -> list[Rejected]:
        return [Rejected(record=record, error=Undecodable("no")) for record in records]

    assert Loop(ground, batch_rows=10).run(ground.reader(), process) == "gate closed"
    assert ground.committed == 3
    assert len(ground.kafka.records("omero.dlq.relay")) == 3


def test_while_kafka_is_away_it_waits_and_goes_on_afterwards() -> None:
    ground = Ground()
    ground.write(2)
    ground.kafka.down = outage()

    def back() -> None:
        ground.kafka.down = None

    ground.then = back
    assert Loop(ground, batch_rows=2).run(ground.reader(), lambda _: []) == "stopped"
    assert ground.committed == 2


def test_another_epoch_ends_it_and_acknowledges_nothing() -> None:
    ground = Ground()
    ground.write(2)

    def process(_records: Sequence[Record]) -> list[Rejected]:
        raise EpochChanged("another database")

    with pytest.raises(EpochChanged):
        Loop(ground, batch_rows=2).run(ground.reader(), process)
    assert ground.committed == 0


def test_what_went_wrong_beside_the_loop_ends_it() -> None:
    ground = Ground()

    def check() -> None:
        raise EpochChanged("beside")

    with pytest.raises(EpochChanged, match="beside"):
        Loop(ground, batch_rows=2, checks=[check]).run(ground.reader(), lambda _: [])
