"""What OMERO's triggers note for reindexing, and what becomes of it."""

import psycopg
import pytest

from pipeline.demo.simulator.annotate import edit_annotation, hang, new_annotation
from pipeline.demo.simulator.draw_roi import draw_roi
from pipeline.demo.simulator.entities import CLASSES, TAG
from pipeline.demo.simulator.folder import create_folder
from pipeline.demo.simulator.map_annotation import add_key_values, edit_key_values
from pipeline.demo.simulator.note_reindex import note_reindex
from pipeline.demo.simulator.organise import create_container
from pipeline.demo.simulator.rename import describe, rename
from pipeline.demo.simulator.tag import add_new_tag, add_tag, gather_tags, remove_tag, reword_tag

pytestmark = pytest.mark.stack

IMAGE = CLASSES["image"]


def noted(sql):
    """What waits to be reindexed, and forget it."""
    rows = sql.execute("SELECT event_id, entity_type, entity_id FROM _reindexing_required ORDER BY 1, 2, 3").fetchall()
    sql.execute("DELETE FROM _reindexing_required")
    return rows


def reindexed(sql):
    return sql.execute(
        "SELECT event, entitytype, entityid, permissions FROM eventlog WHERE action = 'REINDEX' ORDER BY id"
    ).fetchall()


def test_a_link_to_an_annotation_notes_its_parent_when_it_comes_changes_or_goes(lab, sql):
    first, second = lab.images(2)
    tagged = add_new_tag(lab.server, lab.ann, "mitosis", [first])
    assert noted(sql) == [(tagged.event_id, IMAGE, first)]
    (link,) = sql.execute("SELECT id FROM imageannotationlink").fetchone()
    with lab.server.call(lab.ann) as call:
        call.update("imageannotationlink", [link], parent=second)
    assert noted(sql) == [(call.event_id, IMAGE, first), (call.event_id, IMAGE, second)]
    untagged = remove_tag(lab.server, lab.ann, tagged.object_id, second)
    assert noted(sql) == [(untagged.event_id, IMAGE, second)]


def test_an_edited_annotation_notes_everything_that_it_hangs_on_of_every_kind(lab, sql):
    server, ann = lab.server, lab.ann
    image = lab.image().object_id
    objects = {table: create_container(server, ann, table, "x").object_id for table in ("dataset", "project", "screen")}
    tag = add_new_tag(server, ann, "control", [image]).object_id
    for table, object_id in objects.items():
        add_tag(server, ann, tag, [object_id], table=table)
    gather_tags(server, ann, "set", [tag])
    (tag_set,) = sql.execute("SELECT parent FROM annotationannotationlink").fetchone()
    noted(sql)
    edited = reword_tag(server, ann, tag, "controls")
    expected = {(CLASSES[table], object_id) for table, object_id in {**objects, "image": image}.items()}
    expected.add(("ome.model.annotations.Annotation", tag_set))
    assert {(kind, object_id) for event, kind, object_id in noted(sql) if event == edited.event_id} == expected


def test_a_new_annotation_notes_nothing_before_it_hangs_somewhere(lab, sql):
    with lab.server.call(lab.ann) as call:
        new_annotation(call, TAG, textvalue="lonely")
    assert noted(sql) == []


def test_the_same_object_is_noted_once_in_an_event_and_again_in_the_next(lab, sql):
    image = lab.image().object_id
    with lab.server.call(lab.ann) as call:
        for text in ("a", "b"):
            hang(call, new_annotation(call, TAG, textvalue=text), "image", [image])
    again = add_new_tag(lab.server, lab.ann, "c", [image])
    assert noted(sql) == [(call.event_id, IMAGE, image), (again.event_id, IMAGE, image)]


def test_each_row_of_raw_sql_gets_a_triggered_event_by_root(lab, sql):
    images = lab.images(2)
    add_new_tag(lab.server, lab.ann, "x", images)
    noted(sql)
    sql.execute("DELETE FROM imageannotationlink")
    rows = noted(sql)
    assert [(kind, object_id) for _, kind, object_id in rows] == [(IMAGE, image) for image in images]
    events = sql.execute(
        "SELECT status, experimenter, experimentergroup, session, type, permissions FROM event WHERE id = ANY (%s)",
        ([event for event, _, _ in rows],),
    ).fetchall()
    assert events == [("TRIGGERED", 0, 0, 0, 0, -52)] * 2


def test_event_0_counts_as_no_event(lab, sql):
    image = lab.image().object_id
    add_new_tag(lab.server, lab.ann, "x", [image])
    noted(sql)
    with sql.transaction():
        sql.execute("SELECT _prepare_session(0, 0, 0)")
        sql.execute("UPDATE annotation SET textvalue = 'y'")
    ((event, _, _),) = noted(sql)
    assert event != 0
    assert sql.execute("SELECT status FROM event WHERE id = %s", (event,)).fetchone() == ("TRIGGERED",)


def test_the_current_event_ends_with_the_transaction(sql):
    with sql.transaction():
        sql.execute("SELECT _prepare_session(0, 7, 3)")
        assert sql.execute("SELECT event_id, user_id, group_id FROM _current_session").fetchall() == [(0, 7, 3)]
        sql.execute("SELECT _prepare_session(5, 8, 4)")
        assert sql.execute("SELECT _current_event()").fetchone() == (5,)
    assert sql.execute("SELECT _current_event()").fetchone() == (None,)


def test_notes_become_reindex_rows_except_for_what_has_a_row_in_the_same_event(lab, sql):
    with_update, without = lab.images(2)
    tag = add_new_tag(lab.server, lab.ann, "x", [])
    noted(sql)
    with lab.server.call(lab.ann) as call:
        call.update("image", [with_update], description="changed in the same call")
        hang(call, tag.object_id, "image", [with_update, without])
    done = note_reindex(lab.server)
    assert reindexed(sql) == [(call.event_id, IMAGE, without, -52)]
    assert (done.rows, done.event_id) == (1, 0)
    assert noted(sql) == []


def test_a_second_note_in_the_same_event_is_lost_once_the_first_was_written(lab, sql):
    image = lab.image().object_id
    noted(sql)
    first = add_new_tag(lab.server, lab.ann, "x", [image])
    note_reindex(lab.server)
    sql.execute("INSERT INTO _reindexing_required VALUES (%s, %s, %s)", (first.event_id, IMAGE, image))
    assert note_reindex(lab.server).rows == 0
    assert noted(sql) == []


def test_at_most_100_000_notes_are_taken_in_one_go_oldest_events_first(lab, sql):
    events = [describe(lab.server, lab.ann, "experimentergroup", lab.group, text).event_id for text in ("a", "b")]
    # A history, so that PostgreSQL knows that an object's id is what tells rows apart.
    sql.execute(
        "INSERT INTO eventlog (id, action, permissions, entityid, entitytype, event)"
        " SELECT -n, 'INSERT', -35, n, 'ome.model.core.Channel', 0 FROM generate_series(1, 20000) AS n"
    )
    sql.execute("ANALYZE eventlog")
    for event, count in zip(reversed(events), (40_000, 70_000), strict=True):
        sql.execute("INSERT INTO _reindexing_required SELECT %s, %s, n FROM generate_series(1, %s) AS n", (event, IMAGE, count))
    done = note_reindex(lab.server)
    assert done.rows == 100_000
    assert sql.execute("SELECT event_id, count(*) FROM _reindexing_required GROUP BY 1").fetchall() == [(events[1], 10_000)]
    assert note_reindex(lab.server).rows == 10_000


def test_a_publication_of_all_tables_stops_the_indexer_and_replica_identity_full_starts_it_again(lab, sql):
    add_new_tag(lab.server, lab.ann, "x", lab.images(1))
    sql.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    with pytest.raises(
        psycopg.errors.ObjectNotInPrerequisiteState, match="does not have a replica identity and publishes deletes"
    ):
        sql.execute("SELECT updated_entities_note_reindex()")
    sql.execute("ALTER TABLE _reindexing_required REPLICA IDENTITY FULL")
    assert note_reindex(lab.server).rows > 0


def test_a_publication_of_inserts_leaves_the_indexer_alone(lab, sql):
    sql.execute("CREATE PUBLICATION notes FOR TABLE _reindexing_required, eventlog WITH (publish = 'insert')")
    add_new_tag(lab.server, lab.ann, "x", lab.images(1))
    assert note_reindex(lab.server).rows == 1


def test_what_is_not_in_the_wal_cannot_be_published(sql):
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="unlogged"):
        sql.execute("CREATE PUBLICATION privileges FOR TABLE _current_admin_privileges")
    sql.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    published = {name for (name,) in sql.execute("SELECT tablename FROM pg_publication_tables")}
    assert "_current_admin_privileges" not in published
    assert {"eventlog", "_fs_deletelog", "_roles"} <= published


def test_rois_and_their_folders_note_the_image(lab, sql):
    server, ann = lab.server, lab.ann
    first, second = lab.images(2)
    noted(sql)
    roi = draw_roi(server, ann, first)
    assert noted(sql) == [(roi.event_id, IMAGE, first)]
    folder = create_folder(server, ann, "cells", rois=[roi.object_id])
    assert noted(sql) == [(folder.event_id, IMAGE, first)]
    renamed = rename(server, ann, "folder", folder.object_id, "dividing cells")
    assert noted(sql) == [(renamed.event_id, IMAGE, first)]
    with server.call(ann) as unmoved:
        unmoved.update("roi", [roi.object_id], name="nucleus")
    assert noted(sql) == []
    with server.call(ann) as moved:
        moved.update("roi", [roi.object_id], image=second)
    assert noted(sql) == [(moved.event_id, IMAGE, first), (moved.event_id, IMAGE, second)]
    with server.call(ann) as gone:
        gone.execute("DELETE FROM folderroilink")
        gone.execute("DELETE FROM shape")
        gone.delete("roi", [roi.object_id])
    assert noted(sql) == [(gone.event_id, IMAGE, second)]


def test_a_folder_without_rois_makes_no_event(lab, sql):
    folder = create_folder(lab.server, lab.ann, "empty").object_id
    before = sql.execute("SELECT count(*) FROM event").fetchone()
    sql.execute("UPDATE folder SET name = 'still empty' WHERE id = %s", (folder,))
    assert (noted(sql), sql.execute("SELECT count(*) FROM event").fetchone()) == ([], before)


def test_an_edit_of_key_values_notes_the_image_through_the_annotation_row(lab, sql):
    image = lab.image().object_id
    pairs = add_key_values(lab.server, lab.ann, [("siRNA", "CDK1")], image)
    noted(sql)
    edited = edit_key_values(lab.server, lab.ann, pairs.object_id, [("siRNA", "CDK2"), ("Temperature", "37 °C")])
    assert noted(sql) == [(edited.event_id, IMAGE, image)]
    sql.execute("UPDATE annotation_mapvalue SET value = 'only the collection'")
    assert noted(sql) == []


def test_a_failed_call_leaves_no_trace_but_ids(lab, sql):
    image = lab.image().object_id
    before = sql.execute("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM eventlog)").fetchone()
    with pytest.raises(LookupError), lab.server.call(lab.ann) as call:  # noqa: PT012 (the first statement must succeed)
        call.update("image", [image], name="never")
        edit_annotation(call, 4711, textvalue="there is no such annotation")
    assert sql.execute("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM eventlog)").fetchone() == before
    assert rename(lab.server, lab.ann, "image", image, "next").rows == 1
