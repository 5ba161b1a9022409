"""Fixtures: a database shaped like OMERO's, alone or with everything that captures it."""

import psycopg
import pytest

from pipeline.demo import database as demo
from pipeline.omero.removal import uninstall

from .capture import CANARY, Capture, build_template, capturing, settings_for


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
def capture(postgres, kafka, connect, omero_database, unique) -> Capture:
    """Both connectors running over that database."""
    secret = connect.secrets_directory / f"{unique}.properties"
    secret.write_text("password=cdc 'secret'\n")
    settings = settings_for(
        unique, host=postgres.host, port=postgres.port, bootstrap=kafka.bootstrap, url=connect.url, secret=secret
    )
    with capturing(settings, admin_dsn=postgres.dsn(unique)) as running:
        yield running
    secret.unlink()
