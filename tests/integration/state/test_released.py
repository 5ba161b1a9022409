"""State databases of every released version: restored as a site restores its backup, upgraded, and read as they were."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.delivery.gate import Gate
from pipeline.delivery.record import Outgoing
from pipeline.state.epochs import AcceptedEpoch, Epochs
from pipeline.state.fill import FillProgress, fill_progress
from pipeline.state.gates import PostgresGateStore
from pipeline.state.last_known import LastKnownTable, Membership, Place
from pipeline.state.migrate import migrate, require_usable, shipped, status
from pipeline.state.outbox import OutboxRow, append, due, parked
from pipeline.state.pool import StateDatabase, connect

pytestmark = pytest.mark.stack

RELEASED = sorted((Path(__file__).parent / "released").glob("*.sql"))


@pytest.fixture(params=RELEASED, ids=lambda path: path.stem)
def restored(request, empty):
    """Settings of a database as a release left it."""
    lines = request.param.read_text(encoding="utf-8").splitlines()
    sql = "\n".join(line for line in lines if not line.startswith("\\"))  # psql's own commands
    with connect(empty, service="restore", autocommit=True) as connection:
        connection.execute(sql.encode())
    return empty


@pytest.fixture
def upgraded(restored):
    with connect(restored, service="init", autocommit=True) as connection:
        migrate(connection)
    database = StateDatabase(restored, service="tests")
    yield database
    database.close()


def test_there_is_a_dump_of_a_release():
    assert "0.1.0" in [path.stem for path in RELEASED]


def test_the_newest_release_is_readable_before_its_upgrade_and_current_after(restored):
    with connect(restored, service="tests", autocommit=True) as connection:
        if status(connection).current >= shipped()[-1].version - 1:
            require_usable(connection)
        migrate(connection)
        assert status(connection).verdict == "current"
        assert migrate(connection) == []


def test_gates_and_their_history_are_as_they_were(upgraded):
    store = PostgresGateStore(upgraded)
    relay = Gate(
        consumer="relay",
        state="closed",
        by="breaker",
        actor="relay@host:17",
        reason="21 letters in 5 min",
        until_ms=1795500000000,
        changed_at_ms=1795499700000,
    )
    documents = Gate(consumer="documents", actor="ada", reason="fixed", probes_left=7, changed_at_ms=1795499000000)
    assert store.all() == [documents, relay]
    before = Gate(consumer="documents", state="closed", actor="ada", reason="upgrade of Å", changed_at_ms=1795498000000)
    assert store.history("documents") == [documents, before]
    opened = relay.opened(by="person", actor="ada", reason="fixed", now_ms=1795499800000)
    assert store.write(opened, instead_of=relay)
    assert store.history("relay") == [opened, relay]


def test_epochs_are_as_they_were(upgraded):
    assert Epochs(upgraded).accepted() == AcceptedEpoch(
        number=2,
        system="7300000000000000001",
        timeline="00000002",
        database_oid=16384,
        eventlog_oid=16999,
        omero_uuid="u-1",
        accepted_at=datetime(2026, 11, 20, 12, 30, tzinfo=UTC),
        accepted_by="ada",
        reason="failed over",
        boundaries={("omero.eventlog", 0): 120, ("omero.eventlog", 1): 0},
    )


def test_last_known_rows_and_their_filling_are_as_they_were(upgraded):
    table = LastKnownTable(upgraded)
    assert table.look_up("image", [42, 43]) == {42: Place(52, 103), 43: Place(52, 103)}
    assert table.look_up_memberships("groupexperimentermap", [4]) == {4: Membership(103, 52)}
    assert table.purge(gone_before=datetime(2026, 11, 22, tzinfo=UTC)) == 1
    assert fill_progress(upgraded) == [
        FillProgress(kind="image", last_id=43, rows_read=2, finished=True),
        FillProgress(kind="roi", last_id=900, rows_read=500, finished=False),
    ]


def test_what_waited_in_the_outbox_waits_still_and_new_rows_come_behind(upgraded):
    with upgraded.transaction() as connection:
        new = Outgoing(topic="omero.job-events", key=b"job 1", value=b"new")
        append(connection, [new], order_key="job 1")
        old = Outgoing(topic="omero.job-events", key=b"job 1", value=b"\x00\xff", headers=(("ce_id", b"1"), ("none", None)))
        rows = due(connection)
        assert rows == [OutboxRow(id=1, order_key="job 1", record=old), OutboxRow(id=rows[1].id, order_key="job 1", record=new)]
        assert rows[1].id > 2
        assert [(row.id, row.reason) for row in parked(connection)] == [(2, "too large")]
