"""What is away is waited for; what changed its identity stops the relay; and nothing is lost on the way."""

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from pipeline.errors import EpochChanged, Misconfigured
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.lookups import read_epoch
from pipeline.state.epochs import Epochs
from pipeline.state.gates import PostgresGateStore
from pipeline.state.pool import StateDatabase
from pipeline.wire import topics

from .facility import until

pytestmark = pytest.mark.stack


@contextmanager
def shut(postgres, name):
    """A database that throws everybody out and lets nobody in."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        admin.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        try:
            yield
        finally:
            admin.execute(allow.format(sql.Identifier(name), sql.SQL("true")))


@pytest.fixture
def epochs(facility):
    state = StateDatabase(facility.settings.state, service="tests")
    yield Epochs(state)
    state.close()


@pytest.mark.parametrize("which", ["omero", "state"])
def test_a_database_that_is_away_is_waited_for_and_nothing_becomes_a_letter(facility, postgres, which):
    with facility.relaying():
        first = facility.new_image()
        until(lambda: len(facility.events()) == 1)
        later = facility.new_image()
        until(lambda: len(facility.events()) == 2)
        facility.change_image(first, "UPDATE image SET group_id = 1 WHERE id = %s", first)
        name = getattr(facility.settings, which).database
        sent = facility.sent[-1:] * 3
        with shut(postgres, name):
            facility.send(sent)
            time.sleep(2.5)
            before = len(facility.events())
        until(lambda: len(facility.events()) >= 6 and facility.committed() == 6)
    assert before <= 3
    # At least once: what was told when the outage began may be told again, with the same ids.
    told = Counter(event.subject for event in facility.events())
    assert told.keys() == {f"Image:{later}", f"Image:{first}"}
    assert told[f"Image:{first}"] >= 5
    assert facility.letters() == []
    assert facility.committed() == 6


@pytest.mark.parametrize("which", ["omero", "state"])
def test_told_to_stop_while_waiting_it_ends_and_acknowledges_nothing(facility, postgres, which):
    with facility.relaying() as running:
        image = facility.new_image()
        until(lambda: len(facility.events()) == 1)
        facility.change_image(image, "UPDATE image SET group_id = 1 WHERE id = %s", image)
        until(lambda: len(facility.events()) == 2 and facility.committed() == 2)
        with shut(postgres, getattr(facility.settings, which).database):
            facility.send(facility.sent[-1:])
            time.sleep(1.0)
            began_s = time.monotonic()
            running.end()
            took_s = time.monotonic() - began_s
    assert running.error is None
    assert took_s < 5
    assert facility.committed() == 2
    assert facility.letters() == []


def test_a_letter_that_cannot_be_written_stops_everything_until_it_can(facility):
    letters = topics.letters_topic("relay", facility.settings.kafka.prefix)
    facility.admin._client.delete_topics([letters])[letters].result()
    until(lambda: not facility.admin.exist([letters])[letters])
    with facility.relaying():
        facility.send([b"no row"])
        image = facility.new_image()
        time.sleep(6)
        assert facility.committed() < 2
        facility.admin.create([replace(topics.LETTERS, name=letters)])
        until(lambda: facility.committed() == 2, within_s=60)
        assert [one.value for one in facility.letters()] == [b"no row"]
    assert [event.subject for event in facility.events()] == [f"Image:{image}"]


def test_another_database_in_place_of_the_accepted_one_stops_the_relay_with_instructions(facility, postgres, epochs):
    with facility.relaying():
        facility.new_image()
        until(lambda: len(facility.events()) == 1 and facility.committed() == 1)
    _remake(facility, postgres)
    facility.send(facility.sent[-1:])
    with facility.relaying() as running:
        until(lambda: running.error)
    assert isinstance(running.error, EpochChanged)
    assert "database_oid: was" in str(running.error)
    assert "omero-mq epoch accept" in running.error.fix
    assert (len(facility.events()), facility.committed()) == (1, 1)


def test_a_database_that_is_replaced_while_the_relay_runs_stops_it_with_nothing_acknowledged(facility, postgres, epochs):
    with facility.relaying() as running:
        facility.new_image()
        until(lambda: len(facility.events()) == 1 and facility.committed() == 1)
        _remake(facility, postgres)
        facility.send(facility.sent[-1:])
        until(lambda: running.error)
    assert isinstance(running.error, EpochChanged)
    assert (len(facility.events()), facility.committed()) == (1, 1)


def test_after_the_new_epoch_was_accepted_each_row_is_told_under_the_source_that_it_belongs_to(facility, postgres, epochs):
    with facility.relaying():
        facility.new_image()
        until(lambda: len(facility.events()) == 1 and facility.committed() == 1)
    lost = facility.sent[-1].replace(b"Image", b"Dataset")  # a row that only the old database had, not relayed yet
    _remake(facility, postgres)
    facility.send([lost])
    kept = facility.new_image()  # a row of the new database, captured before anybody accepted it
    with OmeroDatabase(facility.settings.omero, service="tests") as omero:
        prefix = facility.settings.kafka.prefix
        name = topics.named(topics.EVENTLOG, prefix)
        places = [(name, partition) for partition in range(facility.admin.partitions([name])[name])]
        epochs.accept(read_epoch(omero), actor="ann", reason="restored", boundaries=facility.admin.ends(places))
    new = facility.new_image()
    with facility.relaying():
        until(lambda: len(facility.events()) == 4)
    old, second = f"/omero/{_uuid(facility)}", f"/omero/{_uuid(facility)}/epoch/2"
    told = {(event.source, event.subject, event.owner, event.actor) for event in facility.events()[1:]}
    assert told == {(old, "Dataset:1", None, None), (second, f"Image:{kept}", "0", "0"), (second, f"Image:{new}", "0", "0")}


def test_a_closed_gate_is_waited_for_outside_the_group(facility):
    state = StateDatabase(facility.settings.state, service="tests")
    store = PostgresGateStore(state)
    opened = store.read("relay")
    shut_gate = opened.closed(by="person", actor="ann", reason="repair", now_ms=time.time_ns() // 1_000_000)
    assert store.write(shut_gate, instead_of=opened)
    facility.new_image()
    with facility.relaying() as running:
        time.sleep(2)
        assert facility.events() == []
        assert running.thread.is_alive()
        again = shut_gate.opened(by="person", actor="ann", reason="done", now_ms=time.time_ns() // 1_000_000)
        assert store.write(again, instead_of=shut_gate)
        until(lambda: len(facility.events()) == 1)
        closed = again.closed(by="person", actor="ann", reason="again", now_ms=time.time_ns() // 1_000_000)
        assert store.write(closed, instead_of=again)
        running.thread.join(timeout=10)
        assert not running.thread.is_alive()
    assert running.error is None
    assert len(facility.events()) == 1
    state.close()


def test_a_grant_that_is_missing_is_named_with_what_to_do(facility):
    facility.sql(f'REVOKE ALL ON image FROM "{facility.settings.omero.user}"')
    facility.sql(f'REVOKE ALL (id, owner_id, group_id) ON image FROM "{facility.settings.omero.user}"')
    with facility.relaying() as running:
        until(lambda: running.error)
    assert isinstance(running.error, Misconfigured)
    assert str(running.error) == "image may not be read in OMERO's database"
    assert "omero-mq init --print-sql" in running.error.fix


def _remake(facility, postgres):
    """Restore "last night's backup": the same database made again, without what happened since."""
    from . import facility as facilities

    word = facility.settings.omero.database
    postgres.drop(word)
    template = postgres.template("".join(text for _, text in facilities.demo.schema_files()), facilities._build)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(word), sql.Identifier(template)))
    facilities.grant(postgres, facility.settings)
    facility.captured = 0


def _uuid(facility):
    ((uuid,),) = facility.sql("SELECT value FROM configuration WHERE name = 'omero.db.uuid'")
    return uuid
