"""`omero-mq run facility`: people at work in a database of their own, and never in anybody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.stack


@pytest.fixture
def site(postgres, unique, tmp_path):
    """Settings of a facility with names of its own, and everything that it makes taken away again."""
    password = tmp_path / "password"
    password.write_text(postgres.password)
    roles = {
        "OMERO_MQ_OMERO_USER": f"{unique}_mq",
        "OMERO_MQ_CDC_USER": f"{unique}_cdc",
        "OMERO_MQ_STATE_USER": f"{unique}_state",
    }
    settings = {
        "OMERO_MQ_OMERO_HOST": postgres.host,
        "OMERO_MQ_OMERO_PORT": str(postgres.port),
        "OMERO_MQ_OMERO_DATABASE": unique,
        "OMERO_MQ_OMERO_PASSWORD": "reader",
        "OMERO_MQ_CDC_PASSWORD": "cdc",
        "OMERO_MQ_CDC_EVENTLOG_SLOT": f"{unique}_e",
        "OMERO_MQ_CDC_REINDEXING_SLOT": f"{unique}_r",
        "OMERO_MQ_STATE_DATABASE": f"{unique}_state",
        "OMERO_MQ_DEMO_SUPERUSER": postgres.superuser,
        "OMERO_MQ_DEMO_SUPERUSER_PASSWORD_FILE": str(password),
        "OMERO_MQ_DEMO_RATE_PER_S": "50",
        "OMERO_MQ_STACK_DATA_DIRECTORY": str(tmp_path / "none"),
    }
    yield roles | settings | {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for name in (unique, f"{unique}_making", f"{unique}_state"):
        with psycopg.connect(postgres.dsn()) as connection:
            there = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
        if there is not None:
            postgres.drop(name)
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        for role in roles.values():
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


@pytest.fixture
def facility(site, tmp_path):
    """Starts it; ends whatever still runs after the test."""
    started = []

    def start() -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "pipeline", "run", "facility"]
        started.append(subprocess.Popen(argv, cwd=tmp_path, env=site, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def work(postgres, name: str) -> int:
    """Rows of eventlog; 0 while there is no such database yet."""
    try:
        with psycopg.connect(postgres.dsn(name)) as connection:
            return connection.execute("SELECT count(*) FROM eventlog").fetchone()[0]
    except psycopg.OperationalError:
        return 0


def until_more_than(rows: int, postgres, name: str, process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + 30
    while (now := work(postgres, name)) <= rows:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return now


def test_people_work_until_told_to_stop_and_go_on_at_the_next_start(facility, site, postgres, unique):
    first = facility()
    rows = until_more_than(100, postgres, unique, first)
    as_reader = {"host": site["OMERO_MQ_OMERO_HOST"], "port": site["OMERO_MQ_OMERO_PORT"], "dbname": unique}
    with psycopg.connect(**as_reader, user=site["OMERO_MQ_OMERO_USER"], password="reader") as connection:
        assert connection.execute("SELECT max(id) FROM eventlog").fetchone()[0] > 0
    first.send_signal(signal.SIGTERM)
    assert first.wait(10) == 0

    second = facility()
    until_more_than(rows + 50, postgres, unique, second)
    second.kill()
    third = facility()
    until_more_than(work(postgres, unique) + 50, postgres, unique, third)
    third.send_signal(signal.SIGTERM)
    assert third.wait(10) == 0


def test_a_database_half_made_by_a_killed_start_is_made_anew(facility, postgres, unique):
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(f"{unique}_making")))
    until_more_than(0, postgres, unique, facility())
    with psycopg.connect(postgres.dsn()) as connection:
        assert connection.execute("SELECT FROM pg_database WHERE datname = %s", [f"{unique}_making"]).fetchone() is None


@pytest.mark.parametrize("tables", ["", "CREATE TABLE configuration (name text, value text)"], ids=["empty", "of a real OMERO"])
def test_nobody_plays_in_a_database_that_was_not_made_for_it(facility, postgres, unique, tables):
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unique)))
    if tables:
        with psycopg.connect(postgres.dsn(unique)) as connection:
            connection.execute(tables)
            connection.execute("INSERT INTO configuration VALUES ('omero.db.uuid', 'b1e0c4c6-0000-4000-8000-somebodys-own')")
    process = facility()
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert f"the database {unique} was not made for a demonstration" in said
    assert "fix: let omero.host and omero.database name a server" in said
    with psycopg.connect(postgres.dsn(unique)) as connection:
        assert connection.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)


def test_a_superuser_who_is_refused_is_said_with_the_setting(facility, site):
    Path(site["OMERO_MQ_DEMO_SUPERUSER_PASSWORD_FILE"]).write_text("wrong")
    process = facility()
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "cannot connect as the superuser" in said
    assert "OMERO_MQ_DEMO_SUPERUSER_PASSWORD_FILE" in said
    assert "wrong" not in said
