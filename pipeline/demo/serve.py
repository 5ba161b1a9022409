"""The facility as a process: makes an OMERO-shaped database where none is, and lets people work in it until stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pipeline.demo import database, facility
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.omero import grants
from pipeline.process.notify import Notifier
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings
from pipeline.settings.postgres import refusal_fix

NAME = "omero-database"
_CONNECT_WITHIN_S = 10

log = structlog.get_logger(__name__)


def run(settings: Settings, environment: Mapping[str, str], stop: StopSignal) -> None:
    """Work at `demo.rate_per_s` until told to stop.

    Raises:
        Misconfigured: the database was not made by us, or the superuser is refused.
        DependencyDown: the server is away; whoever started this process starts it again.
    """
    voice = Notifier(environment)
    with _explained():
        there = prepare(settings)
        voice.ready("people are at work")
        log.info("facility.open", database=settings.omero.database, rate_per_s=settings.demo.rate_per_s)
        # A seed is never used twice in one database: sessions made from it have uuids, and those are unique.
        people = facility.run(there, seed=time.time_ns(), rate_per_s=settings.demo.rate_per_s)
        for done in people:
            voice.watchdog()
            log.debug("facility.did", objects=done.objects)
            if stop.is_set:
                break
        people.close()  # type: ignore[attr-defined]  # a generator: its connection closes with it
    voice.stopping()


def prepare(settings: Settings) -> str:
    """The database, made if it is not there, with our roles, grants, publications and slots. Idempotent.

    Returns:
        The superuser's connection string.
    """
    omero, demo = settings.omero, settings.demo
    server = make_conninfo(
        host=omero.host,
        port=omero.port,
        user=demo.superuser,
        password=demo.superuser_password,
        dbname="postgres",
        connect_timeout=_CONNECT_WITHIN_S,
    )
    with psycopg.connect(server) as connection:
        made = connection.execute("SELECT FROM pg_database WHERE datname = %s", (omero.database,)).fetchone() is not None
    if not made:
        _make(server, omero.database)
    there = make_conninfo(server, dbname=omero.database)
    with psycopg.connect(there, autocommit=True) as connection:
        _refuse_real(connection, omero.database)
        grants.apply(connection, settings, {"cdc_password": settings.cdc.password, "mq_password": omero.password})
    return there


def _make(server: str, name: str) -> None:
    """Made under another name and then renamed: whoever is killed in between leaves nothing half-made behind."""
    making = f"{name}_making"
    database.drop(server, making)
    database.create(server, making)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(name)))


def _refuse_real(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    """People who are not there must never work in somebody's real data."""
    query = "SELECT value FROM configuration WHERE name = 'omero.db.uuid'"
    found = connection.execute(query.encode()).fetchone() if _has_configuration(connection) else None
    if found is None or found[0] != database.FIRST_UUID:
        raise Misconfigured(
            f"the database {name} was not made for a demonstration, so nobody plays in it",
            fix="let omero.host and omero.database name a server and a database for the demonstration alone",
        )


def _has_configuration(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    row = connection.execute(b"SELECT to_regclass('public.configuration') IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


@contextmanager
def _explained() -> Iterator[None]:
    """The driver's errors as ours."""
    try:
        yield
    except psycopg.OperationalError as error:
        said = str(error).strip().partition("\n")[0]
        if refusal_fix(str(error), room="demo"):
            fix = "correct demo.superuser and OMERO_MQ_DEMO_SUPERUSER_PASSWORD_FILE"
            raise Misconfigured(f"cannot connect as the superuser: {said}", fix=fix) from error
        raise DependencyDown(NAME, said) from error
