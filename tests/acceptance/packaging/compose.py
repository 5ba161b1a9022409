"""docker-compose.yml read as Compose reads it, and its services started as plain processes on this machine.

Our services run their own command. For an image of others we do with the environment what its entrypoint does, as published in
apache/kafka (docker/resources), debezium/container-images (connect-base) and docker-library/postgres; the real program reads it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
VARIABLE = re.compile(r"\$\$|\$\{(\w+)(?::-([^}]*))?\}")
NOT_A_PROPERTY = {"KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_LOG4J_OPTS", "KAFKA_JMX_OPTS"}
DEBEZIUM = {
    "BOOTSTRAP_SERVERS": "bootstrap.servers",
    "GROUP_ID": "group.id",
    "ADVERTISED_HOST_NAME": "rest.advertised.host.name",
    "CONFIG_STORAGE_TOPIC": "config.storage.topic",
    "OFFSET_STORAGE_TOPIC": "offset.storage.topic",
    "STATUS_STORAGE_TOPIC": "status.storage.topic",
    "OFFSET_FLUSH_INTERVAL_MS": "offset.flush.interval.ms",
}
DEBEZIUM_OTHERS = {"HOST_NAME", "HEAP_OPTS"}  # not properties of the worker
LOG4J = """\
rootLogger.level=INFO
rootLogger.appenderRef.o.ref=o
appender.o.type=Console
appender.o.name=o
appender.o.layout.type=PatternLayout
appender.o.layout.pattern=%p %c{1} %m%n
"""


def read(environ: dict[str, str] | None = None) -> dict:
    """The file with variables replaced."""

    def put(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return (environ or {}).get(match[1], "") or match[2] or ""

    def walk(value: object) -> object:
        if isinstance(value, dict):
            return {key: walk(each) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each) for each in value]
        return VARIABLE.sub(put, value) if isinstance(value, str) else value

    return walk(yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def active(compose: dict, *profiles: str) -> dict[str, dict]:
    """The services of these profiles, in the order in which `depends_on` lets them start."""
    chosen = {
        name: each
        for name, each in compose["services"].items()
        if not each.get("profiles") or set(each["profiles"]) & set(profiles)
    }
    ordered: dict[str, dict] = {}
    while len(ordered) < len(chosen):
        ready = [
            name
            for name, each in chosen.items()
            if name not in ordered and all(need in ordered for need in each.get("depends_on", {}) if need in chosen)
        ]
        assert ready, "depends_on goes round in a circle"
        ordered.update({name: chosen[name] for name in ready})
    return ordered


def kafka_properties(environment: dict[str, str]) -> dict[str, str]:
    """KAFKA_LOG_DIRS -> log.dirs, as the image does it; a double underscore would be one."""
    names = {name: name.removeprefix("KAFKA_").lower() for name in environment if name.startswith("KAFKA_")}
    return {
        own.replace("___", "-").replace("__", "\0").replace("_", ".").replace("\0", "_"): environment[name]
        for name, own in names.items()
        if name not in NOT_A_PROPERTY
    }


def connect_properties(environment: dict[str, str]) -> dict[str, str]:
    """CONNECT_LISTENERS -> listeners, and the names that the image has of its own; converters are set if nobody sets them."""
    json = "org.apache.kafka.connect.json.JsonConverter"
    found = {"key.converter": json, "value.converter": json}
    for name, value in environment.items():
        if name.startswith("CONNECT_"):
            found[name.removeprefix("CONNECT_").lower().replace("_", ".")] = value
        elif name not in DEBEZIUM_OTHERS:
            found[DEBEZIUM[name]] = value
    return found


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def program(name: str) -> str:
    """One of PostgreSQL's, newest first where there are several."""
    own = sorted(Path("/usr/lib/postgresql").glob(f"1[4-8]/bin/{name}"), reverse=True)
    return str(own[0]) if own else shutil.which(name) or name


@dataclass
class Place:
    """Where containers' addresses and paths are on this machine."""

    directory: Path
    jvm: Path
    ports: dict[tuple[str, int], int]
    services: dict[str, dict] = field(default_factory=dict)
    inside: tuple[str, ...] = ()  # what our services run inside of
    processes: dict[str, subprocess.Popen] = field(default_factory=dict)

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def volume(self, name: str) -> Path:
        return self.directory / "volumes" / name

    def secrets(self, name: str) -> Path:
        """A directory with those secrets alone that the service was granted; made once, since a process may be reading it."""
        own = self.directory / "secrets-of" / name
        if own.exists():
            return own
        own.mkdir(parents=True)
        for each in self.services[name].get("secrets", []):
            source, target = (each["source"], each["target"]) if isinstance(each, dict) else (each, each)
            shutil.copy(self.directory / "secrets" / Path(read()["secrets"][source]["file"]).name, own / target)
        own.chmod(0o755)
        return own

    def environment(self, name: str) -> dict[str, str]:
        found = {}
        for key, value in self.services[name].get("environment", {}).items():
            reader = "connect" if key == "OMERO_MQ_CDC_PASSWORD_REFERENCE" else name
            found[key] = self.here(reader, str(value))
        for host in [key for key in found if key.endswith("_HOST")]:
            port = host.removesuffix("_HOST") + "_PORT"
            found[port] = str(self.ports[found[host], int(found[port])])
            found[host] = "127.0.0.1"
        return found

    def here(self, name: str, text: str) -> str:
        """A text of the file with addresses, ports and paths of this machine."""
        for (host, port), own in self.ports.items():
            text = text.replace(f"//{host}:{port}", f"//127.0.0.1:{own}").replace(f"@{host}:{port}", f"@127.0.0.1:{own}")
            text = f"127.0.0.1:{own}" if text == f"{host}:{port}" else text
            if host == name:
                text = text.replace(f"//0.0.0.0:{port}", f"//127.0.0.1:{own}").replace(f"127.0.0.1/{port}", f"127.0.0.1/{own}")
                text = str(own) if text == str(port) else text
        text = text.replace("/run/secrets", str(self.secrets(name)))
        return text.replace("/var/lib/kafka/data", str(self.volume("kafka")))

    def start(self, name: str) -> None:
        service, environment = self.services[name], self.environment(name)
        starts = {"apache/kafka": self._kafka, "quay.io/debezium/connect": self._connect, "postgres": self._postgres}
        image = service["image"].partition(":")[0]
        if image == "omero-mq":
            argv, user = [*self.inside, sys.executable, "-m", "pipeline", *service["command"]], None
            environment |= {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT)}
        else:
            argv, user = starts[image](name, environment)
            environment = {"PATH": os.environ["PATH"]}
        # An empty directory that nobody may write to stands for the read-only root.
        empty = self.directory / "empty"
        empty.mkdir(mode=0o555, exist_ok=True)
        with self.log(name).open("wb") as log:
            options = {"user": user} if user and os.geteuid() == 0 else {}
            self.processes[name] = subprocess.Popen(argv, env=environment, cwd=empty, stdout=log, stderr=log, **options)

    def wait_healthy(self, name: str, within_s: float = 60.0) -> None:
        """Until its health check says so, or, without one, until it has ended well."""
        service = self.services[name]
        deadline = time.monotonic() + within_s
        said = "nothing"
        while time.monotonic() < deadline:
            ended = self.processes[name].poll()
            if service["healthcheck"].get("disable"):
                if ended == 0:
                    return
                assert ended is None, self.log(name).read_text()[-4000:]
            else:
                assert ended is None, self.log(name).read_text()[-4000:]
                done = subprocess.run(self.check(name), capture_output=True, text=True, check=False, **self._as(name))
                said = done.stdout + done.stderr
                if done.returncode == 0:
                    return
            time.sleep(0.3)
        raise AssertionError(f"{name} is not healthy: {said}\n{self.log(name).read_text()[-4000:]}")

    def check(self, name: str) -> list[str]:
        kind, *argv = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD", "no shell is needed"
        argv = [self.here(name, each) for each in argv]
        known = {"omero-mq": [sys.executable, "-m", "pipeline"], "pg_isready": [program("pg_isready")]}
        return [*known.get(argv[0], [argv[0]]), *argv[1:]]

    def stop(self, name: str, grace_s: float = 30.0) -> int:
        process = self.processes.pop(name)
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _as(self, name: str) -> dict:
        ours = {"HOME": "/nonexistent", "PYTHONPATH": str(ROOT), **self.environment(name)}
        return {"env": {"PATH": os.environ["PATH"], **(ours if self.services[name]["image"].startswith("omero-mq") else {})}}

    def _java(self, main: str, *arguments: str) -> list[str]:
        log4j = self.directory / "log4j2.properties"
        log4j.write_text(LOG4J)
        flags = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={log4j}"]
        return ["java", *flags, "-cp", f"{self.jvm}/libs/*", main, *arguments]

    def _properties(self, name: str, values: dict[str, str]) -> str:
        path = self.directory / f"{name}.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in values.items()))
        return str(path)

    def _kafka(self, name: str, environment: dict[str, str]) -> tuple[list[str], None]:
        properties = self._properties(name, kafka_properties(environment))
        form = self._java("kafka.tools.StorageTool", "format", "-t", environment["CLUSTER_ID"], "-c", properties)
        subprocess.run(form, check=True, capture_output=True)
        return self._java("kafka.Kafka", properties), None

    def _connect(self, name: str, environment: dict[str, str]) -> tuple[list[str], None]:
        values = {**connect_properties(environment), "plugin.path": str(self.jvm / "plugins"), "plugin.discovery": "service_load"}
        values["rest.advertised.host.name"] = "127.0.0.1"  # the name `connect` is known among containers only
        return self._java("org.apache.kafka.connect.cli.ConnectDistributed", self._properties(name, values)), None

    def _postgres(self, name: str, environment: dict[str, str]) -> tuple[list[str], str]:
        service = self.services[name]
        data = self.volume(service["volumes"][0].partition(":")[0])
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        user = environment["POSTGRES_USER"]
        make = [program("initdb"), "-D", str(data), "-U", user, f"--pwfile={environment['POSTGRES_PASSWORD_FILE']}"]
        make += ["--auth-host=scram-sha-256", "--no-sync", *environment["POSTGRES_INITDB_ARGS"].split()]
        subprocess.run([*as_user, *make], check=True, capture_output=True, cwd="/")
        wanted = environment.get("POSTGRES_DB", user)
        if wanted != "postgres":
            single = [program("postgres"), "--single", "-D", str(data), "postgres"]
            subprocess.run(
                [*as_user, *single], input=f"CREATE DATABASE {wanted}\n", text=True, check=True, capture_output=True, cwd="/"
            )
        _, *arguments = service.get("command", ["postgres"])
        port = str(self.ports[name, 5432])
        local = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        return [program("postgres"), "-D", str(data), "-p", port, *local, *arguments], "postgres"
