"""The last-known table as the relay uses it."""

import psycopg
import pytest

from pipeline.state.last_known import LastKnown, LastKnownTable
from pipeline.state.pool import StateDatabase

from .facility import until

pytestmark = pytest.mark.stack

IMAGE = LastKnown(kind="image", id=42, owner=2, group=3)
TAG = LastKnown(kind="annotation", id=42, owner=4, group=5)
MEMBER = LastKnown(kind="groupexperimentermap", id=7, parent=3, child=8)


@pytest.fixture
def table(facility):
    state = StateDatabase(facility.settings.state, service="tests")
    yield LastKnownTable(state)
    state.close()


def test_objects_of_several_kinds_are_recalled_at_once_the_deleted_ones_too(table):
    table.keep(remember=[IMAGE, TAG, MEMBER], forget=[("image", 42)])
    wanted = {"image": {42, 43}, "annotation": {42}, "groupexperimentermap": {7}, "roi": {1}}
    assert table.recall(wanted) == {("image", 42): IMAGE, ("annotation", 42): TAG, ("groupexperimentermap", 7): MEMBER}
    assert table.recall({}) == {}


def test_what_is_learnt_changes_nothing_that_was_known(table):
    assert table.learn([IMAGE, TAG]) == 2
    assert table.learn([LastKnown(kind="image", id=42, owner=9, group=9), MEMBER]) == 1
    assert table.recall({"image": {42}}) == {("image", 42): IMAGE}
    table.keep(remember=[LastKnown(kind="image", id=42, owner=2, group=9)], forget=[])
    assert table.recall({"image": {42}})["image", 42].group == 9


def test_what_went_longer_ago_than_anything_can_be_replayed_is_dropped(facility, table):
    with facility.relaying():  # the first start accepts the epoch, and begins the table
        facility.new_image()
        until(facility.events)
    table.keep(remember=[IMAGE, TAG], forget=[("image", 42), ("annotation", 42)])
    dsn = psycopg.conninfo.make_conninfo(facility.admin_dsn, dbname=facility.settings.state.database)
    with psycopg.connect(dsn, autocommit=True) as state, facility.relaying():
        state.execute("UPDATE omero_mq.last_known SET gone_at = now() - interval '121 days' WHERE kind = 'image'")
        state.execute("UPDATE omero_mq.last_known SET gone_at = now() - interval '119 days' WHERE kind = 'annotation'")
        left = "SELECT kind FROM omero_mq.last_known WHERE gone_at IS NOT NULL"
        until(lambda: state.execute(left).fetchall() == [("annotation",)])
        assert state.execute(left).fetchall() == [("annotation",)]
