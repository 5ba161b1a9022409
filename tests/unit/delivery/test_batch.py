from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.batch import Rejected, deliver_batch
from pipeline.delivery.letter import read
from pipeline.delivery.memory import MemoryKafka, MemoryPublisher, MemoryReader
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import DependencyDown, Halt, Misconfigured, Permanent, Transient, Undecodable
from tests.unit.delivery.conftest import LETTERS
from tests.unit.delivery.test_deliver import Clock, delivery, letters_kafka


def records(count: int) -> list[Record]:
    return [Record(topic="omero.eventlog", partition=0, offset=n, key=b"k", value=b"%d" % n) for n in range(count)]


class Process:
    """Fails as a whole when it is given a bad record; notes what it did."""

    def __init__(self, bad: dict[int, Exception]) -> None:
        self.bad = bad
        self.done: list[int] = []
        self.calls = 0

    def __call__(self, batch: Sequence[Record]) -> list[Rejected]:
        self.calls += 1
        for record in batch:
            if record.offset in self.bad:
                raise self.bad[record.offset]
        self.done += [record.offset for record in batch]
        return []


def letters(kafka: MemoryKafka) -> list[int]:
    return [read(record).origin.offset for record in kafka.records(LETTERS)]


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1), max_size=8))))
def test_halving_finds_exactly_the_bad_ones_in_few_calls(case: tuple[int, set[int]]) -> None:
    count, bad = case
    kafka, process = letters_kafka(), Process(dict.fromkeys(bad, Permanent("no")))

    outcomes = deliver_batch(records(count), process, delivery=delivery(kafka), pause=Clock().wait)

    assert [outcome.record.offset for outcome in outcomes] == list(range(count))
    assert {outcome.record.offset for outcome in outcomes if outcome.kind == "letter"} == bad
    assert all(outcome.finished for outcome in outcomes)
    assert letters(kafka) == sorted(bad)
    assert process.done == [n for n in range(count) if n not in bad]
    assert process.calls <= 1 + 2 * len(bad) * (math.ceil(math.log2(count)) + 1 if count > 1 else 1)


@given(
    st.integers(1, 40),
    st.dictionaries(
        st.integers(0, 39),
        st.sampled_from([Permanent("p"), KeyError("k"), Undecodable("u"), Transient("t"), TimeoutError()]),
        max_size=6,
    ),
    st.one_of(st.none(), st.integers(1, 9)),
)
def test_each_record_of_a_batch_ends_as_exactly_one_of_done_letter_or_left(
    count: int, bad: dict[int, Exception], stop_at: int | None
) -> None:
    kafka, process = letters_kafka(), Process(bad)

    outcomes = deliver_batch(records(count), process, delivery=delivery(kafka), pause=Clock(stop_at).wait)

    by_kind = {kind: [o.record.offset for o in outcomes if o.kind == kind] for kind in ("done", "letter", "left")}
    assert sorted(itertools.chain(*by_kind.values())) == list(range(count))
    assert by_kind["done"] == process.done
    assert by_kind["letter"] == letters(kafka)
    assert set(by_kind["letter"]) <= bad.keys()
    if stop_at is None:
        assert by_kind["left"] == []
        assert set(by_kind["letter"]) == {n for n in bad if n < count}
    # What is left comes after all that is finished, so that the offset can move up to it.
    assert not by_kind["left"] or by_kind["left"] == list(range(by_kind["left"][0], count))


@given(st.integers(1, 40), st.dictionaries(st.integers(0, 39), st.sampled_from([Permanent("p"), Transient("t")]), max_size=9))
def test_a_process_can_name_the_bad_ones_itself(count: int, bad: dict[int, Exception]) -> None:
    kafka = letters_kafka()
    calls: Counter[int] = Counter()

    def process(batch: Sequence[Record]) -> list[Rejected]:
        calls.update(record.offset for record in batch)
        return [Rejected(record=record, error=bad[record.offset]) for record in batch if record.offset in bad]

    outcomes = deliver_batch(records(count), process, delivery=delivery(kafka), pause=Clock().wait)

    assert {o.record.offset for o in outcomes if o.kind == "letter"} == {n for n in bad if n < count} == set(letters(kafka))
    assert all(calls[n] == (3 if isinstance(bad.get(n), Transient) else 1) for n in range(count))


def test_several_parts_of_one_record_make_several_letters() -> None:
    kafka = letters_kafka()
    one = records(1)[0]
    rejected = [
        Rejected(record=one, error=KeyError("a"), part="rule-a"),
        Rejected(record=one, error=KeyError("b"), part="rule-b"),
    ]

    (outcome,) = deliver_batch([one], lambda _: rejected, delivery=delivery(kafka), pause=Clock().wait)

    written = [read(record) for record in kafka.records(LETTERS)]
    assert outcome.kind == "letter"
    assert [(letter.part, letter.message) for letter in written] == [("rule-a", "'a'"), ("rule-b", "'b'")]
    assert written[0].id != written[1].id


def test_a_dependency_that_is_away_holds_the_whole_batch_and_costs_nothing() -> None:
    kafka, clock = letters_kafka(), Clock()
    answers = [DependencyDown("omero-database", "refused")] * 500
    done: list[int] = []

    def process(batch: Sequence[Record]) -> list[Rejected]:
        if answers:
            raise answers.pop()
        done.extend(record.offset for record in batch)
        return []

    outcomes = deliver_batch(records(10), process, delivery=delivery(kafka), pause=clock.wait)

    assert {outcome.kind for outcome in outcomes} == {"done"}
    assert (len(clock.waits), done, letters(kafka)) == (500, list(range(10)), [])


@pytest.mark.parametrize("error", [Halt("epoch"), Misconfigured("no such topic"), KeyboardInterrupt()])
def test_what_stops_the_service_passes_through(error: BaseException) -> None:
    kafka = letters_kafka()

    with pytest.raises(type(error)):
        deliver_batch(records(8), Process({5: error}), delivery=delivery(kafka), pause=Clock().wait)  # type: ignore[dict-item]
    assert letters(kafka) == []


def test_990_bad_of_1000_make_990_readable_letters_and_none_is_lost() -> None:
    kafka = MemoryKafka()
    kafka.create(LETTERS)
    kafka.create("omero.eventlog")
    kafka.create_group("omero.relay", ["omero.eventlog"])
    MemoryPublisher(kafka).publish([Outgoing(topic="omero.eventlog", key=b"k", value=b"%d" % n) for n in range(1000)])
    reader = MemoryReader(kafka, group="omero.relay", topics=["omero.eventlog"])
    process = Process({n: Undecodable(f"row {n}") for n in range(1000) if n % 100})

    while batch := reader.read(at_most=128, wait_s=0):
        outcomes = deliver_batch(batch, process, delivery=delivery(kafka), pause=Clock().wait)
        reader.done([outcome.record for outcome in outcomes if outcome.finished])

    assert process.done == list(range(0, 1000, 100))
    assert [read(record).value for record in kafka.records(LETTERS)] == [b"%d" % n for n in range(1000) if n % 100]
    assert kafka.offsets["omero.relay", "omero.eventlog", 0] == 1000
