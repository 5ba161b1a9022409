"""What each action of the simulator leaves in the event log."""

from collections import Counter

import psycopg
import pytest

from pipeline.demo.simulator import names
from pipeline.demo.simulator.acquisition import Stack
from pipeline.demo.simulator.change_password import change_password
from pipeline.demo.simulator.chgrp import chgrp
from pipeline.demo.simulator.chmod import chmod_by_admin_service, chmod_by_request
from pipeline.demo.simulator.chown import chown
from pipeline.demo.simulator.clock import seeded_clock
from pipeline.demo.simulator.comment import comment
from pipeline.demo.simulator.create_group import create_group
from pipeline.demo.simulator.create_user import create_user
from pipeline.demo.simulator.delete import delete
from pipeline.demo.simulator.draw_roi import draw_roi
from pipeline.demo.simulator.history import ROOT
from pipeline.demo.simulator.import_image import import_image
from pipeline.demo.simulator.login import login
from pipeline.demo.simulator.map_annotation import add_key_values
from pipeline.demo.simulator.note_reindex import note_reindex
from pipeline.demo.simulator.organise import create_container, put_into
from pipeline.demo.simulator.out_of_order import out_of_order
from pipeline.demo.simulator.rate import rate
from pipeline.demo.simulator.reindex_flood import reindex_flood
from pipeline.demo.simulator.rename import rename
from pipeline.demo.simulator.request_pyramid import request_pyramid
from pipeline.demo.simulator.run_script import run_script
from pipeline.demo.simulator.server import Server
from pipeline.demo.simulator.tag import add_new_tag, add_tag

pytestmark = pytest.mark.stack


def test_all_rows_of_a_call_share_one_event_and_one_block_of_ids(lab, sql):
    done = add_new_tag(lab.server, lab.ann, "control", lab.images(3))
    rows = sql.execute("SELECT id, event, permissions FROM eventlog WHERE event = %s ORDER BY id", (done.event_id,)).fetchall()
    assert rows == [(done.log_ids[0] + n, done.event_id, -35) for n in range(4)]
    assert (list(done.log_ids), done.rows) == ([row[0] for row in rows], 4)
    event = sql.execute(
        "SELECT experimenter, experimentergroup, session, eventtype.value, status FROM event"
        " JOIN eventtype ON eventtype.id = type WHERE event.id = %s",
        (done.event_id,),
    ).fetchone()
    assert event == (lab.ann.user_id, lab.group, lab.ann.session_id, "User", None)


def test_what_was_done_names_the_transaction_that_did_it(lab, sql):
    done = rename(lab.server, lab.ann, "image", lab.image().object_id, "Größe 5 µm.dv")
    xmin = sql.execute("SELECT xmin::text::int8 FROM eventlog WHERE id = %s", (done.log_ids[0],)).fetchone()
    assert xmin == (done.transaction_id % 2**32,)
    assert sql.execute("SELECT name FROM image").fetchall() == [("Größe 5 µm.dv",)]


def test_an_import_is_four_transactions_and_the_third_makes_the_image(lab, sql):
    dataset = create_container(lab.server, lab.ann, "dataset", "series").object_id
    done = list(import_image(lab.server, lab.ann, name="a.dv", dataset_id=dataset, stack=Stack(channels=2, sections=3)))
    assert [(each.action, lab.log(each)) for each in done] == [
        (
            "start upload",
            {
                "INSERT OriginalFile": 2,
                "INSERT Fileset": 1,
                "INSERT FilesetEntry": 1,
                "INSERT FilesetJobLink": 5,
                "INSERT UploadJob": 1,
                "INSERT MetadataImportJob": 1,
                "INSERT PixelDataJob": 1,
                "INSERT ThumbnailGenerationJob": 1,
                "INSERT IndexingJob": 1,
            },
        ),
        ("end upload", {"UPDATE OriginalFile": 1, "UPDATE UploadJob": 1}),
        (
            "import image",
            {
                "INSERT Image": 1,
                "INSERT Pixels": 1,
                "INSERT LogicalChannel": 2,
                "INSERT Channel": 2,
                "INSERT PlaneInfo": 6,
                "INSERT DatasetImageLink": 1,
                "UPDATE MetadataImportJob": 1,
            },
        ),
        (
            "view first",
            {
                "INSERT StatsInfo": 2,
                "UPDATE Pixels": 1,
                "INSERT QuantumDef": 1,
                "INSERT RenderingDef": 1,
                "INSERT ChannelBinding": 2,
                "INSERT Thumbnail": 1,
                "UPDATE ThumbnailGenerationJob": 1,
            },
        ),
    ]
    kinds = sql.execute(
        "SELECT substring(entitytype from '[^.]*$') FROM eventlog WHERE event = %s AND entitytype LIKE '%%jobs%%' ORDER BY id",
        (done[0].event_id,),
    ).fetchall()
    assert [kind for (kind,) in kinds] == [
        "UploadJob",
        "MetadataImportJob",
        "PixelDataJob",
        "ThumbnailGenerationJob",
        "IndexingJob",
    ]
    assert sql.execute("SELECT name, path LIKE 'ann_2/%%/' FROM originalfile WHERE mimetype <> 'Directory'").fetchall() == [
        ("a.dv", True)
    ]


def test_accounts_leave_rows_for_users_groups_memberships_sessions_and_passwords(server, sql, lab):
    group = create_group(server, "Private", "rw----")
    user, password = create_user(server, "eve", "Eve", "Żak", group_id=group.object_id)
    session = login(server, "eve", sudoer=ROOT.user_id)
    changed = change_password(server, user.object_id)
    assert [lab.log(done) for done in (group, user, password, session, changed)] == [
        {"INSERT ExperimenterGroup": 1},
        {"INSERT Experimenter": 1, "INSERT GroupExperimenterMap": 2},
        {"PASSWORD Experimenter": 1},
        {"INSERT Session": 1},
        {"PASSWORD Experimenter": 1},
    ]
    assert (session.actor.name, session.actor.group_id) == ("eve", group.object_id)
    assert sql.execute("SELECT owner, sudoer FROM session WHERE id = %s", (session.object_id,)).fetchone() == (user.object_id, 0)
    event_type = "SELECT value, experimenter FROM event JOIN eventtype ON eventtype.id = type WHERE event.id = %s"
    assert sql.execute(event_type, (session.event_id,)).fetchone() == ("Sessions", 0)


def test_a_group_changes_its_permissions_by_either_way(lab, sql):
    image = lab.image().object_id
    add_new_tag(lab.server, lab.bob, "mine", [image])
    by_service = chmod_by_admin_service(lab.server, lab.group, "rwr---")
    by_request = chmod_by_request(lab.server, lab.group, "rw----")
    assert lab.log(by_service) == {"CHMOD(rwr---) ExperimenterGroup": 1}
    assert lab.log(by_request) == {"UPDATE ExperimenterGroup": 1, "DELETE ImageAnnotationLink": 1}
    assert sql.execute("SELECT permissions FROM experimentergroup WHERE id = %s", (lab.group,)).fetchone() == (-120,)
    assert sql.execute("SELECT permissions FROM image").fetchone() == (-40,)  # an object keeps what it had


def test_a_second_rating_changes_the_first(lab):
    image = lab.image().object_id
    first, second = rate(lab.server, lab.ann, image, 3), rate(lab.server, lab.ann, image, 5)
    assert lab.log(first) == {"INSERT LongAnnotation": 1, "INSERT ImageAnnotationLink": 1}
    assert lab.log(second) == {"UPDATE LongAnnotation": 1}
    assert first.objects == second.objects


def test_a_scripts_job_waits_runs_and_ends_with_its_output(lab, sql):
    done = list(run_script(lab.server, lab.ann, "export.py", outcome="Error", message="x" * 300))
    assert [lab.log(each) for each in done] == [
        {"INSERT ScriptJob": 1, "INSERT OriginalFile": 1, "INSERT JobOriginalFileLink": 1},
        {"UPDATE ScriptJob": 1},
        {"UPDATE ScriptJob": 1, "INSERT OriginalFile": 2, "INSERT JobOriginalFileLink": 2},
    ]
    job = sql.execute("SELECT value, length(job.message), started < finished FROM job JOIN jobstatus ON jobstatus.id = status")
    assert job.fetchone() == ("Error", 255, True)


def test_deleting_an_image_deletes_its_fileset_and_what_is_its_own_but_no_tags(lab, sql):
    image = lab.imported().object_id
    add_new_tag(lab.server, lab.bob, "stays", [image])
    comment(lab.server, lab.ann, names.REMARKS[0], image)
    add_key_values(lab.server, lab.ann, [("a", "b")], image)
    draw_roi(lab.server, lab.ann, image, shapes=2)
    done = delete(lab.server, lab.ann, "image", [image])
    once = "Image Pixels Fileset FilesetEntry OriginalFile RenderingDef QuantumDef Thumbnail CommentAnnotation MapAnnotation Roi"
    expected = Counter({f"DELETE {name}": 1 for name in once.split()})
    for kind in ("UploadJob", "MetadataImportJob", "PixelDataJob", "ThumbnailGenerationJob", "IndexingJob"):
        expected[f"DELETE {kind}"] = 1
    expected |= Counter(
        {
            "DELETE ImageAnnotationLink": 3,
            "DELETE Rectangle": 2,
            "DELETE PlaneInfo": 2,
            "DELETE Channel": 2,
            "DELETE LogicalChannel": 2,
            "DELETE StatsInfo": 2,
            "DELETE ChannelBinding": 2,
            "DELETE FilesetJobLink": 5,
        }
    )
    assert lab.log(done) == expected
    assert sql.execute("SELECT string_agg(textvalue, ',') FROM annotation").fetchone() == ("stays",)
    assert sql.execute("SELECT count(*) FROM image").fetchone() == (0,)


def test_moving_a_dataset_updates_all_that_moves_and_unlinks_what_stays(lab, sql):
    image = lab.imported().object_id
    dataset = create_container(lab.server, lab.ann, "dataset", "moves").object_id
    project = create_container(lab.server, lab.ann, "project", "stays").object_id
    put_into(lab.server, lab.ann, ("dataset", dataset), "image", [image])
    put_into(lab.server, lab.ann, ("project", project), "dataset", [dataset])
    add_new_tag(lab.server, lab.ann, "stays", [image])
    comment(lab.server, lab.ann, "moves", image)
    log = lab.log(chgrp(lab.server, lab.ann, "dataset", [dataset], lab.other_group))
    assert {what: count for what, count in log.items() if what.startswith("DELETE")} == {
        "DELETE ProjectDatasetLink": 1,
        "DELETE ImageAnnotationLink": 1,
    }
    moved = {what for what in log if what.startswith("UPDATE")}
    expected = ("Dataset", "DatasetImageLink", "Image", "Pixels", "Fileset", "CommentAnnotation", "UploadJob")
    assert {f"UPDATE {name}" for name in expected} <= moved
    for table, group in {"image": lab.other_group, "dataset": lab.other_group, "project": lab.group}.items():
        assert sql.execute(f"SELECT group_id FROM {table}").fetchall() == [(group,)]


def test_giving_an_image_away_changes_the_owner_of_all_that_is_the_owners(lab, sql):
    image = lab.imported().object_id
    tag = add_new_tag(lab.server, lab.ann, "both", [image]).object_id
    add_tag(lab.server, lab.bob, tag, [image])
    done = chown(lab.server, "image", [image], lab.bob.user_id)
    log = lab.log(done)
    assert (log["UPDATE Image"], log["UPDATE Pixels"], log["UPDATE UploadJob"], log["DELETE ImageAnnotationLink"]) == (1, 1, 1, 1)
    assert sql.execute("SELECT owner_id FROM image").fetchall() == [(lab.bob.user_id,)]
    assert sql.execute("SELECT owner_id FROM imageannotationlink").fetchall() == [(lab.bob.user_id,)]


def test_a_request_for_a_pyramid_has_an_id_far_below_what_others_have_drawn_since(lab, sql):
    pixels = int(lab.image().objects[1].rpartition(":")[2])
    first = request_pyramid(lab.server, lab.ann, pixels)
    for _ in range(30):
        rename(lab.server, lab.ann, "experimentergroup", lab.group, "x")
    second = request_pyramid(lab.server, lab.ann, pixels)
    assert second.log_ids[0] == first.log_ids[0] + 1
    (highest,) = sql.execute("SELECT max(id) FROM eventlog WHERE event < %s", (second.event_id,)).fetchone()
    assert highest > second.log_ids[0] + 50
    assert lab.log(second) == {"PIXELDATA Pixels": 1}


def test_whoever_polls_by_id_never_sees_what_committed_out_of_order(lab, omero, sql):
    *images, other = lab.images(4)
    poller = "SELECT array_agg(id ORDER BY id) FROM eventlog WHERE id > %s"
    (last,) = sql.execute("SELECT max(id) FROM eventlog").fetchone()
    with psycopg.connect(omero) as connection:
        fast = Server(connection, seed=8, clock=seeded_clock(8))
        both = out_of_order(lab.server, fast, lab.ann, images, other)
        early = next(both)
        assert sql.execute(poller, (last,)).fetchone() == (list(early.log_ids),)
        late = next(both)
    assert late.committed_ns > early.committed_ns
    assert list(late.log_ids) == [early.log_ids[0] - 3, early.log_ids[0] - 2, early.log_ids[0] - 1]
    assert sql.execute(poller, (early.log_ids[0],)).fetchone() == (None,)
    assert late.transaction_id < early.transaction_id


def test_rewording_a_tag_floods_the_log_with_a_row_for_each_object_that_wears_it(lab):
    images = lab.images(3)
    tag = add_new_tag(lab.server, lab.ann, "x", images).object_id
    note_reindex(lab.server)
    flood = list(reindex_flood(lab.server, lab.ann, tag, "y"))
    assert [(done.action, done.rows) for done in flood] == [("reword tag", 1), ("note reindex", 3)]
    assert lab.log(flood[1]) == {"REINDEX Image": 3}


@pytest.mark.parametrize("table", ["dataset", "project", "screen", "folder"])
def test_renaming_counts_the_version_up_and_names_the_event(lab, sql, table):
    made = create_container(lab.server, lab.ann, table, "old")
    done = rename(lab.server, lab.ann, table, made.object_id, "new")
    row = sql.execute(f"SELECT name, version, creation_id, update_id, owner_id, group_id FROM {table}").fetchone()
    assert row == ("new", 1, made.event_id, done.event_id, lab.ann.user_id, lab.group)
