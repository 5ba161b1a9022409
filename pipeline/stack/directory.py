"""The one directory that `omero-mq up` keeps: its layout, its lock, what it remembers between starts."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pipeline.errors import Misconfigured
from pipeline.settings.places import data_directory
from pipeline.stack.identity import Identity, identity, is_alive

LEAST_FREE_BYTES = 1024 * 1024 * 1024


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a second start must find again: ``stack.json``.

    Attributes:
        layout: raised when the directory's layout changes.
        cluster: the Kafka cluster's id.
        ports: by process or listener name.
    """

    cluster: str
    ports: dict[str, int]
    layout: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The supervisor that holds a data directory.

    Attributes:
        who: the process.
        command: how it was started.
    """

    who: Identity
    command: str


class DataDirectory:
    """Paths below one data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock_file = path / "lock"
        self.memory_file = path / "stack.json"
        self.addresses_file = path / "addresses.json"
        self.settings_file = path / "omero-mq.toml"
        self.processes_file = path / "processes.json"
        self.jvm = path / "jvm"
        self.logs = path / "logs"
        self.secrets = path / "secrets"
        self.postgres = path / "postgres"
        self.kafka = path / "kafka"
        self.connect = path / "connect"
        self.services = path / "services"

    def prepare(self, *, least_free_bytes: int = LEAST_FREE_BYTES) -> None:
        """Makes the directory, or sees that it is ours and has room; idempotent.

        Raises:
            Misconfigured: not a directory, somebody else's content, not writable, or too full.
        """
        try:
            # Others may pass through (PostgreSQL runs as a user of its own) but not look around.
            self.path.mkdir(mode=0o711, parents=True, exist_ok=True)
            _refuse_foreign(self.path)
            for part in (self.logs, self.secrets, self.kafka, self.connect, self.services):
                part.mkdir(mode=0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Misconfigured(f"{self.path} is not a directory", fix="name another data directory") from error
        except OSError as error:
            raise explained(error, self.path) from error
        free = shutil.disk_usage(self.path).free
        if free < least_free_bytes:
            raise Misconfigured(
                f"{self.path} has {free // 2**20} MiB free, {least_free_bytes // 2**20} MiB are needed to start",
                fix="free some space, or name a data directory on another disk (stack.data_directory)",
            )

    def secret(self, name: str) -> str:
        """A password that is made once and kept in a file that only we can read."""
        file = self.secrets / name
        if not file.exists():
            write_atomically(file, secrets.token_urlsafe(24), mode=0o600)
        return file.read_text(encoding="utf-8")

    def remembered(self) -> Memory | None:
        """What an earlier start wrote down, if any."""
        try:
            return msgspec.json.decode(self.memory_file.read_bytes(), type=Memory)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise Misconfigured(
                f"{self.memory_file} cannot be read: {error}",
                fix=f"restore it from a backup, or move {self.path} away and start anew",
            ) from error

    def remember(self, memory: Memory) -> None:
        """Writes down what a second start must find again."""
        write_atomically(self.memory_file, msgspec.json.format(msgspec.json.encode(memory)).decode() + "\n", mode=0o644)

    @contextmanager
    def locked(self, *, command: str) -> Iterator[None]:
        """Holds the directory; the kernel lets go when this process ends in whatever way.

        Raises:
            Misconfigured: somebody else holds it; says who.
        """
        handle = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _held(self) from None
            me = identity(os.getpid())
            record = {"pid": os.getpid(), "start": me.start, "boot": me.boot, "command": command} if me else {}
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(record).encode(), 0)
            yield
            os.ftruncate(handle, 0)
        finally:
            os.close(handle)

    def holder(self) -> Holder | None:
        """Who is written in the lock file, if that process is alive."""
        try:
            record = json.loads(self.lock_file.read_text(encoding="utf-8") or "{}")
            who = Identity(pid=int(record["pid"]), start=int(record["start"]), boot=str(record["boot"]))
        except (FileNotFoundError, ValueError, KeyError):
            return None
        return Holder(who=who, command=str(record.get("command", ""))) if is_alive(who) else None


def chosen(setting: str) -> DataDirectory:
    """The data directory of the setting `stack.data_directory`."""
    return DataDirectory(data_directory(setting).resolve())


def write_atomically(path: Path, text: str, *, mode: int) -> None:
    """Replaces a file so that a reader, or a kill, finds the old or the new one and nothing between."""
    making = path.with_name(path.name + ".making")
    making.unlink(missing_ok=True)
    handle = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    making.replace(path)


def explained(error: OSError, where: Path) -> Misconfigured:
    """An operating system's error as one that says what to do."""
    fixes = {
        errno.ENOSPC: "free some space, or name a data directory on another disk (stack.data_directory)",
        errno.EDQUOT: "your quota on that disk is used up: free some space or name another data directory",
        errno.EROFS: "that disk is read-only: name another data directory (stack.data_directory)",
        errno.EACCES: "name a data directory that you may write to (stack.data_directory)",
        errno.EPERM: "name a data directory that you own (stack.data_directory)",
    }
    other = "name another data directory (stack.data_directory)"
    return Misconfigured(f"{where}: {error.strerror or error}", fix=fixes.get(error.errno or 0, other))


def _refuse_foreign(path: Path) -> None:
    """A directory with content that is not ours is most likely a slip of the pen."""
    content = {entry.name for entry in path.iterdir()} - {"lost+found"}
    if content and not content & {"stack.json", "lock", "jvm", "jvm.lock", "secrets"}:
        some = ", ".join(sorted(content)[:3])
        raise Misconfigured(
            f"{path} holds other things ({some}) and is no data directory of omero-mq",
            fix="name an empty or a new directory",
        )


def _held(directory: DataDirectory) -> Misconfigured:
    holder = directory.holder()
    if holder is None:
        return Misconfigured(
            f"{directory.path} is locked by a process that did not sign the lock",
            fix=f"see which with: fuser -v {directory.lock_file}",
        )
    return Misconfigured(
        f"{directory.path} is in use by process {holder.who.pid} ({holder.command})",
        fix=f"stop that one (omero-mq down, or: kill {holder.who.pid}), or name another data directory",
    )
