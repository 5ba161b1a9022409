"""The command as a process, in an empty directory, and the schemas that its output keeps to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[3]
Done = subprocess.CompletedProcess


@pytest.fixture(scope="session")
def schemas() -> dict[str, dict]:
    found = (json.loads(path.read_text()) for path in (ROOT / "schemas" / "cli").glob("*.json"))
    return {schema["properties"]["schema"]["const"]: schema for schema in found}


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    """An environment that says nothing about us, and has no local stack."""
    none = str(tmp_path / "no-stack")
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "OMERO_MQ_STACK_DATA_DIRECTORY": none}


@pytest.fixture
def omero_mq(tmp_path, environ) -> Callable[..., Done[str]]:
    """Runs the command to its end and checks its exit status."""

    def run(*arguments: str, more: dict[str, str] | None = None, expect: int = 0) -> Done[str]:
        command = [sys.executable, "-m", "pipeline", *arguments]
        variables = {**environ, **(more or {})}
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False, timeout=90)
        assert done.returncode == expect, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr or "-v" in arguments
        return done

    return run


@pytest.fixture
def objects(schemas) -> Callable[[Done[str]], list[dict]]:
    """The JSON objects of an output, each valid against its schema and without a field that the schema does not name."""

    def read(done: Done[str]) -> list[dict]:
        found = [json.loads(line) for line in done.stdout.splitlines()]
        for each in found:
            jsonschema.validate(each, schemas[each["schema"]])
            assert set(each) <= set(schemas[each["schema"]]["properties"])
        return found

    return read


@pytest.fixture
def started(tmp_path, environ) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command and ends it after the test, if it still runs."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A shell's background jobs ignore SIGINT, and what they start inherits that.
        options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes}
        processes.append(subprocess.Popen(command, cwd=tmp_path, env=environ, text=True, **options))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            pipe.close()
