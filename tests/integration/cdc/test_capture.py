"""A committed row becomes a record: what is in it, in which order, and what never appears."""

import threading
import time

import msgspec
import pytest

from pipeline.cdc.connectors import KINDS, connector
from pipeline.kafka.scan import scan
from pipeline.wire.rows import EventlogRow, ReindexingRow

from .capture import CANARY, capturing, until

pytestmark = pytest.mark.stack


def test_a_committed_row_becomes_a_flat_record_under_its_objects_key(capture):
    before_us = time.time_ns() // 1000
    [row_id] = capture.log(action="INSERT", entity="ome.model.core.Image", entity_id=7)
    capture.await_ids([row_id])
    [record] = capture.records()
    row = msgspec.json.decode(record.value, type=EventlogRow)
    assert record.key == b'{"entitytype":"ome.model.core.Image","entityid":7}'
    assert record.headers == ()
    assert (row.id, row.action, row.permissions, row.entityid, row.entitytype) == (
        row_id,
        "INSERT",
        -35,
        7,
        "ome.model.core.Image",
    )
    assert (row.op, row.external_id) == ("c", None)
    assert before_us < row.commit_us < time.time_ns() // 1000
    xmin = capture.admin.execute("SELECT xmin::text::int8 FROM eventlog WHERE id = %s", (row_id,)).fetchone()[0]
    assert row.txid == xmin
    assert set(msgspec.json.decode(record.value)) == {
        *("id", "action", "permissions", "entityid", "entitytype", "external_id", "event"),
        *("__op", "__commit_us", "__lsn", "__txid"),
    }


def test_rows_of_one_object_arrive_in_commit_order_and_not_in_order_of_their_ids(capture):
    one, two = capture.server_session(), capture.server_session()
    low = capture.log(connection=one, rows=3)
    high = capture.log(connection=two, rows=2)
    two.commit()
    one.commit()
    capture.await_ids([*low, *high])
    assert high[0] > low[-1]
    assert capture.ids() == [*high, *low]


def test_a_rollback_is_never_seen(capture):
    session = capture.server_session()
    undone = capture.log(connection=session, rows=5)
    session.rollback()
    done = capture.log()
    capture.await_ids(done)
    assert capture.ids() == done
    assert not set(undone) & set(capture.ids())


def test_reindex_rows_of_the_trigger_are_left_out_and_those_of_a_user_pass(capture):
    capture.log(action="REINDEX", permissions=-52, rows=4)
    asked = capture.log(action="REINDEX", permissions=-35)
    other = capture.log(action="UPDATE", permissions=-52)
    capture.await_ids([*asked, *other])
    assert capture.ids() == [*asked, *other]


def test_the_second_connector_delivers_what_the_triggers_note(capture):
    event = capture.event()
    capture.admin.execute("INSERT INTO _reindexing_required VALUES (%s, 'ome.model.core.Image', 9)", (event,))
    [record] = until(lambda: capture.records("reindexing"), what="a row of _reindexing_required")
    row = msgspec.json.decode(record.value, type=ReindexingRow)
    assert record.key == b'{"entity_type":"ome.model.core.Image","entity_id":9}'
    assert (row.event_id, row.entity_type, row.entity_id, row.op) == (event, "ome.model.core.Image", 9, "c")
    assert capture.records("eventlog") == []


def test_omeros_own_delete_from_the_table_without_primary_key_still_works(capture):
    event = capture.event()
    capture.admin.execute("INSERT INTO _reindexing_required VALUES (%s, 'ome.model.core.Image', 9)", (event,))
    until(lambda: capture.records("reindexing"))
    capture.admin.execute("SELECT updated_entities_note_reindex()")
    assert capture.admin.execute("SELECT count(*) FROM _reindexing_required").fetchone() == (0,)
    marker = capture.log()
    capture.await_ids(marker)
    assert capture.ids() == marker, "the REINDEX row that the function made is left out, and nothing was deleted on the topic"


def test_names_beyond_ascii_survive_the_way(capture):
    rows = capture.log(action="CHMOD(µÅ)", entity="ome.model.core.Imagé")
    capture.await_ids(rows)
    [record] = capture.records()
    assert record.key == '{"entitytype":"ome.model.core.Imagé","entityid":42}'.encode()
    assert msgspec.json.decode(record.value)["action"] == "CHMOD(µÅ)"


def test_an_idle_database_frees_its_write_ahead_log_by_heartbeats(capture):
    for kind in KINDS:
        topic = connector(kind, capture.settings).heartbeat_topic
        until(lambda topic=topic: list(scan(capture.settings.kafka, topic)), what="a heartbeat on its topic")
    # Somebody else's tables are busy, ours are not: nothing that we read moves the slots.
    capture.admin.execute("CREATE TABLE other AS SELECT repeat('x', 200) FROM generate_series(1, 40000)")
    written = capture.slot().behind_bytes
    until(
        lambda: all(capture.slot(kind).behind_bytes < 100_000 for kind in KINDS),
        within_s=30,
        what=f"the slots moving on by {written} bytes",
    )
    assert capture.records() == []


def test_no_secret_of_the_database_reaches_a_topic(capture):
    session = capture.admin.execute(
        "INSERT INTO session (id, permissions, defaulteventtype, started, timetoidle, timetolive, uuid, node, owner)"
        " VALUES (ome_nextval('seq_session'), -52, 'User', now(), 600000, 0, %s, 1, 0) RETURNING id",
        (f"{CANARY}-session-1",),
    ).fetchone()[0]
    rows = capture.log(action="INSERT", entity="ome.model.meta.Session", entity_id=session)
    rows += capture.log(action="PASSWORD", entity="ome.model.meta.Experimenter", entity_id=0)
    capture.await_ids(rows)
    everything = [record for kind in KINDS for record in capture.records(kind)]
    for kind in KINDS:
        everything += scan(capture.settings.kafka, connector(kind, capture.settings).heartbeat_topic)
    text = b"".join((record.key or b"") + (record.value or b"") for record in everything)
    assert b"Session" in text
    assert CANARY.encode() not in text
    assert b"secret" not in text


def test_a_transaction_of_many_rows_arrives_whole(capture):
    rows = capture.log(action="DELETE", rows=20_000)
    capture.await_ids(rows, within_s=60)
    assert capture.ids() == rows


def test_concurrent_sessions_lose_nothing(capture):
    written: list[int] = []

    def work(number: int) -> None:
        session = capture.server_session()
        for turn in range(20):
            ids = capture.log(connection=session, rows=3, entity_id=number)
            if turn % 7 == 3:
                session.rollback()
            else:
                session.commit()
                written.extend(ids)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    capture.await_ids(written)
    assert sorted(capture.ids()) == sorted(written)


def test_a_missing_topic_is_named_and_loses_nothing(postgres, captured_settings):
    dsn = postgres.dsn(captured_settings.omero.database)
    with capturing(captured_settings, admin_dsn=dsn, with_topics=False) as capture:
        until(lambda: not capture.connect.status(capture.eventlog.name).problem, what="a running task")
        rows = capture.log(rows=3)
        named = [finding.problem for finding in capture.findings()]
        assert named == [
            f"there is no topic {name}: {capture.eventlog.name} runs, and waits for it"
            for name in (capture.eventlog.topic, capture.eventlog.heartbeat_topic)
        ]
        capture.make_topics()
        capture.await_ids(rows)
        assert capture.ids() == rows
