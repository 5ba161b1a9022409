"""The client of Kafka Connect's REST interface, against answers as Connect gives them."""

import httpx
import pytest

from pipeline.cdc.connect import Change, ConnectorState, KafkaConnect, TaskState, shortened
from pipeline.errors import DependencyDown, Misconfigured, Transient

LOST = (
    "io.debezium.DebeziumException: The connector is trying to read change stream starting at PostgresOffsetContext "
    "[sourceInfoSchema=Schema{io.debezium.connector.postgresql.Source:STRUCT}, sourceInfo=source_info[server='t'db='omero', "
    "lsn=LSN{0/2BB8AE0}, txId=1706], transactionContext=TransactionContext [currentTransactionId=null, counts={}], "
    "incrementalSnapshotContext=IncrementalSnapshotContext [windowOpened=false, dataCollectionsToSnapshot=[]]], "
    "but this is no longer available on the server. Reconfigure.\n"
    "\tat io.debezium.connector.common.BaseSourceTask.validateSchemaHistory(BaseSourceTask.java:164)\n"
    "\tat java.base/java.lang.Thread.run(Thread.java:840)\n"
)


class Answers(httpx.BaseTransport):
    """Kafka Connect with the answers that a test gives it; keeps what it was asked."""

    def __init__(self, **answers):
        self.answers = answers
        self.asked: list[str] = []

    def handle_request(self, request):
        self.asked.append(f"{request.method} {request.url.path}")
        status, body = self.answers[request.method]
        return httpx.Response(status, json=body)


def client(**answers) -> tuple[KafkaConnect, Answers]:
    transport = Answers(**answers)
    return KafkaConnect("http://connect:8083/", patience_s=0, transport=transport), transport


def state(connector="RUNNING", *tasks):
    return {
        "name": "omero-eventlog",
        "connector": {"state": connector, "worker_id": "w1"},
        "tasks": [{"id": number, "worker_id": "w1", **task} for number, task in enumerate(tasks)],
        "type": "source",
    }


def test_a_running_task_is_no_problem():
    connect, _ = client(GET=(200, state("RUNNING", {"state": "RUNNING"})))
    found = connect.status("omero-eventlog")
    assert found == ConnectorState(
        name="omero-eventlog", state="RUNNING", tasks=(TaskState(task=0, state="RUNNING", worker="w1"),)
    )
    assert found.problem == ""


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (state("RUNNING"), "has no tasks, so it reads nothing"),
        (state("PAUSED", {"state": "PAUSED"}), "is paused"),
        (state("STOPPED"), "is stopped"),
        (state("RUNNING", {"state": "UNASSIGNED"}), "task 0 of omero-eventlog is unassigned"),
        (state("RUNNING", {"state": "RUNNING"}, {"state": "FAILED", "trace": LOST}), "task 1 of omero-eventlog failed: The conn"),
        (state("FAILED"), "failed"),
    ],
)
def test_whatever_keeps_rows_from_flowing_is_a_problem(answer, problem):
    connect, _ = client(GET=(200, answer))
    assert problem in connect.status("omero-eventlog").problem


def test_a_connector_that_does_not_exist_is_a_state_and_no_error():
    connect, _ = client(GET=(404, {"error_code": 404, "message": "No status found"}))
    assert connect.status("omero-eventlog").problem == "the connector omero-eventlog does not exist"


def test_the_cause_in_a_trace_is_one_line_without_printed_objects():
    assert shortened(LOST) == (
        "The connector is trying to read change stream starting at, but this is no longer available on the server. Reconfigure."
    )


@pytest.mark.parametrize(
    ("trace", "cause"),
    [
        ("", "no reason given"),
        ("java.lang.NullPointerException\n\tat x.Y(Z.java:1)", "java.lang.NullPointerException"),
        (
            'a.b.Outer: no\n\tat a.B(C.java:1)\nCaused by: c.Inner: FATAL: authentication failed for "x"\n\t... 9 more',
            'FATAL: authentication failed for "x"',
        ),
        ("a.B: outer\nCaused by: c.D: inner\nCaused by: e.F", "inner"),
        ("plain words: with a colon", "plain words: with a colon"),
    ],
)
def test_the_innermost_cause_that_says_something_is_shown(trace, cause):
    assert shortened(trace) == cause


def test_apply_does_nothing_when_nothing_differs():
    connect, asked = client(GET=(200, {"name": "c", "slot.name": "s"}))
    assert connect.apply("c", {"slot.name": "s"}) == []
    assert asked.asked == ["GET /connectors/c/config"]


def test_apply_says_what_it_changed():
    connect, asked = client(GET=(200, {"name": "c", "slot.name": "old", "gone": "1"}), PUT=(200, {}))
    changes = connect.apply("c", {"slot.name": "new"})
    assert changes == [Change(option="gone", before="1", after=None), Change(option="slot.name", before="old", after="new")]
    assert [str(change) for change in changes] == ["gone: '1' -> not set", "slot.name: 'old' -> 'new'"]
    assert asked.asked == ["GET /connectors/c/config", "PUT /connectors/c/config"]


def test_a_password_in_a_configuration_is_never_shown():
    change = Change(option="database.password", before="hunter2", after="${file:/run/secrets/x:password}")
    assert str(change) == "database.password: (hidden) -> '${file:/run/secrets/x:password}'"


@pytest.mark.parametrize(
    ("status", "message", "error"),
    [
        (400, "Connector configuration is invalid: slot.name is required", Misconfigured),
        (404, "Unknown connector", Misconfigured),
        (409, "Cannot complete request momentarily due to stale configuration", Transient),
        (500, "Request cannot be completed because a rebalance is expected", Transient),
        (500, "boom", DependencyDown),
        (503, "starting", DependencyDown),
    ],
)
def test_a_refusal_is_sorted_by_what_happens_next(status, message, error):
    connect, _ = client(PUT=(status, {"error_code": status, "message": message}))
    with pytest.raises(error, match=message):
        connect.stop("omero-eventlog")


def test_nobody_there_means_kafka_connect_is_away():
    connect = KafkaConnect("http://127.0.0.1:1")
    with pytest.raises(DependencyDown, match=r"kafka-connect is away: http://127\.0\.0\.1:1") as caught:
        connect.status("omero-eventlog")
    assert caught.value.name == "kafka-connect"
    assert "cdc.connect_url" in caught.value.fix


def test_deleting_twice_is_no_error():
    connect, _ = client(DELETE=(404, {"message": "not found"}))
    assert connect.delete("omero-eventlog") is False


def test_what_a_rebalancing_cluster_refuses_is_asked_again():
    refusals = [
        (409, "Cannot complete request momentarily"),
        (500, "Request cannot be completed because a rebalance is expected"),
    ]
    answers = iter([*[httpx.Response(status, json={"message": why}) for status, why in refusals], httpx.Response(204)])
    asked = []

    def answer(request):
        asked.append(f"{request.method} {request.url.path}")
        return next(answers)

    KafkaConnect("http://connect:8083", patience_s=10, transport=httpx.MockTransport(answer)).stop("c")
    assert asked == ["PUT /connectors/c/stop"] * 3
