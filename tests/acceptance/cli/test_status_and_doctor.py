"""`status`, `doctor` and `check` as processes: what they print and how they end, with nothing there to look at."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest


@pytest.fixture
def nowhere() -> dict[str, str]:
    """Addresses at which nothing listens: port 9 of this machine."""
    return {
        "OMERO_MQ_KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "OMERO_MQ_OMERO_PORT": "9",
        "OMERO_MQ_STATE_PORT": "9",
        "OMERO_MQ_CDC_CONNECT_URL": "http://127.0.0.1:9",
    }


def test_status_says_what_is_away_and_which_command_to_run(omero_mq, nowhere):
    done = omero_mq("status", more={**nowhere, "TERM": "dumb"}, expect=3)
    assert [line.split("  ")[1].strip() for line in done.stdout.splitlines() if line.startswith("FAIL")] == [
        "OMERO database",
        "capture",
        "Kafka",
        "state database",
    ]
    assert done.stdout.endswith("\nSomething does not work.\n")
    assert done.stderr == "\nNext:  omero-mq config show   |   omero-mq doctor\n"
    assert done.stdout.isascii()


def test_status_as_json_keeps_to_its_schema(omero_mq, objects, nowhere):
    (found,) = objects(omero_mq("status", "--json", more=nowhere, expect=3))
    assert found["state"] == "failed"
    assert {stage["state"] for stage in found["stages"]} == {"fail", "halted"}


def test_a_watched_status_on_a_pipe_is_one_object_after_the_other(environ, nowhere, tmp_path):
    command = [sys.executable, "-m", "pipeline", "status", "--watch", "--every", "0.5"]
    with subprocess.Popen(command, cwd=tmp_path, env={**environ, **nowhere}, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.terminate()
        process.stdout.close()
        process.wait(20)
    first, second = (json.loads(line)["time"] for line in lines)
    assert first < second


def test_doctor_halts_what_cannot_be_looked_at_and_counts(omero_mq, objects, nowhere):
    done = omero_mq("doctor", more=nowhere, expect=3)
    assert "  --    advertised, topics, letters kept  (halted: needs kafka.connected)\n" in done.stdout
    assert done.stdout.endswith("\n\n4 failed, no warnings, 26 halted, 3 ok.\n")
    (found,) = objects(omero_mq("doctor", "--json", more=nowhere, expect=3))
    counts = [found[name] for name in ("failed", "warnings", "halted", "passed")]
    assert (found["state"], counts, len(found["checks"])) == ("failed", [4, 0, 26, 3], 33)


def test_doctor_looks_again_for_as_long_as_it_is_told_to(omero_mq, nowhere):
    began = time.monotonic()
    omero_mq("doctor", "--wait", "3s", "--quiet", more=nowhere, expect=3)
    assert time.monotonic() - began > 3.0
    done = omero_mq("doctor", "--wait", "soon", more=nowhere, expect=1)
    assert "--wait soon is no time" in done.stderr


def test_doctor_names_each_difference_of_a_schema_file(omero_mq, objects, tmp_path):
    (tmp_path / "schema.sql").write_text("create table eventlog (id int8, action varchar(255));\n")
    done = omero_mq("doctor", "--schema", "schema.sql", expect=3)
    assert "FAIL  eventlog.entityid: the column is missing\n        no change can be captured\n" in done.stdout
    (found,) = objects(omero_mq("doctor", "--schema", "schema.sql", "--json", expect=3))
    assert found["errors"] + found["warnings"] == len(found["findings"]) > 0
    assert "only read with --schema" in omero_mq("doctor", "schema.sql", expect=2).stderr


@pytest.mark.parametrize(
    ("arguments", "status", "line"),
    [
        (("lag",), 2, "CRITICAL - kafka is away: "),
        (("letters",), 2, "CRITICAL - kafka is away: "),
        (("capture",), 2, "CRITICAL - kafka-connect is away: "),
        (("ready", "relay"), 2, "CRITICAL - kafka is away: "),
        (("ready", "web"), 3, "UNKNOWN - there is no part 'web'; choose one of relay, "),
        (("lag", "--set", "kafka.prefx=x"), 3, "UNKNOWN - --set: unknown setting kafka.prefx; did you mean kafka.prefix?"),
    ],
)
def test_check_answers_in_one_line_and_in_the_codes_of_monitoring(omero_mq, nowhere, arguments, status, line):
    done = omero_mq("check", *arguments, more=nowhere, expect=status)
    assert done.stdout.startswith(line)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_check_as_json_keeps_to_its_schema(omero_mq, objects, nowhere):
    (found,) = objects(omero_mq("check", "lag", "--json", more=nowhere, expect=2))
    assert (found["state"], found["numbers"]) == ("CRITICAL", {})
