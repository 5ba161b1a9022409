"""Fetches Kafka and Debezium by Maven from `connectors/pom.xml`, once."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pipeline import shipped
from pipeline.errors import Misconfigured
from pipeline.stack.directory import explained
from pipeline.stack.java import missing_jars


def fetch(jvm: Path, *, environment: Mapping[str, str]) -> bool:
    """Fills `jvm` with ``libs`` and ``plugins`` unless it is complete; returns whether it fetched. Needs a network.

    Blocks for some seconds up to minutes; safe to call from several processes at once. A kill leaves nothing half-made.

    Raises:
        Misconfigured: no Maven, no network, or no room.
    """
    if _is_complete(jvm):
        return False
    maven = shutil.which("mvn", path=environment.get("PATH", "/usr/bin:/bin"))
    if maven is None:
        raise Misconfigured(
            f"{missing_jars(jvm) or 'the version that is wanted now'} is not in {jvm}, and there is no mvn to fetch it with",
            fix="apt-get install maven, then run scripts/setup; without a network: copy that directory from another machine",
        )
    try:
        jvm.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        handle = os.open(jvm.with_name(jvm.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise explained(error, jvm) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not _is_complete(jvm):
            _fetch_into(jvm, maven, environment)
    finally:
        os.close(handle)
    return True


def _pom() -> Path:
    return shipped.directory("connectors") / "pom.xml"


def _version() -> str:
    """Changes whenever the file that names the versions does."""
    return hashlib.sha256(_pom().read_bytes()).hexdigest()


def _is_complete(jvm: Path) -> bool:
    """Whether everything is there in today's version; a directory that was filled by hand says no version and is believed."""
    stamp = jvm / "version"
    return not missing_jars(jvm) and (not stamp.exists() or stamp.read_text(encoding="ascii") == _version())


def _fetch_into(jvm: Path, maven: str, environment: Mapping[str, str]) -> None:
    making = jvm.with_name(jvm.name + ".making")
    shutil.rmtree(making, ignore_errors=True)
    argv = (maven, "-q", "-B", "-f", str(_pom()), "package", f"-Djvm.directory={making}")
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=dict(environment))
    missing = missing_jars(making)
    if done.returncode != 0 or missing:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:]) or f"{missing} was not fetched"
        raise Misconfigured(f"Maven could not fetch Kafka and Debezium into {jvm}:\n{said}", fix=_fix(said))
    (making / "version").write_text(_version(), encoding="ascii")
    shutil.rmtree(jvm, ignore_errors=True)
    making.rename(jvm)


def _fix(said: str) -> str:
    if "No space left" in said:
        return "free some space, or name another directory (stack.jvm_directory)"
    return "see that Maven reaches its repository (a proxy or mirror goes into ~/.m2/settings.xml), then run scripts/setup again"
