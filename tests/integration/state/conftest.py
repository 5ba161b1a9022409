"""A state database for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pipeline.settings.model import StateSettings
from pipeline.state.migrate import migrate, shipped
from pipeline.state.pool import Connection, StateDatabase, connect


@pytest.fixture
def empty(postgres: Any, database: Callable[..., str]) -> StateSettings:
    """Settings of a new database without our schema."""
    return _settings(postgres, database(prefix="state"))


@pytest.fixture
def state(postgres: Any, database: Callable[..., str]) -> StateSettings:
    """Settings of a new database with the newest schema."""
    return _settings(postgres, database(prefix="state", template=postgres.template(shipped()[-1].checksum, _make)))


@pytest.fixture
def state_database(state: StateSettings) -> Iterator[StateDatabase]:
    database = StateDatabase(state, service="tests")
    yield database
    database.close()


@pytest.fixture
def connection(state: StateSettings) -> Iterator[Connection]:
    with connect(state, service="tests", autocommit=True) as connection:
        yield connection


def _settings(postgres: Any, name: str) -> StateSettings:
    return StateSettings(
        host=postgres.host, port=postgres.port, database=name, user=postgres.superuser, password=postgres.password
    )


def _make(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        migrate(connection)
