"""What `omero-mq up` costs while nobody does anything: memory, processor time, and how long a second start takes.

All that the command starts is counted, down to the last PostgreSQL backend; each process is named, so that one sees
who costs what.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bars import at_most
from pipeline.stack import directory

MEMORY_MB, CPU_PERCENT, START_S = 1500.0, 5.0, 20.0
# Java compiles what it has just started with; that is the start's cost, not that of waiting.
SETTLE_S, QUICK_SETTLE_S = 60.0, 8.0
QUIET_S, QUICK_QUIET_S = 60.0, 20.0
READY_WITHIN_S = 120.0
ROOT = Path(__file__).resolve().parents[1]


def run(*, quick: bool) -> Mapping[str, Any]:
    """Measure; see `python -m benchmarks`."""
    settle_s, quiet_s = (QUICK_SETTLE_S, QUICK_QUIET_S) if quick else (SETTLE_S, QUIET_S)
    where = Path(tempfile.mkdtemp(prefix="omero-mq-bench-"))
    where.chmod(0o711)
    try:
        with _up(where) as (_, first_s):
            pass
        with _up(where) as (supervisor, second_s):
            time.sleep(settle_s)
            cpu = _cpu_over(supervisor, quiet_s)
            memory = {one.pid: _pss_mb(one.pid) for one in _tree(supervisor)}
            names = {one.pid: _name(one) for one in _tree(supervisor)}
    finally:
        shutil.rmtree(where, ignore_errors=True)
    return {
        "bars": [
            at_most("all that `omero-mq up` starts", round(sum(memory.values())), MEMORY_MB, "MB PSS"),
            at_most("its processor time while idle", round(cpu.pop(0), 2), CPU_PERCENT, "% of a core"),
            at_most("a second start", round(second_s, 1), START_S, "s"),
        ],
        "peer": "none",
        "profile": "small",
        "quiet_s": quiet_s,
        "first_start_s": round(first_s, 1),
        "processes": _shares(names, memory, cpu),
    }


@contextmanager
def _up(where: Path) -> Iterator[tuple[psutil.Process, float]]:
    """The command as a person types it; gives it and the seconds until it says that all is ready. Ends it in order."""
    jvm = os.environ.get("OMERO_MQ_STACK_JVM_DIRECTORY") or str(directory.chosen("").jvm)
    ours = {name: value for name, value in os.environ.items() if not name.startswith("OMERO_MQ_")}
    environment = {**ours, "OMERO_MQ_STACK_DATA_DIRECTORY": str(where / "data"), "OMERO_MQ_STACK_JVM_DIRECTORY": jvm}
    environment["PYTHONPATH"] = str(ROOT)
    said = where / "said"
    began_s = time.monotonic()
    with said.open("w", encoding="utf-8") as errors:
        command = [sys.executable, "-m", "pipeline", "--json", "up"]
        child = subprocess.Popen(command, cwd=where, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"omero-mq up ended with {child.wait()}: {said.read_text(encoding='utf-8')[-2000:]}")
        json.loads(line)
        yield psutil.Process(child.pid), time.monotonic() - began_s
    finally:
        child.terminate()
        child.communicate(timeout=READY_WITHIN_S)


def _tree(supervisor: psutil.Process) -> list[psutil.Process]:
    return [supervisor, *supervisor.children(recursive=True)]


def _cpu_over(supervisor: psutil.Process, seconds: float) -> dict[int, float]:
    """Per cent of a core by pid; under 0 that of all together, with those that came and went meanwhile."""
    before, began_s = _cpu_s(supervisor), time.monotonic()
    time.sleep(seconds)
    after, took_s = _cpu_s(supervisor), time.monotonic() - began_s
    cpu = {pid: 100 * (own - before.get(pid, (0.0, 0.0))[0]) / took_s for pid, (own, _) in after.items()}
    # A process that ended is in its parent's account of children; so this sum is right without having seen it.
    cpu[0] = 100 * (sum(map(sum, after.values())) - sum(map(sum, before.values()))) / took_s
    return cpu


def _cpu_s(supervisor: psutil.Process) -> dict[int, tuple[float, float]]:
    """Seconds of processor time of each process, and of its children that have ended."""
    found = {}
    for one in _tree(supervisor):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            found[one.pid] = (times.user + times.system, times.children_user + times.children_system)
    return found


def _pss_mb(pid: int) -> float:
    """Its memory, with what it shares divided among those who share it [MB]."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _name(process: psutil.Process) -> str:
    """What it is for people."""
    with suppress(psutil.NoSuchProcess):
        words = process.cmdline()
        return named(words)
    return "ended"


def named(words: Sequence[str]) -> str:
    """What a command line is for people."""
    if "kafka.Kafka" in words:
        return "Kafka"
    if any(word.endswith(".ConnectDistributed") for word in words):
        return "Kafka Connect with Debezium"
    if words and ("/postgres" in words[0] or words[0].startswith("postgres:")):
        return "PostgreSQL"
    if "run" in words:
        return words[words.index("run") + 1]
    return "supervisor" if "up" in words else " ".join(words)[:60]


def _shares(names: Mapping[int, str], memory: Mapping[int, float], cpu: Mapping[int, float]) -> list[dict[str, Any]]:
    """The dearest first."""
    groups: dict[str, list[int]] = defaultdict(list)
    for pid in memory:
        groups[names.get(pid, "ended")].append(pid)
    shares = [
        {
            "name": name,
            "processes": len(pids),
            "pss_mb": round(sum(memory[pid] for pid in pids), 1),
            "cpu_percent": round(sum(cpu.get(pid, 0.0) for pid in pids), 2),
        }
        for name, pids in groups.items()
    ]
    return sorted(shares, key=lambda share: -share["pss_mb"])
