"""`omero-mq demo`: every kind of change is seen, Ctrl-C leaves nothing behind, and what it says one may try works."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.request

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

KINDS = {
    ("create dataset", "INSERT"),
    ("import image", "INSERT"),
    ("rename", "UPDATE"),
    ("add key-values", "INSERT"),
    ("edit key-values", "UPDATE"),
    ("comment", "INSERT"),
    ("draw ROI", "INSERT"),
    ("delete image", "DELETE"),
    ("chgrp", "UPDATE"),
    ("import plate", "INSERT"),
}


def connector_states(url: str, verb: str) -> None:
    for name in ("omero-eventlog", "omero-reindexing"):
        urllib.request.urlopen(urllib.request.Request(f"{url}/connectors/{name}/{verb}", method="PUT"), timeout=10).close()


def test_once_proves_the_loop_on_an_empty_directory_and_leaves_nothing_running(site, read):
    done = site.run("demo", "--once", "--json")
    changes = read(done.stdout, "change")
    (summary,) = read(done.stdout, "demo")
    seen = {(each["action"], each["event_action"]) for each in changes}
    assert KINDS - seen == set()
    assert any(action.startswith("chmod") for action, _ in seen)
    assert [each["problems"] for each in changes if each["problems"]] == []
    assert all(each["latency_ms"] > 0 and each["events"] > 0 for each in changes)
    moved = next(each for each in changes if each["action"] == "chgrp")
    assert re.fullmatch(r"\S.* > \S.*", moved["group"])
    assert summary["problems"] == []
    assert (summary["changes"], summary["events"]) == (len(changes), sum(each["events"] for each in changes))
    assert 0 < summary["p50_ms"] <= summary["p95_ms"]
    assert summary["start"].endswith(" up")
    assert site.left_over() == []


def test_ctrl_c_ends_it_in_order_and_says_what_is_worth_trying(site):
    running = site.start("demo", "--rate", "20", "-v")
    head = running.stdout.readline()
    lines = [running.stdout.readline() for _ in range(12)]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0
    assert head.split() == ["COMMITTED", "CHANGE", "OBJECT", "ACTION", "ACTOR", "OWNER", "GROUP", "EVENTS", "MS"]
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  \S.* +\d+ +\d+\n", line) for line in lines), lines
    assert "ids, actors, owners and groups all right" in out
    assert len(re.findall(r"^  # ", out, re.MULTILINE)) == 5
    ended = re.findall(r'"process": "(\w+)", .*"process.stopped"', err)
    assert set(ended[:2]) == {"relay", "outbox"}
    assert ended[2] == "connect"
    assert set(ended[3:]) == {"kafka", "postgres"}
    assert site.left_over() == []
    # The directory was made by the test before: this was a second start.
    assert float(re.search(r"^ready after (\d+) s", err, re.MULTILINE)[1]) < 20


def test_what_is_kept_running_serves_the_commands_that_the_demo_names(site, read):
    (summary,) = read(site.run("demo", "--keep", "--actions", "3", "--rate", "50", "--json").stdout, "demo")
    assert summary["start"] is None
    assert len(summary["commands"]) == 5
    assert sum(command.startswith("kcat ") for command in summary["commands"]) == 2
    for command in summary["commands"]:
        done = site.paste(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert done.stdout.strip(), command
    assert "using what runs in" in site.run("demo", "--actions", "1").stderr
    site.run("connector", "status")  # still there


def test_once_says_what_failed_when_events_do_not_arrive(site):
    site.run("demo", "--keep", "--actions", "1")
    url = json.loads((site.data / "addresses.json").read_text())["connect_url"]
    connector_states(url, "pause")
    time.sleep(1)  # the tasks hear of it a moment later
    done = site.run("demo", "--once", expect=1)
    connector_states(url, "resume")
    assert "WRONG  1 of 1 events did not come within 20 s" in done.stderr
    assert "connector status" in done.stderr
    assert "1 thing was WRONG" in done.stdout
