"""What becomes of outbox rows, for every mixture of good and bad ones."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.delivery.record import Outgoing
from pipeline.errors import DependencyDown, Misconfigured, RecordTooLarge
from pipeline.state.outbox import OutboxRow
from pipeline.state.poller import Outcome, Refused, publish_rows


@dataclass
class Topics:
    """A `Publisher` that keeps what it acknowledged and behaves badly where its contract lets it.

    It takes the records before a bad one and, as a real client may, also those behind it. Values say what is wrong with a record.
    """

    taken: list[Outgoing] = field(default_factory=list)
    down_after: int = -1
    calls: int = 0

    def publish(self, records: Sequence[Outgoing]) -> None:
        self.calls += 1
        if self.calls == self.down_after:
            self.taken += records[::2]
            raise DependencyDown("kafka", "timed out")
        if any(record.value == b"large" for record in records):
            raise RecordTooLarge("a record is too large")
        self.taken += [record for record in records if record.value == b"good"]
        if any(record.value == b"lost" for record in records):
            raise Misconfigured("topic does not exist", fix="run `omero-mq topic create`")
        if any(record.value == b"odd" for record in records):
            raise ValueError("odd")


def _row(id_: int, value: bytes = b"good", order_key: str = "") -> OutboxRow:
    return OutboxRow(
        id=id_,
        order_key=order_key,
        record=Outgoing(topic="lost" if value == b"lost" else "t", key=str(id_).encode(), value=value),
    )


def _all(rows: list[OutboxRow], topics: Topics) -> Outcome:
    return sum(publish_rows(rows, topics), Outcome())


def _ids(topics: Topics) -> list[int]:
    return [int(record.key or b"") for record in topics.taken]


rows_of_all_kinds = st.lists(
    st.tuples(st.sampled_from([b"good", b"good", b"good", b"large", b"lost", b"odd"]), st.sampled_from(["", "", "a", "b"])),
    max_size=30,
).map(lambda parts: [_row(id_, value, key) for id_, (value, key) in enumerate(parts)])


@given(rows_of_all_kinds)
@settings(deadline=None)
def test_bad_rows_are_parked_and_hold_back_only_what_is_behind_them_under_their_own_key(rows):
    topics = Topics()
    outcome = _all(rows, topics)
    bad = {row.id for row in rows if row.record.value != b"good"}
    held = {row.id for row in rows if row.order_key and any(b < row.id and rows[b].order_key == row.order_key for b in bad)}
    assert set(outcome.published) == {row.id for row in rows} - bad - held
    assert {refused.id for refused in outcome.parked} == bad - held
    assert set(_ids(topics)) == set(outcome.published)


@given(rows_of_all_kinds)
@settings(deadline=None)
def test_the_first_time_each_row_is_published_is_in_order_within_its_key(rows):
    topics = Topics()
    _all(rows, topics)
    for key in ("a", "b"):
        mine = [id_ for id_ in dict.fromkeys(_ids(topics)) if rows[id_].order_key == key]
        assert mine == sorted(mine)


@given(st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=20), st.integers(1, 5))
@settings(deadline=None)
def test_a_broker_that_goes_away_midway_lets_no_row_of_a_key_pass_another_when_all_are_tried_again(keys, down_after):
    rows = [_row(id_, order_key=key) for id_, key in enumerate(keys)]
    topics, settled = Topics(down_after=down_after), set()
    while len(settled) < len(rows):
        with suppress(DependencyDown):
            for outcome in publish_rows([row for row in rows if row.id not in settled], topics):
                settled |= set(outcome.published)
    for key in ("a", "b"):
        mine = [id_ for id_ in dict.fromkeys(_ids(topics)) if keys[id_] == key]
        assert mine == [row.id for row in rows if row.order_key == key]


def test_reasons_say_what_happened_and_what_to_do():
    rows = [_row(1, b"large"), _row(2, b"lost"), _row(3, b"odd")]
    assert _all(rows, Topics()) == Outcome(
        parked=(
            Refused(id=1, reason="a record is too large"),
            Refused(id=3, reason="ValueError: odd"),
            Refused(id=2, reason="topic does not exist; run `omero-mq topic create`", retry=True),
        )
    )


def test_a_missing_topic_is_asked_for_once_however_many_rows_are_for_it():
    topics = Topics()
    outcome = _all([_row(id_, b"lost" if id_ % 2 else b"good", f"key {id_ % 8}") for id_ in range(400)], topics)
    assert [refused.id for refused in outcome.parked] == [1, 3, 5, 7]
    assert len(outcome.published) == 200
    lost = [_row(id_, b"lost") for id_ in range(500)]
    topics = Topics()
    assert len(_all(lost, topics).parked) == 500
    assert topics.calls == 1


def test_rows_without_an_order_go_out_in_one_call():
    topics = Topics()
    _all([_row(id_) for id_ in range(500)], topics)
    assert topics.calls == 1


def test_nothing_is_parked_because_the_broker_is_away():
    with pytest.raises(DependencyDown):
        _all([_row(1)], Topics(down_after=1))
