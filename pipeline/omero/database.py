"""The connection to OMERO's database: read only, and its errors sorted by what they mean for whoever reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import errors as pg

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.settings import OmeroSettings
from pipeline.settings.postgres import connection_parameters, refusal_fix

NAME = "omero-database"
_SEE = "see whether OMERO's PostgreSQL runs, and compare omero.host and omero.port: `omero-mq config show`"

Connection = psycopg.Connection[tuple[Any, ...]]


class OmeroDatabase:
    """One connection to OMERO's database, made when it is first needed and made anew after it broke. For one thread.

    Args:
        settings: where the database is and who reads.
        service: whose connection it is, shown as ``application_name``.
        statement_timeout_s: a query that takes longer counts as the database being away [s].
    """

    def __init__(self, settings: OmeroSettings, *, service: str, statement_timeout_s: float = 60.0) -> None:
        self._settings = settings
        self._parameters = connection_parameters(settings, service=service)
        self._parameters["options"] = (
            f"-c statement_timeout={int(statement_timeout_s * 1000)} -c default_transaction_read_only=on -c TimeZone=UTC"
        )
        self._connection: Connection | None = None
        self._was_connected = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextlib.contextmanager
    def connected(self) -> Iterator[Connection]:
        """The connection, in autocommit mode; an error closes it and comes out as one of ours.

        Raises:
            DependencyDown: ``omero-database`` is away, restarting or too slow.
            Misconfigured: it cannot be reached as configured, or lacks a table, a column or a grant.
        """
        try:
            yield self._open()
        except (pg.UndefinedTable, pg.UndefinedColumn, pg.InvalidSchemaName) as error:
            self.close()
            raise Misconfigured(
                f"{self._where} has not what OMERO 5.4 has: {_first_line(error)}",
                fix="Run `omero-mq doctor --schema`; it names every table and column that is missing",
            ) from error
        except (pg.InsufficientPrivilege, pg.UndefinedFunction) as error:
            self.close()
            raise Misconfigured(
                f"{self._settings.user} has not been given what it needs in {self._where}: {_first_line(error)}",
                fix="Have the grants made that `omero-mq init --print-sql` prints; if that is no OMERO, correct omero.database",
            ) from error
        except (psycopg.OperationalError, psycopg.InterfaceError, pg.InternalError_) as error:
            self.close()
            raise DependencyDown(NAME, f"{self._where}: {_first_line(error)}", fix=_SEE) from error
        except BaseException:
            # Whatever it was, the transaction or the pipeline may be half-way: the next batch starts on a clean connection.
            self.close()
            raise

    def close(self) -> None:
        """Close the connection; the next use opens another. Idempotent."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    @property
    def _where(self) -> str:
        return f"database {self._settings.database} at {self._settings.host}:{self._settings.port}"

    def _open(self) -> Connection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        try:
            # Plans are kept from the first execution on: the same few queries run for every batch.
            self._connection = psycopg.connect(**self._parameters, autocommit=True, prepare_threshold=0)
        except psycopg.OperationalError as error:
            fix = refusal_fix(str(error), room="omero")
            # A service that has worked waits for this too: a restore, for one, takes the database away for a while.
            if fix and not self._was_connected:
                raise Misconfigured(
                    f"cannot connect to {self._where} as {self._settings.user}: {_first_line(error)}", fix=fix
                ) from error
            raise
        self._was_connected = True
        return self._connection


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
