"""Measures what the documentation claims: `python -m benchmarks NAME [--quick]`; the last line is one JSON object."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import sys
from collections.abc import Sequence

import benchmarks


def names() -> list[str]:
    """Every program in this folder, as it is called: with dashes."""
    found = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    return sorted(name.replace("_", "-") for name in found if name not in {"__main__", "facility", "site"})


def main(arguments: Sequence[str]) -> int:
    """Run one benchmark; 0 when its bar is held, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=names(), help="which one")
    parser.add_argument("--quick", action="store_true", help="less work, within 50 s; the figures are rougher")
    given = parser.parse_args(arguments)
    module = importlib.import_module(f"benchmarks.{given.name.replace('-', '_')}")
    measured = module.run(quick=given.quick)
    print(json.dumps({"name": given.name, **measured, "quick": given.quick, "cpus": os.cpu_count()}), flush=True)
    return 0 if measured["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
