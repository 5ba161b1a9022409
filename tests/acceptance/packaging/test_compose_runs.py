"""Every service of docker-compose.yml's profile `demo`, as a plain process: its command, environment, order and health check.

Our services run with no more of the kernel than our systemd units leave them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from compose import ROOT, Place, active, connect_properties, free_ports, kafka_properties, read
from confluent_kafka.admin import AdminClient, ConfigResource

pytestmark = pytest.mark.stack

ADDRESSES = (("kafka", 29092), ("kafka", 9092), ("localhost", 29093), ("connect", 8083), ("state", 5432), ("database", 5432))


@pytest.fixture
def place():
    jvm = Path(os.environ.get("OMERO_MQ_TEST_JVM", ""))
    if not (jvm / "libs").is_dir() or not shutil.which("java"):
        text = "OMERO_MQ_TEST_JVM names no directory with libs/ and plugins/, or there is no java"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    directory = Path(tempfile.mkdtemp(prefix="omero-mq-compose-"))
    directory.chmod(0o711)
    (directory / "volumes").mkdir(mode=0o777)
    (directory / "volumes").chmod(0o777)
    subprocess.run([ROOT / "deploy" / "secrets.sh", directory / "secrets"], check=True, capture_output=True)
    place = Place(directory=directory, jvm=jvm, ports=dict(zip(ADDRESSES, free_ports(len(ADDRESSES)), strict=True)))
    yield place
    for process in place.processes.values():
        process.kill()
        process.wait()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def sandbox(tmp_path) -> tuple[str, ...]:
    """The system calls that our systemd units leave to a service; containers leave more."""
    if shutil.which("systemd-analyze") is None:
        text = "there is no systemd-analyze (apt-get install systemd)"
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "pipeline", "install", "--systemd", "--directory", str(tmp_path)]
    subprocess.run(argv, env=environment, cwd=tmp_path, check=True, capture_output=True)
    return (sys.executable, str(Path(__file__).with_name("sandbox.py")), str(tmp_path / "omero-mq@.service"))


def test_the_sandbox_refuses_what_the_units_refuse(sandbox):
    tries = [
        "os.chown('/', -1, -1)",
        "os.sched_setaffinity(0, {0})",
        "socket.socket(socket.AF_NETLINK)",
        "socket.socket(socket.AF_INET)",
    ]
    code = "import os, socket\nfor each in %r:\n"
    code += "    try: eval(each)\n    except OSError as error: print(error.errno)\n    else: print(0)"
    done = subprocess.run([*sandbox, sys.executable, "-c", code % tries], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("1\n1\n1\n0\n", "")


def first_event(bootstrap: str, directory: Path) -> dict:
    """As somebody on this machine sees it, outside of all containers."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "PYTHONPATH": str(ROOT),
        "OMERO_MQ_KAFKA_BOOTSTRAP": bootstrap,
    }
    argv = [sys.executable, "-m", "pipeline", "events", "follow", "--json", "--from-beginning", "--count", "1"]
    done = subprocess.run(argv, env=environment, cwd=directory, capture_output=True, text=True, check=True, timeout=40)
    return json.loads(done.stdout.splitlines()[0])


def broker_settings(bootstrap: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResource.Type.BROKER, "1")
    client = AdminClient({"bootstrap.servers": bootstrap})  # its answers end with it
    described = client.describe_configs([resource])[resource].result(20)
    return {name: entry.value for name, entry in described.items()}


@pytest.mark.timeout(240)
def test_every_service_of_the_demo_becomes_healthy_in_order_and_events_flow(place, sandbox):
    place.inside = sandbox
    outside = f"127.0.0.1:{place.ports['kafka', 9092]}"
    place.ports["localhost", place.ports["kafka", 9092]] = place.ports["kafka", 9092]
    compose = read({"KAFKA_PORT": outside.partition(":")[2], "OMERO_MQ_DEMO_RATE_PER_S": "5"})
    place.services = services = active(compose, "demo")
    for name in services:
        place.start(name)
        place.wait_healthy(name)

    event = first_event(outside, place.directory)
    assert event["event"]["type"].startswith("org.openmicroscopy.")

    # The broker and the worker took every variable for what it was meant to be.
    wanted = kafka_properties(place.environment("kafka"))
    known = broker_settings(outside)
    assert {name: known.get(name) for name in wanted} == wanted
    worker = place.log("connect").read_text()
    own = connect_properties(place.environment("connect"))
    assert [name for name in own if f"\t{name} = " not in worker] == [
        "key.converter.schemas.enable",
        "value.converter.schemas.enable",
        "config.providers.file.class",
        "config.providers.file.param.allowed.paths",
    ]

    place.start("init")  # as at each `docker compose up`
    place.wait_healthy("init")
    assert "state database: up to date" in place.log("init").read_text()
    assert "connectors: as they should be" in place.log("init").read_text()

    ended = {name: place.stop(name) for name in reversed(services) if name in place.processes}
    ours = {name: status for name, status in ended.items() if services[name]["image"].startswith("omero-mq")}
    assert ours == dict.fromkeys(ours, 0)
    assert list((place.directory / "empty").iterdir()) == []
