"""A service under `omero-mq up` has the settings of that command, and no secret on its command line."""

from __future__ import annotations

import sys
from pathlib import Path

from pipeline.stack.service import service


def test_a_service_gets_file_overrides_and_environment_of_the_command_that_starts_it():
    made = service(
        "relay",
        environment={"PATH": "/bin", "OMERO_MQ_OMERO_PASSWORD": "canary", "NOTIFY_SOCKET": "@systemd", "WATCHDOG_USEC": "1"},
        data_directory=Path("/var/lib/omero-mq"),
        config=Path("/etc/omero-mq/omero-mq.toml"),
        overrides=["relay.batch_rows=100"],
    )
    expected = ("run", "relay", "--set=relay.batch_rows=100", "--config=/etc/omero-mq/omero-mq.toml")
    assert made.argv == (sys.executable, "-m", "pipeline", *expected)
    assert made.environment == {
        "PATH": "/bin",
        "OMERO_MQ_OMERO_PASSWORD": "canary",
        "OMERO_MQ_STACK_DATA_DIRECTORY": "/var/lib/omero-mq",
    }
