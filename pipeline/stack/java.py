"""The Java that runs Kafka and Kafka Connect: which one, is it new enough, with which flags, on which class path."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import Misconfigured

OLDEST_JAVA = 17


@dataclass(frozen=True, kw_only=True, slots=True)
class Jvm:
    """A usable Java with our class path.

    Attributes:
        java: its executable.
        home: directory with ``libs`` (class path) and ``plugins`` (Kafka Connect's plugin.path).
        profile: ``small`` or ``full``.
    """

    java: str
    home: Path
    profile: str

    def argv(self, main: str, *arguments: str, heap_mb: tuple[int, int], log_file: Path) -> tuple[str, ...]:
        """A command line: heap is (small, full) [MiB]; `log_file` configures log4j."""
        small = self.profile == "small"
        sizes = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xss512k", "-XX:ReservedCodeCacheSize=48m") if small else ()
        return (
            self.java,
            f"-Xmx{heap_mb[0] if small else heap_mb[1]}m",
            f"-Xms{heap_mb[0] // 4 if small else heap_mb[1] // 2}m",
            *sizes,
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dlog4j2.configurationFile={log_file}",
            # The launcher expands the star itself; no shell is involved.
            "-cp",
            f"{self.home / 'libs'}/*",
            main,
            *arguments,
        )


def find(*, home: Path, profile: str, environment: Mapping[str, str]) -> Jvm:
    """The Java of JAVA_HOME or PATH, checked, with the class path checked.

    Raises:
        Misconfigured: no Java, one that is too old, or jars that are missing.
    """
    java = _executable(environment)
    version = _version(java)
    if version < OLDEST_JAVA:
        raise Misconfigured(
            f"{java} is Java {version}; Kafka needs {OLDEST_JAVA} or newer",
            fix="apt-get install openjdk-17-jre-headless, or point JAVA_HOME at a newer one",
        )
    missing = missing_jars(home)
    if missing:
        raise Misconfigured(
            f"{missing} is not in {home}", fix="fetch Kafka and Debezium with scripts/setup (needs Maven and a network, once)"
        )
    return Jvm(java=java, home=home, profile=profile)


def missing_jars(home: Path) -> str:
    """What is missing of Kafka, Kafka Connect and Debezium, for people; "" when nothing is."""
    for what, pattern in (
        ("Kafka", "libs/kafka_2.13-*.jar"),
        ("Kafka Connect", "libs/connect-runtime-*.jar"),
        ("Debezium", "plugins/debezium-connector-postgres/debezium-connector-postgres-*.jar"),
    ):
        if not any(home.glob(pattern)):
            return what
    return ""


def _executable(environment: Mapping[str, str]) -> str:
    home = environment.get("JAVA_HOME", "")
    found = shutil.which("java", path=f"{home}/bin" if home else environment.get("PATH", "/usr/bin:/bin"))
    if found is None:
        where = f"JAVA_HOME ({home})" if home else "PATH"
        raise Misconfigured(f"there is no java in {where}", fix="apt-get install openjdk-17-jre-headless")
    return found


def _version(java: str) -> int:
    """Its major version; 8 for what calls itself 1.8."""
    try:
        said = subprocess.run((java, "-version"), capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError) as error:
        raise Misconfigured(f"{java} -version failed: {error}", fix="apt-get install openjdk-17-jre-headless") from error
    return major_version(said, java)


def major_version(said: str, java: str = "java") -> int:
    """The major version in what ``java -version`` printed; 8 for what calls itself 1.8."""
    match = re.search(r'version "(\d+)(?:\.(\d+))?', said)
    if match is None:
        raise Misconfigured(f"{java} -version said nothing that is known: {said[:200]!r}", fix="point JAVA_HOME at a Java 17")
    first, second = int(match[1]), int(match[2] or 0)
    return second if first == 1 else first
