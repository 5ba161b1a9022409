"""An OMERO-shaped database of the test's own, read by a role that has what a DBA grants and no more."""

from dataclasses import dataclass, replace

import psycopg
import pytest

from pipeline.demo import database as demo
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.grants import rights, roles
from pipeline.omero.statements import run
from pipeline.settings import CdcSettings, OmeroSettings, Settings, StateSettings


@dataclass
class Omero:
    """Both sides of one database: ours, and the superuser's."""

    settings: OmeroSettings
    admin_dsn: str

    def sql(self, statement, *values):
        with psycopg.connect(self.admin_dsn, autocommit=True) as admin:
            cursor = admin.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def omero(postgres, unique):
    template = postgres.template("".join(text for _, text in demo.schema_files()), _build)
    made = make(postgres, unique, template)
    yield made
    postgres.drop(unique)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        for role in (f"{unique}_mq", f"{unique}_cdc"):
            admin.execute(f'DROP ROLE "{role}"')


@pytest.fixture
def reader(omero):
    with OmeroDatabase(omero.settings, service="tests") as database:
        yield database


def make(cluster, word, template):
    """The database and its roles."""
    user = f"{word}_mq"
    settings = OmeroSettings(host=cluster.host, port=cluster.port, database=word, user=user, password="mq")
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{word}" TEMPLATE "{template}"')
    granted = Settings(omero=settings, state=StateSettings(user=user), cdc=replace(CdcSettings(), user=f"{word}_cdc"))
    with psycopg.connect(cluster.dsn(word), autocommit=True) as admin:
        verifier = admin.pgconn.encrypt_password(b"mq", user.encode(), b"scram-sha-256").decode()
        run(admin, [*roles(granted), *rights(granted)], {"mq_password": verifier})
    return Omero(settings, cluster.dsn(word))


def _build(dsn):
    with psycopg.connect(dsn) as connection:
        demo.fill(connection, secrets=demo.Secrets())
