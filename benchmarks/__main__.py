"""Measures what the documentation claims: `python -m benchmarks NAME [--quick]`; the last line is one JSON object."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import results
from benchmarks.results import NAMES


def main(arguments: Sequence[str]) -> int:
    """Run one benchmark, or each in turn; 0 when every bar is held, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, "all"], help="which one")
    parser.add_argument("--quick", action="store_true", help="less work, within 50 s; the figures are rougher")
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/results and in the documentation")
    given = parser.parse_args(arguments)
    held = True
    for name in NAMES if given.name == "all" else [given.name]:
        measured = _apart(name, quick=given.quick) if given.name == "all" else _measure(name, quick=given.quick)
        held = held and measured["ok"]
        if given.write:
            results.keep(measured)
        print(json.dumps(measured), flush=True)
    if given.name == "all":
        print(json.dumps({"name": "all", "ok": held, "quick": given.quick}), flush=True)
    return 0 if held else 1


def _measure(name: str, *, quick: bool) -> dict[str, Any]:
    """One benchmark's figures, the first of its bars at the top."""
    measured = dict(importlib.import_module(f"benchmarks.{name.replace('-', '_')}").run(quick=quick))
    bars = measured.pop("bars")
    first = {key: bars[0][key] for key in ("value", "bar", "unit")}
    return {
        "name": name,
        **first,
        "ok": all(bar["ok"] for bar in bars),
        "bars": bars,
        **measured,
        "quick": quick,
        "cpus": os.cpu_count(),
    }


def _apart(name: str, *, quick: bool) -> dict[str, Any]:
    """The same in a process of its own, so that none finds what another left; one that fails is told as such."""
    command = [sys.executable, "-m", "benchmarks", name, *(["--quick"] if quick else [])]
    done = subprocess.run(command, cwd=results.ROOT, stdout=subprocess.PIPE, text=True, check=False)
    last = done.stdout.strip().rpartition("\n")[2]
    try:
        return dict(json.loads(last))
    except ValueError:
        return {"name": name, "ok": False, "bars": [], "failed": f"ended with status {done.returncode}: {last}", "quick": quick}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
