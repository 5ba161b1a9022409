"""Keeps what was measured: as JSON, one file for each benchmark, and as the tables in the documentation."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAMES = ("relay", "event-latency", "growth", "idle", "faust")
ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).with_name("results")
PAGE = ROOT / "docs" / "reference" / "performance.md"
BEGIN, END = "<!-- Written by `python -m benchmarks all --write`; do not edit. -->", "<!-- Until here. -->"


def keep(measured: Mapping[str, Any]) -> None:
    """Write one benchmark's figures, with when, where and of what, and the page anew."""
    FOLDER.mkdir(exist_ok=True)
    kept = {
        **measured,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "revision": revision(),
    }
    (FOLDER / f"{measured['name']}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), kept_results()), encoding="utf-8")


def kept_results() -> list[dict[str, Any]]:
    """What is kept, in the order of `NAMES`."""
    files = (FOLDER / f"{name}.json" for name in NAMES)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    information = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*:\s*(.+)$", information, flags=re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "processor": model.group(1) if model else "unknown",
        "memory_gb": round(memory / 1e9, 1),
        # What others had to do meanwhile: above the number of processors, times were longer than they need be.
        "load_average": round(os.getloadavg()[1], 1),
    }


def revision() -> str:
    """The commit that was measured; marked when tracked files were changed since."""
    said = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def with_tables(page: str, results: Sequence[Mapping[str, Any]]) -> str:
    """The page with its tables made anew; what people wrote around them stays."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"{PAGE} lacks the lines between which the tables stand: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{tables(results)}\n{END}{after}"


def tables(results: Sequence[Mapping[str, Any]]) -> str:
    """Every figure with its bar, what was missed among them; then who costs what while idle."""
    lines = ["| benchmark | what | measured | bar | held |", "|---|---|---|---|---|"]
    for result in results:
        lines += _rows(result)
    lines += ["", "| benchmark | when | on | of |", "|---|---|---|---|"]
    lines += [_origin(result) for result in results]
    for result in results:
        if "processes" in result:
            lines += ["", "What is running while idle, and its part:", "", *_shares(result["processes"])]
    return "\n".join(lines) + "\n"


def _rows(result: Mapping[str, Any]) -> list[str]:
    name = f"`{result['name']}`" + (" (quick)" if result["quick"] else "")
    if "failed" in result:
        return [f"| {name} | did not finish: {_cell(result['failed'])} | | | **no** |"]
    return [
        f"| {name} | {_cell(bar['what'])} | {bar['value']:,} {bar['unit']} | at {bar['at']} {bar['bar']:,} |"
        f" {'yes' if bar['ok'] else '**no**'} |"
        for bar in result["bars"]
    ]


def _origin(result: Mapping[str, Any]) -> str:
    on = result["machine"]
    place = f"{on['cpus']} x {on['processor']}, {on['memory_gb']} GB, load {on['load_average']}"
    return f"| `{result['name']}` | {result['date']} | {_cell(place)} | `{result['revision']}` |"


def _shares(processes: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| what | processes | memory | processor |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(one['name'])} | {one['processes']} | {one['pss_mb']} MB | {one['cpu_percent']} % of a core |"
        for one in processes
    ]
    return lines


def _cell(text: str) -> str:
    """Text that cannot end its cell."""
    return " ".join(text.split()).replace("|", r"\|")
