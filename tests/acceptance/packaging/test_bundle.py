"""`omero-mq bundle`: made with a network, installed without one, refused when it is not what it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = "http://127.0.0.1:9"


def run(*argv: object, expect: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(each) for each in argv], capture_output=True, text=True, check=False, **options)
    assert done.returncode == expect, (done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def jvm(tmp_path_factory) -> Path:
    """Kafka and Debezium; small files in their place where they were not fetched, since this is about packing."""
    real = Path(os.environ.get("OMERO_MQ_TEST_JVM", "/nonexistent"))
    if (real / "libs").is_dir():
        return real
    made = tmp_path_factory.mktemp("jvm")
    for name in (
        "libs/kafka_2.13-4.jar",
        "libs/connect-runtime-4.jar",
        "plugins/debezium-connector-postgres/debezium-connector-postgres-3.jar",
    ):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(name.encode())
    return made


@pytest.fixture(scope="module")
def archive(jvm, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "omero-mq.tar.gz"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMERO_MQ_STACK_JVM_DIRECTORY": str(jvm)}
    done = run(sys.executable, "-m", "pipeline", "bundle", out, "--json", env=environment, cwd=out.parent)
    said = json.loads(done.stdout)
    jsonschema.validate(said, json.loads((ROOT / "schemas" / "cli" / "bundle.json").read_text()))
    assert said["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert said["bytes"] == out.stat().st_size
    return out


@pytest.fixture
def unpacked(archive, tmp_path) -> Path:
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "unpacked", filter="data")
    return next((tmp_path / "unpacked").iterdir())


def without_network(*argv: object) -> tuple[object, ...]:
    """In a network namespace with nothing in it, if this machine lets us make one; the proxy that is nowhere holds anyway."""
    for unshare in (("unshare", "-n"), ("unshare", "-rn")):
        if shutil.which("unshare") and subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0:
            return (*unshare, *argv)
    return argv


def offline() -> dict[str, str]:
    own = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return own | {"http_proxy": NOWHERE, "https_proxy": NOWHERE, "PIP_INDEX_URL": NOWHERE, "PIP_NO_CACHE_DIR": "1"}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.timeout(180)
def test_it_installs_and_runs_with_the_network_off(archive, unpacked, jvm, tmp_path):
    run("sha256sum", "-c", f"{archive.name}.sha256", cwd=archive.parent)
    target = tmp_path / "opt"
    done = run(*without_network(unpacked / "install.sh", target), env=offline())
    assert f"{target}/current points at it" in done.stdout

    installed = run(target / "current" / "bin" / "omero-mq", "--version", env=offline(), cwd=tmp_path).stdout
    ours = run(sys.executable, "-m", "pipeline", "--version", env={**os.environ, "PYTHONPATH": str(ROOT)}).stdout
    assert installed == ours
    environment = offline() | {"HOME": str(tmp_path), "OMERO_MQ_STACK_DATA_DIRECTORY": str(tmp_path / "none")}
    shown = run(target / "current" / "bin" / "omero-mq", "connector", "show", "--json", env=environment, cwd=tmp_path).stdout
    assert [json.loads(line)["name"] for line in shown.splitlines()] == ["omero-eventlog", "omero-reindexing"]
    for name in ("libs", "plugins"):
        assert names(target / "current" / "jvm" / name) == names(jvm / name)
    printed = run(
        target / "current" / "bin" / "omero-mq", "install", "--systemd", "--print", env=environment, cwd=tmp_path
    ).stdout
    assert f"ExecStart={target}/current/bin/omero-mq run %i" in printed

    again = run(unpacked / "install.sh", target, env=offline(), expect=1).stderr
    assert "is there already" in again


def test_every_file_has_a_checksum_and_every_requirement_its_pinned_wheel(unpacked):
    listed = [line.split("  ", 1) for line in (unpacked / "SHA256SUMS").read_text().splitlines()]
    files = sorted(
        str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file() and path.name != "SHA256SUMS"
    )
    assert sorted(name for _, name in listed) == files
    for checksum, name in listed:
        assert hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == checksum
    pinned = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    wheels = dict(path.name.lower().split("-")[:2] for path in (unpacked / "wheels").iterdir())
    del wheels["omero_mq"]
    versions = {name.replace("-", "_").replace(".", "_"): version for name, version in pinned.items()}
    assert wheels == {name: versions[name] for name in wheels}
    assert {"confluent_kafka", "psycopg_binary", "faust_streaming", "cramjam"} <= wheels.keys()
    assert "pytest" not in wheels


def test_a_damaged_archive_is_refused(archive, tmp_path):
    damaged = tmp_path / archive.name
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    shutil.copy(f"{archive}.sha256", tmp_path)
    assert "FAILED" in run("sha256sum", "-c", f"{archive.name}.sha256", cwd=tmp_path, expect=1).stdout


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / "constraints.txt").write_text("faust-streaming\n"), "is not what it was"),
        (lambda root: next((root / "wheels").iterdir()).unlink(), "is not what it was"),
        (lambda root: (root / "wheels" / "evil-1.0-py3-none-any.whl").write_text("x"), "no checksum vouches for"),
        (lambda root: (root / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
        (lambda root: (root / "SHA256SUMS").write_text("not a checksum\n"), "is not what it was"),
    ],
    ids=["changed", "missing", "added", "without checksums", "checksums are none"],
)
def test_an_unpacked_bundle_that_was_changed_installs_nothing(unpacked, tmp_path, damage, said):
    damage(unpacked)
    error = run(unpacked / "install.sh", tmp_path / "opt", env=offline(), expect=1).stderr
    assert said in error
    assert "Fix: " in error
    assert list((tmp_path / "opt").iterdir()) == []


def test_a_bundle_for_another_python_says_so(unpacked, tmp_path):
    text = (unpacked / "BUNDLE").read_text()
    (unpacked / "BUNDLE").write_text(text.replace("python=3.", "python=3.9"))
    checksum = hashlib.sha256((unpacked / "BUNDLE").read_bytes()).hexdigest()
    lines = (unpacked / "SHA256SUMS").read_text().splitlines()
    (unpacked / "SHA256SUMS").write_text(
        "".join(f"{checksum}  BUNDLE\n" if each.endswith("  BUNDLE") else f"{each}\n" for each in lines)
    )
    assert "there is no Python 3.9" in run(unpacked / "install.sh", tmp_path / "opt", env=offline(), expect=1).stderr
