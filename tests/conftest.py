"""Real PostgreSQL, Kafka and Kafka Connect for tests: started when first asked for, or shared when one already runs.

`python -m pipeline.stack.serve DIR` in another terminal and `OMERO_MQ_TEST_STACK=DIR` here save the start.
Everything is shared by all tests, and by several pytest processes: take unique names (`unique`, `database`).
Whoever kills a part takes a stack of their own (`own_stack`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from psycopg import sql

from pipeline.errors import Misconfigured
from pipeline.settings import Settings, StackSettings
from pipeline.stack import addresses, directory, fetch
from pipeline.stack.addresses import Addresses
from pipeline.stack.parts import PARTS, Options
from pipeline.stack.postgres import find_programs
from pipeline.stack.stack import Stack

FOR_TESTS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}


def missing(error: Misconfigured) -> NoReturn:
    """Something is not installed: at home the test is skipped, in CI it fails."""
    text = f"{error} ({error.fix})"
    if os.environ.get("CI"):
        pytest.fail(text, pytrace=False)
    pytest.skip(text)


def jvm_directory() -> Path:
    """Kafka and Debezium, fetched by Maven if they are nowhere."""
    named = os.environ.get("OMERO_MQ_TEST_JVM")
    home = Path(named) if named else directory.chosen(os.environ.get("OMERO_MQ_STACK_DATA_DIRECTORY", "")).jvm
    fetch.fetch(home, environment=os.environ)
    return home


@contextmanager
def new_directory() -> Iterator[Path]:
    """A data directory that PostgreSQL's own user can reach, unlike pytest's tmp_path."""
    path = Path(tempfile.mkdtemp(prefix="omero-mq-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Shared:
    """The one stack of this test run; starts what is asked for when it is asked for."""

    def __init__(self) -> None:
        self._stack: dict[str, Stack] = {}
        self._directories: dict[str, Iterator[Path]] = {}

    def addresses(self, part: str) -> Addresses:
        """The addresses, with that part running."""
        running = os.environ.get("OMERO_MQ_TEST_STACK")
        if running:
            return addresses.load(Path(running))
        # PostgreSQL stands alone, so that its tests need no Java.
        kind = "postgres" if part == "postgres" else "kafka"
        try:
            if kind not in self._stack:
                home = str(jvm_directory()) if kind == "kafka" else ""
                parts = ("postgres",) if kind == "postgres" else ("kafka", "connect")
                self._directories[kind] = made = new_directory()
                settings = Settings(stack=StackSettings(data_directory=str(made.__enter__()), jvm_directory=home))
                options = Options(parts=parts, postgres=FOR_TESTS)
                self._stack[kind] = Stack(settings, environment=os.environ, options=options, command="pytest")
            return self._stack[kind].start(part)
        except Misconfigured as error:
            missing(error)

    def stop(self) -> None:
        for stack in self._stack.values():
            stack.stop()
        for made in self._directories.values():
            made.__exit__(None, None, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningPostgres:
    """A PostgreSQL cluster with wal_level=logical; `dsn()` is the superuser's."""

    host: str
    port: int
    superuser: str
    password: str

    def dsn(self, database: str = "postgres") -> str:
        return psycopg.conninfo.make_conninfo(
            host=self.host, port=self.port, user=self.superuser, password=self.password, dbname=database
        )

    @contextmanager
    def database(self, *, template: str = "template0", prefix: str = "t") -> Iterator[str]:
        """A new database with a unique name; dropped, with its replication slots, at the end."""
        name = f"{prefix}_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield name
        finally:
            self.drop(name)

    def drop(self, name: str) -> None:
        """Drops a database whoever is connected, and its replication slots."""
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            slots = "FROM pg_replication_slots WHERE database = %s"
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
            admin.execute(f"SELECT pg_terminate_backend(active_pid, 5000) {slots} AND active", [name])
            admin.execute(f"SELECT pg_drop_replication_slot(slot_name) {slots} AND NOT active", [name])
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def template(self, content: str, build: Callable[[str], None]) -> str:
        """A database to be copied, made once in this cluster: `build` gets its dsn; `content` is what it is made from."""
        name = "template_" + hashlib.sha256(content.encode()).hexdigest()[:16]
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            admin.execute("SELECT pg_advisory_lock(hashtext(%s))", [name])
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return name
            making = f"{name}_making"
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(making)))
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(making)))
            build(self.dsn(making))
            admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(making), sql.Identifier(name)))
        return name


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningKafka:
    """A Kafka broker that makes no topics by itself."""

    bootstrap: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningConnect:
    """A distributed Kafka Connect worker with Debezium; reads ``${file:...}`` from `secrets_directory` only."""

    url: str
    bootstrap: str
    secrets_directory: Path


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Shared]:
    shared = Shared()
    try:
        yield shared
    finally:
        shared.stop()


@pytest.fixture(scope="session")
def postgres(shared_stack: Shared) -> RunningPostgres:
    """PostgreSQL; alone, without Kafka, when nothing else is asked for."""
    where = shared_stack.addresses("postgres")
    password = Path(where.superuser_password_file).read_text(encoding="utf-8")
    return RunningPostgres(host=where.postgres_host, port=where.postgres_port, superuser=where.superuser, password=password)


@pytest.fixture(scope="session")
def kafka(shared_stack: Shared) -> RunningKafka:
    return RunningKafka(bootstrap=shared_stack.addresses("kafka").kafka_bootstrap)


@pytest.fixture(scope="session")
def connect(shared_stack: Shared) -> RunningConnect:
    where = shared_stack.addresses("connect")
    return RunningConnect(url=where.connect_url, bootstrap=where.kafka_bootstrap, secrets_directory=Path(where.secrets_directory))


@pytest.fixture
def database(postgres: RunningPostgres) -> Iterator[Callable[..., str]]:
    """A factory of databases with unique names, dropped after the test: `database()`, `database(template=...)`."""
    made = []

    def new(*, template: str = "template0", prefix: str = "t") -> str:
        made.append(postgres.database(template=template, prefix=prefix))
        return made[-1].__enter__()

    yield new
    for one in reversed(made):
        one.__exit__(None, None, None)


@pytest.fixture(scope="session")
def jvm() -> Path:
    """Kafka and Debezium, for a stack of one's own; PostgreSQL is there, too."""
    try:
        find_programs(os.environ)
        return jvm_directory()
    except Misconfigured as error:
        missing(error)


@pytest.fixture
def unique() -> str:
    """A word that no other test has: for topics' prefixes, slots, connectors, groups."""
    return f"t{uuid.uuid4().hex[:12]}"


@pytest.fixture
def own_stack() -> Iterator[Callable[..., Stack]]:
    """A factory of stacks that this test alone may kill: `own_stack(parts=..., services=..., brokers=3)`; not started yet."""
    stacks: list[Stack] = []
    directories = []

    def new(
        *,
        parts: tuple[str, ...] = PARTS,
        brokers: int = 1,
        postgres: Mapping[str, str] | None = None,
        kafka: Mapping[str, str] | None = None,
        **more: object,
    ) -> Stack:
        try:
            home = str(jvm_directory()) if "kafka" in parts else ""
            if "postgres" in parts:
                find_programs(os.environ)
        except Misconfigured as error:
            missing(error)
        directories.append(new_directory())
        settings = Settings(stack=StackSettings(data_directory=str(directories[-1].__enter__()), jvm_directory=home))
        options = Options(parts=parts, brokers=brokers, postgres={**FOR_TESTS, **(postgres or {})}, kafka=kafka or {})
        stacks.append(Stack(settings, environment=os.environ, options=options, command="pytest", **more))
        return stacks[-1]

    yield new
    for stack in stacks:
        stack.stop()
    for made in directories:
        made.__exit__(None, None, None)
