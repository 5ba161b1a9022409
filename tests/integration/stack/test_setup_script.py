"""`scripts/setup` on machines that lack something: one line to run, and nothing done."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ("bash", "dirname", "cat", "cut", "sha256sum", "sh")


@pytest.fixture
def machine(tmp_path):
    """Runs lines of bash after sourcing the script, with these programs and this user id and no others."""

    def run(lines: str, *, uid: int, programs: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        binaries = tmp_path / "bin"
        binaries.mkdir(exist_ok=True)
        for tool in TOOLS:
            (binaries / tool).symlink_to(shutil.which(tool))
        for program in programs:
            (binaries / program).write_text('#!/bin/sh\n[ -z "$1" ] || echo "$0 $*" >&2\n')
            (binaries / program).chmod(0o755)
        (binaries / "id").write_text(f"#!/bin/sh\necho {uid}\n")
        (binaries / "id").chmod(0o755)
        environment = {"PATH": str(binaries), "HOME": str(tmp_path), "OMERO_MQ_STACK_DATA_DIRECTORY": str(tmp_path / "data")}
        code = f"set -euo pipefail; source {ROOT / 'scripts' / 'setup'}; VENV={tmp_path / 'venv'}; {lines}"
        return subprocess.run(("bash", "-c", code), env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_who_is_not_root_gets_the_one_line_to_run(machine):
    done = machine("has_postgres() { false; }; setup full", uid=1000, programs=("apt-get",))
    packages = "python3.11-venv postgresql-15 openjdk-17-jre-headless maven kcat"
    assert done.stderr == f"missing: {packages}\nFix: sudo apt-get update && sudo apt-get install -y {packages}\n"
    assert done.returncode == 1


def test_unit_tests_need_no_server_and_no_java(machine):
    done = machine("has_postgres() { false; }; missing_packages python", uid=1000)
    assert (done.stdout.split(), done.returncode) == (["python3.11-venv"], 0)


def test_what_is_there_is_not_asked_for(machine):
    programs = ("java", "kcat", "mvn", "python3.12")
    done = machine("has_postgres() { true; }; missing_packages full", uid=1000, programs=programs)
    assert (done.stdout.split(), done.returncode) == ([], 0)


def test_a_system_without_apt_is_told_the_names(machine):
    done = machine("has_postgres() { false; }; setup full", uid=0, programs=("java", "kcat", "mvn", "python3.12"))
    assert done.stderr.splitlines()[0] == "missing: postgresql-15 (these are Debian's names; this system has no apt-get)"
    assert done.returncode == 1
