"""From a row and what is known about it to the public event."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from pipeline.omero.epoch import Epoch
from pipeline.omero.lookups import EventFacts, Facts
from pipeline.omero.snapshot import parse
from pipeline.omero.wallclock import zone
from pipeline.relay.event import Changes, EventMaker
from pipeline.state.last_known import LastKnown
from pipeline.wire.events import EventlogData, PublicEvent
from pipeline.wire.rows import EventlogRow

EPOCH = Epoch(system="7", timeline="00000001", database_oid=1, eventlog_oid=2, omero_uuid="abc")
COMMITTED_US = 1_795_503_684_503_741
EVENT = EventFacts(actor=5, event_type="User", time=datetime(2026, 11, 24, 8, 1, 24, 192271), sudoer=None)  # noqa: DTZ001
IMAGE = "ome.model.core.Image"
MEMBERSHIP = "ome.model.meta.GroupExperimenterMap"


def facts(**found: Any) -> Facts:
    return Facts(
        epoch=EPOCH,
        snapshot=parse("900:900:"),
        events=found.get("events", {70: EVENT}),
        owners=found.get("owners", {}),
        memberships=found.get("memberships", {}),
        rows={},
    )


def row(action: str = "UPDATE", entitytype: str = IMAGE, entityid: int = 42, **more: Any) -> EventlogRow:
    values = {"id": 100, "permissions": -35, "event": 70, "op": "c", "commit_us": COMMITTED_US, "lsn": 5, "txid": 800, **more}
    return EventlogRow(action=action, entitytype=entitytype, entityid=entityid, **values)


def maker(known: dict[tuple[str, int], tuple[int | None, int | None]] | None = None, **found: Any) -> EventMaker:
    return EventMaker(
        source="/omero/abc", older_source="/omero/old", facts=facts(**found), known=known or {}, place=zone("Europe/Berlin")
    )


def expected(action: str, entity: str = "Image", full: str = IMAGE, entityid: int = 42, **more: Any) -> PublicEvent:
    about = {"actor": "5", "omeroevent": "70", "eventtype": "User", "transaction": "800", "time": "2026-11-24T07:01:24.192271Z"}
    values = {
        "specversion": "1.0",
        "id": "eventlog:100",
        "source": "/omero/abc",
        "type": f"org.openmicroscopy.{entity.lower()}.{action.lower()}",
        "subject": f"{entity}:{entityid}",
        "partitionkey": f"{entity}:{entityid}",
        "datacontenttype": "application/json",
        "committime": "2026-11-24T07:01:24.503741Z",
        **about,
        **more,
    }
    data = EventlogData(id="100", action=action, entitytype=full, entityid=str(entityid), event="70", permissions="-35")
    return PublicEvent(**values, data=data)


def test_a_new_object_has_its_owner_and_group_and_is_remembered() -> None:
    it = maker(owners={"image": {42: (2, 3)}})
    assert it.make(row("INSERT")) == expected("INSERT", owner="2", group="3")
    assert it.changes == Changes(learn=[LastKnown(kind="image", id=42, owner=2, group=3)])


def test_an_object_that_was_moved_tells_where_it_was() -> None:
    it = maker({("image", 42): (2, 3)}, owners={"image": {42: (2, 9)}})
    assert it.make(row()) == expected("UPDATE", owner="2", group="9", previousgroup="3")
    assert it.changes == Changes(remember=[LastKnown(kind="image", id=42, owner=2, group=9)])


def test_an_object_that_was_given_away_tells_whose_it_was() -> None:
    it = maker({("image", 42): (2, 3)}, owners={"image": {42: (8, 3)}})
    assert it.make(row()) == expected("UPDATE", owner="8", group="3", previousowner="2")


def test_only_the_first_of_several_rows_tells_the_move() -> None:
    it = maker({("image", 42): (2, 3)}, owners={"image": {42: (2, 9)}})
    assert it.make(row()).previousgroup == "3"
    assert it.make(row()).previousgroup is None
    assert len(it.changes.remember) == 1


def test_an_insert_that_is_read_again_after_a_move_leaves_the_move_to_the_row_that_made_it() -> None:
    it = maker({("image", 42): (2, 3)}, owners={"image": {42: (2, 9)}})
    assert it.make(row("INSERT")) == expected("INSERT", owner="2", group="9")
    assert it.make(row("UPDATE")) == expected("UPDATE", owner="2", group="9", previousgroup="3")
    assert it.changes == Changes(remember=[LastKnown(kind="image", id=42, owner=2, group=9)])


def test_an_object_that_stayed_has_no_past_and_nothing_is_written() -> None:
    it = maker({("image", 42): (2, 3)}, owners={"image": {42: (2, 3)}})
    assert it.make(row()) == expected("UPDATE", owner="2", group="3")
    assert it.changes == Changes()


def test_a_deleted_object_is_told_to_those_who_could_see_it() -> None:
    it = maker({("image", 42): (2, 3)}, owners={"image": {}})
    assert it.make(row("DELETE")) == expected("DELETE", owner="2", group="3")
    assert it.changes == Changes(forget=[("image", 42)])


def test_an_update_of_an_object_that_is_already_gone_is_told_with_its_last_known_owner() -> None:
    it = maker({("image", 42): (2, 3)}, owners={"image": {}})
    assert it.make(row("UPDATE")) == expected("UPDATE", owner="2", group="3")
    assert it.changes == Changes()


def test_of_an_object_that_nobody_knew_neither_owner_nor_group_is_guessed() -> None:
    it = maker(owners={"image": {}})
    assert it.make(row("DELETE")) == expected("DELETE")
    assert it.changes == Changes()


def test_annotations_share_one_table_and_keep_their_own_names() -> None:
    full = "ome.model.annotations.TagAnnotation"
    it = maker(owners={"annotation": {42: (2, 3)}})
    assert it.make(row("INSERT", full)) == expected("INSERT", "TagAnnotation", full, owner="2", group="3")
    assert it.changes == Changes(learn=[LastKnown(kind="annotation", id=42, owner=2, group=3)])


def test_parts_have_owners_but_are_not_remembered() -> None:
    full = "ome.model.core.PlaneInfo"
    it = maker(owners={"planeinfo": {42: (2, 3)}})
    assert it.make(row("INSERT", full)) == expected("INSERT", "PlaneInfo", full, owner="2", group="3")
    assert it.changes == Changes()


def test_a_membership_says_which_group_and_which_user() -> None:
    it = maker(memberships={42: (3, 8)})
    assert it.make(row("INSERT", MEMBERSHIP)) == expected("INSERT", "GroupExperimenterMap", MEMBERSHIP, parent="3", child="8")
    assert it.changes == Changes(learn=[LastKnown(kind="groupexperimentermap", id=42, parent=3, child=8)])


def test_a_membership_that_ended_still_says_which_group_and_which_user() -> None:
    it = maker({("groupexperimentermap", 42): (3, 8)})
    assert it.make(row("DELETE", MEMBERSHIP)) == expected("DELETE", "GroupExperimenterMap", MEMBERSHIP, parent="3", child="8")
    assert it.changes == Changes(forget=[("groupexperimentermap", 42)])


def test_under_sudo_both_users_are_named() -> None:
    it = maker(events={70: EVENT._replace(sudoer=0)})
    assert it.make(row(entitytype="ome.model.meta.Experimenter")) == expected(
        "UPDATE", "Experimenter", "ome.model.meta.Experimenter", sudoer="0"
    )


@pytest.mark.parametrize(
    ("action", "entitytype", "type_", "subject"),
    [
        (
            "CHMOD(rwr---)",
            "ome.model.meta.ExperimenterGroup",
            "org.openmicroscopy.experimentergroup.chmod",
            "ExperimenterGroup:42",
        ),
        ("PIXELDATA", "ome.model.core.Pixels", "org.openmicroscopy.pixels.pixeldata", "Pixels:42"),
        ("Täg me", "org.example.Späß", "org.openmicroscopy.späß.täg-me", "Späß:42"),
        ("INSERT", "Thing", "org.openmicroscopy.thing.insert", "Thing:42"),
    ],
)
def test_unknown_types_and_actions_pass_through(action: str, entitytype: str, type_: str, subject: str) -> None:
    event = maker().make(row(action, entitytype))
    assert (event.type, event.subject, event.data.action, event.owner) == (type_, subject, action, None)


def test_a_row_whose_event_is_not_there_has_the_time_of_its_commit_and_no_actor() -> None:
    it = maker(events={}, owners={"image": {42: (2, 3)}})
    assert it.make(row("INSERT")) == expected(
        "INSERT", owner="2", group="3", actor=None, eventtype=None, time="2026-11-24T07:01:24.503741Z"
    )


def test_a_row_that_was_read_again_has_no_transaction() -> None:
    assert maker().make(row(op="r", txid=None, lsn=None)).transaction is None


def test_a_transaction_id_is_told_in_full() -> None:
    it = EventMaker(
        source="s",
        older_source="o",
        facts=Facts(epoch=EPOCH, snapshot=parse("4294967300:4294967300:"), events={}, owners={}, memberships={}, rows={}),
        known={},
        place=zone("UTC"),
    )
    assert it.make(row(txid=2)).transaction == "4294967298"


def test_a_row_that_this_database_never_had_is_told_under_its_old_source_and_with_nothing_of_today() -> None:
    it = maker({("image", 42): (1, 1)}, owners={"image": {42: (2, 3)}})
    assert it.make(row("INSERT"), lost=True) == expected(
        "INSERT", source="/omero/old", actor=None, eventtype=None, transaction=None, time="2026-11-24T07:01:24.503741Z"
    )
    assert it.changes == Changes()


def test_a_commit_time_beyond_the_calendar_teaches_the_last_known_table_nothing() -> None:
    it = maker(owners={"image": {42: (2, 3)}})
    with pytest.raises(OverflowError):
        it.make(row("INSERT", commit_us=2**62))
    assert it.changes == Changes()
