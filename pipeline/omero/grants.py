"""What a DBA is asked to run once in OMERO's database: two roles that own nothing, their few rights, publications and slots."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import Misconfigured
from pipeline.omero.entities import MEMBERSHIP_TABLE, OWNED_TABLES
from pipeline.omero.statements import Connection, Statement, for_psql, name, run, text
from pipeline.settings.model import Settings

OLDEST_VERSION = 14
_ROW_FILTERS_FROM = 15
_FAILOVER_SLOTS_FROM = 17
_REPLICATION_CONNECTIONS = 12  # two connectors of four each, and what Debezium leaves open for a while as it tries again
_READING_CONNECTIONS = 8  # together with the above never more than 20 in OMERO's database
_READ_ONLY_TIMEOUTS = {"statement_timeout": "60s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "60s"}

# Rows that OMERO's trigger function writes by the hundred thousand; the reindexing connector delivers the same facts earlier.
ROW_FILTER = "NOT (action = 'REINDEX' AND permissions = -52)"

# What is read besides the owner and group of every object. Not in it, and so not readable: session.uuid and node.uuid (both log
# one in), password, experimenter (names, mail addresses), configuration (mail and LDAP passwords), share.data.
READ_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "eventlog": ("id", "action", "permissions", "entityid", "entitytype", "external_id", "event"),
    "event": ("id", "time", "type", "experimenter", "experimentergroup", "session"),
    "eventtype": ("id", "value"),
    "session": ("id", "sudoer"),
    "experimentergroup": ("id", "name", "permissions"),
    MEMBERSHIP_TABLE: ("id", "parent", "child", "owner"),
    "dbpatch": ("id", "currentversion", "currentpatch", "finished"),
    "_reindexing_required": ("event_id", "entity_type", "entity_id"),
}
OWNER_COLUMNS = ("id", "owner_id", "group_id")
UUID_FUNCTION = "public.omero_mq_db_uuid()"


def print_sql(settings: Settings, pg_version: int) -> str:
    """The script for `psql`, as a superuser; it can be run again, and changes only what differs.

    Passwords are psql variables and appear nowhere in it.

    Args:
        settings: names of roles, databases, slots and publications.
        pg_version: major version of OMERO's server.

    Raises:
        Misconfigured: the version is older than what is supported.
    """
    _require_supported(pg_version)
    return _HEADER.format(database=settings.omero.database, cdc=settings.cdc.user, mq=settings.omero.user) + for_psql(
        [*roles(settings), *rights(settings), *capture(settings, pg_version), *state_database(settings)]
    )


def apply(connection: Connection, settings: Settings, passwords: Mapping[str, str]) -> None:
    """Run the same on a server of one's own; idempotent, and what an interrupted run left out the next one adds.

    Blocks while older writing transactions are open: a replication slot begins only after them.

    Args:
        connection: a superuser's, in OMERO's database, in autocommit mode.
        settings: names of roles, databases, slots and publications.
        passwords: by the script's names: ``cdc_password``, ``mq_password``, ``state_password``; a role without one gets none.
            They go to the server as SCRAM verifiers, so that no log of the server can show them.
    """
    version = connection.info.server_version // 10_000
    _require_supported(version)
    refuse_powerful_roles(connection, settings)
    users = {"cdc_password": settings.cdc.user, "mq_password": settings.omero.user, "state_password": settings.state.user}
    verifiers = {
        variable: connection.pgconn.encrypt_password(password.encode(), users[variable].encode(), b"scram-sha-256").decode()
        for variable, password in passwords.items()
        if password
    }
    script = [*roles(settings), *rights(settings), *capture(settings, version), *state_database(settings)]
    run(connection, script, verifiers)


def refuse_powerful_roles(connection: Connection, settings: Settings) -> None:
    """See that none of our role names is a superuser's or the owner of OMERO's tables: they are narrowed here, and dropped later.

    Raises:
        Misconfigured: one is.
    """
    ours = [settings.cdc.user, settings.omero.user, settings.state.user]
    powerful = connection.execute(
        "SELECT rolname::text FROM pg_roles WHERE rolname = ANY(%s)"
        " AND (rolsuper OR oid IN (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.eventlog')))",
        (ours,),
    ).fetchone()
    if powerful is not None:
        raise Misconfigured(
            f"the role {powerful[0]} is a superuser or owns OMERO's tables, so it cannot be one of ours",
            fix="choose roles of their own in omero.user, cdc.user and state.user",
        )


def roles(settings: Settings) -> list[Statement]:
    """The roles: one streams, one reads, one owns the state database."""
    cdc, reader, owner = settings.cdc.user, settings.omero.user, settings.state.user
    database = name(settings.omero.database)
    statements = [
        _role(cdc, "Streams committed rows to Kafka Connect. Owns nothing and may write nothing."),
        Statement(
            text=f"ALTER ROLE {name(cdc)} LOGIN REPLICATION NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"
            f" CONNECTION LIMIT {_REPLICATION_CONNECTIONS}"
        ),
        _password(cdc, "cdc_password"),
        *(
            Statement(text=f"ALTER ROLE {name(cdc)} IN DATABASE {database} SET {setting} = {text(value)}")
            for setting, value in _stream_timeouts(settings).items()
        ),
        _role(reader, "Reads who did what, and whose it is. Reads only, whatever it is asked to do."),
        Statement(
            text=f"ALTER ROLE {name(reader)} LOGIN NOREPLICATION NOINHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"
            f" CONNECTION LIMIT {_READING_CONNECTIONS + _REPLICATION_CONNECTIONS if owner == reader else _READING_CONNECTIONS}"
        ),
        _password(reader, "mq_password"),
        Statement(text=f"ALTER ROLE {name(reader)} IN DATABASE {database} SET default_transaction_read_only = on"),
        *(
            Statement(text=f"ALTER ROLE {name(reader)} IN DATABASE {database} SET {setting} = {text(value)}")
            for setting, value in _READ_ONLY_TIMEOUTS.items()
        ),
    ]
    if owner != reader:
        statements += [
            _role(owner, "Owns the state database and has no rights in OMERO's."),
            Statement(text=f"ALTER ROLE {name(owner)} LOGIN NOREPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS"),
            _password(owner, "state_password"),
        ]
    return statements


def _stream_timeouts(settings: Settings) -> dict[str, str]:
    """Debezium leaves connections open when it starts again; those that it uses speak at every heartbeat."""
    idle_s = max(300, 3 * settings.cdc.heartbeat_ms // 1000)
    return {"idle_session_timeout": f"{idle_s}s", "idle_in_transaction_session_timeout": "60s"}


def rights(settings: Settings) -> list[Statement]:
    """What the two roles may do in OMERO's database: granted by column, and only what is read today."""
    cdc, reader, database = name(settings.cdc.user), name(settings.omero.user), name(settings.omero.database)
    return [
        Statement(text=f"GRANT CONNECT ON DATABASE {database} TO {cdc}, {reader}", why="Rights in OMERO's database."),
        Statement(text=f"GRANT USAGE ON SCHEMA public TO {cdc}, {reader}"),
        *(
            Statement(text=f"GRANT SELECT ({', '.join(columns)}) ON public.{name(table)} TO {reader}")
            for table, columns in READ_COLUMNS.items()
        ),
        Statement(
            text=_grant_each(sorted(OWNED_TABLES - READ_COLUMNS.keys()), reader),
            why="Owner and group of every kind of object, and nothing else of it. A table that this OMERO lacks is passed over.",
        ),
        Statement(
            text=f"CREATE OR REPLACE FUNCTION {UUID_FUNCTION} RETURNS text LANGUAGE sql STABLE SECURITY DEFINER"
            " SET search_path = pg_catalog, pg_temp AS\n"
            "  $$ SELECT value::text FROM public.configuration WHERE name = 'omero.db.uuid' $$",
            why="The database's own name, without a right to read the table configuration, where passwords may be.\n"
            "It runs with the rights of that table's owner, not with yours.",
        ),
        Statement(text=_OWN_LIKE_CONFIGURATION),
        Statement(text=f"REVOKE ALL ON FUNCTION {UUID_FUNCTION} FROM PUBLIC"),
        Statement(text=f"GRANT EXECUTE ON FUNCTION {UUID_FUNCTION} TO {reader}"),
    ]


def capture(settings: Settings, pg_version: int) -> list[Statement]:
    """Publications of inserts only, one table each, and one replication slot for each."""
    cdc = settings.cdc
    row_filter = f" WHERE ({ROW_FILTER})" if pg_version >= _ROW_FILTERS_FROM else ""
    eventlog, reindexing = f"public.eventlog{row_filter}", "public._reindexing_required"
    return [
        *_publication(cdc.eventlog_publication, eventlog, "Inserts only: updates and deletes are never sent."),
        *_publication(cdc.reindexing_publication, reindexing, "This table has no primary key: inserts only."),
        _slot(cdc.eventlog_slot, pg_version, "From here Kafka Connect reads. Waits until transactions open now have ended."),
        _slot(cdc.reindexing_slot, pg_version, ""),
    ]


def state_database(settings: Settings) -> list[Statement]:
    """The database of jobs, gates and last-known owners; it may be on another server (see state.host)."""
    database, owner = settings.state.database, name(settings.state.user)
    return [
        Statement(
            text=f"CREATE DATABASE {name(database)} OWNER {owner} ENCODING 'UTF8' TEMPLATE template0",
            when=f"NOT EXISTS (SELECT FROM pg_database WHERE datname = {text(database)})",
            why="Our own small database. It may as well be on another server: then run this part there, with its role.",
        ),
        Statement(text=f"REVOKE ALL ON DATABASE {name(database)} FROM PUBLIC"),
    ]


def _require_supported(pg_version: int) -> None:
    if pg_version < OLDEST_VERSION:
        raise Misconfigured(f"PostgreSQL {pg_version} is not supported", fix=f"use PostgreSQL {OLDEST_VERSION} or newer")


def _role(role: str, why: str) -> Statement:
    return Statement(
        text=f"CREATE ROLE {name(role)}", when=f"NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {text(role)})", why=why
    )


def _password(role: str, variable: str) -> Statement:
    return Statement(text=f"ALTER ROLE {name(role)} PASSWORD :'{variable}'")


def _publication(publication: str, table: str, why: str) -> list[Statement]:
    missing = f"NOT EXISTS (SELECT FROM pg_publication WHERE pubname = {text(publication)})"
    return [
        Statement(text=f"CREATE PUBLICATION {name(publication)} WITH (publish = 'insert')", when=missing, why=why),
        Statement(text=f"ALTER PUBLICATION {name(publication)} SET (publish = 'insert')"),
        Statement(text=f"ALTER PUBLICATION {name(publication)} SET TABLE {table}"),
    ]


def _slot(slot: str, pg_version: int, why: str) -> Statement:
    return Statement(
        text=create_slot(slot, pg_version),
        when=f"NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {text(slot)})",
        why=why,
    )


def create_slot(slot: str, pg_version: int) -> str:
    """The statement that makes a slot; from PostgreSQL 17 on, one that a standby keeps a copy of."""
    failover = ", failover => true" if pg_version >= _FAILOVER_SLOTS_FROM else ""
    return f"SELECT pg_create_logical_replication_slot({text(slot)}, 'pgoutput'{failover})"


def _grant_each(tables: list[str], reader: str) -> str:
    lines = [", ".join(text(table) for table in tables[start : start + 6]) for start in range(0, len(tables), 6)]
    listed = ",\n    ".join(lines)
    return f"""DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY[
    {listed}] LOOP
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('public.' || t)
        AND attname IN ({", ".join(map(text, OWNER_COLUMNS))}) AND NOT attisdropped) < {len(OWNER_COLUMNS)} THEN
      RAISE NOTICE 'no table % with an owner here', t;
    ELSE
      EXECUTE format('GRANT SELECT ({", ".join(OWNER_COLUMNS)}) ON public.%I TO {reader}', t);
    END IF;
  END LOOP;
END $$"""


_OWN_LIKE_CONFIGURATION = f"""DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION {UUID_FUNCTION} OWNER TO %s',
                 (SELECT relowner::regrole FROM pg_class WHERE oid = 'public.configuration'::regclass));
END $$"""

_HEADER = r"""-- What omero-mq asks for in OMERO's database. Read it, then run it once as a superuser:
--
--   psql -d {database} -v cdc_password=... -v mq_password=... -v state_password=... -f this-file
--
-- A password may be given as the SCRAM verifier of it ('SCRAM-SHA-256$...'); then no log can show it.
-- It can be run again. `omero-mq uninstall --print-sql` writes the script that undoes all of it.
--
-- In postgresql.conf (wal_level needs a restart, the others a reload or a restart, see `omero-mq doctor`):
--   wal_level = logical
--   max_replication_slots and max_wal_senders: at least 2 more than in use
--   max_slot_wal_keep_size = 10GB    -- a cap: a reader that is away can never fill OMERO's disk
-- In pg_hba.conf (a logical connection names the database; do not add the word "replication"):
--   hostssl {database} {cdc} <address of Kafka Connect>/32 scram-sha-256
--   hostssl {database} {mq} <address of omero-mq>/32 scram-sha-256

\set ON_ERROR_STOP on
\connect {database}
SET log_statement = 'none';
"""
