"""Connections to OMERO's database for commands that do more than read, with the driver's errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import conninfo
from psycopg import errors as pg

from pipeline.cli.call import Call
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.settings import Settings
from pipeline.settings.places import data_directory
from pipeline.settings.postgres import connection_parameters, refusal_fix
from pipeline.stack import addresses

Connection = psycopg.Connection[tuple[Any, ...]]
NAME = "omero-database"


@contextmanager
def as_replication_role(settings: Settings) -> Iterator[Connection]:
    """OMERO's database as `cdc.user`, in autocommit mode.

    Raises:
        DependencyDown: the database is away.
        Misconfigured: it refuses the connection or a statement.
    """
    role = replace(settings.omero, user=settings.cdc.user, password=settings.cdc.password)
    with _open(connection_parameters(role, service="repair"), room="cdc") as connection:
        yield connection


@contextmanager
def as_superuser(settings: Settings, given: str, call: Call) -> Iterator[Connection]:
    """OMERO's database as a superuser: as given, or that of the local stack; in autocommit mode.

    Raises:
        DependencyDown: the database is away.
        Misconfigured: nobody was named and no local stack runs, or the connection is refused.
    """
    if given:
        try:
            parameters: dict[str, Any] = conninfo.conninfo_to_dict(given)
        except psycopg.ProgrammingError as error:
            raise Misconfigured(
                f"--superuser is no connection string: {error}", fix="for example host=db.example.org user=postgres"
            ) from error
        if parameters.get("password"):
            raise Misconfigured(
                "--superuser has a password in it, which every user of this machine can see",
                fix="put it into ~/.pgpass or PGPASSFILE",
            )
        parameters.setdefault("dbname", settings.omero.database)
    else:
        try:
            where = addresses.load(data_directory(settings.stack.data_directory))
        except Misconfigured as error:
            raise Misconfigured(
                "this needs a superuser of OMERO's PostgreSQL",
                fix="name one: --superuser 'host=db.example.org user=postgres'; or give --print-sql's output to a DBA",
            ) from error
        call.output.note(f"as superuser of the local stack in {where.directory}")
        parameters = conninfo.conninfo_to_dict(where.superuser_dsn(settings.omero.database))
    with _open(parameters, room="omero") as connection:
        yield connection


@contextmanager
def _open(parameters: dict[str, Any], *, room: str) -> Iterator[Connection]:
    try:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            yield connection
    except pg.InsufficientPrivilege as error:
        raise Misconfigured(
            f"{parameters.get('user')} may not do that: {_first_line(error)}",
            fix="have a DBA run what `omero-mq init --print-sql` prints",
        ) from error
    except psycopg.OperationalError as error:
        if fix := refusal_fix(str(error), room=room):
            raise Misconfigured(f"cannot connect as {parameters.get('user')}: {_first_line(error)}", fix=fix) from error
        raise DependencyDown(NAME, _first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
