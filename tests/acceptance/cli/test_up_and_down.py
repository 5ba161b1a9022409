"""`omero-mq up` from nothing to a running installation, and `down` from elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack


@pytest.fixture
def local(environ):
    """A data directory that PostgreSQL's own user can reach, unlike pytest's."""
    jvm = os.environ.get("OMERO_MQ_TEST_JVM", "")
    if not Path(jvm, "libs").is_dir():
        text = "OMERO_MQ_TEST_JVM names no directory with libs/ and plugins/"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    path = Path(tempfile.mkdtemp(prefix="omero-mq-test-"))
    path.chmod(0o711)
    environ |= {"OMERO_MQ_STACK_DATA_DIRECTORY": str(path / "data"), "OMERO_MQ_STACK_JVM_DIRECTORY": jvm}
    yield path / "data"
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.timeout(240)
def test_up_makes_a_running_installation_and_down_stops_all_of_it(local, omero_mq, objects, started):
    running = started("up", "--json")
    where = json.loads(running.stdout.readline() or running.communicate()[1])
    assert where["directory"] == str(local)

    shown = {each["name"]: each for each in objects(omero_mq("config", "show", "--json"))}
    assert (shown["kafka.bootstrap"]["value"], shown["kafka.bootstrap"]["source"]) == (where["kafka_bootstrap"], "stack")
    assert [each["ok"] for each in objects(omero_mq("connector", "status", "--json"))] == [True, True]
    assert all(each["exists"] for each in objects(omero_mq("topic", "list", "--json")))
    deadline = time.monotonic() + 20  # the relay accepts the database that it reads first
    while (epoch := objects(omero_mq("epoch", "show", "--json"))[0])["state"] == "none":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert epoch["accepted"]["number"] == 1

    assert "is in use by process" in omero_mq("up", expect=1).stderr
    assert objects(omero_mq("down", "--json"))[0]["stopped"] is True
    running.communicate(timeout=30)
    assert running.returncode == 0
    assert objects(omero_mq("down", "--json"))[0]["stopped"] is False
