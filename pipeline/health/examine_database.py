"""What `doctor` asks OMERO's database, as the role that the services use; changes nothing, reads no secret."""

from __future__ import annotations

import time
from typing import Any

from pipeline.health.examined import REINDEXING_COUNTED, Log, Rights, Role, Server
from pipeline.omero.database import Connection
from pipeline.omero.entities import OWNED_TABLES
from pipeline.omero.grants import OWNER_COLUMNS, READ_COLUMNS, UUID_FUNCTION
from pipeline.settings.model import Settings

# Whoever reads one of these can log in as somebody else, or learns what is nobody's business.
SECRETS = ("password.hash", "session.uuid", "node.uuid", "configuration.value", "experimenter.email", "share.data")

_SERVER_SQL = """
SELECT current_setting('server_version_num')::int, pg_is_in_recovery(), current_setting('wal_level'),
       (SELECT setting::int FROM pg_settings WHERE name = 'max_slot_wal_keep_size'),
       (SELECT count(*) FROM pg_replication_slots)::int, current_setting('max_replication_slots')::int,
       (SELECT count(*) FROM pg_stat_replication)::int, current_setting('max_wal_senders')::int,
       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = %s)::int
"""
_COLUMNS_SQL = """
SELECT wanted.t || '.' || wanted.c
  FROM unnest(%s::text[], %s::text[]) AS wanted(t, c)
  JOIN pg_attribute AS a ON a.attrelid = to_regclass('public.' || quote_ident(wanted.t)) AND a.attname = wanted.c
 WHERE NOT a.attisdropped AND NOT has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY 1
"""
_ROLE_SQL = "SELECT rolreplication, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = %s"
_SECRETS_SQL = """
SELECT wanted.t || '.' || wanted.c
  FROM unnest(%s::text[], %s::text[]) AS wanted(t, c)
  JOIN pg_attribute AS a ON a.attrelid = to_regclass('public.' || quote_ident(wanted.t)) AND a.attname = wanted.c
 WHERE NOT a.attisdropped AND has_column_privilege(%s, a.attrelid, a.attnum, 'SELECT') ORDER BY 1
"""
_WRITES_SQL = """
SELECT relname::text FROM pg_class
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
   AND (has_any_column_privilege(%s, oid, 'INSERT, UPDATE') OR has_table_privilege(%s, oid, 'DELETE, TRUNCATE')) ORDER BY 1
"""
_LAST_SQL = "SELECT l.id, e.time FROM eventlog AS l JOIN event AS e ON e.id = l.event ORDER BY l.id DESC LIMIT 1"
_REINDEXING_SQL = f"SELECT count(*)::int FROM (SELECT FROM _reindexing_required LIMIT {REINDEXING_COUNTED}) AS first"


def server(connection: Connection, settings: Settings) -> Server:
    """The server's settings, how much of its replication is in use, and its clock."""
    row: Any = connection.execute(_SERVER_SQL.encode(), (settings.omero.owner,)).fetchone()
    before_s = time.time()
    clock: Any = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    after_s = time.time()
    return Server(
        version=row[0],
        standby=row[1],
        wal_level=row[2],
        wal_keep_mb=row[3],
        slots_used=row[4],
        slots=row[5],
        senders_used=row[6],
        senders=row[7],
        omero_connections=row[8],
        skew_s=round(clock[0] - (before_s + after_s) / 2, 3),
    )


def rights(connection: Connection, settings: Settings) -> Rights:
    """What our two roles may do, compared with what they need and what they should not."""
    wanted = [(table, column) for table, columns in READ_COLUMNS.items() for column in columns]
    wanted += [(table, column) for table in OWNED_TABLES - READ_COLUMNS.keys() for column in OWNER_COLUMNS]
    found = connection.execute(_COLUMNS_SQL.encode(), _two_lists(wanted)).fetchall()
    uuid = connection.execute(
        "SELECT coalesce(has_function_privilege(to_regprocedure(%s)::oid, 'EXECUTE'), false)", (UUID_FUNCTION,)
    ).fetchone()
    missing = [name for (name,) in found] + ([] if uuid and uuid[0] else [UUID_FUNCTION.removeprefix("public.")])
    return Rights(
        missing=tuple(missing), reader=_role(connection, settings.omero.user), streamer=_role(connection, settings.cdc.user)
    )


def log(connection: Connection) -> Log:
    """The newest change, and what waits for OMERO's own indexer."""
    last = connection.execute(_LAST_SQL).fetchone()
    waiting: Any = connection.execute(_REINDEXING_SQL.encode()).fetchone()
    now: Any = connection.execute("SELECT clock_timestamp()").fetchone()
    return Log(
        last_id=None if last is None else last[0],
        last_event=None if last is None else last[1],
        now=now[0],
        reindexing=waiting[0],
    )


def _role(connection: Connection, name: str) -> Role:
    attributes = connection.execute(_ROLE_SQL, (name,)).fetchone()
    if attributes is None:
        return Role(name=name, exists=False)
    powers = [word for word, has in zip(("SUPERUSER", "CREATEROLE", "CREATEDB", "BYPASSRLS"), attributes[1:], strict=True) if has]
    secrets = [tuple(secret.split(".")) for secret in SECRETS]
    reads = connection.execute(_SECRETS_SQL.encode(), (*_two_lists(secrets), name)).fetchall()
    writes = connection.execute(_WRITES_SQL.encode(), (name, name)).fetchall()
    return Role(
        name=name,
        replication=attributes[0],
        powers=tuple(powers),
        reads=tuple(secret for (secret,) in reads),
        writes=tuple(table for (table,) in writes),
    )


def _two_lists(pairs: list[Any]) -> tuple[list[str], list[str]]:
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
