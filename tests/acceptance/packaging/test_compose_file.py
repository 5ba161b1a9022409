"""What docker-compose.yml, the Dockerfile and .env.example promise, read without running anything."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from compose import DEBEZIUM, DEBEZIUM_OTHERS, ROOT, active, read

COMPOSE = read()
SERVICES = COMPOSE["services"]
OURS = [name for name, each in SERVICES.items() if each["image"].startswith("omero-mq")]
THIRD = [name for name in SERVICES if name not in OURS]
ONE_SHOT = ["init"]
POSTGRES_NAMES = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD_FILE", "POSTGRES_INITDB_ARGS"}


def test_the_profiles_have_these_services_and_start_them_in_this_order():
    assert list(active(COMPOSE)) == ["kafka", "state", "connect"]
    assert list(active(COMPOSE, "omero")) == ["kafka", "state", "connect", "init", "relay", "outbox"]
    assert list(active(COMPOSE, "demo")) == ["kafka", "state", "database", "connect", "facility", "init", "relay", "outbox"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_pinned_watched_and_named_by_one_word(name):
    service = SERVICES[name]
    assert re.fullmatch(r"[a-z]+", name)
    assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", service["image"])
    assert re.fullmatch(r"\d+m", service["mem_limit"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("on-failure" if name in ONE_SHOT else "unless-stopped")
    if name in ONE_SHOT:
        assert service["healthcheck"] == {"disable": True}
    else:
        assert service["healthcheck"].keys() >= {"test", "interval", "timeout", "retries", "start_period"}


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_has_no_rights_no_shell_and_writes_nothing(name):
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "volumes" not in service
    assert "entrypoint" not in service


@pytest.mark.parametrize(("name", "part"), [("relay", "relay"), ("outbox", "outbox"), ("facility", "omero-database")])
def test_a_service_of_ours_is_ready_when_its_part_is(name, part):
    assert SERVICES[name]["command"] == ["run", name]
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "omero-mq", "check", "ready", part]


def test_nothing_waits_for_less_than_health_or_a_good_end():
    for name, service in SERVICES.items():
        for need, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if need in ONE_SHOT else "service_healthy"
            assert (name, need, how["condition"]) == (name, need, wanted)


def test_ports_are_published_on_the_loopback_interface_only():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"kafka": ["127.0.0.1:9092:9092"]}


def test_secrets_are_files_and_every_variable_that_names_one_is_granted_it():
    assert all(set(each) == {"file"} for each in COMPOSE["secrets"].values())
    for name, service in SERVICES.items():
        granted = {f"/run/secrets/{each['target'] if isinstance(each, dict) else each}" for each in service.get("secrets", [])}
        named = {value for key, value in service["environment"].items() if key.endswith("_FILE")}
        assert named <= granted, name
        assert not [
            key
            for key in service["environment"]
            if re.search("PASSWORD|SECRET|TOKEN", key) and not key.endswith(("_FILE", "_REFERENCE"))
        ]


def test_the_script_makes_every_secret_once_and_keeps_it(tmp_path):
    def made() -> dict[str, str]:
        subprocess.run([ROOT / "deploy" / "secrets.sh", tmp_path / "s"], check=True, capture_output=True)
        return {path.name: path.read_text() for path in (tmp_path / "s").iterdir()}

    first = made()
    assert {f"./secrets/{name}" for name in first} == {each["file"] for each in COMPOSE["secrets"].values()}
    assert first["cdc.properties"] == f"password={first['cdc_password']}\n"
    assert len({value for name, value in first.items() if name != "cdc.properties"}) == len(first) - 1
    assert all(len(value) >= 48 for value in first.values())
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    assert made() == first


def test_every_variable_of_an_image_is_one_that_it_understands():
    for name in THIRD:
        names = set(SERVICES[name]["environment"])
        image = SERVICES[name]["image"].partition(":")[0]
        if image == "postgres":
            assert names <= POSTGRES_NAMES
        elif image == "apache/kafka":
            assert {each for each in names if not each.startswith("KAFKA_")} == {"CLUSTER_ID"}
        else:
            assert {each for each in names if not each.startswith("CONNECT_")} <= DEBEZIUM.keys() | DEBEZIUM_OTHERS


@pytest.mark.parametrize("name", OURS)
def test_every_setting_of_a_service_of_ours_exists(name, tmp_path):
    environment = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    for key in [key for key in environment if key.endswith("_FILE")]:
        (tmp_path / "secret").write_text("x")
        environment[key] = str(tmp_path / "secret")
    environment |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline", "config", "check"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, done.stderr), done.stdout


def test_the_example_of_env_names_every_variable_and_its_default():
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    example = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert example.pop("COMPOSE_PROFILES") == "demo"
    assert example.keys() == used.keys()


def test_the_dockerfile_copies_only_what_the_ignore_file_lets_in_and_ends_without_root():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {word for line in re.findall(r"^COPY (.*)$", text, flags=re.MULTILINE) for word in line.split()[:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / each).exists() for each in copied)
    assert re.findall(r"^USER (.*)$", text, flags=re.MULTILINE)[-1] == "10001:10001"
    assert re.findall(r"^ENTRYPOINT (.*)$", text, flags=re.MULTILINE) == ['["omero-mq"]']


def test_compose_itself_accepts_the_file(tmp_path):
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("there is no `docker compose` here; it would need no engine")
    argv = [docker, "compose", "--project-directory", str(ROOT), "--profile", "demo", "--profile", "omero", "config", "-q"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
