"""Fixtures: a database shaped like OMERO's, alone or with everything that captures it."""

import psycopg
import pytest

from pipeline.demo import database as demo
from pipeline.omero.removal import uninstall

from .capture import CANARY, build_template, capturing, settings_for


@pytest.fixture
def omero_database(postgres, unique):
    """The name of an OMERO-shaped database that this test alone uses; roles and slots of the same word are dropped after it."""
    content = "".join(text for _, text in demo.schema_files()) + CANARY
    template = postgres.template(content, build_template)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{unique}" TEMPLATE "{template}"')
    yield unique
    with psycopg.connect(postgres.dsn(unique), autocommit=True) as admin:
        uninstall(admin, settings_for(unique, host=postgres.host, port=postgres.port), with_state_database=True)
    postgres.drop(unique)


@pytest.fixture
def captured_settings(postgres, kafka, connect, omero_database):
    """Settings of everything that captures that database."""
    secret = connect.secrets_directory / f"{omero_database}.properties"
    secret.write_text("password=cdc 'secret'\n")
    yield settings_for(
        omero_database, host=postgres.host, port=postgres.port, bootstrap=kafka.bootstrap, url=connect.url, secret=secret
    )
    secret.unlink()


@pytest.fixture
def capture(postgres, captured_settings):
    """Both connectors running over that database."""
    with capturing(captured_settings, admin_dsn=postgres.dsn(captured_settings.omero.database)) as running:
        yield running
