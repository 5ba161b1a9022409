"""An OMERO-shaped database of the test's own, a server on it, and a small lab that works there."""

from collections import Counter
from dataclasses import dataclass

import psycopg
import pytest

from pipeline.demo import database as demo
from pipeline.demo.simulator.clock import seeded_clock
from pipeline.demo.simulator.create_group import create_group
from pipeline.demo.simulator.create_user import create_user
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.import_image import IMPORTED, import_image
from pipeline.demo.simulator.login import login
from pipeline.demo.simulator.membership import join_group
from pipeline.demo.simulator.server import Server

CANARY = "canary-0815"
SECRETS = demo.Secrets.marked(CANARY)


def build_template(dsn):
    with psycopg.connect(dsn) as connection:
        demo.fill(connection, secrets=SECRETS)


@pytest.fixture(scope="session")
def omero_template(postgres):
    return postgres.template("".join(text for _, text in demo.schema_files()) + CANARY, build_template)


@pytest.fixture
def omero(postgres, omero_template):
    """The dsn of an OMERO-shaped database that this test alone uses."""
    with postgres.database(template=omero_template) as name:
        yield postgres.dsn(name)


@pytest.fixture(scope="module")
def untouched(postgres, omero_template):
    """A connection to a database that no test changes."""
    with postgres.database(template=omero_template) as name, psycopg.connect(postgres.dsn(name), autocommit=True) as connection:
        yield connection


@pytest.fixture
def sql(omero):
    """A plain connection in autocommit mode, as psql has."""
    with psycopg.connect(omero, autocommit=True) as connection:
        yield connection


@pytest.fixture
def server(omero):
    with Server.connect(omero, seed=7, clock=seeded_clock(7), secrets=SECRETS) as server:
        yield server


@dataclass(frozen=True)
class Lab:
    """A read-annotate group with two members, and a second group of which Ann is a member, too."""

    server: Server
    group: int
    other_group: int
    ann: Actor
    bob: Actor

    def image(self, actor: Actor | None = None, **options) -> Done:
        """Import one image; the transaction that made it."""
        return next(done for done in import_image(self.server, actor or self.ann, **options) if done.action == IMPORTED)

    def images(self, count: int) -> list[int]:
        return [self.imported().object_id for _ in range(count)]

    def imported(self) -> Done:
        """Import one image completely; the transaction that made it."""
        (made,) = [done for done in list(import_image(self.server, self.ann)) if done.action == IMPORTED]
        return made

    def log(self, done: Done) -> Counter[str]:
        """What the event log says about a transaction: ``INSERT Image`` and how often."""
        rows = self.server.connection.execute(
            "SELECT action || ' ' || substring(entitytype from '[^.]*$'), count(*) FROM eventlog WHERE id = ANY (%s) GROUP BY 1",
            (list(done.log_ids),),
        ).fetchall()
        self.server.connection.rollback()
        return Counter(dict(rows))


@pytest.fixture
def lab(server):
    group = create_group(server, "Lab", "rwra--").object_id
    other_group = create_group(server, "Other lab", "rwrw--").object_id
    ann, _ = create_user(server, "ann", "Ann", "Åström", group_id=group)
    list(create_user(server, "bob", "Bob", "Müller", group_id=group))
    join_group(server, ann.object_id, other_group)
    return Lab(
        server=server, group=group, other_group=other_group, ann=login(server, "ann").actor, bob=login(server, "bob").actor
    )
