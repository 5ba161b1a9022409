"""Migrations on a real server: each once, whole or not at all, whoever else tries at the same time."""

import multiprocessing
from dataclasses import replace

import psycopg
import pytest

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.state.migrate import SchemaStatus, migrate, migration, require_usable, shipped, status
from pipeline.state.pool import connect

pytestmark = pytest.mark.stack

NEWEST = shipped()[-1].version


def _step(version: int, sql: str, *, compatible_from: int = 1):
    return migration(f"{version:04}_step.sql", f"-- compatible_from: {compatible_from}\n{sql}")


def _tables(connection) -> list[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'omero_mq' ORDER BY 1").fetchall()
    return [name for (name,) in rows]


def _migrate_in_process(settings, start, results) -> None:
    start.wait()
    with connect(settings, service="tests", autocommit=True) as connection:
        results.put([step.version for step in migrate(connection)])


def test_a_new_database_gets_every_table_and_a_second_run_changes_nothing(empty):
    with connect(empty, service="tests", autocommit=True) as connection:
        assert status(connection) == SchemaStatus(current=0, needed=NEWEST, verdict="missing")
        assert migrate(connection) == list(shipped())
        assert migrate(connection) == []
        assert status(connection) == SchemaStatus(current=NEWEST, needed=NEWEST, verdict="current")
        require_usable(connection)
        assert _tables(connection) == [
            "epoch_boundaries", "epochs", "gate_history", "gates", "last_known", "last_known_fill", "migrations", "outbox",
        ]  # fmt: skip


def test_four_processes_at_once_apply_each_migration_once(empty):
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(4), spawn.Queue()
    processes = [spawn.Process(target=_migrate_in_process, args=(empty, start, results)) for _ in range(4)]
    for process in processes:
        process.start()
    applied = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(timeout=10)
    assert sorted(applied) == [[], [], [], [step.version for step in shipped()]]


def test_an_edited_old_migration_is_named_and_nothing_is_applied(empty):
    one, two = _step(1, "CREATE TABLE omero_mq.a (x int);"), _step(2, "CREATE TABLE omero_mq.b (x int);")
    with connect(empty, service="tests", autocommit=True) as connection:
        migrate(connection, steps=[one])
        edited = _step(1, "CREATE TABLE omero_mq.a (x bigint);")
        with pytest.raises(Misconfigured, match="migration 0001_step is not the one that made this database"):
            migrate(connection, steps=[edited, two])
        assert _tables(connection) == ["a", "migrations"]


def test_a_crash_in_the_middle_of_a_migration_leaves_none_of_it_and_no_lock(empty):
    one = _step(1, "CREATE TABLE omero_mq.a (x int);")
    dying = _step(2, "CREATE TABLE omero_mq.b (x int); SELECT pg_terminate_backend(pg_backend_pid());")
    with connect(empty, service="tests", autocommit=True) as connection, pytest.raises(DependencyDown):
        migrate(connection, steps=[one, dying])
    with connect(empty, service="tests", autocommit=True) as connection:
        assert _tables(connection) == ["a", "migrations"]
        two = _step(2, "CREATE TABLE omero_mq.b (x int);")
        assert migrate(connection, steps=[one, two]) == [two]
        assert _tables(connection) == ["a", "b", "migrations"]


def test_a_migration_that_fails_leaves_the_steps_before_it(empty):
    wrong = _step(2, "CREATE TABLE omero_mq.b (x int); SELECT 1 / 0;")
    with connect(empty, service="tests", autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            migrate(connection, steps=[_step(1, "CREATE TABLE omero_mq.a (x int);"), wrong])
        assert _tables(connection) == ["a", "migrations"]


@pytest.mark.parametrize(
    ("versions", "oldest", "compatible_from", "verdict"),
    [
        ((3, 3), 2, 3, "current"),
        ((2, 3), 2, 2, "older"),
        ((1, 3), 2, 1, "too old"),
        ((3, 2), 1, 2, "newer"),
        ((3, 1), 1, 2, "too new"),
    ],
)
def test_one_version_apart_works_and_two_do_not(empty, versions, oldest, compatible_from, verdict):
    in_database, in_program = versions
    steps = [_step(n, f"CREATE TABLE omero_mq.t{n} (x int);", compatible_from=compatible_from) for n in (1, 2, 3)]
    with connect(empty, service="tests", autocommit=True) as connection:
        migrate(connection, steps=steps[:in_database])
        now = status(connection, steps=steps[:in_program], oldest=oldest)
    assert now == SchemaStatus(current=in_database, needed=in_program, verdict=verdict)
    assert now.usable == (verdict in ("current", "older", "newer"))


def test_a_program_leaves_a_newer_database_alone(empty):
    steps = [_step(1, "CREATE TABLE omero_mq.a (x int);"), _step(2, "CREATE TABLE omero_mq.b (x int);")]
    with connect(empty, service="tests", autocommit=True) as connection:
        migrate(connection, steps=steps)
        assert migrate(connection, steps=steps[:1]) == []
        assert _tables(connection) == ["a", "b", "migrations"]


def test_a_service_refuses_an_unmade_schema_and_says_what_to_run(empty):
    refusal = pytest.raises(Misconfigured, match=f"has schema version 0, this program needs {NEWEST}")
    with connect(empty, service="tests", autocommit=True) as connection, refusal as caught:
        require_usable(connection)
    assert caught.value.fix == "run `omero-mq init`"


def test_a_database_in_another_encoding_is_refused_with_the_command_that_makes_a_right_one(postgres, empty, unique):
    settings = replace(empty, database=unique)
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {unique} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        with connect(settings, service="tests", autocommit=True) as connection, pytest.raises(Misconfigured) as caught:
            migrate(connection)
    finally:
        postgres.drop(unique)
    assert str(caught.value) == f"database {unique} has encoding SQL_ASCII"
    assert caught.value.fix == f"make it with CREATE DATABASE {unique} ENCODING 'UTF8' TEMPLATE template0"


@pytest.mark.parametrize(
    ("change", "message", "fix"),
    [
        ({"database": "no_such_database"}, 'database "no_such_database" does not exist', "correct state.database"),
        ({"user": "nobody_we_know"}, "password authentication failed", "correct state.user and state.password"),
        ({"password": "wrong"}, "password authentication failed", "correct state.user and state.password"),
        ({"password": ""}, "no password supplied", "set state.password"),
        ({"sslmode": "often"}, "invalid sslmode", "set state.sslmode"),
    ],
)
def test_a_wrong_name_is_for_a_person_to_correct(state, change, message, fix):
    with pytest.raises(Misconfigured, match=message) as caught:
        connect(replace(state, **change), service="tests")
    assert caught.value.fix.startswith(fix)


def test_an_absent_server_is_waited_for(state):
    with pytest.raises(DependencyDown, match=r"^state-database is away: ") as caught:
        connect(replace(state, port=1), service="tests")
    assert caught.value.name == "state-database"


def test_a_connection_says_whose_it_is(connection):
    assert connection.execute("SELECT current_setting('application_name')").fetchone() == ("omero-mq tests",)


def test_idle_connections_that_the_server_ended_cost_one_failure_and_no_more(state_database, connection):
    with state_database.transaction() as lent:
        pid = lent.info.backend_pid
    connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    with pytest.raises(DependencyDown), state_database.transaction() as lent:
        lent.execute("SELECT 1")
    with state_database.transaction() as lent:
        assert lent.execute("SELECT 1").fetchone() == (1,)
