"""Rows on `omero.eventlog` in, public events, work, letters and last-known rows out; on real PostgreSQL and Kafka."""

import base64
import random
import time
from dataclasses import replace

import psycopg
import pytest

from pipeline.delivery import letter
from pipeline.delivery.record import Outgoing
from pipeline.relay.rules import Rule
from pipeline.wire import topics
from pipeline.wire.events import EventlogData, PublicEvent
from pipeline.wire.work import WorkItem

from .facility import COLUMNS, IMAGE, until

pytestmark = pytest.mark.stack

MEMBERSHIP = "ome.model.meta.GroupExperimenterMap"


def summary(event):
    return (event.subject, event.data.action, event.owner, event.group, event.previousgroup)


def subjects(facility):
    """Subjects of all events, each once: what is tried again is published again, with the same ids."""
    return {event.subject for event in facility.events()}


def test_a_committed_row_becomes_an_event_that_says_who_and_whose(facility):
    with facility.connection(autocommit=False) as connection:
        event = facility.event(connection, actor=1, event_type="Import", time="2026-11-24 08:00:00.5")
        image = facility.image(connection, event, owner=0, group=1)
        row = facility.log(connection, event, "INSERT", IMAGE, image)
        ((txid,),) = connection.execute("SELECT pg_current_xact_id()::text")
    facility.capture()
    with facility.relaying():
        (read,) = until(facility.events)
    ((uuid,),) = facility.sql("SELECT value FROM configuration WHERE name = 'omero.db.uuid'")
    assert read == PublicEvent(
        specversion="1.0",
        id=f"eventlog:{row}",
        source=f"/omero/{uuid}",
        type="org.openmicroscopy.image.insert",
        subject=f"Image:{image}",
        partitionkey=f"Image:{image}",
        time="2026-11-24T08:00:00.500000Z",
        datacontenttype="application/json",
        actor="1",
        owner="0",
        group="1",
        omeroevent=str(event),
        eventtype="Import",
        transaction=txid,
        committime=read.committime,
        data=EventlogData(
            id=str(row), action="INSERT", entitytype=IMAGE, entityid=str(image), event=str(event), permissions="-35"
        ),
    )
    (record,) = facility.records(topics.EVENTS)
    assert record.key == f"Image:{image}".encode()
    assert record.headers == (("content-type", b"application/cloudevents+json; charset=utf-8"),)


def test_moves_and_deletes_are_told_to_those_who_saw_the_object_before(facility):
    with facility.relaying():
        image = facility.new_image(owner=0, group=0)
        until(lambda: len(facility.events()) == 1)
        facility.change_image(image, "UPDATE image SET group_id = 1 WHERE id = %s", image)
        until(lambda: len(facility.events()) == 2)
        facility.change_image(image, "DELETE FROM image WHERE id = %s", image, action="DELETE")
        until(lambda: len(facility.events()) == 3)
    subject = f"Image:{image}"
    assert [summary(event) for event in facility.events()] == [
        (subject, "INSERT", "0", "0", None),
        (subject, "UPDATE", "0", "1", "0"),
        (subject, "DELETE", "0", "1", None),
    ]


def test_a_delete_that_is_read_again_says_the_same_again(facility):
    with facility.relaying():
        image = facility.new_image(owner=0, group=1)
        until(lambda: len(facility.events()) == 1)
        facility.change_image(image, "DELETE FROM image WHERE id = %s", image, action="DELETE")
        until(lambda: len(facility.events()) == 2)
        facility.send(facility.sent[-1:])
        until(lambda: len(facility.events()) == 3)
    _, first, again = facility.events()
    assert first == again
    assert (again.owner, again.group) == ("0", "1")


def test_an_object_made_before_the_relay_ever_ran_is_known_when_it_goes(facility):
    image = facility.new_image(owner=0, group=1)
    facility.captured = facility.sql("SELECT max(id) FROM eventlog")[0][0]
    with facility.relaying():
        state = "SELECT count(*) FROM omero_mq.last_known_fill WHERE finished_at IS NOT NULL AND kind = 'image'"
        assert until(lambda: _state(facility, state) == [(1,)])
        facility.change_image(image, "DELETE FROM image WHERE id = %s", image, action="DELETE")
        until(lambda: len(facility.events()) == 2)
    assert summary(facility.events()[-1]) == (f"Image:{image}", "DELETE", "0", "1", None)


def test_a_membership_names_group_and_user_also_when_it_ends(facility):
    with facility.connection(autocommit=False) as connection:
        event = facility.event(connection)
        ((id_,),) = connection.execute(
            "INSERT INTO groupexperimentermap (id, permissions, owner, parent, child, child_index) VALUES"
            " (ome_nextval('seq_groupexperimentermap'), -52, false, 2, 0, 9) RETURNING id"
        )
        facility.log(connection, event, "INSERT", MEMBERSHIP, id_)
    facility.capture()
    with facility.relaying():
        until(lambda: len(facility.events()) == 1)
        with facility.connection(autocommit=False) as connection:
            connection.execute("DELETE FROM groupexperimentermap WHERE id = %s", (id_,))
            facility.log(connection, event, "DELETE", MEMBERSHIP, id_)
        facility.capture()
        until(lambda: len(facility.events()) == 2)
    assert [(event.data.action, event.parent, event.child) for event in facility.events()] == [
        ("INSERT", "2", "0"),
        ("DELETE", "2", "0"),
    ]


def test_rows_that_commit_in_the_opposite_order_of_their_ids_are_all_told_in_the_order_of_commits(facility):
    with facility.connection(autocommit=False) as early, facility.relaying():
        event = facility.event(early)
        image = facility.image(early, event)
        first = facility.log(early, event, "INSERT", IMAGE, image)
        later = facility.new_image()
        until(lambda: len(facility.events()) == 1)
        early.commit()
        facility.captured = 0
        facility.send([facility.as_debezium(row) for row in _rows(facility, first)])
        until(lambda: len(facility.events()) == 2)
    assert [(event.subject, event.owner) for event in facility.events()] == [(f"Image:{later}", "0"), (f"Image:{image}", "0")]


def test_what_cannot_be_read_becomes_letters_and_the_rest_goes_on(facility):
    with facility.relaying():
        before = facility.new_image()
        good = facility.sent[-1]
        bad = [None, b"", b"\xff\xfe", good[:-1], good.replace(b"INSERT", b"IN\\u0000"), b'{"id":' + b"9" * 30 + b"}"]
        facility.send(bad)
        after = facility.new_image()
        until(lambda: len(facility.letters()) == len(bad) and len(facility.events()) == 2)
        assert until(lambda: facility.committed() == len(bad) + 2)
    assert sorted(subjects(facility)) == [f"Image:{before}", f"Image:{after}"]
    assert sorted((one.value or b"-") for one in facility.letters()) == sorted(value or b"-" for value in bad)
    assert {(one.letter_class, one.consumer, one.part) for one in facility.letters()} == {("undecodable", "relay", "")}


def test_unknown_types_and_actions_pass_through(facility):
    with facility.connection(autocommit=False) as connection:
        event = facility.event(connection)
        facility.log(connection, event, "CHMOD(rwr---)", "ome.model.meta.ExperimenterGroup", 1)
        facility.log(connection, event, "Größe geändert", "org.example.Messgerät", 5)
        facility.log(connection, event, "PIXELDATA", "ome.model.core.Pixels", 404)
        facility.log(connection, event, "INSERT", "ome.model.acquisition.NoSuchThing", 6)
    facility.capture()
    with facility.relaying():
        until(lambda: len(facility.events()) == 4)
    assert sorted((event.type, event.subject, event.actor, event.owner) for event in facility.events()) == [
        ("org.openmicroscopy.experimentergroup.chmod", "ExperimenterGroup:1", "0", None),
        ("org.openmicroscopy.messgerät.größe-geändert", "Messgerät:5", "0", None),
        ("org.openmicroscopy.nosuchthing.insert", "NoSuchThing:6", "0", None),
        ("org.openmicroscopy.pixels.pixeldata", "Pixels:404", "0", None),
    ]


def thumbnail(event):
    return [WorkItem(id=f"{event.id}:thumbnail", queue="thumbnails", requested_by="relay", payload={"image": event.subject})]


def test_rules_make_work_and_one_that_raises_makes_a_letter_and_stops_nothing(facility):
    broken = True

    def fragile(event):
        if broken:
            raise RuntimeError("no such size")
        return [WorkItem(id=f"{event.id}:fragile", queue="thumbnails", requested_by="relay", payload={})]

    work = topics.named(topics.WORK, facility.settings.kafka.prefix, "thumbnails")
    facility.admin.create([replace(topics.WORK, name=work, partitions=1)])
    rules = [Rule(name="fragile", work=fragile), Rule(name="thumbnail", work=thumbnail)]
    with facility.relaying(rules=rules):
        image = facility.new_image()
        until(facility.letters)
        (event,) = facility.events()
        (failed,) = facility.letters()
        assert (failed.part, failed.exception, failed.message) == ("fragile", "RuntimeError", "no such size")
        assert facility.work("thumbnails") == thumbnail(event)

        broken = False
        retry = topics.named(topics.RETRY_RELAY, facility.settings.kafka.prefix)
        facility.kafka.publish([Outgoing(topic=retry, key=failed.key, value=failed.value, headers=letter.replay_headers(failed))])
        until(lambda: len(facility.work("thumbnails")) == 2)
    assert [item.id for item in facility.work("thumbnails")] == [f"{event.id}:thumbnail", f"{event.id}:fragile"]
    assert [event.subject for event in facility.events()] == [f"Image:{image}"]


def test_an_event_that_no_topic_takes_becomes_a_letter_and_the_rest_goes_on(facility):
    with facility.relaying():
        first = facility.new_image()
        name = base64.b64encode(random.Random(7).randbytes(225_000))  # does not shrink, and stands in an event five times
        facility.send([facility.sent[-1].replace(b"ome.model.core.Image", b"org.example." + name)])
        last = facility.new_image()
        until(lambda: f"Image:{last}" in subjects(facility) and facility.letters())
    assert sorted(subjects(facility)) == [f"Image:{first}", f"Image:{last}"]
    assert [one.letter_class for one in facility.letters()] == ["oversize"]


def test_a_stop_is_quick_and_loses_nothing(facility):
    with facility.relaying():
        facility.new_image()
        until(lambda: len(facility.events()) == 1)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    facility.new_image()
    with facility.relaying():
        until(lambda: len(facility.events()) == 2)
    assert len(facility.events()) == 2
    assert facility.committed() == 2


def _rows(facility, id_):
    return facility.sql(
        f"SELECT {COLUMNS} FROM eventlog WHERE id = %s",
        id_,
    )


def _state(facility, statement):
    dsn = psycopg.conninfo.make_conninfo(facility.admin_dsn, dbname=facility.settings.state.database)
    with psycopg.connect(dsn) as connection:
        return connection.execute(statement).fetchall()
