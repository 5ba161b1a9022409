"""Log files of the supervised processes: appended to by the processes themselves, rotated by the supervisor.

A process writes straight into its file, so that it never blocks on a supervisor that is slow, frozen or dead.
Rotation copies and truncates, since the process keeps its file open; lines written while the last block is
copied may be lost from the log.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LARGEST_BYTES = 10 * 1024 * 1024
KEPT = 4  # older files beside the current one


def open_for_child(path: Path) -> int:
    """A descriptor for a child's output; appending, so that truncation takes effect at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def rotate(path: Path, *, largest_bytes: int = LARGEST_BYTES, kept: int = KEPT) -> bool:
    """Moves a full log aside; returns whether it was full."""
    try:
        if path.stat().st_size <= largest_bytes:
            return False
    except FileNotFoundError:
        return False
    for number in range(kept - 1, 0, -1):
        older = path.with_suffix(f".log.{number}")
        if older.exists():
            older.replace(path.with_suffix(f".log.{number + 1}"))
    shutil.copyfile(path, path.with_suffix(".log.1"))
    os.truncate(path, 0)
    return True


def tail(path: Path, *, lines: int = 12, from_byte: int = 0) -> str:
    """The last lines, for an error message; only what was written from `from_byte` on."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(from_byte if from_byte <= size else 0, size - 16_384))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
