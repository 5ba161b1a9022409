"""The systemd units: what systemd itself says of them, and what the command does with files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[3]
FILES = ["omero-mq-init.service", "omero-mq.target", "omero-mq@.service"]
EXPOSURE = 2.0  # of 10; systemd's own measure, the less the better


def omero_mq(tmp_path: Path, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "pipeline", *arguments]
    done = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == expect, (done.stdout, done.stderr)
    return done


@pytest.fixture
def units(tmp_path) -> Path:
    """All units, and one for each service, with a command that exists."""
    command = tmp_path / "omero-mq"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    omero_mq(tmp_path, "install", "--systemd", "--directory", str(tmp_path / "units"), "--command", str(command))
    return tmp_path / "units"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        text = "there is no systemd-analyze (apt-get install systemd)"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def test_systemd_finds_nothing_wrong_with_the_units(units):
    instances = [units / "omero-mq@relay.service", units / "omero-mq@outbox.service"]
    done = analyze("verify", "--man=no", *(str(path) for path in [*units.iterdir(), *instances]))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_finds_a_unit_wrong_that_is(units):
    path = units / "omero-mq@.service"
    path.write_text(path.read_text().replace("NoNewPrivileges=yes", "NoNewPrivilegs=yes"))
    assert "NoNewPrivilegs" in analyze("verify", "--man=no", str(units / "omero-mq@relay.service")).stderr


@pytest.mark.parametrize("name", ["omero-mq@relay.service", "omero-mq-init.service"])
def test_systemd_calls_little_of_the_machine_exposed(units, name):
    done = analyze("security", "--offline=true", "--no-pager", str(units / name))
    assert float(re.search(r"exposure level for .*: ([\d.]+)", done.stdout)[1]) <= EXPOSURE


def test_the_target_wants_every_service_and_the_template_watches_each(units):
    target, template = (units / "omero-mq.target").read_text(), (units / "omero-mq@.service").read_text()
    assert "Wants=omero-mq@relay.service omero-mq@outbox.service\n" in target
    for line in ("Type=notify", "WatchdogSec=30s", "DynamicUser=yes", "Restart=on-failure"):
        assert f"\n{line}\n" in template
    assert f"\nExecStart={units.parent}/omero-mq run %i\n" in template


def test_a_secret_is_a_credential_and_stands_nowhere_else(tmp_path):
    done = omero_mq(tmp_path, "install", "--systemd", "--print", "--secret", "kafka_client")
    lines = {line for line in done.stdout.splitlines() if "kafka_client" in line}
    assert lines == {
        "LoadCredential=kafka_client:/etc/omero-mq/secrets/kafka_client",
        "Environment=OMERO_MQ_KAFKA_CLIENT_FILE=%d/kafka_client",
    }
    assert "omero_password" not in done.stdout


def test_the_units_are_written_once_and_left_alone_when_nothing_changed(tmp_path):
    arguments = ("install", "--systemd", "--directory", str(tmp_path / "units"), "--json")
    schema = json.loads((ROOT / "schemas" / "cli" / "unit.json").read_text())

    def changed() -> list[bool]:
        found = [json.loads(line) for line in omero_mq(tmp_path, *arguments).stdout.splitlines()]
        for each in found:
            jsonschema.validate(each, schema)
        return [each["changed"] for each in sorted(found, key=lambda each: each["path"])]

    assert changed() == [True, True, True]
    assert sorted(path.name for path in (tmp_path / "units").iterdir()) == FILES
    assert changed() == [False, False, False]
    (tmp_path / "units" / "omero-mq.target").write_text("of an older version\n")
    assert changed() == [False, True, False]


def test_to_print_writes_nothing(tmp_path):
    target = tmp_path / "units"
    printed = omero_mq(tmp_path, "install", "--systemd", "--print", "--directory", str(target)).stdout
    assert re.findall(r"^# (/.*)$", printed, flags=re.MULTILINE) == [
        f"{target}/omero-mq.target",
        f"{target}/omero-mq-init.service",
        f"{target}/omero-mq@.service",
    ]
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        ((), "what to install was not said", "--systemd"),
        (("--systemd", "--secret", "omero.password", "--print"), "there is no secret 'omero.password'", "omero_password"),
        (("--systemd", "--command", "omero mq", "--print"), "omero mq cannot stand in a unit", "absolute path"),
        (("--systemd", "--directory", "/proc/none"), "/proc/none/omero-mq.target cannot be written", "--directory"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_fix(tmp_path, arguments, what, fix):
    said = omero_mq(tmp_path, "install", *arguments, expect=1).stderr
    assert what in said
    assert fix in said
    assert "Traceback" not in said
