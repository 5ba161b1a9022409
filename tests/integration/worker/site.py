"""Topics of a test's own, the agents that read them, and what they did."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import defaultdict
from pathlib import Path

from pipeline.delivery.record import Outgoing
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.publish import KafkaPublisher
from pipeline.kafka.scan import scan
from pipeline.settings.model import KafkaSettings
from pipeline.wire.topics import Topic

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("agent_process.py")
CODECS = ("zstd", "lz4", "snappy", "gzip", "none")


def topic(name, partitions):
    return Topic(
        name=name, key="", format="original", schema="", partitions=partitions, retention_ms=-1, written_by="", read_by=""
    )


class Agent:
    """One worker process."""

    def __init__(self, config, directory, environment=None):
        self.log = directory / f"log-{uuid.uuid4().hex[:6]}"
        self.config = config
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), json.dumps(config)],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
            )

    def send(self, signum):
        self.process.send_signal(signum)

    def end(self, signum=signal.SIGTERM, *, within_s=30.0):
        """The exit status after the signal."""
        self.process.send_signal(signum)
        return self.wait(within_s)

    def wait(self, within_s=30.0):
        """The exit status."""
        return self.process.wait(within_s)

    def lines(self):
        """The log, as far as it is JSON."""
        found = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def events(self):
        return [line.get("event") for line in self.lines()]

    def error(self):
        """What the process told a person last."""
        return [line for line in self.lines() if "type" in line][-1]

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class Site:
    """A source topic, a letters topic, a group, and a directory in which the agents' effects lie."""

    def __init__(self, bootstrap, name, directory, *, partitions=4):
        self.kafka = KafkaSettings(bootstrap=bootstrap)
        self.source, self.letters, self.group = f"{name}.source", f"{name}.dlq.test", f"{name}.test"
        self.directory = directory
        self.places = [(self.source, partition) for partition in range(partitions)]
        self.sent = 0
        self.agents = []
        self.admin = KafkaAdmin(self.kafka)
        self.publishers = {}
        self.admin.create([topic(self.source, partitions), topic(self.letters, 1)])
        self.admin.create_group(self.group, [self.source])

    def send(self, count, *, codec="lz4", value=b"good"):
        """So many records, in turn to all partitions."""
        if codec not in self.publishers:
            client = {"compression.type": codec}
            self.publishers[codec] = KafkaPublisher(KafkaSettings(bootstrap=self.kafka.bootstrap, client=client))
        numbers = range(self.sent, self.sent + count)
        self.publishers[codec].publish(
            [
                Outgoing(
                    topic=self.source,
                    key=b"%d" % number,
                    value=value + b" %d " % number + b"x" * 100,
                    headers=(("n", b"%d" % number),),
                    partition=number % len(self.places),
                )
                for number in numbers
            ]
        )
        self.sent += count

    def start(self, kind="batch", environment=None, **more):
        config = {
            "bootstrap": self.kafka.bootstrap,
            "client": {"session.timeout.ms": "6000"},  # the least that a broker takes
            "directory": str(self.directory),
            "group": self.group,
            "topics": [self.source],
            "letters": self.letters,
            "kind": kind,
            "most_ms": 0,
            **more,
        }
        self.agents.append(Agent(config, self.directory, environment))
        return self.agents[-1]

    def close(self):
        for agent in self.agents:
            agent.kill()
        for publisher in self.publishers.values():
            publisher.close()
        self.admin.close()

    def ends(self):
        return self.admin.ends(self.places)

    def committed(self):
        return self.admin.committed(self.group, [self.source])

    def done(self):
        """Offsets of the records whose effect is there, by partition, each as often as it was done."""
        found = defaultdict(list)
        for path in self.directory.glob("done-*"):
            for line in path.read_text(encoding="utf-8").splitlines():
                name, partition, offset = line.split()
                found[name, int(partition)].append(int(offset))
        return {place: sorted(offsets) for place, offsets in found.items()}

    def letters_found(self):
        return list(scan(self.kafka, self.letters))

    def passed_over(self):
        """Records below the committed offsets whose effect is not there; redelivery hides none, as offsets are asked first."""
        committed = self.committed()
        done = {place: set(offsets) for place, offsets in self.done().items()}
        return [
            (place, offset)
            for place, end in committed.items()
            for offset in range(end or 0)
            if offset not in done.get(place, set())
        ]

    def until(self, condition, *, within_s=60.0):
        """Wait; answers whether it came true."""
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            if condition():
                return True
            time.sleep(0.1)
        return False

    def until_caught_up(self, *, within_s=60.0):
        assert self.until(lambda: self.committed() == self.ends(), within_s=within_s), self.trouble()

    def until_some(self, count=1, *, within_s=30.0):
        """Until so many effects are there."""
        assert self.until(lambda: sum(map(len, self.done().values())) >= count, within_s=within_s), self.trouble()

    def trouble(self):
        """What a person wants to see when a test fails."""
        logs = "\n".join(
            f"{agent.process.pid} ({agent.process.poll()}): {agent.log.read_text(errors='replace')[-1500:]}"
            for agent in self.agents
        )
        return f"committed {self.committed()}, ends {self.ends()}\n{logs}"
