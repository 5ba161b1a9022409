"""One OMERO-shaped database with grants, topics and connectors of its own, in the stack that tests share."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import psycopg

from pipeline.cdc.condition import Finding, condition
from pipeline.cdc.connect import KafkaConnect
from pipeline.cdc.connectors import KINDS, Connector, connector, render
from pipeline.cdc.repair import Parts
from pipeline.cdc.slots import Slot, publications, slots
from pipeline.delivery.record import Record
from pipeline.demo import database as demo
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.publish import KafkaPublisher
from pipeline.kafka.scan import scan
from pipeline.omero import grants
from pipeline.settings.model import CdcSettings, KafkaSettings, OmeroSettings, Settings, StateSettings
from pipeline.wire import topics

CANARY = "canary-4711"
PASSWORDS = {"cdc_password": "cdc 'secret'", "mq_password": "mq-secret", "state_password": "state-secret"}


def settings_for(word: str, *, host: str, port: int, bootstrap: str = "", url: str = "", secret: Path | None = None) -> Settings:
    """Settings in which every name that is shared with other tests begins with the word."""
    return Settings(
        kafka=KafkaSettings(bootstrap=bootstrap, prefix=word),
        omero=OmeroSettings(host=host, port=port, database=word, user=f"{word}_mq", password=PASSWORDS["mq_password"]),
        state=StateSettings(
            host=host, port=port, database=f"{word}_state", user=f"{word}_state", password=PASSWORDS["state_password"]
        ),
        cdc=CdcSettings(
            connect_url=url,
            user=f"{word}_cdc",
            password=PASSWORDS["cdc_password"],
            password_reference=f"${{file:{secret}:password}}",
            eventlog_slot=f"{word}_eventlog",
            reindexing_slot=f"{word}_reindexing",
            eventlog_publication=f"{word}_eventlog_pub",
            reindexing_publication=f"{word}_reindexing_pub",
            heartbeat_ms=500,
        ),
    )


def until(holds, *, within_s: float = 30.0, what: str = "it"):
    """The first true value of a function that is asked again and again."""
    deadline = time.monotonic() + within_s
    while not (value := holds()):
        assert time.monotonic() < deadline, f"{what} did not come true within {within_s} s"
        time.sleep(0.05)
    return value


@dataclass(kw_only=True)
class Capture:
    """What a test works with."""

    settings: Settings
    admin: psycopg.Connection
    connect: KafkaConnect
    events: int = 0
    connections: list[psycopg.Connection] = field(default_factory=list)

    @property
    def eventlog(self) -> Connector:
        return connector("eventlog", self.settings)

    def connection(self, user: str, password: str, *, autocommit: bool = True) -> psycopg.Connection:
        omero = self.settings.omero
        made = psycopg.connect(
            host=omero.host, port=omero.port, dbname=omero.database, user=user, password=password, autocommit=autocommit
        )
        self.connections.append(made)
        return made

    def reader(self) -> psycopg.Connection:
        return self.connection(self.settings.omero.user, PASSWORDS["mq_password"])

    def replicator(self) -> psycopg.Connection:
        return self.connection(self.settings.cdc.user, PASSWORDS["cdc_password"])

    def server_session(self) -> psycopg.Connection:
        """A session as OMERO's server has them, with transactions of its own."""
        info = self.admin.info
        made = psycopg.connect(host=info.host, port=info.port, dbname=info.dbname, user=info.user, password=info.password)
        self.connections.append(made)
        return made

    def event(self, connection=None) -> int:
        """A new event of root's."""
        row = (
            (connection or self.admin)
            .execute(
                "INSERT INTO event (id, permissions, time, experimenter, experimentergroup, session, type)"
                " VALUES (ome_nextval('seq_event'), -52, now(), 0, 0, 0, 4) RETURNING id"
            )
            .fetchone()
        )
        return row[0]

    def log(
        self, *, connection=None, action="UPDATE", entity="ome.model.core.Image", entity_id=42, ids=None, rows=1, permissions=-35
    ):
        """Rows of eventlog, as a service call writes them; their ids."""
        used = connection or self.admin
        event = self.event(used)
        if ids is None:
            last = used.execute("SELECT ome_nextval('seq_eventlog', %s)", (rows,)).fetchone()[0]
            ids = range(last - rows + 1, last + 1)
        with used.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO eventlog (id, permissions, entityid, entitytype, action, event) VALUES (%s, %s, %s, %s, %s, %s)",
                [(one, permissions, entity_id, entity, action, event) for one in ids],
            )
        return list(ids)

    def records(self, kind="eventlog") -> list[Record]:
        """All that is on a connector's topic; in order within a partition."""
        return list(scan(self.settings.kafka, connector(kind, self.settings).topic))

    def rows(self, kind="eventlog") -> list[dict]:
        return [msgspec.json.decode(record.value) for record in self.records(kind)]

    def ids(self) -> list[int]:
        return [row["id"] for row in self.rows()]

    def await_ids(self, wanted, *, within_s: float = 30.0) -> None:
        wanted = set(wanted)
        until(lambda: wanted <= set(self.ids()), within_s=within_s, what=f"{len(wanted)} rows on the topic")

    def slot(self, kind="eventlog") -> Slot | None:
        name = connector(kind, self.settings).slot
        return slots(self.admin, [name]).get(name)

    def findings(self, kind="eventlog") -> list[Finding]:
        this = connector(kind, self.settings)
        return condition(
            this,
            self.connect.status(this.name),
            self.slot(kind),
            publications(self.admin, [this.publication]).get(this.publication),
            database=self.settings.omero.database,
            topics=self.topics(),
        )

    def topics(self) -> set[str]:
        """The declared topics that exist."""
        with KafkaAdmin(self.settings.kafka) as kafka:
            return {
                name for name, there in kafka.exist(t.name for t in declared_topics(self.settings.kafka.prefix)).items() if there
            }

    def make_topics(self) -> None:
        with KafkaAdmin(self.settings.kafka) as kafka:
            kafka.create(declared_topics(self.settings.kafka.prefix))

    def await_healthy(self, *, within_s: float = 60.0) -> None:
        for kind in KINDS:
            until(lambda kind=kind: not self.findings(kind), within_s=within_s, what=f"a healthy connector for {kind}")

    @contextlib.contextmanager
    def parts(self, kind="eventlog") -> Iterator[Parts]:
        this = connector(kind, self.settings)
        with KafkaPublisher(self.settings.kafka) as publisher:
            yield Parts(
                connect=self.connect,
                connector=this,
                replication=self.replicator(),
                reading=self.reader(),
                publisher=publisher,
                scan=lambda start: scan(self.settings.kafka, this.topic, start=start),
                timezone=self.settings.omero.timezone,
            )

    def committed_ids(self) -> set[int]:
        """What must be on the topic: all rows that were committed since the slot was made."""
        return {row[0] for row in self.admin.execute("SELECT id FROM eventlog WHERE id > %s", (self.first_id,)).fetchall()}

    first_id: int = -1


def build_template(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        demo.fill(connection, secrets=demo.Secrets.marked(CANARY))


def declared_topics(prefix: str) -> list[topics.Topic]:
    single = [topics.EVENTLOG, topics.REINDEXING]
    beats = [replace(topics.HEARTBEAT, name=topics.named(topics.HEARTBEAT, prefix, kind)) for kind in KINDS]
    return [replace(topic, name=topics.named(topic, prefix)) for topic in single] + beats


def apply_connectors(capture: Capture) -> None:
    for kind in KINDS:
        capture.connect.apply(connector(kind, capture.settings).name, render(kind, capture.settings))


@contextlib.contextmanager
def capturing(settings: Settings, *, admin_dsn: str, with_topics: bool = True) -> Iterator[Capture]:
    """Grants, topics and running connectors for a database that exists; the connectors are deleted at the end."""
    connect = KafkaConnect(settings.cdc.connect_url)
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        grants.apply(admin, settings, PASSWORDS)
        first = admin.execute("SELECT coalesce(max(id), -1) FROM eventlog").fetchone()[0]
        capture = Capture(settings=settings, admin=admin, connect=connect, first_id=first)
        if with_topics:
            capture.make_topics()
        try:
            apply_connectors(capture)
            if with_topics:
                capture.await_healthy()
            yield capture
        finally:
            for one in capture.connections:
                one.close()
            with contextlib.suppress(Exception):  # the test may have taken Kafka Connect down
                for kind in KINDS:
                    connect.delete(connector(kind, settings).name)
            connect.close()


@contextlib.contextmanager
def own_capture(stack, word):
    """Capture over a new database in a stack that this test may break; gives it with the superuser's dsn."""
    where = stack.start()
    password = Path(where.superuser_password_file).read_text(encoding="utf-8")
    at = {"host": where.postgres_host, "port": where.postgres_port, "user": where.superuser, "password": password}
    with psycopg.connect(**at, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {word}")
    dsn = psycopg.conninfo.make_conninfo(**at, dbname=word)
    build_template(dsn)
    secret = Path(where.secrets_directory) / "cdc.properties"
    secret.write_text("password=cdc 'secret'\n")
    settings = settings_for(
        word, host=at["host"], port=at["port"], bootstrap=where.kafka_bootstrap, url=where.connect_url, secret=secret
    )
    with capturing(settings, admin_dsn=dsn) as capture:
        yield capture, dsn
