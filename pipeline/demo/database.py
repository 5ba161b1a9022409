"""Make an OMERO-shaped database: our tables in OMERO's shape, and the first rows that every OMERO database holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

FIRST_UUID = "5f1b2c34-6d1e-4a8b-9c77-3b0c1d2e4f50"
NODE_ID = 1  # the living server; node 0 is the one that made the database


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """Everything in an OMERO database that must reach no topic, log or page.

    Attributes:
        node_uuid: guards `originalfile.repo`; at most 36 characters here, as in OMERO.
        session_prefix: every session's uuid (a login secret) begins with it.
        password_prefix: every password hash begins with it.
        mail_password: value of `omero.mail.password` in `configuration`.
        email_domain: every user's mail address ends with it.
    """

    node_uuid: str = "8e2f7a10-9b1d-4c55-a0de-77aa5c1b9e02"
    session_prefix: str = ""
    password_prefix: str = ""
    mail_password: str = "demo-mail-password"  # noqa: S105 (an example's secret)
    email_domain: str = "example.org"

    @classmethod
    def marked(cls, word: str) -> Secrets:
        """Secrets that a test can look for: each holds the word (at most 20 characters) and says which secret it is."""
        return cls(
            node_uuid=f"{word}-node",
            session_prefix=f"{word}-session-",
            password_prefix=f"{word}-password-",
            mail_password=f"{word}-mail",
            email_domain=f"{word}-email.example.org",
        )


def create(
    conninfo: str, name: str, *, secrets: Secrets | None = None, database_uuid: str = FIRST_UUID, template: bool = False
) -> str:
    """Create the database in the cluster that `conninfo` reaches, and fill it. Takes about a second.

    Args:
        conninfo: libpq string of a superuser or a role with CREATEDB, to any database of the cluster.
        name: the new database; it must not exist.
        secrets: what to plant where OMERO keeps its secrets.
        database_uuid: `omero.db.uuid`.
        template: mark it as a template, so that `clone` and other roles may copy it.

    Returns:
        The conninfo of the new database.

    Raises:
        psycopg.errors.DuplicateDatabase: the name is taken.
    """
    with _cluster(conninfo) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(name)))
    target = make_conninfo(conninfo, dbname=name)
    try:
        with psycopg.connect(target) as connection:
            fill(connection, secrets=secrets or Secrets(), database_uuid=database_uuid)
    except BaseException:
        drop(conninfo, name)
        raise
    if template:
        with _cluster(conninfo) as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(name)))
    return target


def fill(connection: psycopg.Connection[Any], *, secrets: Secrets, database_uuid: str = FIRST_UUID) -> None:
    """Write tables and first rows into an empty database; the caller commits."""
    connection.execute("SET LOCAL client_min_messages = warning")
    for _, statements in schema_files():
        connection.execute(statements.encode())
    connection.execute(
        "INSERT INTO node (id, permissions, conn, up, uuid, version)"
        " VALUES (ome_nextval('seq_node'), -52, 'Blitz-0 -t -e 1.0:tcp -h localhost', clock_timestamp(), %s, 0)",
        (secrets.node_uuid,),
    )
    connection.execute(
        "INSERT INTO password VALUES (0, %s, clock_timestamp()), (1, '', NULL)", (f"{secrets.password_prefix}root-hash",)
    )
    connection.execute("UPDATE experimenter SET email = %s WHERE id = 0", (f"root@{secrets.email_domain}",))
    connection.execute(
        "INSERT INTO configuration VALUES ('omero.db.uuid', %s), ('omero.mail.password', %s)",
        (database_uuid, secrets.mail_password),
    )


def clone(conninfo: str, name: str, *, of: str) -> str:
    """Copy a whole database that nobody is connected to; about a tenth of a second. Returns the copy's conninfo."""
    with _cluster(conninfo) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(of)))
    return make_conninfo(conninfo, dbname=name)


def drop(conninfo: str, name: str) -> None:
    """Remove the database and whoever is connected to it; nothing happens if it does not exist."""
    with _cluster(conninfo) as admin:
        if admin.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            return
        admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def schema_files() -> list[tuple[str, str]]:
    """Names and texts of the SQL files, in their order."""
    folder = files("pipeline.demo") / "schema"
    return [
        (entry.name, entry.read_text("utf-8"))
        for entry in sorted(folder.iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".sql")
    ]


@contextmanager
def _cluster(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    connection = psycopg.connect(conninfo, autocommit=True)
    try:
        yield connection
    finally:
        connection.close()
