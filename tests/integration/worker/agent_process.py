"""A worker process for tests: writes what it has done to a file of its own, one line a record, before it may be acknowledged."""

import json
import os
import random
import sys
import time
from pathlib import Path

from pipeline.delivery.batch import Rejected
from pipeline.delivery.compose import LetterMaker
from pipeline.delivery.deliver import Delivery
from pipeline.delivery.gate import Gatekeeper, MemoryGateStore
from pipeline.delivery.retry import RetryPolicy
from pipeline.errors import DependencyDown, OmeroMqError, Permanent
from pipeline.kafka.publish import KafkaPublisher
from pipeline.process import logs
from pipeline.process.notify import Notifier
from pipeline.process.signals import StopSignal
from pipeline.settings.model import KafkaSettings, LogSettings, StateSettings
from pipeline.state.gates import PostgresGateStore
from pipeline.state.pool import StateDatabase
from pipeline.worker.run import BatchAgent, RecordAgent, Rhythm, Worker, run


class Effect:
    """What the agent does, as the test wants it.

    A line in the file is the effect. While the file `away` exists, a dependency is away; while `hang` exists, an effect hangs.
    A record whose value begins with "bad" can never be done.
    """

    def __init__(self, directory, most_ms):
        self.directory = Path(directory)
        self.most_ms = most_ms
        self.out = os.open(self.directory / f"done-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.random = random.Random(os.getpid())

    def process(self, records):
        self.wait()
        bad = [record for record in records if record.value.startswith(b"bad")]
        self.write([record for record in records if record not in bad])
        return [Rejected(record=record, error=Permanent("bad from the start")) for record in bad]

    async def handle(self, record):
        self.wait()
        if record.value.startswith(b"bad"):
            raise Permanent("bad from the start")
        self.write([record])

    def wait(self):
        if (self.directory / "away").exists():
            (self.directory / "waiting").touch()
            raise DependencyDown("test-database", "away")
        while (self.directory / "hang").exists():
            (self.directory / "hanging").touch()
            time.sleep(0.05)
        time.sleep(self.random.random() * self.most_ms / 1000)

    def write(self, records):
        os.write(self.out, b"".join(b"%s %d %d\n" % (r.topic.encode(), r.partition, r.offset) for r in records))


def main(config):
    logs.configure(LogSettings(format="json"), "test-agent")
    kafka = KafkaSettings(bootstrap=config["bootstrap"], client=config.get("client", {}))
    stop = StopSignal()
    stop.install()
    effect = Effect(config["directory"], config["most_ms"])
    topics = tuple(config["topics"])
    store = PostgresGateStore(StateDatabase(StateSettings(**config["state"]), service="test")) if "state" in config else None
    letters = LetterMaker(
        consumer="test",
        group=config["group"],
        topic=config["letters"],
        worker=str(os.getpid()),
        version="0",
        now_ms=now_ms,
        limit_bytes=1_000_000,
    )
    with KafkaPublisher(KafkaSettings(bootstrap=config["bootstrap"]), timeout_s=5.0) as publisher:
        policy = RetryPolicy(base_s=0.01, dependency_base_s=0.1, dependency_cap_s=0.5)
        worker = Worker(
            group=config["group"],
            name=f"test:{os.getpid()}",
            kafka=kafka,
            agents=(
                BatchAgent(name="test", topics=topics, process=effect.process, rhythm=Rhythm(rows=config.get("rows", 500)))
                if config["kind"] == "batch"
                else RecordAgent(name="test", topics=topics, handle=effect.handle),
            ),
            delivery=Delivery(letters=letters, publisher=publisher, random=random.random, policy=policy),
            gatekeeper=Gatekeeper(store or MemoryGateStore(), "test"),
            stop=stop,
            voice=Notifier(os.environ),
            now_ms=now_ms,
            stalled_after_s=config.get("stalled_after_s", 60.0),
            drain_s=config.get("drain_s", 20.0),
        )
        try:
            run(worker)
        except OmeroMqError as error:
            print(json.dumps({"error": str(error), "fix": error.fix, "type": type(error).__name__}), flush=True)
            return 1
    return 0


def now_ms():
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
