"""Secrets planted everywhere that OMERO and an installation have some: after a day of work none of them is anywhere else."""

from __future__ import annotations

import time

import psutil
import pytest

from pipeline.demo.facility import WEIGHTS, run

from .conftest import PLANTED, WORD, Site

pytestmark = pytest.mark.stack

ACTIONS = 150
OWN_FILES = {"omero-mq.toml", "data/omero-mq.toml"}  # where the secrets are meant to be, for the owner's eyes
OWN_FOLDERS = ("data/secrets/", "data/postgres/data/")  # the latter is OMERO's database itself
COMMANDS = [
    ("status", "-v"),
    ("status", "--json"),
    ("doctor", "--json"),
    ("check", "capture"),
    ("config", "show"),
    ("config", "show", "--json"),
    ("connector", "show"),
    ("connector", "apply", "-v"),
    ("init", "--print-sql"),
    ("install", "--systemd", "--print"),
    ("epoch", "show", "--json"),
    ("topic", "cat", "eventlog", "--all", "--json", "--headers"),
    ("dlq", "list", "--records", "--all", "--json"),
    ("events", "follow", "--from-beginning", "--no-wait", "--json"),
]


@pytest.fixture(scope="module")
def day(site: Site) -> set[str]:
    """People work, and each of their changes is told; answers what kinds of things they did."""
    dsn = site.where.superuser_dsn(site.settings.omero.database)
    done = list(run(dsn, seed=11, actions=ACTIONS, weights=dict.fromkeys(WEIGHTS, 1.0), secrets=PLANTED))
    ((last,),) = site.sql("SELECT max(id) FROM eventlog WHERE NOT (action = 'REINDEX' AND permissions = -52)")
    deadline = time.monotonic() + 60
    while f'"eventlog:{last}"'.encode() not in b"".join(site.records("omero.events")):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return {each.action for each in done}


def tables_of(site: Site, dbname: str) -> list[str]:
    names = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'"
    return [name for (name,) in site.sql(names, dbname=dbname)]


def holding(site: Site, dbname: str) -> set[str]:
    query = "SELECT EXISTS (SELECT FROM {} AS t WHERE t::text LIKE '%" + WORD + "%')"
    return {name for name in tables_of(site, dbname) if site.sql(query.format(name), dbname=dbname) == [(True,)]}


def test_the_secrets_are_there_to_be_found(site, day):
    """Or all that follows would prove nothing."""
    omero = site.settings.omero.database
    holders = {"public.configuration", "public.experimenter", "public.node", "public.password", "public.session"}
    assert holding(site, omero) == holders
    assert {"log in", "change password"} <= day


def test_no_topic_holds_one_not_even_those_of_kafka_connect(site, day):
    found = list(site.records())
    assert len(found) > 3 * ACTIONS
    assert any(b"database.password" in each for each in found)  # a connector's configuration, which only refers to it
    assert [each for each in found if WORD.encode() in each] == []


def test_no_table_of_the_state_database_holds_one(site, day):
    state = site.settings.state.database
    assert any("last_known" in name for name in tables_of(site, state))
    assert holding(site, state) == set()


def test_no_file_of_the_data_directory_holds_one_but_the_owners(site, day):
    files = {str(path.relative_to(site.home)): path for path in site.home.rglob("*") if path.is_file()}
    holders = {name for name, path in files.items() if WORD.encode() in path.read_bytes() and not name.startswith(OWN_FOLDERS)}
    assert {"data/logs/relay.log", "data/logs/postgres.log", "data/logs/connect.log", "data/processes.json"} <= files.keys()
    assert holders == OWN_FILES
    closed = [name for name in files if name in OWN_FILES or name.startswith("data/secrets/")]
    assert {oct(files[name].stat().st_mode & 0o077) for name in closed} == {"0o0"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_prints_one(site, day, command):
    done = site.omero_mq(*command, expect=None)
    assert done.returncode in {0, 3, 4}, done.stderr
    assert WORD not in done.stdout + done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", [("epoch", "show"), ("init", "-v"), ("doctor", "-v"), ("run", "relay", "-v")], ids=" ".join)
def test_a_password_that_is_refused_is_not_repeated(site, command):
    wrong = site.home / "wrong"
    wrong.write_text(f"{WORD}-wrong")
    wrong.chmod(0o600)
    more = {"OMERO_MQ_OMERO_PASSWORD_FILE": str(wrong), "OMERO_MQ_STATE_PASSWORD_FILE": str(wrong)}
    done = site.omero_mq(*command, expect=None, **more)
    wrong.unlink()
    assert done.returncode in {1, 3}
    assert WORD not in done.stdout + done.stderr
    assert "password authentication failed" in done.stdout + done.stderr


def test_no_command_line_holds_one_and_no_environment_but_what_omero_itself_put_there(site, day):
    """A service inherits the environment that it is started in; the passwords of ours are in files that it names."""
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    words = [" ".join(process.cmdline()) for process in found.values()]
    assert any("run relay" in each for each in words)
    assert any("ConnectDistributed" in each for each in words)
    assert [each for each in words if WORD in each] == []
    ours = {"CONFIG_omero_db_pass", "CONFIG_omero_mail_password"}
    holders = {pid: {name for name, value in process.environ().items() if WORD in value} for pid, process in found.items()}
    services = {condition.who.pid for condition in site.stack.conditions() if condition.name in {"relay", "outbox"}}
    assert {pid: names for pid, names in holders.items() if names} == dict.fromkeys(services, ours)
