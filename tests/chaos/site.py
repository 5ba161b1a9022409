"""A whole installation of a test's own: three brokers, Kafka Connect, PostgreSQL, two relays; and what people do to it."""

import os
import pwd
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import psycopg
from psycopg import sql

from pipeline.delivery import letter
from pipeline.demo import database as demo
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.lag import LagMeter
from pipeline.kafka.scan import scan
from pipeline.settings.load import Given, load
from pipeline.stack.install import prepare_all
from pipeline.stack.parts import Options
from pipeline.stack.postgres import find_programs
from pipeline.stack.service import service
from pipeline.stack.stack import Preparation, Stack
from pipeline.wire import topics
from pipeline.wire.consumers import RELAY, group_name

from .record import Told
from .waiting import patiently, until

RELAYS = ("relay", "relay-2")
BROKERS = ("kafka", "kafka-2", "kafka-3")
EPOCH_OF_TRANSACTION_IDS = 3  # the cluster's transaction ids begin beyond 2^32
SESSION_S = 3.0

# A member that is frozen for longer than this loses its partitions; ten seconds by default.
CONFIG = f"""
[kafka]
replication_factor = 3
min_insync_replicas = 2
client = {{ "session.timeout.ms" = "{SESSION_S * 1000:.0f}", "heartbeat.interval.ms" = "700" }}
"""
# What is thrown away after the tests need not survive a power cut. Commit times tell the order of commits afterwards.
POSTGRES = {"fsync": "off", "full_page_writes": "off", "track_commit_timestamp": "on"}


class Site:
    """The installation. Every service is the real process; nothing of it runs in the test's own."""

    def __init__(self, directory, jvm):
        self.directory = directory
        self.config = directory / "omero-mq.toml"
        self.config.write_text(CONFIG)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "OMERO_MQ_STACK_DATA_DIRECTORY": str(directory / "data"),
            "OMERO_MQ_STACK_JVM_DIRECTORY": str(jvm),
        }
        relay = self._service("relay")
        self.stack = Stack(
            self.read(),
            services=[relay, replace(relay, name="relay-2"), self._service("outbox")],
            prepare=[Preparation(name="installation", run=lambda where: prepare_all(where, self.read(), demo.create))],
            environment=self.environment,
            options=Options(brokers=3, postgres=POSTGRES),
            command="pytest",
        )
        self.ended_by_us = dict.fromkeys(RELAYS, 0)

    def _service(self, name):
        return service(name, environment=self.environment, data_directory=self.directory / "data", config=self.config)

    def read(self):
        """The settings as every command here finds them."""
        return load(Given(environ=self.environment, config=self.config)).settings

    def start(self):
        self.stack.start("postgres")
        self.stack.take_down("postgres")
        self.as_postgres("pg_resetwal", "-e", str(EPOCH_OF_TRANSACTION_IDS), str(self.data))
        self.stack.bring_up("postgres")
        self.stack.start()
        self.settings = self.read()
        self.told = Told(self.settings)

    def stop(self):
        self.stack.stop()

    # PostgreSQL

    @property
    def data(self):
        """The directory of the cluster."""
        return self.stack.directory.postgres / "data"

    def dsn(self, database=None):
        return self.stack.addresses().superuser_dsn(database or self.settings.omero.database)

    @contextmanager
    def connection(self, database=None, *, autocommit=True):
        with psycopg.connect(self.dsn(database), autocommit=autocommit) as connection:
            yield connection

    def sql(self, statement, *values, database=None):
        with self.connection(database) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def as_postgres(self, program, *arguments, **more):
        """Run one of PostgreSQL's programs as its own user; its output."""
        user = {} if os.geteuid() else {"user": "postgres", "group": "postgres", "extra_groups": []}
        command = [str(find_programs(os.environ) / program), *arguments]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGPASSWORD": self.superuser_password()}
        options = {"cwd": self.stack.directory.postgres, "env": environment, **user, **more}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def own(self, path):
        """Hand a file to PostgreSQL's own user."""
        if not os.geteuid():
            entry = pwd.getpwnam("postgres")
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def superuser_password(self):
        return (self.stack.directory.secrets / "postgres-superuser").read_text()

    @contextmanager
    def state_database_shut(self):
        """The state database throws everybody out and lets nobody in."""
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        name = sql.Identifier(self.settings.state.database)
        with self.connection("postgres") as admin:
            admin.execute(allow.format(name, sql.SQL("false")))
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.settings.state.database,)
            )
        try:
            yield
        finally:
            self.sql(allow.format(name, sql.SQL("true")), database="postgres")

    # Processes

    def take_down_kafka(self):
        """Kills all three brokers at once and keeps them down."""
        self.each(partial(self.stack.take_down, kill=True), BROKERS)

    def bring_up_kafka(self):
        """Starts them together, since one alone never becomes ready."""
        self.each(self.stack.bring_up, BROKERS)

    def quit_postgres(self):
        """An immediate shutdown: no checkpoint, recovery at the next start."""
        os.kill(self.stack.pid("postgres"), signal.SIGQUIT)

    def end(self, name, how):
        """Ends a process by `stack.kill` or `stack.terminate`, waits for its end; the supervisor starts it again."""
        before = self.stack.pid(name)
        if before:
            if name in RELAYS:
                self.ended_by_us[name] += 1
            how(name)
            until(lambda: self.stack.pid(name) != before, what=f"the end of {name}")

    def thaw_relays(self):
        for name in RELAYS:
            self.stack.thaw(name)

    def stop_relays(self):
        """Asks both to end; how long the slower one took [s]."""
        began_s = time.monotonic()
        self.each(self.stack.take_down, RELAYS)
        return time.monotonic() - began_s

    def start_relays(self):
        self.each(self.stack.bring_up, RELAYS)

    def condition(self, name):
        return next(one for one in self.stack.conditions() if one.name == name)

    @staticmethod
    def each(call, names):
        """Do it to all of them at once."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(call, names))

    def command(self, *arguments, expect=0):
        """`omero-mq ...`, to its end; its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments, "--config", str(self.config)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == expect, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    # Kafka

    def topic(self, topic, member=""):
        return topics.named(topic, self.settings.kafka.prefix, member)

    def letters(self):
        return patiently(self._letters)

    def _letters(self):
        return [letter.read(record) for record in scan(self.settings.kafka, self.topic(topics.LETTERS, "relay"))]

    def captured(self):
        """How many rows are on `omero.eventlog`."""
        return patiently(self._captured)

    def _captured(self):
        name = self.topic(topics.EVENTLOG)
        with KafkaAdmin(self.settings.kafka) as admin:
            return sum(admin.ends((name, partition) for partition in range(admin.partitions([name])[name])).values())

    def committed(self):
        """How many of them the relays have acknowledged."""
        return patiently(self._committed)

    def _committed(self):
        with KafkaAdmin(self.settings.kafka) as admin:
            places = admin.committed(group_name(RELAY, self.settings.kafka.prefix), [self.topic(topics.EVENTLOG)])
        return sum(offset or 0 for offset in places.values())

    def lag(self):
        """Records that the relays have not acknowledged."""
        return patiently(self._lag)

    def _lag(self):
        names = [self.topic(topics.EVENTLOG), self.topic(topics.RETRY_RELAY)]
        group = group_name(RELAY, self.settings.kafka.prefix)
        with LagMeter(self.settings.kafka) as meter:
            found = meter.lag(group, names, now_ms=time.time_ns() // 1_000_000)
        assert [(one.lost, one.placeless) for one in found] == [(0, ())] * len(names)
        return sum(one.records for one in found)

    def report(self):
        """How everything is, for whoever reads why a test failed."""
        lines = [f"{one.name}: {one.state}, {one.restarts} restarts, {one.status}" for one in self.stack.conditions()]
        lines.append(f"captured {self.captured()}, acknowledged {self.committed()}, letters {len(self.letters())}")
        shown = subprocess.run(
            [sys.executable, "-m", "pipeline", "connector", "status", "--config", str(self.config)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        log = (self.stack.directory.logs / "connect.log").read_text(errors="replace").splitlines()
        return "\n".join([*lines, shown.stdout, shown.stderr, *log[-40:]])

    def calm_down(self):
        """Brings everything up and waits until it is caught up."""
        self.thaw_relays()
        if any("omero-mq epoch accept" in str(self.condition(name).error) for name in RELAYS):
            # A test that failed left the database changed; the next one must not fail for that.
            self.command("epoch", "accept", "--reason", "left by a test that failed", "--yes")
            self.command("repair")
        self.each(self._calm, [one.name for one in self.stack.conditions()])
        until(lambda: self.lag() == 0, what="lag 0", within_s=120)

    def _calm(self, name):
        if self.condition(name).state == "down":
            self.stack.bring_up(name)
        else:
            self.stack.wait_ready(name, 120)
