"""How a worker ends, and that what is not finished stays unacknowledged: stops, outages, letters, gates, gaps, standstills."""

import json
import signal
import socket
import time

import psycopg
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from pipeline.delivery.gate import Gatekeeper
from pipeline.settings.model import StateSettings
from pipeline.state.gates import PostgresGateStore
from pipeline.state.migrate import migrate, shipped
from pipeline.state.pool import StateDatabase

from .site import CODECS, topic

pytestmark = pytest.mark.stack

each_kind = pytest.mark.parametrize("kind", ["batch", "record"])
NOWHERE = "never-made"


def test_records_are_read_whatever_they_are_compressed_with(site):
    for codec in CODECS:
        site.send(40, codec=codec)
    worker = site.start()
    site.until_caught_up()
    assert worker.end() == 0
    assert site.done() == {place: list(range(50)) for place in site.places}


@each_kind
def test_sigterm_while_a_dependency_is_away_ends_the_process_and_acknowledges_nothing(site, kind):
    (site.directory / "away").touch()
    site.send(40)
    worker = site.start(kind)
    assert site.until((site.directory / "waiting").exists), site.trouble()
    began_s = time.monotonic()
    assert worker.end() == 0, site.trouble()
    assert time.monotonic() - began_s < 10
    assert site.committed() == dict.fromkeys(site.places, 0)
    assert site.done() == {}
    assert site.letters_found() == []

    (site.directory / "away").unlink()
    worker = site.start(kind)
    site.until_caught_up()
    assert worker.end() == 0
    assert site.done() == {place: list(range(10)) for place in site.places}


def test_a_dependency_that_comes_back_costs_nothing_but_time(site):
    (site.directory / "away").touch()
    site.send(40)
    worker = site.start(stalled_after_s=2.0)  # waiting for what is away is no standstill
    assert site.until((site.directory / "waiting").exists), site.trouble()
    time.sleep(4)
    assert worker.process.poll() is None, site.trouble()
    (site.directory / "away").unlink()
    site.until_caught_up()
    assert worker.end() == 0
    assert site.done() == {place: list(range(10)) for place in site.places}
    assert site.letters_found() == []


def test_another_member_takes_over_what_waits_for_a_dependency(site):
    (site.directory / "away").touch()
    site.send(40)
    first = site.start()
    assert site.until((site.directory / "waiting").exists), site.trouble()
    second = site.start()
    assert site.until(lambda: "worker.ready" in second.events(), within_s=20), site.trouble()
    assert site.committed() == dict.fromkeys(site.places, 0)
    (site.directory / "away").unlink()
    site.until_caught_up()
    assert [first.end(), second.end()] == [0, 0]
    assert {place: set(offsets) for place, offsets in site.done().items()} == {place: set(range(10)) for place in site.places}


@each_kind
def test_a_bad_record_becomes_a_letter_and_the_others_go_on(site, kind):
    site.send(20)
    site.send(2, value=b"bad")
    site.send(18)
    worker = site.start(kind)
    site.until_caught_up()
    assert worker.end() == 0
    letters = site.letters_found()
    assert sorted(letter.value.split()[:2] for letter in letters) == [[b"bad", b"20"], [b"bad", b"21"]]
    headers = dict(letters[0].headers)
    assert headers["n"] in {b"20", b"21"}
    assert headers["omero.dlq.class"] == b"poison"
    done = [(place, offset) for place, offsets in site.done().items() for offset in offsets]
    assert len(done) == len(set(done)) == 38


@each_kind
def test_while_letters_cannot_be_written_nothing_behind_the_bad_record_is_committed(site, kind):
    missing = f"{site.letters}.later"
    site.send(20)
    site.send(4, value=b"bad")
    site.send(16)
    worker = site.start(kind, letters=missing)
    assert site.until(lambda: "letter.unwritable" in worker.events()), site.trouble()
    time.sleep(2)
    assert all(offset <= 5 for offset in site.committed().values()), site.trouble()  # the bad ones are at 5
    assert worker.end() == 0
    assert all(offset <= 5 for offset in site.committed().values())

    site.admin.create([topic(missing, 1)])
    site.letters = missing
    worker = site.start(kind, letters=missing)
    site.until_caught_up()
    assert worker.end() == 0
    assert len({letter.value.split()[1] for letter in site.letters_found()}) == 4


def test_a_worker_that_hangs_ends_itself_and_says_what_waited(site):
    (site.directory / "hang").touch()
    site.send(40)
    worker = site.start(stalled_after_s=2.0)
    assert worker.wait() == 71, site.trouble()
    (stalled,) = [line for line in worker.lines() if line.get("event") == "worker.stalled"]
    assert stalled["what"] == "records wait and nothing is committed"
    assert stalled["stood_s"] >= 2.0
    assert stalled["behind"] == {f"{site.source}/{partition}": "0 of 10" for partition in range(4)}
    assert site.committed() == dict.fromkeys(site.places, 0)


def test_an_idle_worker_and_an_unassigned_one_are_left_alone(site):
    workers = [site.start(stalled_after_s=1.5) for _ in range(5)]  # one more than partitions
    time.sleep(12)
    assert [worker.process.poll() for worker in workers] == [None] * 5, site.trouble()
    assert sum(line.get("partitions") == 0 for worker in workers for line in worker.lines()) > 0
    site.send(40)
    site.until_caught_up()
    assert [worker.end() for worker in workers] == [0] * 5


def test_an_effect_that_outlasts_the_stop_is_left_unacknowledged(site):
    (site.directory / "hang").touch()
    site.send(40)
    worker = site.start(drain_s=1.0)
    assert site.until((site.directory / "hanging").exists), site.trouble()
    assert worker.end() == 70, site.trouble()
    assert "worker.undrained" in worker.events()
    assert site.committed() == dict.fromkeys(site.places, 0)


def test_the_marks_of_transactions_are_no_gap_and_no_standstill(site):
    """They take an offset each, also the last one."""
    producer = Producer({"bootstrap.servers": site.kafka.bootstrap, "transactional.id": site.group})
    producer.init_transactions(10)
    for turn in range(3):
        producer.begin_transaction()
        for number in range(5):
            producer.produce(site.source, b"%d" % number, partition=0)
        if turn == 1:  # an aborted one is read as well: the worker takes all that is there, as every reader of ours
            producer.abort_transaction(10)
        else:
            producer.commit_transaction(10)
    worker = site.start(stalled_after_s=2.0)
    site.until_some(10)
    time.sleep(4)
    assert worker.process.poll() is None, site.trouble()
    assert worker.end() == 0
    assert site.committed()[site.source, 0] == site.done()[site.source, 0][-1] + 1
    assert "record.passed_over" not in worker.events()


def test_records_that_are_gone_before_they_were_read_are_named_and_nothing_moves(site):
    site.send(40)
    client = AdminClient({"bootstrap.servers": site.kafka.bootstrap})
    for future in client.delete_records([TopicPartition(site.source, 2, 7)]).values():
        future.result(10)
    worker = site.start()
    assert worker.wait() == 1, site.trouble()
    error = worker.error()
    assert "omero-mq repair" in error.pop("fix")
    assert error == {
        "type": "OffsetGap",
        "error": f"group {site.group} stands at 0 in {site.source}/2, whose oldest record is 7: "
        "7 records (0 to 6) were deleted before they were read",
    }
    assert site.committed() == dict.fromkeys(site.places, 0)


def test_a_group_without_a_place_is_an_error_and_no_reset(site):
    site.send(8)
    worker = site.start(group=f"{site.group}.other")
    assert worker.wait() == 1, site.trouble()
    assert worker.error()["type"] == "OffsetGap"
    assert "has no place" in worker.error()["error"]
    assert "omero-mq topic create" in worker.error()["fix"]


class Ear:
    """Listens like the supervisor."""

    def __init__(self, directory):
        self.path = str(directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)
        self.heard = []

    def listen(self):
        while True:
            try:
                self.heard += self.socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.heard

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


@pytest.fixture
def state(postgres, database):
    def make(dsn):
        with psycopg.connect(dsn, autocommit=True) as connection:
            migrate(connection)

    name = database(prefix="worker", template=postgres.template(shipped()[-1].checksum, make))
    return {
        "host": postgres.host,
        "port": postgres.port,
        "database": name,
        "user": postgres.superuser,
        "password": postgres.password,
    }


@pytest.fixture
def gates(state):
    database = StateDatabase(StateSettings(**state), service="tests")
    yield PostgresGateStore(database)
    database.close()


@pytest.fixture
def ear(site):
    with Ear(site.directory) as made:
        yield made


def test_a_closed_gate_ends_the_worker_and_holds_through_restarts(site, state, gates, ear):
    keeper = Gatekeeper(gates, "test")
    environment = {"NOTIFY_SOCKET": ear.path, "WATCHDOG_USEC": "3000000"}
    site.send(40)
    worker = site.start(state=state, environment=environment)
    site.until_caught_up()
    assert "READY=1" in ear.listen()

    keeper.close(by="person", actor="ada", reason="disk is being replaced", now_ms=1)
    assert worker.wait() == 0, site.trouble()
    assert "gate.closed" in worker.events()
    site.send(40)
    ear.listen()
    ear.heard.clear()
    for _ in range(2):
        worker = site.start(state=state, environment=environment)
        assert site.until(lambda: "READY=1" in ear.listen()), site.trouble()
        time.sleep(3)
        assert worker.process.poll() is None
        assert "STATUS=gate closed by person ada: disk is being replaced" in ear.listen()
        assert ear.heard.count("WATCHDOG=1") >= 2
        assert site.committed() == dict.fromkeys(site.places, 10)
        assert worker.end() == 0
    assert len(site.done()[site.places[0]]) == 10

    worker = site.start(state=state)
    closed = gates.read("test")
    assert gates.write(closed.opened(by="person", actor="ada", reason="done", now_ms=2, probes=3), instead_of=closed)
    site.until_caught_up()
    assert site.until(lambda: not gates.read("test").half_open)
    assert worker.end(signal.SIGINT) == 0
    assert site.done() == {place: list(range(20)) for place in site.places}


def test_a_failed_probe_closes_the_gate_again(site, state, gates):
    before = gates.read("test")
    assert gates.write(before.opened(by="breaker", actor="test", reason="trial", now_ms=1, probes=2), instead_of=before)
    site.send(4, value=b"bad")
    site.send(40)
    worker = site.start(state=state)
    assert worker.wait() == 0, site.trouble()
    gate = gates.read("test")
    assert (gate.state, gate.by, gate.reason) == ("closed", "breaker", "a probe failed")
    assert 1 <= len(site.letters_found()) <= 2
    assert sum(site.committed().values()) <= 2, json.dumps(worker.lines())
