"""Which rows must be on the topic, and the bytes of those that are written again."""

from datetime import datetime

import msgspec
import pytest

from pipeline.cdc.reread import Range, TopicIds, key_of, publish, range_of
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import Misconfigured
from pipeline.wire.rows import EventlogRow

HOUR_US = 3_600_000_000
START_US = 1_795_500_000_000_000  # 2026-11-24 06:00 UTC


class Topic:
    """A topic of one partition that `scan` reads as Kafka would."""

    def __init__(self):
        self.values: list[bytes] = []

    def row(self, one, *, hours, op="c"):
        self.values.append(msgspec.json.encode({"id": one, "__op": op, "__commit_us": START_US + int(hours * HOUR_US)}))

    def scan(self, start):
        first = start.get(0, 0)
        for offset, value in enumerate(self.values[first:], first):
            yield Record(topic="t", partition=0, offset=offset, key=b"", value=value)


def looked(topic: Topic) -> TopicIds:
    ids = TopicIds.empty()
    ids.look(topic.scan)
    return ids


def test_a_second_look_reads_only_what_is_new():
    topic = Topic()
    topic.row(5, hours=0)
    ids = looked(topic)
    topic.values[0] = b"never read again"
    topic.row(6, hours=1)
    ids.look(topic.scan)
    assert (list(ids.ids), ids.unreadable, ids.next_offsets) == ([5, 6], 0, {0: 2})
    assert ids.last_commit_us == START_US + HOUR_US


def test_records_that_are_no_rows_are_counted_and_passed_over():
    topic = Topic()
    topic.values += [b"", b"{", b'{"id": "5"}', b'{"id": -1, "__op": "c", "__commit_us": 1}', b'{"id": 99999999999999999999}']
    topic.row(7, hours=0)
    ids = looked(topic)
    assert (list(ids.ids), ids.unreadable) == ([7], 5)


def test_the_floor_is_above_a_straggler_of_long_ago():
    topic = Topic()
    topic.row(3, hours=0)  # an id from a block that was drawn before capture began
    for number in range(300):
        topic.row(1_000_000 + number, hours=1 + number / 100)
    assert looked(topic).floor == 1_000_098


def test_rows_committed_first_count_and_not_records_that_come_first():
    topic = Topic()
    topic.row(900, hours=9)  # partitions are read one after another
    for number in range(100):
        topic.row(100 + number, hours=1)
    assert looked(topic).floor == 199


def test_rows_that_a_repair_wrote_tell_nothing_about_where_streaming_was():
    topic = Topic()
    topic.row(50, hours=1)
    topic.row(900, hours=5, op="r")
    ids = looked(topic)
    assert (ids.floor, ids.last_commit_us) == (50, START_US + HOUR_US)
    assert 900 in ids.ids


def test_the_range_reaches_below_the_floor_for_young_events_by_omeros_clock():
    topic = Topic()
    topic.row(2_500_000, hours=3)
    found = range_of(looked(topic), from_id=None, timezone="Europe/Berlin")
    assert found == Range(floor=2_500_000, reach=1_500_000, since=datetime(2026, 11, 22, 10, 0))  # noqa: DTZ001


def test_a_range_never_begins_below_zero():
    topic = Topic()
    topic.row(10, hours=0)
    assert range_of(looked(topic), from_id=None, timezone="UTC").reach == 0


def test_a_bound_that_a_person_chose_is_taken_as_it_is():
    assert range_of(TopicIds.empty(), from_id=7, timezone="UTC") == Range(floor=7, reach=7, since=None)


@pytest.mark.parametrize("only", [None, "r"])
def test_without_a_streamed_row_nobody_guesses(only):
    topic = Topic()
    if only:
        topic.row(9, hours=0, op=only)
    with pytest.raises(Misconfigured, match="nothing tells from where"):
        range_of(looked(topic), from_id=None, timezone="UTC")


@pytest.mark.parametrize(
    ("entity_type", "entity_id", "key"),
    [
        ("ome.model.core.Image", 42, b'{"entitytype":"ome.model.core.Image","entityid":42}'),
        ('a"b\\c', -1, b'{"entitytype":"a\\"b\\\\c","entityid":-1}'),
        ("\u00e9\U0001f52c", 2**63 - 1, '{"entitytype":"\u00e9\U0001f52c","entityid":9223372036854775807}'.encode()),
    ],
)
def test_a_key_has_the_bytes_of_connects_json_converter(entity_type, entity_id, key):
    assert key_of(entity_type, entity_id) == key


def test_a_row_that_is_written_again_says_that_it_was_read():
    written: list[Outgoing] = []

    class Memory:
        def publish(self, records):
            written.extend(records)

    row = EventlogRow(
        id=1,
        action="INSERT",
        permissions=-35,
        entityid=42,
        entitytype="ome.model.core.Image",
        event=9,
        op="r",
        commit_us=START_US,
    )
    publish(Memory(), "omero.eventlog", [row])
    assert written == [
        Outgoing(
            topic="omero.eventlog",
            key=b'{"entitytype":"ome.model.core.Image","entityid":42}',
            value=b'{"id":1,"action":"INSERT","permissions":-35,"entityid":42,"entitytype":"ome.model.core.Image","external_id":null,'
            b'"event":9,"__op":"r","__commit_us":1795500000000000,"__lsn":null,"__txid":null}',
        )
    ]
