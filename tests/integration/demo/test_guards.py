"""What the OMERO-shaped database refuses or tidies by itself."""

import psycopg
import pytest

from pipeline.demo.simulator.delete import delete
from pipeline.demo.simulator.folder import create_folder
from pipeline.demo.simulator.history import ROOT
from pipeline.demo.simulator.map_annotation import add_key_values
from pipeline.demo.simulator.membership import join_group, leave_group, set_leader

from .conftest import SECRETS

pytestmark = pytest.mark.stack

REPO_FILE = (
    "INSERT INTO originalfile (id, permissions, creation_id, update_id, owner_id, group_id, path, name, repo)"
    " VALUES (ome_nextval('seq_originalfile'), -40, 0, 0, 0, 0, '/', %s, 'repository') RETURNING name"
)


def refused(sql, statement, parameters=()):
    with pytest.raises(psycopg.errors.RaiseException) as refusal:
        sql.execute(statement, parameters)
    return refusal.value.diag.message_primary


def test_a_file_enters_a_repository_only_behind_a_living_nodes_secret(sql):
    assert refused(sql, REPO_FILE, ("plain.dv",)) == "cannot set the repository of an original file without the secret key"
    assert sql.execute(REPO_FILE, (SECRETS.node_uuid + "behind.dv",)).fetchone() == ("behind.dv",)


def test_a_file_in_a_repository_exists_once_however_its_path_is_written(sql):
    sql.execute(REPO_FILE, (SECRETS.node_uuid + "a.dv",))
    with pytest.raises(psycopg.errors.UniqueViolation):
        sql.execute(REPO_FILE, (SECRETS.node_uuid + "/a.dv",))


def test_deleted_files_of_a_repository_are_listed_until_their_bytes_are_gone(lab, sql):
    imported = lab.imported()
    names = sql.execute("SELECT id, name FROM originalfile WHERE repo IS NOT NULL AND mimetype <> 'Directory'").fetchall()
    with lab.server.call(lab.ann) as call:
        call.execute("DELETE FROM filesetentry")
        call.execute("DELETE FROM originalfile WHERE mimetype <> 'Directory'")
    listed = sql.execute("SELECT event_id, file_id, name, owner_id, group_id FROM _fs_deletelog").fetchall()
    assert listed == [(call.event_id, *names[0], lab.ann.user_id, lab.group)]
    delete(lab.server, lab.ann, "image", [imported.object_id])
    assert sql.execute("SELECT count(*) FROM _fs_deletelog").fetchone() == (1,)


def test_a_directory_with_files_in_it_stays(lab, sql):
    lab.image()
    assert "is not empty" in refused(sql, "DELETE FROM originalfile WHERE mimetype = 'Directory'")
    assert "stays a Directory" in refused(sql, "UPDATE originalfile SET mimetype = 'text/plain' WHERE mimetype = 'Directory'")


def test_map_rows_go_with_their_annotation(lab, sql):
    image = lab.imported().object_id
    add_key_values(lab.server, lab.ann, [("a", "1"), ("a", "2")], image)
    assert sql.execute("SELECT name, value, index FROM annotation_mapvalue ORDER BY index").fetchall() == [
        ("a", "1", 0),
        ("a", "2", 1),
    ]
    delete(lab.server, lab.ann, "image", [image])
    assert sql.execute("SELECT (SELECT count(*) FROM annotation), (SELECT count(*) FROM annotation_mapvalue)").fetchone() == (
        0,
        0,
    )


def test_a_namespace_appears_with_its_first_annotation(lab, sql):
    for _ in range(2):
        add_key_values(lab.server, lab.ann, [("a", "1")], lab.image().object_id)
    assert sql.execute("SELECT name, permissions FROM namespace").fetchall() == [
        ("openmicroscopy.org/omero/client/mapAnnotation", -52)
    ]


def test_a_membership_in_the_way_is_parked_below_zero(lab, sql):
    sql.execute(
        "UPDATE groupexperimentermap SET child_index = 0 WHERE child = %s AND parent = %s", (lab.ann.user_id, lab.other_group)
    )
    rows = sql.execute("SELECT parent, child_index FROM groupexperimentermap WHERE child = %s ORDER BY id", (lab.ann.user_id,))
    assert rows.fetchall() == [(lab.group, -1), (1, 1), (lab.other_group, 0)]


def test_root_and_the_first_groups_stay_what_they_are(sql):
    assert "root stays" in refused(sql, "DELETE FROM groupexperimentermap WHERE child = 0 AND parent = 0")
    assert "keeps its name" in refused(sql, "UPDATE experimenter SET omename = 'me' WHERE id = 0")
    assert "keeps its name" in refused(sql, "UPDATE experimentergroup SET name = 'mine' WHERE id = 1")
    assert "root has every privilege" in refused(
        sql, "INSERT INTO experimenter_config VALUES (0, 'AdminPrivilege:Chown', 'false', 0)"
    )


def test_nobody_becomes_an_administrator_without_the_callers_privileges(lab, sql):
    columns = "id, permissions, parent, child, child_index, owner"
    row = f"INSERT INTO groupexperimentermap ({columns}) VALUES (4711, -52, 0, %s, 7, false)"
    assert "cannot give administrator privileges" in refused(sql, row, (lab.bob.user_id,))
    done = join_group(lab.server, lab.bob.user_id, 0)
    assert lab.log(done) == {"INSERT GroupExperimenterMap": 1}
    assert sql.execute("SELECT count(*) FROM _current_admin_privileges").fetchone() == (0,)


def test_a_folder_is_never_inside_itself(lab, sql):
    outer = create_folder(lab.server, lab.ann, "outer").object_id
    inner = create_folder(lab.server, lab.ann, "inner", parent=outer).object_id
    assert "inside itself" in refused(sql, "UPDATE folder SET parentfolder = %s WHERE id = %s", (inner, outer))


def test_an_image_without_a_series_is_in_series_0(lab, sql):
    image = lab.image().object_id
    sql.execute("UPDATE image SET series = NULL WHERE id = %s", (image,))
    assert sql.execute("SELECT series FROM image WHERE id = %s", (image,)).fetchone() == (0,)


def test_an_upgrade_happens_once(sql):
    row = (
        "INSERT INTO dbpatch (currentversion, currentpatch, previousversion, previouspatch) VALUES ('OMERO5.5', 0, 'OMERO5.4', 0)"
    )
    sql.execute(row)
    assert "happens once" in refused(sql, row)


def test_leaving_a_group_closes_the_gap_and_leading_is_a_flag(lab, sql):
    left = leave_group(lab.server, lab.ann.user_id, lab.group, by=ROOT)
    assert lab.log(left) == {"DELETE GroupExperimenterMap": 1, "UPDATE GroupExperimenterMap": 2}
    led = set_leader(lab.server, lab.ann.user_id, lab.other_group, leader=True)
    assert lab.log(led) == {"UPDATE GroupExperimenterMap": 1}
    rows = sql.execute(
        "SELECT parent, child_index, owner FROM groupexperimentermap WHERE child = %s ORDER BY child_index", (lab.ann.user_id,)
    ).fetchall()
    assert rows == [(1, 0, False), (lab.other_group, 1, True)]
