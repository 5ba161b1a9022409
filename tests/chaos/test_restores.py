"""OMERO's database is restored, moved, put back in time, upgraded: stopped with instructions, right after them."""

import json
import os
import shutil

import pytest

from pipeline.stack.postgres import find_programs

from .record import committed, compare, last_id
from .site import RELAYS
from .waiting import until
from .work import some_work

pytestmark = [pytest.mark.stack, pytest.mark.chaos, pytest.mark.timeout(240)]


def caught_up(site):
    until(lambda: site.lag() == 0, what="lag 0")


def work_told(site, **more):
    """Some work, until all of it is told. Lag 0 alone would not do: what is not captured yet is no lag."""
    before, mark = last_id(site), site.told.here()
    some_work(site.dsn(), **more)
    wanted = {row.id for row in committed(site, above=before)}
    assert wanted
    until(lambda: wanted <= {int(event.data.id) for event in site.told.since(mark)}, what=f"{len(wanted)} rows told")
    caught_up(site)


def stopped_with_instructions(site, *differs):
    """The relays end by themselves, and what they say is what to do."""
    for name in RELAYS:
        said = until(lambda name=name: site.condition(name).error, what=f"the end of {name}")
        assert "OMERO's database is not the one that was read before" in said
        assert "omero-mq epoch accept" in said
    shown = json.loads(site.command("epoch", "show", "--json", expect=3))
    assert shown["state"] == "changed"
    assert sorted(line.partition(":")[0] for line in shown["differences"]) == sorted(differs)


def follow_the_instructions(site, *, from_id=None):
    """Accept, repair; the supervisor starts the relays again by itself."""
    accepted = json.loads(site.command("epoch", "accept", "--reason", "a test", "--yes", "--json"))["accepted"]
    arguments = ["--from-id", str(from_id)] if from_id is not None else []
    repaired = json.loads(site.command("repair", *arguments, "--json"))
    assert repaired["missing"] == 0
    site.command("repair", "reindexing")
    for name in RELAYS:
        site.stack.wait_ready(name, 120)
    return accepted["number"]


def shut_down(site):
    """PostgreSQL in order, whoever follows it first: it waits until each has confirmed its log, and Kafka Connect may take long.

    A server that is killed for that leaves processes that go on writing by the name of a directory which is another one now.
    """
    site.stop_relays()
    site.stack.take_down("connect", kill=True)
    site.stack.take_down("postgres")


def start_up(site):
    site.stack.bring_up("postgres")
    site.stack.bring_up("connect")


def told_under(site, number, mark):
    return [event for event in site.told.since(mark) if event.source.endswith(f"/epoch/{number}")]


def everything_is_right(site, number, *, above, mark):
    """Rows above that id, in the database that is there now, were told under the new epoch's source, once, and in order."""
    wanted = {row.id for row in committed(site, above=above)}
    assert wanted

    def told():
        return [event for event in told_under(site, number, mark) if int(event.data.id) > above]

    until(lambda: not wanted - {int(event.data.id) for event in told()}, what=f"{len(wanted)} rows told under epoch {number}")
    caught_up(site)
    compare(committed(site, above=above), told())
    assert site.letters() == []


def dump(site, name):
    path = site.stack.directory.postgres / f"{name}.dump"
    path.unlink(missing_ok=True)
    connection = ["--host=127.0.0.1", f"--port={site.settings.omero.port}", "--username=postgres"]
    site.as_postgres("pg_dump", "--format=custom", f"--file={path}", *connection, site.settings.omero.database)
    return path


def restore(site, path):
    connection = ["--host=127.0.0.1", f"--port={site.settings.omero.port}", "--username=postgres"]
    database = site.settings.omero.database
    site.sql(f'CREATE DATABASE "{database}" TEMPLATE template0', database="postgres")
    site.as_postgres("pg_restore", "--exit-on-error", f"--dbname={database}", *connection, str(path))


def drop(site):
    database = site.settings.omero.database
    site.sql(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false', database="postgres")
    slots = "FROM pg_replication_slots WHERE database = %s"
    site.sql(f"SELECT pg_terminate_backend(active_pid, 5000) {slots} AND active", database, database="postgres")
    site.sql(f"SELECT pg_drop_replication_slot(slot_name) {slots}", database, database="postgres")
    site.sql(f'DROP DATABASE "{database}" WITH (FORCE)', database="postgres")


def test_a_dump_restored_into_the_same_cluster(site):
    work_told(site)
    kept, saved = last_id(site), dump(site, "same")
    work_told(site, actions=10)  # these rows are told, and then nobody has them any more
    mark = site.told.here()
    drop(site)
    restore(site, saved)
    some_work(site.dsn(), actions=10)  # OMERO is started before anybody repairs; ids that were told come again
    stopped_with_instructions(site, "database_oid", "eventlog_oid")
    assert site.told.since(mark) == []
    number = follow_the_instructions(site)
    some_work(site.dsn())
    everything_is_right(site, number, above=kept, mark=mark)


def test_a_whole_cluster_restored_into_a_new_one(site):
    work_told(site)
    kept = last_id(site)
    connection = ["--host=127.0.0.1", f"--port={site.settings.omero.port}", "--username=postgres"]
    saved = site.stack.directory.postgres / "all.sql"
    site.as_postgres("pg_dumpall", f"--file={saved}", *connection)
    work_told(site)
    mark = site.told.here()
    shut_down(site)
    shutil.rmtree(site.data)
    start_up(site)  # makes a cluster where there is none
    site.as_postgres("psql", "--quiet", f"--file={saved}", *connection, "postgres")
    some_work(site.dsn())
    each_relay_starts_and_stops_with_instructions(site, "system", "database_oid", "eventlog_oid")
    number = follow_the_instructions(site)
    some_work(site.dsn())
    everything_is_right(site, number, above=kept, mark=mark)


def test_a_cluster_upgraded_with_pg_upgrade(site):
    """From one cluster to another of the same version, which changes what an upgrade changes."""
    work_told(site)
    kept, mark = last_id(site), site.told.here()
    shut_down(site)
    upgrade(site)
    start_up(site)
    some_work(site.dsn())
    each_relay_starts_and_stops_with_instructions(site, "system")
    number = follow_the_instructions(site)
    some_work(site.dsn())
    everything_is_right(site, number, above=kept, mark=mark)


def test_a_recovery_to_a_point_in_time(site):
    work_told(site)
    shut_down(site)
    base = site.data.with_name("base")
    shutil.copytree(site.data, base)
    for path in (base, *base.rglob("*")):
        site.own(path)
    start_up(site)
    site.start_relays()
    some_work(site.dsn())
    kept = last_id(site)
    site.sql("SELECT pg_create_restore_point('before the mistake')")
    work_told(site, actions=10)
    mark = site.told.here()
    shut_down(site)
    recover(site, base, "before the mistake")
    start_up(site)
    until(lambda: site.sql("SELECT NOT pg_is_in_recovery()", database="postgres") == [(True,)], what="the end of recovery")
    assert last_id(site) == kept
    some_work(site.dsn(), actions=10)
    each_relay_starts_and_stops_with_instructions(site, "timeline")
    number = follow_the_instructions(site)
    some_work(site.dsn())
    everything_is_right(site, number, above=kept, mark=mark)


def each_relay_starts_and_stops_with_instructions(site, *differs):
    for name in RELAYS:
        site.stack._keeper(name).up()
    stopped_with_instructions(site, *differs)


def recover(site, base, point):
    """Puts a copy of the cluster in its place, without slots as a backup is, and lets it replay what came, up to that point."""
    later = site.data.with_name("later")
    site.data.rename(later)
    base.rename(site.data)
    for slot in (site.data / "pg_replslot").iterdir():
        shutil.rmtree(slot)
    with (site.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f'restore_command = \'cp "{later}/pg_wal/%f" "%p"\'\n')
        settings.write(f"recovery_target_name = '{point}'\nrecovery_target_action = 'promote'\n")
    (site.data / "recovery.signal").touch()
    site.own(site.data / "recovery.signal")


def upgrade(site):
    old, programs = site.data.with_name("old"), find_programs(os.environ)
    site.data.rename(old)
    password = site.stack.directory.postgres / "password"
    password.write_text(site.superuser_password())
    site.own(password)
    options = ["--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync"]
    site.as_postgres("initdb", "-D", str(site.data), f"--pwfile={password}", *options)
    where = [f"--old-datadir={old}", f"--new-datadir={site.data}", f"--old-bindir={programs}", f"--new-bindir={programs}"]
    # Our settings leave no socket to connect by; the new cluster gets its settings when it is started.
    site.as_postgres("pg_upgrade", *where, "--username=postgres", "--old-options=-c unix_socket_directories=/tmp")
    shutil.rmtree(old)
