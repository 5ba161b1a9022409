"""A PostgreSQL server of the tests' own, in a temporary directory, on a free port of the loopback interface."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BIN = Path("/usr/lib/postgresql/15/bin")


def _as_postgres() -> list[str]:
    return ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []


@contextmanager
def running_server(directory: Path) -> Iterator[int]:
    """Yield the port; skips at home when there is no PostgreSQL, fails in CI."""
    if not (BIN / "initdb").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"no PostgreSQL in {BIN}")
    data = directory / "pg"
    data.mkdir(parents=True)
    if os.getuid() == 0:
        shutil.chown(data, pwd.getpwnam("postgres").pw_uid)
        for parent in data.parents:
            if parent == Path("/tmp"):
                break
            parent.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: str) -> None:
        subprocess.run([*_as_postgres(), *command], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, cwd="/")

    run(str(BIN / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c max_connections=60"
    run(str(BIN / "pg_ctl"), "-D", str(data), "-w", "-l", str(data / "log"), "-o", options, "start")
    try:
        yield port
    finally:
        run(str(BIN / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop")
