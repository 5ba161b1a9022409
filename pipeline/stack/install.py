"""A whole installation on this machine: the stack, OMERO's database, grants, our database, topics, connectors, services."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import KINDS, connector, render
from pipeline.errors import DependencyDown, Misconfigured, Transient
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.installation import make_groups, make_topics
from pipeline.omero import grants
from pipeline.settings import Settings
from pipeline.settings.places import data_directory
from pipeline.stack.addresses import Addresses
from pipeline.stack.parts import PARTS, Options
from pipeline.stack.service import service
from pipeline.stack.stack import Preparation, Stack
from pipeline.state.migrate import migrate
from pipeline.state.pool import connect

SERVICES = ("relay", "outbox")
CONNECT_WITHIN_S = 60.0
DATABASE = "omero-database"

MakeDatabase = Callable[[str, str], object]
"""Makes OMERO's database, given a superuser's connection string and a name that is free."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What is to be installed, and with which settings.

    Attributes:
        read: the settings as they are now; asked again once the stack has written where it is.
        environment: of this process, handed on to the services.
        make_database: what makes OMERO's database when there is none.
        config: the omero-mq.toml that this command read, if any.
        overrides: texts of ``--set``.
        services: which of ours run.
    """

    read: Callable[[], Settings]
    environment: Mapping[str, str]
    make_database: MakeDatabase
    config: Path | None = None
    overrides: Sequence[str] = ()
    services: Sequence[str] = SERVICES
    options: Options = field(default_factory=Options)
    command: str = "omero-mq up"


def installation(wish: Wish) -> Stack:
    """The stack that brings all of it up when it is started, in order; each step does nothing when it was done before."""
    settings = wish.read()
    directory = data_directory(settings.stack.data_directory).resolve()
    services = [
        service(name, environment=wish.environment, data_directory=directory, config=wish.config, overrides=wish.overrides)
        for name in wish.services
    ]
    # OMERO's database needs PostgreSQL alone, so that it is made while Kafka starts; a dump that is none stops the start early.
    database = Preparation(
        name=DATABASE, run=lambda where: ensure_database(where, wish.read(), wish.make_database), after=("postgres",)
    )
    rest = Preparation(
        name="installation", run=lambda where: prepare_all(where, wish.read(), wish.make_database), after=(*PARTS, DATABASE)
    )
    return Stack(
        settings,
        services=services,
        prepare=[database, rest],
        environment=wish.environment,
        options=wish.options,
        command=wish.command,
    )


def prepare_all(where: Addresses, settings: Settings, make_database: MakeDatabase) -> None:
    """Everything between the parts and the services. Idempotent.

    Raises:
        Misconfigured: the settings point at another PostgreSQL than this stack's, or something refuses.
        DependencyDown: a part went away meanwhile.
    """
    ensure_database(where, settings, make_database)
    with psycopg.connect(where.superuser_dsn(settings.omero.database), autocommit=True) as connection:
        passwords = {"cdc_password": settings.cdc.password, "mq_password": settings.omero.password}
        grants.apply(connection, settings, {**passwords, "state_password": settings.state.password})
    with connect(settings.state, service="init", autocommit=True) as connection:
        migrate(connection)
    with KafkaAdmin(settings.kafka) as admin:
        make_topics(admin, settings.kafka.prefix)
        make_groups(admin, settings.kafka)
    with closing(KafkaConnect(settings.cdc.connect_url)) as client:
        for kind in KINDS:
            _connect(client, connector(kind, settings).name, render(kind, settings))


def ensure_database(where: Addresses, settings: Settings, make_database: MakeDatabase) -> None:
    """OMERO's database, made if there is none. Idempotent.

    Raises:
        Misconfigured: the settings point at another PostgreSQL than this stack's, or it cannot be made.
    """
    _require_own(where, settings)
    name = settings.omero.database
    with psycopg.connect(where.superuser_dsn()) as connection:
        there = connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
    if there is None:
        make_database(where.superuser_dsn(), name)


def _require_own(where: Addresses, settings: Settings) -> None:
    for room, host, port in (
        ("omero", settings.omero.host, settings.omero.port),
        ("state", settings.state.host, settings.state.port),
    ):
        if (host, port) != (where.postgres_host, where.postgres_port):
            raise Misconfigured(
                f"{room}.host and {room}.port name {host}:{port}, and `omero-mq up` brings a PostgreSQL of its own",
                fix=f"leave {room}.host and {room}.port out here; for an OMERO elsewhere run the services by systemd or Compose",
            )


def _connect(client: KafkaConnect, name: str, config: Mapping[str, str]) -> None:
    """Apply a connector's configuration and wait until rows can flow; a worker that rebalances refuses for a moment."""
    deadline = time.monotonic() + CONNECT_WITHIN_S
    said = ""
    while time.monotonic() < deadline:
        try:
            client.apply(name, config)
            said = client.status(name).problem
            if not said:
                return
        except Transient as error:
            said = str(error)
        time.sleep(0.2)
    raise DependencyDown("kafka-connect", f"{name} does not run: {said}", fix="look into logs/connect.log in the data directory")
