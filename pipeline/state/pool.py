"""Connections to the state database: few, named, reused, and with errors that say whether to wait or to call somebody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors as pg

from pipeline.errors import DependencyDown, Misconfigured, OmeroMqError, Transient
from pipeline.settings.model import StateSettings
from pipeline.settings.postgres import connection_parameters, refusal_fix

NAME = "state-database"
Connection = psycopg.Connection[tuple[Any, ...]]

_SEE = "see whether its PostgreSQL runs, and compare state.host and state.port: `omero-mq config show`"
_NOT_MADE = (pg.UndefinedTable, pg.UndefinedColumn, pg.InvalidSchemaName, pg.UndefinedFunction)
_RETRY = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable, pg.QueryCanceled)


def explained(error: psycopg.Error) -> OmeroMqError | None:
    """What an error of the driver means for us; None when it is a fault of ours (wrong SQL, a violated constraint)."""
    message = str(error).strip()
    if isinstance(error, _NOT_MADE):
        return Misconfigured(f"the state database lacks what this version needs: {message}", fix="run `omero-mq init`")
    if isinstance(error, pg.InsufficientPrivilege):
        return Misconfigured(f"the state database refuses: {message}", fix="let the role in state.user own the schema omero_mq")
    if isinstance(error, _RETRY):
        return Transient(f"{NAME}: {message}")
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return DependencyDown(NAME, message, fix="state.host points at a standby; point it at the primary")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        fix = refusal_fix(message, room="state")
        return (
            Misconfigured(f"{NAME} refuses the connection: {message}", fix=fix)
            if fix
            else DependencyDown(NAME, message, fix=_SEE)
        )
    return None


def storable(text: str) -> str:
    """Text that PostgreSQL can store: a NUL and lone surrogates, as they occur in other people's error messages, are escaped."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


@contextmanager
def translating() -> Iterator[None]:
    """Turn the driver's errors inside the block into ours.

    Raises:
        DependencyDown: the state database is away, starting, full or a standby.
        Misconfigured: a wrong password or name, missing rights, or a schema that was never made.
        Transient: a deadlock or a timeout; the same again may succeed.
    """
    try:
        yield
    except psycopg.Error as error:
        ours = explained(error)
        if ours is None:
            raise
        raise ours from error


def connect(settings: StateSettings, *, service: str, autocommit: bool = False) -> Connection:
    """A connection of the caller's own.

    Raises:
        DependencyDown, Misconfigured: as `translating` says.
    """
    with translating():
        return psycopg.connect(**connection_parameters(settings, service=service), autocommit=autocommit)


class StateDatabase:
    """Lends connections, one transaction at a time; safe for threads.

    A pool of a few lines instead of the driver's: that one makes its connections in threads of its own, so that a wrong password
    arrives as a time-out, and an idle service would pay for the threads.
    """

    def __init__(self, settings: StateSettings, *, service: str, at_most: int = 2) -> None:
        self._settings = settings
        self._service = service
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(at_most)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises.

        Blocks while all connections are lent. A commit whose answer is lost raises `DependencyDown` although it may have
        happened, so what is written here is idempotent.

        Raises:
            DependencyDown, Misconfigured, Transient: as `translating` says.
        """
        with self._places, translating():
            connection = self._take()
            try:
                with connection.transaction():
                    yield connection
            except psycopg.Error:
                if connection.closed:
                    self.close()  # after a restart of the server every idle connection is as dead as this one
                raise
            finally:
                self._give_back(connection)

    def close(self) -> None:
        """Close the idle connections; lent ones close themselves only when they are broken. Idempotent, not final."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        # Autocommit, so that a transaction is exactly the block above and reading leaves none open.
        return connect(self._settings, service=self._service, autocommit=True)

    def _give_back(self, connection: Connection) -> None:
        if connection.closed:
            return
        with self._lock:
            self._idle.append(connection)
