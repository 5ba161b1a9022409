"""What the Dockerfile's first stage builds, from nothing but the files that it copies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(120)
def test_the_files_that_the_dockerfile_copies_make_a_whole_wheel(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for line in re.findall(r"^COPY (.*)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE):
        *names, target = line.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / target, ignore=shutil.ignore_patterns("__pycache__", "target"))
            else:
                shutil.copy(ROOT / name, source / target)
    argv = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--wheel-dir",
        tmp_path / "wheels",
    ]
    done = subprocess.run([*argv, source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    (wheel,) = (tmp_path / "wheels").iterdir()
    with zipfile.ZipFile(wheel) as packed:
        inside = set(packed.namelist())
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "pipeline").rglob("*.py")}
    schema = {str(path.relative_to(ROOT)) for path in (ROOT / "pipeline" / "demo" / "schema").iterdir()}
    shipped = {f"pipeline/shipped_files/{path.relative_to(ROOT)}" for path in (ROOT / "connectors").iterdir() if path.is_file()}
    shipped |= {f"pipeline/shipped_files/{path.relative_to(ROOT)}" for path in (ROOT / "schemas").rglob("*.avsc")}
    assert (code | schema | shipped) - inside == set()
