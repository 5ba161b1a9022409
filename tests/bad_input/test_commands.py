"""What `omero-mq up` says on a machine, a disk or in a directory that is not as it should be: what, where, what to do next."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[2]


class Place:
    """A data directory that is not there yet, and how `omero-mq up` would use it."""

    def __init__(self, home: Path) -> None:
        self.home, self.data = home, home / "data"
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)}
        self.options: list[str] = []
        self.taken = socket.socket()

    def up(self) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline", "up", "--set", f"stack.data_directory={self.data}", *self.options]
        return subprocess.run(command, cwd=self.home, env=self.environ, capture_output=True, text=True, check=False, timeout=30)


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="omero-mq-test-") as home:
        Path(home).chmod(0o711)
        place = Place(Path(home))
        yield place
        place.taken.close()


def a_port_in_use(place: Place) -> tuple[str, str]:
    place.taken.bind(("127.0.0.1", 0))
    place.taken.listen()
    port = place.taken.getsockname()[1]
    place.options = ["--set", f"stack.postgres_port={port}"]
    return f"port {port} on 127.0.0.1 (stack.postgres_port) is in use by another program", f"ss -ltnp 'sport = :{port}'"


def somebody_elses_directory(place: Place) -> tuple[str, str]:
    place.data.mkdir()
    (place.data / "thesis.tex").touch()
    return f"{place.data} holds other things (thesis.tex) and is no data directory", "name an empty or a new directory"


def a_file_in_its_place(place: Place) -> tuple[str, str]:
    place.data.touch()
    return f"{place.data} is not a directory", "name another data directory"


def a_half_made_directory(place: Place) -> tuple[str, str]:
    (place.data / "secrets").mkdir(parents=True)
    (place.data / "stack.json").write_text('{"cluster": ')
    return f"{place.data}/stack.json cannot be read", f"move {place.data} away and start anew"


def a_directory_of_a_kernel(place: Place) -> tuple[str, str]:
    place.data = Path("/proc/omero-mq")
    return "/proc/omero-mq: ", "name another data directory (stack.data_directory)"


def no_kafka(place: Place) -> tuple[str, str]:
    place.options = ["--set", "stack.jvm_directory=/nowhere"]
    return "Kafka is not in /nowhere", "fetch Kafka and Debezium with scripts/setup (needs Maven and a network, once)"


def an_old_java(place: Place) -> tuple[str, str]:
    java = place.home / "jdk" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    place.environ["JAVA_HOME"] = str(place.home / "jdk")
    return f"{java} is Java 11; Kafka needs 17 or newer", "apt-get install openjdk-17-jre-headless"


def no_java(place: Place) -> tuple[str, str]:
    place.environ["JAVA_HOME"] = str(place.home / "nothing")
    return f"there is no java in JAVA_HOME ({place.home}/nothing)", "apt-get install openjdk-17-jre-headless"


def a_misspelt_setting(place: Place) -> tuple[str, str]:
    place.options = ["--set", "stack.postgress_port=5433"]
    return "--set: unknown setting stack.postgress_port; did you mean stack.postgres_port?", "`omero-mq config check` lists all"


def a_password_file_that_is_no_text(place: Place) -> tuple[str, str]:
    (place.home / "password").write_bytes(b"\xa7\xff")
    place.environ["OMERO_MQ_OMERO_PASSWORD_FILE"] = str(place.home / "password")
    return f"OMERO_MQ_OMERO_PASSWORD_FILE: omero.password cannot be read from {place.home}/password", "correct it"


def a_file_of_settings_that_is_none(place: Place) -> tuple[str, str]:
    (place.home / "omero-mq.toml").write_text('[kafka]\nbootstrap = "a\0b"\n')
    return "omero-mq.toml is not TOML: Illegal character '\\x00' (at line 2, column 15)", "write texts in quotes"


@pytest.mark.parametrize(
    "wrong",
    [
        a_port_in_use,
        somebody_elses_directory,
        a_file_in_its_place,
        a_half_made_directory,
        a_directory_of_a_kernel,
        no_kafka,
        an_old_java,
        no_java,
        a_misspelt_setting,
        a_password_file_that_is_no_text,
        a_file_of_settings_that_is_none,
    ],
    ids=lambda one: one.__name__.replace("_", " "),
)
def test_up_says_what_where_and_what_to_do(place: Place, wrong: Callable[[Place], tuple[str, str]]):
    what, next_step = wrong(place)
    done = place.up()
    error, fix = done.stderr.splitlines()[-2:]
    assert (done.returncode, done.stdout) == (1, "")
    assert error.startswith(f"error: {what}")
    assert fix.startswith("  fix: ")
    assert next_step in fix


def test_a_disk_with_too_little_room_is_told_before_anything_is_made(place: Place):
    mount = ("mount", "-t", "tmpfs", "-o", "size=4m,mode=0711", "omero-mq-test", str(place.home))
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system of its own could be mounted here")
    try:
        done = place.up()
        assert done.stderr.splitlines()[-2:] == [
            f"error: {place.data} has 4 MiB free, 1024 MiB are needed to start",
            "  fix: free some space, or name a data directory on another disk (stack.data_directory)",
        ]
        assert not (place.data / "postgres").exists()
    finally:
        subprocess.run(("umount", "-l", str(place.home)), check=True)
