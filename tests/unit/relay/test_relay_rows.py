"""From records to rows, and what is asked about them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.record import Record
from pipeline.errors import Undecodable
from pipeline.omero.epoch import Epoch
from pipeline.omero.lookups import Facts, Wanted
from pipeline.omero.snapshot import parse
from pipeline.relay.lineage import Lineage
from pipeline.relay.rows import Item, decode, is_lost, to_recall, transactions, wanted
from pipeline.wire.rows import EventlogRow

ROW = {
    "id": 100,
    "action": "INSERT",
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
GOOD = json.dumps(ROW).encode()
LINEAGE = Lineage(
    epoch=Epoch(system="7", timeline="00000001", database_oid=1, eventlog_oid=2, omero_uuid="abc"),
    source="/omero/abc/epoch/2",
    older_source="/omero/abc",
    boundaries={("omero.eventlog", 0): 100},
)
EPOCH = Epoch(system="7", timeline="00000001", database_oid=1, eventlog_oid=2, omero_uuid="abc")


def record(value: bytes | None) -> Record:
    return Record(topic="omero.eventlog", partition=0, offset=7, key=b"{}", value=value)


def item(may_be_older: bool = False, **change: Any) -> Item:
    read = record(json.dumps({**ROW, **change}).encode())
    return Item(read, decode(read, LINEAGE).row, may_be_older)


def facts(**found: Any) -> Facts:
    return Facts(epoch=EPOCH, snapshot=parse("900:900:"), **{"events": {}, "owners": {}, "memberships": {}, "rows": {}, **found})


def test_a_row_is_read_as_debezium_wrote_it() -> None:
    assert item().row == EventlogRow(
        id=100, action="INSERT", permissions=-35, entityid=42, entitytype="ome.model.core.Image", external_id=None, event=70,
        op="c", commit_us=1_795_503_684_503_741, lsn=5, txid=800,
    )  # fmt: skip


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"[]", b"null", b"\xff\xfe", b"\x00" * 40, b'{"id":1}', GOOD[:-1], GOOD + b"x"]
)
def test_bytes_that_hold_no_row_are_undecodable(value: bytes | None) -> None:
    with pytest.raises(Undecodable):
        decode(record(value), LINEAGE)


@pytest.mark.parametrize(
    "change",
    [{"id": "100"}, {"entityid": 2**63}, {"id": -1}, {"action": ""}, {"action": "a\x00b"}, {"action": "\ud800"}, {"event": None}],
)
def test_a_row_with_an_absurd_field_is_undecodable_and_the_field_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(Undecodable, match=rf"\$\.{next(iter(change))}"):
        decode(record(json.dumps({**ROW, **change}).encode()), LINEAGE)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_row_or_undecodable(value: bytes) -> None:
    with pytest.raises(Undecodable):
        decode(record(value), LINEAGE)


def test_each_kind_of_object_is_asked_for_in_its_own_table_and_once() -> None:
    items = [
        item(),
        item(id=101, action="UPDATE"),
        item(id=102, entityid=43, event=71),
        item(id=103, entitytype="ome.model.annotations.MapAnnotation", entityid=9),
        item(id=104, entitytype="ome.model.meta.GroupExperimenterMap", entityid=5),
        item(id=105, entitytype="org.example.Thing", entityid=6),
        item(id=106, entitytype="ome.model.meta.Experimenter", entityid=7),
        item(id=107, may_be_older=True),
    ]
    assert wanted(items) == Wanted(events={70, 71}, objects={"image": {42, 43}, "annotation": {9}}, memberships={5}, rows={107})


def test_only_rows_that_were_streamed_in_this_epoch_have_to_be_visible() -> None:
    assert transactions([item(), item(__txid=801), item(__txid=None), item(may_be_older=True, __txid=802)]) == {800, 801}


def test_the_last_known_table_is_asked_about_what_is_gone_or_may_have_moved() -> None:
    items = [
        item(),  # new and there: has no past
        item(entityid=43),  # new and already gone
        item(entityid=44, action="UPDATE"),
        item(entityid=45, action="DELETE"),
        item(entityid=46, entitytype="ome.model.core.PlaneInfo", action="DELETE"),
        item(entityid=5, entitytype="ome.model.meta.GroupExperimenterMap", action="DELETE"),
    ]
    asked = to_recall(items, facts(owners={"image": {42: (1, 1), 44: (1, 1)}}))
    assert asked == {"image": {43, 44, 45}, "groupexperimentermap": {5}}


def test_a_row_of_an_older_epoch_is_lost_unless_the_database_still_has_the_very_same() -> None:
    same = (70, "ome.model.core.Image", 42, "INSERT")
    assert not is_lost(item(), facts())
    assert not is_lost(item(may_be_older=True), facts(rows={100: same}))
    assert is_lost(item(may_be_older=True), facts())
    assert is_lost(item(may_be_older=True), facts(rows={100: (70, "ome.model.core.Image", 43, "INSERT")}))


def test_a_replay_is_as_old_as_the_record_that_it_repeats_and_may_be_for_one_rule_only() -> None:
    headers = (
        ("omero.dlq.headers", b"0"),
        ("omero.dlq.replay.of", b"1d7a"),
        ("omero.dlq.replay.count", b"1"),
        ("__dlq.errors.topic", b"omero.eventlog"),
        ("__dlq.errors.partition", b"0"),
        ("__dlq.errors.offset", b"99"),
        ("omero.dlq.part", b"thumbnails"),
    )
    replay = Record(topic="omero.retry.relay", partition=0, offset=5000, key=b"{}", value=GOOD, headers=headers)
    assert decode(replay, LINEAGE) == Item(replay, item().row, may_be_older=True, only="thumbnails")
    assert not decode(Record(topic="omero.retry.relay", partition=0, offset=5, key=None, value=GOOD), LINEAGE).may_be_older
