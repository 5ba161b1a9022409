"""What is wrong with capture, and the next step, from three looks."""

from dataclasses import replace

import pytest

from pipeline.cdc.condition import condition
from pipeline.cdc.connect import ConnectorState, TaskState
from pipeline.cdc.connectors import connector
from pipeline.cdc.slots import Publication, Slot
from pipeline.settings.model import Settings

CONNECTOR = connector("eventlog", Settings())
RUNNING = ConnectorState(name="omero-eventlog", state="RUNNING", tasks=(TaskState(task=0, state="RUNNING", worker="w"),))
SLOT = Slot(
    name="omero_eventlog",
    database="omero",
    plugin="pgoutput",
    active=True,
    wal_status="reserved",
    retained_bytes=1000,
    behind_bytes=0,
    safe_bytes=10**9,
)
PUBLICATION = Publication(
    name="omero_eventlog_pub", all_tables=False, inserts_only=True, tables=("public.eventlog",), row_filter=""
)


def findings(*, state=RUNNING, slot=SLOT, publication=PUBLICATION):
    return [(one.problem, one.fix) for one in condition(CONNECTOR, state, slot, publication, database="omero")]


def test_nothing_is_wrong_when_nothing_is():
    assert findings() == []


def test_a_lost_slot_is_the_cause_and_a_connector_without_tasks_its_consequence():
    without_tasks = replace(RUNNING, tasks=())
    (slot_problem, slot_fix), (connector_problem, connector_fix) = findings(
        slot=replace(SLOT, wal_status="lost", retained_bytes=None), state=without_tasks
    )
    assert "is lost: its write-ahead log is gone" in slot_problem
    assert "has no tasks" in connector_problem
    assert (slot_fix, connector_fix) == ("omero-mq repair", "omero-mq repair")


@pytest.mark.parametrize(
    ("changed", "problem", "fix"),
    [
        ({"slot": None}, "is gone, and with it its place", "omero-mq repair"),
        ({"slot": replace(SLOT, database="other")}, "belongs to the database other", "choose another cdc.*_slot"),
        ({"slot": replace(SLOT, wal_status="unreserved")}, "will be lost soon: it keeps 0 MB", "connector status"),
        ({"publication": None}, "the publication omero_eventlog_pub does not exist", "init --print-sql"),
        ({"publication": replace(PUBLICATION, all_tables=True)}, "has all tables instead of public.eventlog", "init --print-sql"),
        ({"publication": replace(PUBLICATION, tables=())}, "has no table instead of public.eventlog", "init --print-sql"),
        ({"publication": replace(PUBLICATION, inserts_only=False)}, "publishes more than inserts", "init --print-sql"),
        ({"state": replace(RUNNING, state="STOPPED", tasks=())}, "is stopped", "omero-mq connector resume"),
        ({"state": replace(RUNNING, tasks=())}, "has no tasks", "wait a few seconds"),
        (
            {"state": replace(RUNNING, tasks=(TaskState(task=0, state="FAILED", worker="w", cause="no route to host"),))},
            "no route to host",
            "omero-mq connector restart",
        ),
        (
            {
                "state": replace(
                    RUNNING, tasks=(TaskState(task=0, state="FAILED", worker="w", cause="no longer available on the server"),)
                )
            },
            "no longer available",
            "omero-mq repair",
        ),
        ({"state": ConnectorState(name="omero-eventlog", state="MISSING")}, "does not exist", "omero-mq connector apply"),
    ],
)
def test_each_thing_that_is_wrong_has_its_next_step(changed, problem, fix):
    [(said, next_step)] = findings(**changed)
    assert problem in said
    assert fix in next_step


def test_a_missing_topic_is_named_although_the_connector_runs():
    found = condition(CONNECTOR, RUNNING, SLOT, PUBLICATION, database="omero", topics={"omero.cdc.heartbeat.eventlog"})
    assert [(one.problem, one.fix) for one in found] == [
        ("there is no topic omero.eventlog: omero-eventlog runs, and waits for it", "omero-mq topic create")
    ]


def test_before_the_first_connector_a_missing_slot_is_a_missing_grant_and_no_loss():
    (problem, fix), _ = findings(slot=None, state=ConnectorState(name="omero-eventlog", state="MISSING"))
    assert problem == "the replication slot omero_eventlog does not exist yet"
    assert "init --print-sql" in fix
