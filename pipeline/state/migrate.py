"""Makes and upgrades the schema of the state database: plain numbered SQL files, each applied once, in one transaction."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from pipeline.errors import Misconfigured
from pipeline.state.pool import Connection, translating

SCHEMA = "omero_mq"
OLDEST_SERVER = 140000
OLDEST_READABLE = 1
"""The oldest version of the database that this program still works with: one below the newest, from the second version on."""

_LOCK = 0x6F6D6D71  # "ommq"; advisory locks are per database
_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_COMPATIBLE = re.compile(r"^-- compatible_from: (\d+)$", re.MULTILINE)

_LEDGER = """
CREATE SCHEMA IF NOT EXISTS omero_mq;
CREATE TABLE IF NOT EXISTS omero_mq.migrations (
    version         integer PRIMARY KEY,
    name            text        NOT NULL,
    checksum        text        NOT NULL,
    compatible_from integer     NOT NULL,
    applied_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_by      text        NOT NULL DEFAULT current_user
);
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """One step of the schema.

    Attributes:
        compatible_from: programs that know this version or a newer one work with the database after the step; the file says it in
            a line ``-- compatible_from: N``. With it an old program can tell whether a database newer than itself is safe.
        checksum: SHA-256 of the text, line ends normalised.
    """

    version: int
    name: str
    sql: str
    checksum: str
    compatible_from: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaStatus:
    """Where the database stands and whether this program may work with it.

    Attributes:
        current: version of the database; 0 when the schema was never made.
        needed: version that this program would make.
        verdict: ``current``; ``older`` or ``newer`` (works all the same); ``too old``, ``too new`` or ``missing`` (does not).
    """

    current: int
    needed: int
    verdict: Literal["current", "older", "newer", "too old", "too new", "missing"]

    @property
    def usable(self) -> bool:
        """Whether a service of this program may start."""
        return self.verdict in ("current", "older", "newer")


def migration(name: str, text: str) -> Migration:
    """Read one migration.

    Raises:
        ValueError: the name is not ``NNNN_words.sql``, or the text does not say ``-- compatible_from: N``.
    """
    sql = text.replace("\r\n", "\n")
    named, compatible = _FILE.fullmatch(name), _COMPATIBLE.search(sql)
    if named is None or compatible is None:
        raise ValueError(f"{name}: not NNNN_words.sql with a line `-- compatible_from: N`")
    return Migration(
        version=int(named[1]),
        name=name.removesuffix(".sql"),
        sql=sql,
        checksum=hashlib.sha256(sql.encode()).hexdigest(),
        compatible_from=int(compatible[1]),
    )


def shipped() -> tuple[Migration, ...]:
    """The migrations of this program, in order.

    Raises:
        ValueError: the numbers are not 1, 2, 3, ...
    """
    files = resources.files("pipeline.state").joinpath("migrations").iterdir()
    texts = {file.name: file.read_text(encoding="utf-8") for file in files if file.name.endswith(".sql")}
    steps = tuple(migration(name, texts[name]) for name in sorted(texts))
    if [step.version for step in steps] != list(range(1, len(steps) + 1)):
        raise ValueError(f"migrations are not numbered 1 to {len(steps)}: {', '.join(sorted(texts))}")
    return steps


def migrate(connection: Connection, *, steps: Sequence[Migration] | None = None) -> list[Migration]:
    """Bring the schema to this program's version and return what was applied, oldest first; idempotent.

    Several may run at once: each step is taken under an advisory lock that ends with its transaction, so a kill leaves a whole
    number of steps and no lock. A database that is newer than this program is left alone.

    Args:
        connection: outside a transaction; used for nothing else meanwhile.
        steps: other migrations than the shipped ones, for tests.

    Raises:
        Misconfigured: a migration that was applied has changed since (named), the server is too old, or the database not UTF-8.
        DependencyDown, Transient: as `translating` says.
    """
    steps = shipped() if steps is None else steps
    applied: list[Migration] = []
    with translating():
        _require_server(connection)
        while (step := _apply_next(connection, steps)) is not None:
            applied.append(step)
    return applied


def status(connection: Connection, *, steps: Sequence[Migration] | None = None, oldest: int = OLDEST_READABLE) -> SchemaStatus:
    """Compare the database with this program; changes nothing.

    Raises:
        DependencyDown, Misconfigured: as `translating` says.
    """
    needed = (shipped() if steps is None else steps)[-1].version
    with translating(), connection.transaction():
        if connection.execute("SELECT to_regclass('omero_mq.migrations')").fetchone() == (None,):
            return SchemaStatus(current=0, needed=needed, verdict="missing")
        newest = connection.execute(
            "SELECT version, compatible_from FROM omero_mq.migrations ORDER BY version DESC LIMIT 1"
        ).fetchone()
    current, compatible_from = newest or (0, 0)
    return SchemaStatus(
        current=current, needed=needed, verdict=_verdict(current, needed, compatible_from=compatible_from, oldest=oldest)
    )


def require_usable(connection: Connection) -> None:
    """Refuse to start on a schema that this program cannot work with.

    Raises:
        Misconfigured: it is missing, too old or too new; the fix says what to run.
        DependencyDown: the state database is away.
    """
    now = status(connection)
    if now.usable:
        return
    fix = {
        "missing": "run `omero-mq init`",
        "too old": "run `omero-mq init`: it upgrades in place",
        "too new": "install the release of omero-mq that made it, or a newer one; schemas are never downgraded",
    }[now.verdict]
    raise Misconfigured(f"the state database has schema version {now.current}, this program needs {now.needed}", fix=fix)


def _verdict(
    current: int, needed: int, *, compatible_from: int, oldest: int
) -> Literal["current", "older", "newer", "too old", "too new", "missing"]:
    if current == 0:
        return "missing"
    if current == needed:
        return "current"
    if current < needed:
        return "older" if current >= oldest else "too old"
    return "newer" if needed >= compatible_from else "too new"


def _require_server(connection: Connection) -> None:
    version = connection.info.server_version
    if version < OLDEST_SERVER:
        raise Misconfigured(
            f"the state database runs on PostgreSQL {version // 10000}", fix="use PostgreSQL 14 or newer for it; tested to 18"
        )
    row = connection.execute("SELECT current_setting('server_encoding'), current_database()").fetchone()
    if row and row[0] != "UTF8":
        raise Misconfigured(
            f"database {row[1]} has encoding {row[0]}",
            fix=f"make it with CREATE DATABASE {row[1]} ENCODING 'UTF8' TEMPLATE template0",
        )


def _apply_next(connection: Connection, steps: Sequence[Migration]) -> Migration | None:
    """Apply the first step that the database lacks; None when there is none."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_LEDGER.encode())
        recorded: dict[int, str] = dict(connection.execute("SELECT version, checksum FROM omero_mq.migrations").fetchall())
        _require_unchanged(recorded, steps)
        step = next((s for s in steps if s.version > max(recorded, default=0)), None)
        if step is None:
            return None
        connection.execute(step.sql.encode())
        connection.execute(
            "INSERT INTO omero_mq.migrations (version, name, checksum, compatible_from) VALUES (%s, %s, %s, %s)",
            (step.version, step.name, step.checksum, step.compatible_from),
        )
        return step


def _require_unchanged(recorded: dict[int, str], steps: Sequence[Migration]) -> None:
    for step in steps:
        if recorded.get(step.version, step.checksum) != step.checksum:
            raise Misconfigured(
                f"migration {step.name} is not the one that made this database: its text has changed",
                fix="install a released omero-mq; the schema is changed by a new migration, never by an edit of an old one",
            )
