"""A data directory that is not as it should be: each gives one clear sentence and one that says what to do."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import psycopg
import pytest

from pipeline.errors import Misconfigured
from pipeline.settings import Settings, StackSettings
from pipeline.stack import addresses, java, ports, postgres
from pipeline.stack.directory import DataDirectory
from pipeline.stack.fetch import fetch
from pipeline.stack.parts import Options, settle
from pipeline.stack.probe import kafka_answers
from pipeline.stack.stack import Stack

pytestmark = pytest.mark.stack


def started(directory: Path, **more) -> Stack:
    options = Options(parts=("postgres",), postgres={"fsync": "off"}, **more)
    return Stack(Settings(stack=StackSettings(data_directory=str(directory))), environment=os.environ, options=options)


def test_a_second_start_has_the_same_addresses_and_the_same_data(own_stack):
    stack = own_stack(parts=("postgres",))
    first = stack.start()
    with psycopg.connect(first.superuser_dsn(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    stack.stop()
    second = stack.start()
    assert second == first
    with psycopg.connect(second.superuser_dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_other_commands_find_the_running_stack_and_only_the_running_one(own_stack):
    stack = own_stack(parts=("postgres",))
    where = stack.start()
    assert addresses.load(stack.directory.path) == where
    assert f"port = {where.postgres_port}" in stack.directory.settings_file.read_text()
    assert stack.directory.settings_file.stat().st_mode & 0o077 == 0
    stack.stop()
    with pytest.raises(Misconfigured, match="nothing runs in"):
        addresses.load(stack.directory.path)


def test_everything_listens_on_the_loopback_interface_and_asks_for_a_password(own_stack):
    where = own_stack(parts=("postgres",)).start()
    with psycopg.connect(where.superuser_dsn()) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall() == [("scram-sha-256",)]


def test_a_cluster_that_was_half_made_when_it_was_killed_is_made_anew(own_stack):
    stack = own_stack(parts=("postgres",))
    stack.directory.prepare()
    making = stack.directory.postgres / "data.making"
    making.mkdir(parents=True)
    (making / "PG_VERSION").write_text("15\n")
    where = stack.start()
    assert not making.exists()
    with psycopg.connect(where.superuser_dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_cluster_that_lost_a_file_is_explained_and_not_touched(own_stack):
    stack = own_stack(parts=("postgres",))
    stack.start()
    stack.stop()
    control = stack.directory.postgres / "data" / "global" / "pg_control"
    control.unlink()
    with pytest.raises(Misconfigured, match=r"no complete PostgreSQL cluster: global/pg_control is missing") as caught:
        stack.start()
    assert "mv " in caught.value.fix
    assert (stack.directory.postgres / "data" / "PG_VERSION").exists()


def test_data_of_another_postgresql_is_explained(own_stack):
    stack = own_stack(parts=("postgres",))
    stack.start()
    stack.stop()
    (stack.directory.postgres / "data" / "PG_VERSION").write_text("11\n")
    with pytest.raises(Misconfigured, match="the data was made by PostgreSQL 11"):
        stack.start()


def test_a_port_that_was_asked_for_and_is_taken_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"port {port} on 127\.0\.0\.1 \(stack\.kafka_port\) is in use") as caught:
            settle(StackSettings(kafka_port=port), Options(), None)
    assert f"sport = :{port}" in caught.value.fix


def test_a_remembered_port_that_somebody_else_took_is_replaced():
    first = settle(StackSettings(), Options(), None)
    assert settle(StackSettings(), Options(), first) == first
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first.ports["kafka"]))
        taken.listen()
        second = settle(StackSettings(), Options(), first)
    assert second.ports.pop("kafka") != first.ports["kafka"]
    assert second.ports == {name: port for name, port in first.ports.items() if name != "kafka"}


def test_free_ports_are_not_those_of_outgoing_connections():
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest > ports.HIGHEST
    assert ports.LOWEST <= ports.free_port() <= ports.HIGHEST


def test_a_directory_with_other_things_in_it_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(Misconfigured, match=r"holds other things \(thesis\.tex\)"):
        DataDirectory(tmp_path).prepare()


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(Misconfigured, match="is not a directory"):
        DataDirectory(tmp_path / "data").prepare()
    with pytest.raises(Misconfigured, match="is not a directory"):
        DataDirectory(tmp_path / "data" / "below").prepare()


def test_too_little_room_is_said_before_anything_starts(tmp_path):
    with pytest.raises(Misconfigured, match=r"MiB free, \d+ MiB are needed to start") as caught:
        DataDirectory(tmp_path / "data").prepare(least_free_bytes=2**62)
    assert "stack.data_directory" in caught.value.fix


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 4 MiB, where the machine lets us mount one."""
    tmp_path.chmod(0o755)
    done = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=4m,mode=0711", "tiny", str(tmp_path)), capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield tmp_path
    subprocess.run(("umount", "-l", str(tmp_path)), check=True)


def test_a_disk_that_fills_up_while_the_cluster_is_made_is_explained_and_left_clean(tiny_disk):
    for parent in tiny_disk.parents[:-2]:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)
    stack = started(tiny_disk / "data", least_free_bytes=0)
    with pytest.raises(Misconfigured, match="No space left") as caught:
        stack.start()
    assert "free some space" in caught.value.fix
    assert not (tiny_disk / "data" / "postgres" / "data").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_a_directory_that_postgresqls_user_cannot_reach_is_named(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Misconfigured, match=r"may not pass through .*"):
        started(closed / "data").start()


def test_a_memory_file_that_is_no_json_is_explained(own_stack):
    stack = own_stack(parts=("postgres",))
    stack.directory.prepare()
    stack.directory.memory_file.write_text('{"cluster": ')
    with pytest.raises(Misconfigured, match=r"stack\.json cannot be read"):
        stack.start()


def fake_java(directory: Path, version: str) -> dict[str, str]:
    program = directory / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return {"JAVA_HOME": str(directory)}


def test_a_java_that_is_too_old_is_named(tmp_path):
    with pytest.raises(Misconfigured, match=r"bin/java is Java 11; Kafka needs 17 or newer") as caught:
        java.find(home=tmp_path, profile="small", environment=fake_java(tmp_path / "jdk", "11.0.2"))
    assert "openjdk-17-jre-headless" in caught.value.fix


def test_no_java_at_all_is_named(tmp_path):
    with pytest.raises(Misconfigured, match="there is no java in PATH"):
        java.find(home=tmp_path, profile="small", environment={"PATH": str(tmp_path)})
    with pytest.raises(Misconfigured, match=r"there is no java in JAVA_HOME \(/nowhere\)"):
        java.find(home=tmp_path, profile="small", environment={"JAVA_HOME": "/nowhere"})


def test_missing_jars_are_named_with_the_command_that_fetches_them(tmp_path):
    with pytest.raises(Misconfigured, match="Kafka is not in") as caught:
        java.find(home=tmp_path, profile="small", environment=fake_java(tmp_path / "jdk", "17.0.1"))
    assert "scripts/setup" in caught.value.fix


def test_no_maven_is_named(tmp_path):
    with pytest.raises(Misconfigured, match="there is no mvn to fetch it with") as caught:
        fetch(tmp_path / "jvm", environment={"PATH": str(tmp_path)})
    assert "apt-get install maven" in caught.value.fix


def test_a_maven_that_fails_leaves_nothing_behind_and_its_words_are_shown(tmp_path):
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho '[ERROR] Could not transfer artifact: unknown host'\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Misconfigured, match="Could not transfer artifact"):
        fetch(tmp_path / "jvm", environment={"PATH": f"{program.parent}:/usr/bin:/bin"})
    assert not (tmp_path / "jvm").exists()


def test_no_postgresql_is_named(tmp_path):
    programs = postgres.find_programs(os.environ)
    assert (programs / "initdb").exists()
    with pytest.raises(Misconfigured, match="the data was made by PostgreSQL 9"):
        postgres.find_programs({"PATH": str(tmp_path)}, wanted=9)


def test_a_kafka_that_was_half_made_when_it_was_killed_is_made_anew(own_stack):
    stack = own_stack(parts=("kafka",))
    stack.directory.prepare()
    making = stack.directory.kafka / "node-1" / "data.making"
    making.mkdir(parents=True)
    (making / "meta.properties").write_text("version=1\ncluster.id=half\n")
    where = stack.start()
    assert kafka_answers("127.0.0.1", int(where.kafka_bootstrap.rsplit(":", 1)[1]))
    assert not making.exists()


def test_a_kafka_of_another_cluster_is_explained_and_not_touched(own_stack):
    stack = own_stack(parts=("kafka",))
    stack.directory.prepare()
    data = stack.directory.kafka / "node-1" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=another\n")
    with pytest.raises(Misconfigured, match="was not made for this data directory") as caught:
        stack.start()
    assert f"mv {data}" in caught.value.fix
    assert (data / "meta.properties").read_text() == "version=1\ncluster.id=another\n"
