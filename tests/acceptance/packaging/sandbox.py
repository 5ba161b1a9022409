"""`sandbox.py UNIT COMMAND...`: runs a command with no more system calls and address families than a unit leaves it.

What systemd does with SystemCallFilter= and RestrictAddressFamilies= of the file UNIT, by the kernel's own filter.
No systemd need run as process 1.
"""

from __future__ import annotations

import ctypes
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # refuse: EPERM, as SystemCallErrorNumber= says
EQUAL = 4
NO_NEW_PRIVILEGES = 38


class Argument(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp."""

    _fields_ = [("number", ctypes.c_uint), ("operator", ctypes.c_int), ("value", ctypes.c_uint64), ("mask", ctypes.c_uint64)]


def calls(name: str) -> set[str]:
    """What is in a set such as @system-service."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:]]
    return {call for word in words if word and not word.startswith("#") for call in calls(word)}


def wanted(unit: str) -> tuple[set[str], list[int]]:
    """System calls and address families that a unit allows."""
    allowed: set[str] = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, flags=re.MULTILINE):
        named = {call for name in line.removeprefix("~").split() for call in calls(name)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    (families,) = re.findall(r"^RestrictAddressFamilies=(.*)$", unit, flags=re.MULTILINE)
    return allowed, [int(getattr(socket, family)) for family in families.split()]


def enter(allowed: set[str], families: list[int]) -> None:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE)))
    for name in sorted(allowed):
        number = library.seccomp_syscall_resolve_name(name.encode())
        for family in families if name == "socket" else [None]:
            count = 0 if family is None else 1
            arguments = ctypes.byref(Argument(0, EQUAL, family or 0, 0)) if count else None
            if number >= 0 and library.seccomp_rule_add_array(rules, ALLOW, number, count, arguments) != 0:
                sys.exit(f"no rule for {name}")
    if ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0 or library.seccomp_load(rules) != 0:
        sys.exit("the kernel takes no filter")


if __name__ == "__main__":
    enter(*wanted(Path(sys.argv[1]).read_text(encoding="utf-8")))
    os.execvp(sys.argv[2], sys.argv[2:])
