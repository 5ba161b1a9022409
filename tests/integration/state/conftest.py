"""A migrated state database for each test."""

import secrets
from collections.abc import Callable, Iterator

import psycopg
import pytest
from pipeline.settings.model import StateSettings
from pipeline.state.migrate import migrate
from pipeline.state.pool import Connection, StateDatabase, connect

from .server import running_server


@pytest.fixture(scope="session")
def server_port(tmp_path_factory) -> Iterator[int]:
    with running_server(tmp_path_factory.mktemp("state")) as port:
        yield port


@pytest.fixture
def new_database(server_port) -> Iterator[Callable[[], StateSettings]]:
    """Makes empty databases; dropped at the end."""
    names: list[str] = []

    def make(*, options: str = "") -> StateSettings:
        names.append(f"state_{secrets.token_hex(5)}")
        admin.execute(f"CREATE DATABASE {names[-1]} {options}")
        return StateSettings(port=server_port, database=names[-1], user="postgres")

    with psycopg.connect(host="127.0.0.1", port=server_port, user="postgres", dbname="postgres", autocommit=True) as admin:
        yield make
        for name in names:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def state(new_database) -> StateSettings:
    """Settings of a database with the newest schema."""
    settings = new_database()
    with connect(settings, service="tests", autocommit=True) as connection:
        migrate(connection)
    return settings


@pytest.fixture
def database(state) -> Iterator[StateDatabase]:
    database = StateDatabase(state, service="tests")
    yield database
    database.close()


@pytest.fixture
def connection(state) -> Iterator[Connection]:
    with connect(state, service="tests", autocommit=True) as connection:
        yield connection
