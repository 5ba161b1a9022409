"""A commit that is decoded before it is visible, and transaction ids beyond 32 bits."""

import os
import pwd
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.stack.postgres import find_programs

from . import facility as facilities
from .facility import COLUMNS, IMAGE, until

pytestmark = pytest.mark.stack


@pytest.fixture
def alone(postgres, kafka, own_stack, unique):
    """A facility whose OMERO database is in a cluster that this test alone uses; `prepare` may change the stopped cluster."""
    made = []

    def new(prepare=None):
        stack = own_stack(parts=("postgres",))
        where = stack.start("postgres")
        if prepare is not None:
            stack.take_down("postgres")
            prepare(stack.directory.postgres / "data")
            stack.bring_up("postgres")
            stack.wait_ready("postgres")
        cluster = replace(
            postgres,
            port=where.postgres_port,
            superuser=where.superuser,
            password=Path(where.superuser_password_file).read_text(encoding="utf-8"),
        )
        made.append(facilities.make(cluster, kafka, unique, state=postgres))
        return made[-1]

    yield new
    for facility in made:
        facility.close()
        postgres.drop(facility.settings.state.database)


def test_a_commit_that_is_decoded_before_it_is_visible_is_waited_for(alone, capsys):
    facility = alone()
    standby = "ALTER SYSTEM {} synchronous_standby_names {}"
    hanging, told = threading.Event(), {}

    def commit():
        with facility.connection(autocommit=False) as connection:
            event = facility.event(connection)
            told["image"] = facility.image(connection, event, owner=0, group=1)
            id_ = facility.log(connection, event, "INSERT", IMAGE, told["image"])
            told["row"] = connection.execute(
                f"SELECT {COLUMNS} FROM eventlog WHERE id = %s",
                (id_,),
            ).fetchone()
            hanging.set()

    settings = replace(facility.settings, relay=replace(facility.settings.relay, visibility_alert_s=0.5))
    with facility.relaying(settings=settings):
        facility.new_image()
        until(lambda: len(facility.events()) == 1)
        facility.sql(standby.format("SET", "= 'ghost'"))
        facility.sql("SELECT pg_reload_conf()")
        until(lambda: facility.sql("SHOW synchronous_standby_names") == [("ghost",)])
        writer = threading.Thread(target=commit)
        writer.start()
        hanging.wait(10)
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        assert until(lambda: facility.sql(waits) == [(1,)])
        facility.send([facility.as_debezium(told["row"])])
        assert not until(lambda: len(facility.events()) > 1, within_s=3)
        assert writer.is_alive()
        facility.sql(standby.format("RESET", ""))
        facility.sql("SELECT pg_reload_conf()")
        until(lambda: len(facility.events()) == 2)
        writer.join(10)
    event = facility.events()[-1]
    assert (event.subject, event.owner, event.group) == (f"Image:{told['image']}", "0", "1")
    assert facility.letters() == []
    assert capsys.readouterr().out.count("relay.commit_invisible") == 1


def test_a_transaction_id_beyond_32_bits_is_told_in_full(alone):
    def next_epoch(data):
        user = {} if os.geteuid() else {"user": pwd.getpwnam("postgres").pw_uid}
        subprocess.run([find_programs(os.environ) / "pg_resetwal", "-e", "3", data], check=True, capture_output=True, **user)

    facility = alone(next_epoch)
    with facility.connection(autocommit=False) as connection:
        event = facility.event(connection)
        image = facility.image(connection, event)
        facility.log(connection, event, "INSERT", IMAGE, image)
        ((full,),) = connection.execute("SELECT pg_current_xact_id()::text::int8")
    assert full > 3 << 32
    facility.capture()
    with facility.relaying():
        (told,) = until(facility.events)
    assert (told.subject, told.transaction, told.owner) == (f"Image:{image}", str(full), "0")


def test_a_row_whose_transaction_never_began_becomes_a_letter_and_holds_up_nobody(facility):
    ((next_xid,),) = facility.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8")
    unreal = (1, "INSERT", -35, 7, IMAGE, None, 0, next_xid + 20_000)
    with facility.relaying():
        facility.send([facility.as_debezium(unreal)])
        image = facility.new_image()
        (letter,) = until(facility.letters)
        until(lambda: facility.committed() == 2)
    assert letter.value == facility.sent[0]
    said = f"transaction {next_xid + 20_000} has not begun in OMERO's database, so this row was not captured from it"
    assert letter.message == said
    assert [event.subject for event in facility.events()] == [f"Image:{image}"]
