"""An OMERO-shaped database, topics and a state database of the test's own; rows go to Kafka by hand, as Debezium sends them."""

import contextlib
import threading
import time
import zlib
from dataclasses import dataclass, field, replace

import msgspec
import psycopg

from pipeline.delivery import letter
from pipeline.delivery.record import Outgoing
from pipeline.demo import database as demo
from pipeline.errors import OmeroMqError
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.publish import KafkaPublisher
from pipeline.kafka.scan import scan
from pipeline.omero.grants import rights, roles
from pipeline.omero.statements import run as run_statements
from pipeline.process.signals import StopSignal
from pipeline.services import relay
from pipeline.settings import KafkaSettings, OmeroSettings, Settings, StateSettings
from pipeline.state.migrate import migrate
from pipeline.wire import topics
from pipeline.wire.consumers import RELAY, group_name
from pipeline.wire.messages import EVENT, WORK_ITEM

IMAGE = "ome.model.core.Image"
PARTITIONS = 3
# A row's xmin is the transaction that wrote it, in 32 bits as Debezium has it.
COLUMNS = "id, action, permissions, entityid, entitytype, external_id, event, xmin::text::int8"


@dataclass
class Facility:
    """What a test does with the world."""

    admin_dsn: str
    settings: Settings
    captured: int = 0
    sent: list = field(default_factory=list)

    def __post_init__(self):
        self.kafka = KafkaPublisher(self.settings.kafka)
        self.admin = KafkaAdmin(self.settings.kafka)

    def close(self):
        self.kafka.close()
        self.admin.close()

    # OMERO's side

    @contextlib.contextmanager
    def connection(self, *, autocommit=True):
        with psycopg.connect(self.admin_dsn, autocommit=autocommit) as connection:
            yield connection

    def sql(self, statement, *values):
        with self.connection() as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def event(self, connection, *, actor=0, event_type="User", time="2026-11-24 08:00:00"):
        """A call of a user begins; returns the event's id."""
        ((id_,),) = connection.execute(
            "INSERT INTO event (id, permissions, time, experimenter, experimentergroup, session, type) VALUES"
            " (ome_nextval('seq_event'), -52, %s, %s, 0, 0, (SELECT id FROM eventtype WHERE value = %s)) RETURNING id",
            (time, actor, event_type),
        )
        return id_

    def image(self, connection, event, *, owner=0, group=0):
        ((id_,),) = connection.execute(
            "INSERT INTO image (id, permissions, name, owner_id, group_id, creation_id, update_id) VALUES"
            " (ome_nextval('seq_image'), -56, 'x', %s, %s, %s, %s) RETURNING id",
            (owner, group, event, event),
        )
        return id_

    def log(self, connection, event, action, entitytype, entityid):
        """A row of eventlog; returns its id."""
        ((id_,),) = connection.execute(
            "INSERT INTO eventlog (id, permissions, action, entityid, entitytype, event)"
            " VALUES (ome_nextval('seq_eventlog'), -35, %s, %s, %s, %s) RETURNING id",
            (action, entityid, entitytype, event),
        )
        return id_

    def new_image(self, *, owner=0, group=0):
        """An image, committed and captured."""
        with self.connection(autocommit=False) as connection:
            event = self.event(connection, actor=owner)
            image = self.image(connection, event, owner=owner, group=group)
            self.log(connection, event, "INSERT", IMAGE, image)
        self.capture()
        return image

    def change_image(self, image, statement, *values, action="UPDATE", actor=0):
        """Run a statement and log it as a change of the image, in one transaction; capture it."""
        with self.connection(autocommit=False) as connection:
            event = self.event(connection, actor=actor)
            connection.execute(statement, values)
            self.log(connection, event, action, IMAGE, image)
        self.capture()

    # Debezium's side

    def capture(self):
        """Send all rows that are new, in the order of their ids; returns how many."""
        rows = self.sql(f"SELECT {COLUMNS} FROM eventlog WHERE id > %s ORDER BY id", self.captured)
        self.captured = rows[-1][0] if rows else self.captured
        self.send([self.as_debezium(row) for row in rows])
        return len(rows)

    def as_debezium(self, row, **more):
        id_, action, permissions, entityid, entitytype, external_id, event, txid = row
        return {
            "id": id_,
            "action": action,
            "permissions": permissions,
            "entityid": entityid,
            "entitytype": entitytype,
            "external_id": external_id,
            "event": event,
            "__op": "c",
            "__commit_us": time.time_ns() // 1000,
            "__lsn": 24_000_000 + id_,
            "__txid": txid,
            **more,
        }

    def send(self, rows, *, topic=topics.EVENTLOG):
        """Rows as dicts, or raw bytes, onto a topic; one object always to one partition."""
        encoded = [row if isinstance(row, bytes | None) else msgspec.json.encode(row) for row in rows]
        self.sent += encoded
        name = topics.named(topic, self.settings.kafka.prefix)
        partitions = 1 if topic is topics.RETRY_RELAY else PARTITIONS
        self.kafka.publish(
            [Outgoing(topic=name, key=_key(row), value=row, partition=zlib.crc32(_key(row)) % partitions) for row in encoded]
        )

    # The relay's side

    def records(self, topic, member=""):
        name = topics.named(topic, self.settings.kafka.prefix, member)
        return sorted(scan(self.settings.kafka, name), key=lambda record: (record.timestamp_ms, record.partition, record.offset))

    def events(self):
        """All public events, oldest first."""
        return [EVENT.json.decode(record.value) for record in self.records(topics.EVENTS)]

    def event_records(self):
        """All public events, in the order of each partition."""
        name = topics.named(topics.EVENTS, self.settings.kafka.prefix)
        return [EVENT.json.decode(record.value) for record in scan(self.settings.kafka, name)]

    def work(self, queue):
        return [WORK_ITEM.json.decode(record.value) for record in self.records(topics.WORK, queue)]

    def letters(self):
        return [letter.read(record) for record in self.records(topics.LETTERS, "relay")]

    def committed(self):
        """How many records the relay's group has acknowledged."""
        prefix = self.settings.kafka.prefix
        places = self.admin.committed(group_name(RELAY, prefix), [topics.named(topics.EVENTLOG, prefix)])
        return sum(offset or 0 for offset in places.values())

    @contextlib.contextmanager
    def relaying(self, *, rules=(), settings=None):
        """The real service in a thread of this process."""
        running = Running(settings or self.settings, rules)
        running.thread.start()
        try:
            yield running
        finally:
            running.end()


class Running:
    """The service's `run` in a thread; `error` is what ended it."""

    def __init__(self, settings, rules):
        self.stop = StopSignal()
        self.error = None
        self._arguments = (settings, {}, self.stop, rules)
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            relay.run(*self._arguments)
        except OmeroMqError as error:
            self.error = error

    def end(self):
        self.stop.set()
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()


def until(holds, *, within_s=30.0):
    """The first true value of a function that is asked again and again; its last value if it never is."""
    deadline = time.monotonic() + within_s
    while not (value := holds()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def make(postgres, kafka, word, *, state=None):
    """A facility in which every shared name begins with the word; the state database in another cluster, if one is given."""
    state = state or postgres
    template = postgres.template("".join(text for _, text in demo.schema_files()), _build)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{word}" TEMPLATE "{template}"')
    with psycopg.connect(state.dsn(), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{word}_state"')
    with psycopg.connect(state.dsn(f"{word}_state"), autocommit=True) as admin:
        migrate(admin)
    where = {"host": postgres.host, "port": postgres.port}
    settings = Settings(
        kafka=KafkaSettings(bootstrap=kafka.bootstrap, prefix=word),
        omero=OmeroSettings(**where, database=word, user=f"{word}_mq", password="mq", owner=postgres.superuser),
        state=StateSettings(
            host=state.host, port=state.port, database=f"{word}_state", user=state.superuser, password=state.password
        ),
    )
    grant(postgres, settings)
    wanted = [topics.EVENTLOG, topics.EVENTS, topics.RETRY_RELAY]
    made = [replace(topic, name=topics.named(topic, word), partitions=min(PARTITIONS, topic.partitions)) for topic in wanted]
    made.append(replace(topics.LETTERS, name=topics.letters_topic("relay", word)))
    with KafkaAdmin(settings.kafka) as admin:
        admin.create(made)
    return Facility(postgres.dsn(word), settings)


def grant(postgres, settings):
    """The relay's role and its rights, as a DBA grants them."""
    word, user = settings.omero.database, settings.omero.user
    named = replace(settings, state=replace(settings.state, user=user), cdc=replace(settings.cdc, user=f"{word}_cdc"))
    with psycopg.connect(postgres.dsn(word), autocommit=True) as admin:
        verifier = admin.pgconn.encrypt_password(b"mq", user.encode(), b"scram-sha-256").decode()
        run_statements(admin, [*roles(named), *rights(named)], {"mq_password": verifier})


def drop(postgres, facility):
    facility.close()
    settings = facility.settings
    for name in (settings.omero.database, settings.state.database):
        postgres.drop(name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        for role in (settings.omero.user, f"{settings.omero.database}_cdc"):
            admin.execute(f'DROP ROLE IF EXISTS "{role}"')


def _build(dsn):
    with psycopg.connect(dsn) as connection:
        demo.fill(connection, secrets=demo.Secrets())


def _key(row):
    try:
        read = msgspec.json.decode(row or b"")
        return f'{{"entitytype":"{read["entitytype"]}","entityid":{read["entityid"]}}}'.encode()
    except (msgspec.DecodeError, KeyError, TypeError, UnicodeDecodeError):
        return b"?"
