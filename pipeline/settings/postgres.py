"""How a PostgreSQL connection is made from settings: the same for OMERO's database and for our own."""

from __future__ import annotations

from typing import Any

from pipeline.settings.model import OmeroSettings, StateSettings


def connection_parameters(settings: OmeroSettings | StateSettings, *, service: str) -> dict[str, Any]:
    """Keyword arguments for ``psycopg.connect``; holds the password, so it is never logged.

    An empty password is left out, so that ``~/.pgpass`` or peer authentication can answer. A dead peer is noticed within a
    minute: a connection that hangs for two hours would look like a quiet database.

    Args:
        settings: where and as whom.
        service: shown as ``application_name``, so that a DBA sees whose each connection is.
    """
    parameters: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.database,
        "user": settings.user,
        "sslmode": settings.sslmode,
        "application_name": f"omero-mq {service}",
        "connect_timeout": 5,
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        "client_encoding": "UTF8",
    }
    if settings.password:
        parameters["password"] = settings.password
    return parameters


# libpq gives no SQLSTATE for a refused connection, only the server's English text (lc_messages is the server's own setting; in
# another language a refusal is taken for an absence: slower to understand, never wrong to wait for).
_REFUSALS = (
    ("password authentication failed", "correct {room}.user and {room}.password (or {ROOM}_PASSWORD_FILE)"),
    ("no password supplied", "set {room}.password, {ROOM}_PASSWORD_FILE or a line in ~/.pgpass"),
    ("no pg_hba.conf entry", "ask the DBA for a line in pg_hba.conf for this user, database and address"),
    ("authentication failed", "correct {room}.user or the server's pg_hba.conf"),
    ("invalid sslmode", "set {room}.sslmode to disable, allow, prefer, require, verify-ca or verify-full"),
    ("server does not support SSL", "set {room}.sslmode to prefer, or switch SSL on in the server"),
    ("is not permitted to log in", "ask the DBA to give the role LOGIN"),
    ("permission denied for database", "ask the DBA to grant CONNECT on the database"),
)


def refusal_fix(message: str, *, room: str) -> str:
    """What a person must do about a connection that was refused for good; "" when waiting may help.

    Args:
        message: libpq's or the server's message.
        room: the settings concerned, ``omero`` or ``state``.
    """
    if "does not exist" in message:
        if "role" in message:
            return f"correct {room}.user, or make the role: `omero-mq init --print-sql` shows how"
        if "database" in message:
            return f"correct {room}.database, or make the database: `omero-mq init --print-sql` shows how"
    for seen, fix in _REFUSALS:
        if seen in message:
            return fix.format(room=room, ROOM=f"OMERO_MQ_{room.upper()}")
    return ""
