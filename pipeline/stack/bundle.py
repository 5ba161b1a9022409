"""One archive that installs without a network: wheels, Kafka and Debezium, an installer, and a checksum of each file."""

from __future__ import annotations

import gzip
import hashlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline import __version__, shipped
from pipeline.errors import Misconfigured

_LEVEL = 1  # wheels and jars are compressed already
_FROM_SOURCE = ("constraints.txt", "CHANGELOG.md", "LICENSE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """An archive that was made; its checksum stands in a file beside it, too."""

    path: Path
    size_bytes: int
    sha256: str
    python: str
    platform: str


def make(out: Path, *, jvm: Path, environment: Mapping[str, str]) -> Bundle:
    """Makes the archive and ``OUT.sha256``, for this kind of machine and version of Python. Needs a network; takes a minute.

    Nothing is at `out` before all of it is there.

    Args:
        out: the archive, .tar.gz.
        jvm: Kafka and Debezium, complete.
        environment: of this process, for pip.

    Raises:
        Misconfigured: not in a checkout, no wheel for a requirement, or no room.
    """
    source = _checkout()
    name = f"omero-mq-{__version__}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".omero-mq-bundle-", dir=out.parent) as making:
            root = Path(making) / name
            root.mkdir()
            _wheels(root / "wheels", source, environment)
            for part in ("libs", "plugins"):
                shutil.copytree(jvm / part, root / "jvm" / part)
            if (jvm / "version").is_file():
                shutil.copy(jvm / "version", root / "jvm" / "version")
            for each in _FROM_SOURCE:
                shutil.copy(source / each, root / each)
            shutil.copy(source / "deploy" / "install.sh", root / "install.sh")
            (root / "install.sh").chmod(0o755)
            (root / "BUNDLE").write_text(f"version={__version__}\npython={_python()}\nplatform={_platform()}\n", encoding="ascii")
            (root / "SHA256SUMS").write_text(_checksums(root), encoding="utf-8")
            archive = Path(making) / "archive"
            _pack(root, archive)
            checksum = _sha256(archive)
            out.with_name(out.name + ".sha256").write_text(f"{checksum}  {out.name}\n", encoding="utf-8")
            archive.replace(out)
    except OSError as error:
        raise Misconfigured(
            f"{out} cannot be made: {error.strerror or error}",
            fix="name a place with half a gigabyte free where you may write",
        ) from error
    return Bundle(path=out, size_bytes=out.stat().st_size, sha256=checksum, python=_python(), platform=_platform())


def _checkout() -> Path:
    source = Path(shipped.__file__).resolve().parent.parent
    if not all((source / each).is_file() for each in ("pyproject.toml", "deploy/install.sh", *_FROM_SOURCE)):
        raise Misconfigured(
            "an installed omero-mq cannot make a bundle: it does not hold its own sources",
            fix="run `omero-mq bundle` in a checkout",
        )
    return source


def _wheels(into: Path, source: Path, environment: Mapping[str, str]) -> None:
    """Our wheel and all that it needs, in the versions of constraints.txt."""
    argv = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir", str(into))
    done = subprocess.run(
        (*argv, "--constraint", str(source / "constraints.txt"), str(source)),
        capture_output=True,
        text=True,
        check=False,
        env=dict(environment),
    )
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise Misconfigured(
            f"pip could not make the wheels:\n{said}",
            fix="see that pip reaches its index (PIP_INDEX_URL, a proxy)",
        )


def _checksums(root: Path) -> str:
    """As `sha256sum --check` reads it, of every file but itself."""
    return "".join(f"{_sha256(path)}  {path.relative_to(root)}\n" for path in _files(root))


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(root: Path, archive: Path) -> None:
    """Same files, same bytes: no times, no owners, a fixed order."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = "root"
        member.mode = 0o755 if member.mode & 0o100 else 0o644
        return member

    with (
        archive.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=_LEVEL, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in _files(root):
            tar.add(path, arcname=f"{root.name}/{path.relative_to(root)}", filter=plain)


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _platform() -> str:
    return f"{platform.system()}-{platform.machine()}"
