"""Accepted epochs: numbered, idempotent, with their boundaries, and a last-known table begun anew."""

import threading
from dataclasses import replace

import pytest

from pipeline.omero.epoch import Epoch
from pipeline.state.epochs import Epochs
from pipeline.state.last_known import LastKnown, LastKnownTable
from pipeline.state.pool import StateDatabase

pytestmark = pytest.mark.stack

FIRST = Epoch(system="7300000000000000001", timeline="00000001", database_oid=16384, eventlog_oid=16999, omero_uuid="u-1")
RESTORED = replace(FIRST, timeline="00000002")
BOUNDARIES = {("omero.eventlog", 0): 120, ("omero.eventlog", 1): 0}


def _identity(accepted) -> Epoch:
    names = ("system", "timeline", "database_oid", "eventlog_oid", "omero_uuid")
    return Epoch(**{name: getattr(accepted, name) for name in names})


def test_before_the_first_start_nothing_is_accepted(state_database):
    assert Epochs(state_database).accepted() is None


def test_the_latest_accepted_identity_counts_with_who_why_and_where_it_begins(state_database):
    epochs = Epochs(state_database)
    first = epochs.accept(FIRST, actor="relay", reason="first start", boundaries={})
    second = epochs.accept(RESTORED, actor="ada", reason="restored to 12:00", boundaries=BOUNDARIES)
    assert epochs.accepted() == second
    assert epochs.history() == [second, first]
    assert (_identity(second), second.number, second.accepted_by, second.reason, second.boundaries) == (
        RESTORED,
        2,
        "ada",
        "restored to 12:00",
        BOUNDARIES,
    )
    assert (first.number, first.boundaries) == (1, {})


def test_accepting_what_counts_already_changes_nothing(state_database):
    epochs = Epochs(state_database)
    first = epochs.accept(FIRST, actor="relay", reason="first start", boundaries=BOUNDARIES)
    assert epochs.accept(FIRST, actor="ada", reason="again", boundaries={}) == first


def test_an_identity_that_comes_back_is_a_new_epoch(state_database):
    epochs = Epochs(state_database)
    for identity in (FIRST, RESTORED, FIRST):
        epochs.accept(identity, actor="ada", reason="", boundaries={})
    assert [(epoch.number, _identity(epoch)) for epoch in epochs.history()] == [(3, FIRST), (2, RESTORED), (1, FIRST)]


def test_a_new_epoch_begins_the_last_known_table_anew(state_database, connection):
    epochs, table = Epochs(state_database), LastKnownTable(state_database)
    epochs.accept(FIRST, actor="relay", reason="", boundaries={})
    table.remember([LastKnown(kind="image", id=1, owner=2, group=3)])
    connection.execute(
        "INSERT INTO omero_mq.last_known_fill (kind, last_id, rows_read, finished_at) VALUES ('image', 1, 1, now())"
    )
    epochs.accept(FIRST, actor="ada", reason="again", boundaries={})
    assert table.look_up("image", [1]) == {1: (2, 3)}
    epochs.accept(RESTORED, actor="ada", reason="restored", boundaries={})
    assert table.look_up("image", [1]) == {}
    assert connection.execute("SELECT count(*) FROM omero_mq.last_known_fill").fetchone() == (0,)


def test_services_that_start_at_once_accept_one_epoch(state):
    database = StateDatabase(state, service="tests", at_most=4)
    barrier, accepted = threading.Barrier(4), []

    def start():
        barrier.wait()
        accepted.append(Epochs(database).accept(FIRST, actor="relay", reason="first start", boundaries=BOUNDARIES))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accepted == [Epochs(database).accepted()] * 4
    assert accepted[0].number == 1
    database.close()
