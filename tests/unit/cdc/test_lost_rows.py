"""Which records of an older epoch still say something about a restored database."""

import msgspec

from pipeline.cdc.lost import forget_lost
from pipeline.cdc.reread import TopicIds
from pipeline.delivery.record import Record

IMAGE = "ome.model.core.Image"
COMMIT_US = 1_795_500_000_000_000


class Database:
    """Answers with the rows that it has: id -> (event, entitytype, entityid, action, when the call began [us])."""

    def __init__(self, rows):
        self._rows = rows
        self.asked = []

    def execute(self, _, parameters, *, binary):
        self.asked.append(parameters)
        return [(one, *self._rows[one]) for one in parameters[1] if one in self._rows]


def record(offset, one, *, event=7, entity=42, commit_us=COMMIT_US):
    row = {"id": one, "action": "UPDATE", "permissions": -35, "entityid": entity, "entitytype": IMAGE, "external_id": None}
    value = msgspec.json.encode({**row, "event": event, "__op": "c", "__commit_us": commit_us})
    return Record(topic="t", partition=0, offset=offset, key=b"", value=value)


def left(records, rows, *, boundary):
    def scan(start):
        return (one for one in records if one.offset >= start.get(0, 0))

    topic, database = TopicIds.empty(), Database(rows)
    topic.look(scan)
    count = forget_lost(database, topic, scan, {0: boundary}, "UTC", page=2)
    return count, list(topic.ids), database.asked


def test_a_record_counts_only_where_the_database_has_that_very_row():
    records = [record(0, 1), record(1, 2), record(2, 3, entity=43), record(3, 4)]
    same = (7, IMAGE, 42, "UPDATE", COMMIT_US - 1000)
    later = (7, IMAGE, 42, "UPDATE", COMMIT_US + 1)  # the same numbers again: done after the restore
    assert left(records, {1: same, 3: same, 4: later}, boundary=4) == (3, [1], [("UTC", [1, 2]), ("UTC", [3, 4])])


def test_what_was_captured_since_the_epoch_was_accepted_counts_whatever_came_before():
    records = [record(0, 1), record(1, 2), record(2, 1, commit_us=COMMIT_US + 5)]
    assert left(records, {1: (7, IMAGE, 42, "UPDATE", COMMIT_US + 1)}, boundary=2) == (1, [1], [("UTC", [1, 2])])


def test_what_is_no_row_is_passed_over():
    records = [Record(topic="t", partition=0, offset=0, key=b"", value=b"no row"), record(1, 2)]
    assert left(records, {}, boundary=2) == (1, [], [("UTC", [2])])


def test_in_the_first_epoch_nothing_is_asked():
    assert left([record(0, 1)], {}, boundary=0) == (0, [1], [])
