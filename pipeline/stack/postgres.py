"""PostgreSQL as a supervised process: found, made once, configured at each start."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg.conninfo

from pipeline.errors import Misconfigured
from pipeline.stack.directory import DataDirectory, explained, write_atomically
from pipeline.stack.probe import postgres_answers
from pipeline.stack.process import Process

OLDEST, NEWEST = 14, 18
SUPERUSER = "postgres"
_SYSTEM_USER = "postgres"
_INSTALL = "apt-get install postgresql-15"

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    # TCP on the loopback interface only: a socket's path may be longer than the 107 bytes that a socket takes.
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "40",
    "max_wal_senders": "40",
    # A slot that nobody reads must not fill the disk; past this it is lost, and `omero-mq repair` re-reads.
    "max_slot_wal_keep_size": "10GB",
    "max_connections": "120",
    "max_prepared_transactions": "10",
    "shared_buffers": "64MB",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Postgres:
    """One PostgreSQL cluster below the data directory.

    Attributes:
        extra: server settings on top of ours, e.g. ``fsync: off`` in tests.
    """

    directory: DataDirectory
    port: int
    environment: Mapping[str, str]
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The cluster's own directory."""
        return self.directory.postgres / "data"

    def dsn(self, database: str = "postgres") -> str:
        """A connection string for the superuser."""
        password = self.directory.secret("postgres-superuser")
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=password, dbname=database
        )

    def process(self) -> Process:
        """The process to supervise.

        Raises:
            Misconfigured: no PostgreSQL of a supported version, or no user that it could run as.
        """
        programs = find_programs(self.environment, wanted=_version_of(self.data))
        user = _system_user()
        dsn = self.dsn()
        return Process(
            name="postgres",
            argv=(str(programs / "postgres"), "-D", str(self.data)),
            directory=self.directory.postgres if self.directory.postgres.is_dir() else self.directory.path,
            environment={"PATH": self.environment.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
            user=user,
            make=lambda: self._make(programs, user),
            probe=lambda: postgres_answers(dsn),
            stop_signal=signal.SIGINT,  # "fast": ends sessions, then checkpoints; SIGTERM would wait for the clients to leave
            grace_s=30.0,
        )

    def _make(self, programs: Path, user: str) -> None:
        """Creates the cluster if it is not there, and writes today's settings. Idempotent, also after a kill at any point."""
        try:
            _own(self.directory.postgres, user)
            making = self.directory.postgres / "data.making"
            if not self.data.exists():
                # Made beside and renamed: what a kill leaves half-made has the other name and is made anew.
                shutil.rmtree(making, ignore_errors=True)
                self._initdb(programs, making, user)
                making.rename(self.data)
            for needed in ("PG_VERSION", "global/pg_control"):
                if not (self.data / needed).exists():
                    raise Misconfigured(
                        f"{self.data} is no complete PostgreSQL cluster: {needed} is missing",
                        fix=f"restore it from a backup, or start with an empty one: mv {self.data} {self.data}.broken",
                    )
            self._configure(user)
        except OSError as error:
            raise explained(error, self.directory.postgres) from error

    def _initdb(self, programs: Path, making: Path, user: str) -> None:
        password_file = self.directory.postgres / "initdb-password"
        try:
            write_atomically(password_file, self.directory.secret("postgres-superuser"), mode=0o600)
            _own(password_file, user)
            argv = [str(programs / "initdb"), "-D", str(making), "--username", SUPERUSER, "--encoding", "UTF8"]
            argv += ["--locale", "C.UTF-8", "--auth", "scram-sha-256", "--pwfile", str(password_file)]
            if self.extra.get("fsync") == "off":
                argv.append("--no-sync")
            done = subprocess.run(  # type: ignore[call-overload]
                argv,
                cwd=self.directory.postgres,
                env={"PATH": self.environment.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
                capture_output=True,
                text=True,
                check=False,
                **({"user": user, "group": user, "extra_groups": []} if user else {}),
            )
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            said = "\n".join(done.stderr.strip().splitlines()[-6:])
            raise Misconfigured(f"initdb failed in {making}:\n{said}", fix=_initdb_fix(said))

    def _configure(self, user: str) -> None:
        settings = {**_SETTINGS, "port": str(self.port), **self.extra}
        text = "# Written by omero-mq at each start.\n" + "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        ours = self.data / "omero-mq.conf"
        write_atomically(ours, text, mode=0o600)
        _own(ours, user)
        main = self.data / "postgresql.conf"
        include = "include 'omero-mq.conf'\n"
        content = main.read_text(encoding="utf-8")
        if include not in content:
            write_atomically(main, f"{content}\n{include}", mode=0o600)
            _own(main, user)


def find_programs(environment: Mapping[str, str], *, wanted: int | None = None) -> Path:
    """The directory with ``initdb`` and ``postgres``, of the wanted major version or the newest that is supported.

    Raises:
        Misconfigured: there is none.
    """
    found: dict[int, Path] = {}
    for postgres in Path("/usr/lib/postgresql").glob("*/bin/postgres"):
        if postgres.parent.parent.name.isdecimal() and (postgres.parent / "initdb").exists():
            found[int(postgres.parent.parent.name)] = postgres.parent
    on_path = shutil.which("initdb", path=environment.get("PATH", ""))
    if on_path is not None and (Path(on_path).resolve().parent / "postgres").exists():
        found.setdefault(_major(Path(on_path)), Path(on_path).resolve().parent)
    fitting = [major for major in found if OLDEST <= major <= NEWEST and wanted in (None, major)]
    if fitting:
        return found[max(fitting)]
    have = f"found only {', '.join(map(str, sorted(found)))}" if found else "found none"
    if wanted is not None:
        raise Misconfigured(
            f"the data was made by PostgreSQL {wanted}; {have}",
            fix=f"install that version again, or move the data to another one with pg_upgrade ({wanted} is what it is now)",
        )
    raise Misconfigured(f"PostgreSQL {OLDEST} to {NEWEST} is needed; {have}", fix=_INSTALL)


def _major(initdb: Path) -> int:
    said = subprocess.run((str(initdb), "--version"), capture_output=True, text=True, timeout=30, check=False).stdout
    match = re.search(r"(\d+)", said)
    return int(match[1]) if match else 0


def _version_of(data: Path) -> int | None:
    """The major version that made an existing cluster."""
    try:
        text = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    return int(text) if text.isdecimal() else None


def _system_user() -> str:
    """The user that PostgreSQL runs as: it refuses root."""
    if os.geteuid() != 0:
        return ""
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        raise Misconfigured(
            f"PostgreSQL refuses to run as root, and there is no user {_SYSTEM_USER}",
            fix=f"{_INSTALL} (it makes the user), or start as somebody else",
        ) from None
    return _SYSTEM_USER


def _own(path: Path, user: str) -> None:
    """Makes a directory if it is missing, and hands it, or a file, to the user."""
    if not path.exists():
        path.mkdir(mode=0o700)
    if not user:
        return
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid)
    closed = next((parent for parent in path.parents if not parent.stat().st_mode & 0o001), None)
    if closed is not None and closed.stat().st_uid != entry.pw_uid:
        raise Misconfigured(
            f"PostgreSQL runs as {user}, who may not pass through {closed}",
            fix=f"name a data directory elsewhere, e.g. /var/lib/omero-mq, or: chmod o+x {closed}",
        )


def _initdb_fix(said: str) -> str:
    if "No space left" in said:
        return "free some space, or name a data directory on another disk (stack.data_directory)"
    return "see the message"
