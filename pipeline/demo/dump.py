"""A dump of somebody's OMERO database: told apart from other files, checked, and restored into a database of its own."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal

import psycopg
import psycopg.conninfo
from psycopg import sql

from pipeline.errors import Misconfigured
from pipeline.omero import schema

Form = Literal["archive", "sql"]
MAKING = "_making"  # what a kill leaves half-made has another name
MAKE_ONE = "make one on OMERO's server: pg_dump -Fc -f omero.dump omero"
_COPY_AGAIN = "copy it again and compare its size and checksum; else " + MAKE_ONE
_HEAD_BYTES = 65_536
_TAIL_BYTES = 4096
_LISTED = 4  # of what is missing; a message must be short enough to be read
_TELL_EVERY_S = 10.0
_POLL_S = 0.1
_MISSING_ROLE = re.compile(r'role "[^"]*" does not exist')
# What a restore may complain about without anything of OMERO's being lost: owners and rights of roles that are not here, settings
# and comments that only a superuser or a newer server knows.
_HARMLESS = (
    _MISSING_ROLE,
    re.compile(r"unrecognized configuration parameter"),
    re.compile(r"must be (?:owner of|able to SET ROLE|member of role)"),
    re.compile(r"permission denied to (?:create event trigger|set parameter)"),
    re.compile(r"invalid command \\(?:un)?restrict"),
    re.compile(r"must be superuser to create FOR ALL TABLES publication"),
)
_ERROR = re.compile(r"(?:ERROR|FATAL|error):\s+(.*)")


class RestoreCancelled(Exception):
    """The restore was given up because somebody asked for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dump:
    """A file that PostgreSQL's own programs can restore.

    Attributes:
        form: ``archive`` (custom, tar or directory: for pg_restore) or ``sql`` (plain text: for psql).
    """

    path: Path
    form: Form


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where a dump goes.

    Attributes:
        superuser: libpq string of the cluster's superuser.
        database: the new database's name.
        owner: the role that restores and owns it; no superuser, so that nothing in the file can reach beyond the database.
        owner_password: of that role.
        programs: PostgreSQL's directory of programs.
        environment: of this process; only PATH is handed on.
    """

    superuser: str
    database: str
    owner: str
    owner_password: str
    programs: Path
    environment: Mapping[str, str]


def recognise(path: Path) -> Dump:
    """What kind of dump a file is, by its first bytes.

    Raises:
        Misconfigured: it is none, cannot be read, or is of a kind that cannot be restored into one database.
    """
    if path.is_dir():
        if not (path / "toc.dat").is_file():
            raise Misconfigured(f"{path} is a directory and no dump: it has no toc.dat", fix=MAKE_ONE)
        return Dump(path=path, form="archive")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            tail = file.read()
    except OSError as error:
        raise Misconfigured(f"{path} cannot be read: {error.strerror}", fix="name the dump's file") from error
    if head.startswith(b"PGDMP") or head[257:262] == b"ustar":
        return Dump(path=path, form="archive")
    _refuse_text(path, head, tail)
    return Dump(path=path, form="sql")


def _refuse_text(path: Path, head: bytes, tail: bytes) -> None:
    if not head:
        raise Misconfigured(f"{path} is empty", fix=MAKE_ONE)
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise Misconfigured(f"{path} is compressed by another program", fix="unpack it first, e.g. with gunzip -k")
    if b"PostgreSQL database cluster dump" in head:
        raise Misconfigured(f"{path} is a dump of a whole cluster (pg_dumpall), roles included", fix=MAKE_ONE)
    if b"PostgreSQL database dump" not in head:
        raise Misconfigured(f"{path} is no dump that PostgreSQL made", fix=MAKE_ONE)
    if re.search(rb"^(?:CREATE DATABASE|\\connect) ", head, re.MULTILINE):
        raise Misconfigured(
            f"{path} was made with --create: it would make or change a database of its own choice",
            fix="make it without --create; best " + MAKE_ONE.removeprefix("make one "),
        )
    if b"PostgreSQL database dump complete" not in tail:
        raise Misconfigured(f"{path} is cut off: its last line is missing", fix=_COPY_AGAIN)


def refuse_other_products(dump: Dump, programs: Path) -> None:
    """See from an archive's table of contents, before anything is restored, that it is OMERO's. Plain SQL is judged later.

    Raises:
        Misconfigured: it is another product's, damaged, or of a version that these programs cannot read; says which.
    """
    if dump.form == "sql":
        return
    command = [str(programs / "pg_restore"), "--schema-only", "--no-owner", "--no-acl", "--file=-", str(dump.path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise _refused(dump, done.stderr, programs)
    require_omero(schema.parse(done.stdout, source=str(dump.path)), dump.path)


def require_omero(actual: schema.Actual, path: Path) -> None:
    """See that what is there has everything without which there are no events.

    Raises:
        Misconfigured: it has not; names what is missing.
    """
    # As the list of what is relied on has them: what everything hangs on first.
    order = {table: place for place, table in enumerate(schema.relied())}
    errors = [finding for finding in schema.compare(actual) if finding.severity == "error"]
    errors.sort(key=lambda finding: order.get(finding.where.partition(".")[0], len(order)))
    if not errors:
        return
    if "eventlog" not in actual.tables:
        has = ", ".join(sorted(actual.tables)[:_LISTED]) or "no table at all"
        raise Misconfigured(
            f"{path} is no dump of an OMERO database: {len(errors)} things are missing, {_first(errors)}; it has {has}",
            fix=MAKE_ONE,
        )
    raise Misconfigured(
        f"{path} lacks {len(errors)} things of OMERO 5.4's database: {_first(errors)}",
        fix="upgrade that OMERO's database to OMERO5.4__0, or make a dump of all of it (no --table, --schema or --exclude-...)",
    )


def restore(dump: Dump, target: Target, *, tell: Callable[[str], None], cancelled: Callable[[], bool]) -> list[str]:
    """Make the database and fill it; blocks until done. It has its name only when it is whole: a failure leaves nothing behind.

    Args:
        dump: what.
        target: where to.
        tell: told in a few words how far it is, every ten seconds.
        cancelled: asked ten times a second.

    Returns:
        Complaints of the restore that cost nothing of OMERO's, e.g. about a role that is not here.

    Raises:
        Misconfigured: it cannot be restored, or is no OMERO; says what to do.
        RestoreCancelled: `cancelled` said so.
    """
    making = replace(target, database=f"{target.database}{MAKING}")
    remove_database(making.superuser, making.database)
    _make_database(making)
    conninfo = psycopg.conninfo.make_conninfo(making.superuser, dbname=making.database)
    try:
        complaints = _judged(dump, _run(dump, making, conninfo, tell=tell, cancelled=cancelled), making.programs)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            require_omero(schema.read_database(connection), dump.path)
            tell("collecting statistics (ANALYZE)")
            # Without statistics OMERO's own trigger functions choose plans that take minutes instead of seconds.
            connection.execute("ANALYZE")
        names = (sql.Identifier(making.database), sql.Identifier(target.database))
        with psycopg.connect(target.superuser, autocommit=True) as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))
    except BaseException:
        remove_database(making.superuser, making.database)
        raise
    return complaints


def remove_database(superuser: str, database: str) -> None:
    """Drop a database whoever is connected; nothing happens if it is not there."""
    with psycopg.connect(superuser, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def _make_database(target: Target) -> None:
    role, name = sql.Identifier(target.owner), sql.Identifier(target.database)
    with psycopg.connect(target.superuser, autocommit=True) as admin:
        if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (target.owner,)).fetchone() is None:
            admin.execute(sql.SQL("CREATE ROLE {}").format(role))
        verifier = admin.pgconn.encrypt_password(target.owner_password.encode(), target.owner.encode(), b"scram-sha-256").decode()
        options = sql.SQL("LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION")
        admin.execute(sql.SQL("ALTER ROLE {} {} PASSWORD {}").format(role, options, sql.Literal(verifier)))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(name, role))
    with psycopg.connect(psycopg.conninfo.make_conninfo(target.superuser, dbname=target.database), autocommit=True) as own:
        own.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(role))


def _run(dump: Dump, target: Target, conninfo: str, *, tell: Callable[[str], None], cancelled: Callable[[], bool]) -> str:
    """Everything that pg_restore or psql said."""
    where = psycopg.conninfo.conninfo_to_dict(conninfo)
    at = [f"--host={where['host']}", f"--port={where['port']}", f"--username={target.owner}", f"--dbname={target.database}"]
    if dump.form == "archive":
        options = ["--no-owner", "--no-acl", "--no-publications", "--no-subscriptions"]
        command = [str(target.programs / "pg_restore"), *at, *options, str(dump.path)]
    else:
        command = [str(target.programs / "psql"), "-X", "--quiet", "--output=/dev/null", *at, f"--file={dump.path}"]
    environment = {
        "PATH": target.environment.get("PATH", "/usr/bin:/bin"),
        "PGPASSWORD": target.owner_password,
        "LC_ALL": "C.UTF-8",
    }
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            _wait(process, conninfo, tell=tell, cancelled=cancelled)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        return _read(said, process.returncode)


def _wait(process: subprocess.Popen[bytes], conninfo: str, *, tell: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
    begun = told = time.monotonic()
    while process.poll() is None:
        if cancelled():
            raise RestoreCancelled
        now = time.monotonic()
        if now - told >= _TELL_EVERY_S:
            told = now
            with psycopg.connect(conninfo, autocommit=True) as connection:
                found = connection.execute("SELECT pg_database_size(current_database())").fetchone()
            tell(f"restoring for {now - begun:.0f} s, {(found[0] if found else 0) / 2**20:,.0f} MiB so far")
        time.sleep(_POLL_S)


def _read(said: IO[str], status: int) -> str:
    said.seek(0)
    text = said.read()
    # A signal or a failed connection may say nothing that looks like an error.
    return text if status == 0 or _ERROR.search(text) else f"{text}\nerror: ended with exit status {status}"


def _judged(dump: Dump, said: str, programs: Path) -> list[str]:
    """The harmless complaints, if all are.

    Raises:
        Misconfigured: something was not restored.
    """
    complaints = [" ".join(found.split()) for found in _ERROR.findall(said)]
    serious = [text for text in complaints if not any(pattern.search(text) for pattern in _HARMLESS)]
    if serious:
        raise _refused(dump, said, programs, serious)
    return sorted(set(complaints))


def _refused(dump: Dump, said: str, programs: Path, serious: Sequence[str] = ()) -> Misconfigured:
    first = (list(serious) or [line for line in said.splitlines() if line.strip()] or ["no reason given"])[0]
    here = programs.parent.name
    if "unsupported version" in said:
        return Misconfigured(
            f"{dump.path} was written by a newer pg_dump than version {here}, which is installed here: {first}",
            fix="install that version of PostgreSQL here, or make the dump in plain SQL: pg_dump -f omero.sql omero",
        )
    if re.search(r'extension "[^"]*" is not available|could not open extension control file', said):
        return Misconfigured(
            f"{dump.path} needs an extension of PostgreSQL that is not installed here: {first}",
            fix=f"install it (Debian's own are in postgresql-contrib, others in packages postgresql-{here}-NAME), then try again",
        )
    if re.search(
        r"could not read from input file|unexpected end of file|end of file|did not find magic|corrupt|uncompress", said
    ):
        return Misconfigured(f"{dump.path} is cut off or damaged: {first}", fix=_COPY_AGAIN)
    return Misconfigured(
        f"{dump.path} could not be restored by PostgreSQL {here}: {first}", fix="see the message; else " + MAKE_ONE
    )


def _first(findings: Sequence[schema.Finding]) -> str:
    names = ", ".join(finding.where for finding in findings[:_LISTED])
    return f"{names} and more" if len(findings) > _LISTED else names
