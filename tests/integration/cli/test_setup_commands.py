"""From a bare OMERO-shaped database to events, and back to nothing, by the commands that an administrator types."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from pipeline.demo import database as demo

pytestmark = pytest.mark.stack
ROOT = Path(__file__).resolve().parents[3]


class Site:
    """One installation with names of its own; its settings are in a file, its secrets in variables."""

    def __init__(self, *, word, postgres, kafka, connect, home):
        self.word, self.postgres, self.connect, self.home = word, postgres, connect, home
        self.dsn = postgres.dsn(word)
        secret = connect.secrets_directory / f"{word}.properties"
        secret.write_text("password=cdc-secret\n")
        (home / "omero-mq.toml").write_text(f"""
            kafka = {{bootstrap = "{kafka.bootstrap}", prefix = "{word}"}}
            stack = {{data_directory = "{home}/none"}}
            [omero]
            host = "{postgres.host}"
            port = {postgres.port}
            database = "{word}"
            user = "{word}_mq"
            owner = "{postgres.superuser}"
            [state]
            host = "{postgres.host}"
            port = {postgres.port}
            database = "{word}_state"
            user = "{word}_state"
            [cdc]
            connect_url = "{connect.url}"
            user = "{word}_cdc"
            password_reference = "${{file:{secret}:password}}"
            eventlog_slot = "{word}_eventlog"
            reindexing_slot = "{word}_reindexing"
            eventlog_publication = "{word}_eventlog_pub"
            reindexing_publication = "{word}_reindexing_pub"
            heartbeat_ms = 500
        """)
        (home / "pgpass").write_text(f"*:*:*:{postgres.superuser}:{postgres.password}\n")
        (home / "pgpass").chmod(0o600)
        secrets = {"OMERO_MQ_OMERO_PASSWORD": "mq-secret", "OMERO_MQ_STATE_PASSWORD": "state-secret"}
        secrets |= {"OMERO_MQ_CDC_PASSWORD": "cdc-secret", "PGPASSFILE": str(home / "pgpass")}
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), "USER": "somebody", **secrets}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "pipeline", *arguments]

    def run(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments), cwd=self.home, env=self.environ, capture_output=True, text=True, check=False, timeout=90
        )
        assert done.returncode == expect, (done.stdout, done.stderr)
        assert "secret" not in done.stdout + done.stderr
        return done

    def objects(self, *arguments: str, expect: int = 0) -> list[dict]:
        return [json.loads(line) for line in self.run(*arguments, "--json", expect=expect).stdout.splitlines()]

    def psql(self, script: str) -> None:
        program = shutil.which("psql") or pytest.skip("no psql")
        variables = ("-v", "cdc_password=cdc-secret", "-v", "mq_password=mq-secret", "-v", "state_password=state-secret")
        command = [program, "-X", "-q", "-d", self.dsn, *variables]
        done = subprocess.run(command, input=script, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def site(postgres, kafka, connect, unique, tmp_path):
    demo.create(postgres.dsn(), unique)
    made = Site(word=unique, postgres=postgres, kafka=kafka, connect=connect, home=tmp_path)
    yield made
    made.run("connector", "delete", "--yes")
    made.run("uninstall", "--yes", "--with-state-database", "--superuser", superuser(made))
    postgres.drop(unique)


def superuser(site: Site) -> str:
    return f"host={site.postgres.host} port={site.postgres.port} user={site.postgres.superuser}"


def until_connected(site: Site) -> list[dict]:
    deadline = time.monotonic() + 40
    while True:
        done = subprocess.run(
            site.command("connector", "status", "--json"),
            cwd=site.home,
            env=site.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        found = [json.loads(line) for line in done.stdout.splitlines()]
        if done.returncode == 0:
            return found
        assert time.monotonic() < deadline, done
        time.sleep(0.5)


def insert(site: Site, *ids: int) -> None:
    with psycopg.connect(site.dsn) as connection:
        (event,) = connection.execute("SELECT max(id) FROM event").fetchone()
        for each in ids:
            row = (each, each, "ome.model.core.Image", "INSERT", event)
            connection.execute(
                "INSERT INTO eventlog (id, permissions, entityid, entitytype, action, event) VALUES (%s, -52, %s, %s, %s, %s)",
                row,
            )


def test_an_administrator_sets_up_follows_repairs_and_removes_everything(site):
    site.psql(site.run("init", "--print-sql", "--postgres-version", str(server_version(site))).stdout)
    assert site.objects("init")[0]["topics"][0] == f"{site.word}.eventlog"
    assert site.objects("init") == [{"schema": "omero-mq.init/1", "migrations": [], "topics": [], "groups": [], "connectors": []}]
    assert {each["state"] for each in site.objects("connector", "status", expect=3)} == {"MISSING"}
    assert [each["result"] for each in site.objects("connector", "apply")] == ["made", "made"]
    assert [each["ok"] for each in until_connected(site)] == [True, True]
    assert [each["result"] for each in site.objects("connector", "apply")] == ["unchanged", "unchanged"]

    assert site.objects("epoch", "show")[0]["state"] == "none"
    assert "add --yes" in site.run("epoch", "accept", "--reason", "first", expect=6).stderr
    accepted = site.objects("epoch", "accept", "--reason", "first", "--yes")[0]["accepted"]
    assert (accepted["number"], accepted["accepted_by"], accepted["reason"]) == (1, "somebody", "first")
    assert site.objects("epoch", "show")[0]["state"] == "same"

    relay = subprocess.Popen(site.command("run", "relay"), cwd=site.home, env=site.environ, stderr=subprocess.PIPE, text=True)
    try:
        insert(site, 501, 502, 503)
        seen = site.objects("events", "follow", "--from-beginning", "--count", "3", "--object", "Image:501,Image:502,Image:503")
        assert {each["event"]["subject"] for each in seen} == {"Image:501", "Image:502", "Image:503"}
        repaired = site.objects("repair")[0]
        assert (repaired["missing"], repaired["reread"]) == (0, 0)
        assert site.objects("repair", "--check", "--from-id", "501")[0]["missing"] == 0
        relay.send_signal(signal.SIGTERM)
        _, said = relay.communicate(timeout=30)
        assert relay.returncode == 0, said
        assert "secret" not in said
    finally:
        relay.kill()

    assert "add --yes" in site.run("uninstall", "--superuser", superuser(site), expect=6).stderr
    assert site.objects("uninstall", "--yes", "--superuser", superuser(site)) == [{"schema": "omero-mq.uninstall/1", "left": []}]
    with psycopg.connect(site.dsn) as connection:
        slots = connection.execute(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE %s", (f"{site.word}%",)
        ).fetchone()
        assert slots == (0,)


def test_an_epoch_that_changed_is_shown_and_accepted_with_a_reason(site):
    site.psql(site.run("init", "--print-sql", "--postgres-version", str(server_version(site))).stdout)
    site.run("init")
    site.run("epoch", "accept", "--reason", "first", "--yes")
    with psycopg.connect(site.dsn, autocommit=True) as connection:
        connection.execute("UPDATE configuration SET value = 'another' WHERE name = 'omero.db.uuid'")
    shown = site.objects("epoch", "show", expect=3)[0]
    assert shown["state"] == "changed"
    assert [each.split(":")[0] for each in shown["differences"]] == ["omero_uuid"]
    assert site.objects("epoch", "accept", "--reason", "restored", "--yes")[0]["accepted"]["number"] == 2
    assert site.run("epoch", "accept", "--reason", "again", "--yes").stdout == "nothing to do: epoch 2 is this database\n"


def test_a_password_on_the_command_line_is_refused(site):
    site.psql(site.run("init", "--print-sql", "--postgres-version", str(server_version(site))).stdout)
    done = site.run("uninstall", "--yes", "--superuser", "host=db user=postgres password=x", expect=1)
    assert "has a password in it" in done.stderr


def server_version(site: Site) -> int:
    with psycopg.connect(site.dsn) as connection:
        return connection.info.server_version // 10_000
