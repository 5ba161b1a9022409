"""Undoing what `grants` made, and proving that nothing of it is left."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pipeline.errors import Misconfigured
from pipeline.omero.grants import UUID_FUNCTION, refuse_powerful_roles
from pipeline.omero.statements import Connection, Statement, for_psql, name, run, text
from pipeline.settings.model import Settings

_SLOT_WAIT_S = 10.0
_END_READERS = """
SELECT slot_name::text, pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = ANY(%s) AND active
"""
_RIGHTS = """
SELECT DISTINCT table_schema || '.' || table_name || ' for ' || grantee
  FROM information_schema.column_privileges WHERE grantee = ANY(%s)
"""


def uninstall_sql(settings: Settings, *, with_state_database: bool = False) -> str:
    """The script for `psql`, as a superuser; it can be run again. The connectors must be deleted first: they hold the slots.

    Args:
        settings: names of roles, databases, slots and publications.
        with_state_database: drop our own database, too: jobs, letters' causes and last-known owners are lost for good.
    """
    return _HEADER.format(database=settings.omero.database) + for_psql(
        _statements(settings, with_state_database=with_state_database)
    )


def uninstall(connection: Connection, settings: Settings, *, with_state_database: bool = False) -> None:
    """Run the same on a connection; idempotent.

    A slot in use is taken from its reader, and a few seconds are waited for; a connector that still runs would come back at once.

    Args:
        connection: a superuser's, in OMERO's database, in autocommit mode.
        settings: names of roles, databases, slots and publications.
        with_state_database: drop our own database, too.

    Raises:
        Misconfigured: a slot is still in use, or a name in the settings is not ours to drop.
    """
    refuse_powerful_roles(connection, settings)
    release(connection, [settings.cdc.eventlog_slot, settings.cdc.reindexing_slot])
    run(connection, _statements(settings, with_state_database=with_state_database), {})


def release(connection: Connection, slots: Sequence[str], *, wait_s: float = _SLOT_WAIT_S) -> None:
    """End the readers of slots and wait until none is in use.

    Raises:
        Misconfigured: one is in use again or still, after `wait_s`.
    """
    deadline = time.monotonic() + wait_s
    active = (
        "SELECT slot_name::text, pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = ANY(%s) AND active"
    )
    while rows := connection.execute(active, (list(slots),)).fetchall():
        if time.monotonic() > deadline:
            raise Misconfigured(
                f"the replication slot {rows[0][0]} is in use, and its reader comes back",
                fix="delete the connector that reads it: `omero-mq connector delete`",
            )
        time.sleep(0.1)


def leftovers(connection: Connection, settings: Settings, *, with_state_database: bool = False) -> list[str]:
    """What of ours is still there, one line each; empty: nothing.

    Args:
        connection: a superuser's, in OMERO's database.
        settings: names of roles, databases, slots and publications.
        with_state_database: count our own database and its owner, too.
    """
    found: list[str] = []
    for what, query, names in _searches(settings, with_state_database=with_state_database):
        found += [f"{what} {row[0]}" for row in connection.execute(query.encode(), (names,)).fetchall()]
    return found


def _searches(settings: Settings, *, with_state_database: bool) -> list[tuple[str, str, list[str]]]:
    cdc = settings.cdc
    keep = [] if with_state_database else [settings.state.user]
    roles = [role for role in (cdc.user, settings.omero.user, settings.state.user) if role not in keep]
    searches = [
        (
            "replication slot",
            "SELECT slot_name::text FROM pg_replication_slots WHERE slot_name = ANY(%s)",
            [cdc.eventlog_slot, cdc.reindexing_slot],
        ),
        (
            "publication",
            "SELECT pubname::text FROM pg_publication WHERE pubname = ANY(%s)",
            [cdc.eventlog_publication, cdc.reindexing_publication],
        ),
        ("function", "SELECT oid::regprocedure::text FROM pg_proc WHERE oid = to_regprocedure((%s::text[])[1])", [UUID_FUNCTION]),
        ("role", "SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)", roles),
        (
            "rights on the table",
            _RIGHTS,
            [cdc.user, settings.omero.user],
        ),
    ]
    if with_state_database:
        searches.append(("database", "SELECT datname::text FROM pg_database WHERE datname = ANY(%s)", [settings.state.database]))
    return searches


def _statements(settings: Settings, *, with_state_database: bool) -> list[Statement]:
    cdc = settings.cdc
    statements = [
        *(_drop_slot(slot) for slot in (cdc.eventlog_slot, cdc.reindexing_slot)),
        *(
            Statement(text=f"DROP PUBLICATION IF EXISTS {name(publication)}")
            for publication in (cdc.eventlog_publication, cdc.reindexing_publication)
        ),
        Statement(text=f"DROP FUNCTION IF EXISTS {UUID_FUNCTION}"),
    ]
    for role in dict.fromkeys((cdc.user, settings.omero.user)):
        statements += _revoke(role, settings.omero.database)
    if with_state_database:
        statements.append(
            Statement(
                text=f"DROP DATABASE IF EXISTS {name(settings.state.database)} WITH (FORCE)",
                why="Our own database, with all it knew.",
            )
        )
    owner_stays = not with_state_database
    for role in dict.fromkeys((cdc.user, settings.omero.user, settings.state.user)):
        if not (owner_stays and role == settings.state.user):
            statements.append(Statement(text=f"DROP ROLE IF EXISTS {name(role)}"))
    return statements


def _drop_slot(slot: str) -> Statement:
    return Statement(
        text=f"SELECT pg_drop_replication_slot({text(slot)})",
        when=f"EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {text(slot)})",
        why=f"No more write-ahead log is kept for us. If it is in use, delete the connector that reads {slot} first.",
    )


def _revoke(role: str, database: str) -> list[Statement]:
    there = f"EXISTS (SELECT FROM pg_roles WHERE rolname = {text(role)})"
    quoted = name(role)
    return [
        Statement(text=sql, when=there)
        for sql in (
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {quoted}",  # takes rights on columns, too
            f"REVOKE ALL ON SCHEMA public FROM {quoted}",
            f"REVOKE ALL ON DATABASE {name(database)} FROM {quoted}",
            f"ALTER ROLE {quoted} IN DATABASE {name(database)} RESET ALL",
        )
    ]


_HEADER = r"""-- Undoes all that omero-mq asked for. Delete its connectors first (`omero-mq connector delete`),
-- since they hold the slots. Then, as a superuser:
--
--   psql -d {database} -f this-file

\set ON_ERROR_STOP on
\connect {database}
"""
