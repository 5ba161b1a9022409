"""The command as a process on a stack of these tests' own, in a data directory that PostgreSQL's own user can reach."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]


class Site:
    """One data directory, and `omero-mq` as a user of it types it."""

    def __init__(self, path: Path, jvm: str) -> None:
        self.path = path
        self.data = path / "data"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(path),
            "PYTHONPATH": str(ROOT),
            "OMERO_MQ_STACK_DATA_DIRECTORY": str(self.data),
            "OMERO_MQ_STACK_JVM_DIRECTORY": jvm,
        }
        self._running: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, expect: int = 0, timeout_s: float = 100) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline", *arguments]
        done = subprocess.run(
            command, cwd=self.path, env=self.environ, capture_output=True, text=True, check=False, timeout=timeout_s
        )
        assert done.returncode == expect, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        # A shell's background jobs ignore SIGINT, and what they start inherits that.
        options = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), "text": True}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, "-m", "pipeline", *arguments]
        process = subprocess.Popen(command, cwd=self.path, env=self.environ, **pipes, **options)
        self._running.append(process)
        return process

    def paste(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a line in a shell that knows nothing of this site."""
        environ = {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            ["bash", "-c", command], cwd="/", env=environ, capture_output=True, text=True, check=False, timeout=60
        )

    def left_over(self) -> list[str]:
        """Processes that still have to do with the data directory."""
        found = []
        for process in psutil.process_iter():
            try:
                words = " ".join(process.cmdline())
            except psutil.Error:
                continue
            if str(self.data) in words and process.pid != os.getpid():
                found.append(words)
        return found

    def secret(self, name: str) -> str:
        return (self.data / "secrets" / name).read_text()

    def close(self) -> None:
        self.run("down")
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()
        shutil.rmtree(self.path, ignore_errors=True)


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    jvm = os.environ.get("OMERO_MQ_TEST_JVM", "")
    if not Path(jvm, "libs").is_dir():
        text = "OMERO_MQ_TEST_JVM names no directory with libs/ and plugins/"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    path = Path(tempfile.mkdtemp(prefix="omero-mq-test-"))
    path.chmod(0o711)
    site = Site(path, jvm)
    yield site
    site.close()


@pytest.fixture(scope="session")
def read():
    """The JSON objects of an output, each valid against its schema and without a field that the schema does not name."""
    files = (json.loads(path.read_text()) for path in (ROOT / "schemas" / "cli").glob("*.json"))
    schemas = {schema["properties"]["schema"]["const"]: schema for schema in files}

    def objects(text: str, thing: str) -> list[dict]:
        found = [json.loads(line) for line in text.splitlines()]
        for each in found:
            jsonschema.validate(each, schemas[each["schema"]])
            assert set(each) <= set(schemas[each["schema"]]["properties"])
        return [each for each in found if each["schema"] == f"omero-mq.{thing}/1"]

    return objects
