"""The worker with deferred acknowledgement and our delivery core against stock Faust with an empty agent, on one filled topic."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bars import at_least
from pipeline.delivery.batch import Rejected
from pipeline.delivery.compose import LetterMaker
from pipeline.delivery.deliver import Delivery
from pipeline.delivery.gate import Gatekeeper, MemoryGateStore
from pipeline.delivery.record import Outgoing, Record
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.publish import KafkaPublisher
from pipeline.process import logs
from pipeline.process.notify import Notifier
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings, StackSettings
from pipeline.settings.model import KafkaSettings, LogSettings
from pipeline.stack import directory as data_directory
from pipeline.stack.parts import Options
from pipeline.stack.stack import Stack
from pipeline.wire.topics import Topic
from pipeline.worker.run import BatchAgent, Worker
from pipeline.worker.run import run as run_worker

BAR = 0.9
PARTITIONS = 6
VALUE_BYTES = 300
MARK_EVERY = 1000
RECORDS = {False: 200_000, True: 60_000}
ROUNDS = {False: 5, True: 3}
ROOT = Path(__file__).resolve().parents[1]


def run(*, quick: bool = False) -> dict[str, Any]:
    records = RECORDS[quick]
    logs.configure(LogSettings(level="warning"), "bench")
    with (
        tempfile.TemporaryDirectory(prefix="omero-mq-bench-", ignore_cleanup_errors=True) as directory,
        _kafka(directory) as bootstrap,
    ):
        topic = f"bench-{uuid.uuid4().hex[:8]}"
        _fill(bootstrap, topic, records)
        rates = [_side_by_side(bootstrap, topic, records) for _ in range(ROUNDS[quick])]
    ratio = statistics.median(rate["ours"] / rate["stock"] for rate in rates)
    return {
        "bars": [at_least("our worker, one agent", round(ratio, 3), BAR, "of stock Faust's rate")],
        "peer": "faust-streaming 0.15.3, uvloop, empty agent, its own acknowledgement",
        "records": records,
        "rounds": ROUNDS[quick],
        "method": "side by side on the same cores, rates over the seconds in which both read; median of the rounds' ratios",
        "ours_per_s": [round(rate["ours"]) for rate in rates],
        "stock_per_s": [round(rate["stock"]) for rate in rates],
    }


class _kafka:  # noqa: N801  used like a function
    """A broker: the one that `OMERO_MQ_BENCH_KAFKA` names, else one of its own."""

    def __init__(self, directory: str) -> None:
        self._given = os.environ.get("OMERO_MQ_BENCH_KAFKA", "")
        home = os.environ.get("OMERO_MQ_STACK_JVM_DIRECTORY") or str(data_directory.chosen("").jvm)
        settings = Settings(stack=StackSettings(data_directory=directory, jvm_directory=home))
        self._stack = Stack(settings, environment=os.environ, options=Options(parts=("kafka",)), command="benchmarks faust")

    def __enter__(self) -> str:
        return self._given or self._stack.start("kafka").kafka_bootstrap

    def __exit__(self, *_: object) -> None:
        if not self._given:
            self._stack.stop()


def _fill(bootstrap: str, topic: str, records: int) -> None:
    kafka = KafkaSettings(bootstrap=bootstrap)
    declared = Topic(
        name=topic, key="", format="original", schema="", partitions=PARTITIONS, retention_ms=-1, written_by="", read_by=""
    )
    with KafkaAdmin(kafka) as admin, KafkaPublisher(kafka, timeout_s=60) as publisher:
        admin.create([declared])
        value = os.urandom(VALUE_BYTES)
        for start in range(0, records, 20_000):
            publisher.publish(
                [
                    Outgoing(topic=topic, key=b"Image:%d" % number, value=value, partition=number % PARTITIONS)
                    for number in range(start, min(records, start + 20_000))
                ]
            )


def _side_by_side(bootstrap: str, topic: str, records: int) -> dict[str, float]:
    """Records per second of both, in the seconds in which both were reading: whatever the machine does besides falls on both."""
    children = {}
    for who in ("ours", "stock"):
        group = f"{topic}-{who}-{uuid.uuid4().hex[:6]}"
        with KafkaAdmin(KafkaSettings(bootstrap=bootstrap)) as admin:
            admin.create_group(group, [topic])
        command = [sys.executable, "-m", "benchmarks.faust", who, bootstrap, topic, group, str(records)]
        children[who] = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    marks = {}
    for who, child in children.items():
        out, _ = child.communicate(timeout=300)
        if child.returncode != 0:
            raise RuntimeError(f"{who} ended with {child.returncode}: {out.decode()[-500:]}")
        marks[who] = [(float(at), int(count)) for at, count in json.loads(out.decode().strip().splitlines()[-1])]
    began_s, ended_s = max(m[0][0] for m in marks.values()), min(m[-1][0] for m in marks.values())
    return {who: (_at(mine, ended_s) - _at(mine, began_s)) / (ended_s - began_s) for who, mine in marks.items()}


def _at(marks: Sequence[tuple[float, int]], moment_s: float) -> float:
    """How many records were read by then, between two marks in proportion."""
    for (before_s, before), (after_s, after) in itertools.pairwise(marks):
        if before_s <= moment_s <= after_s:
            return before + (after - before) * (moment_s - before_s) / max(after_s - before_s, 1e-9)
    return float(marks[-1][1])


class _Count:
    """Counts records; notes when which number was reached, and says so at the end."""

    def __init__(self, records: int) -> None:
        self._records = records
        self._seen = 0
        self._marks: list[tuple[float, int]] = []

    def add(self, count: int) -> bool:
        """Whether all are seen."""
        self._seen += count
        if self._marks and self._seen - self._marks[-1][1] < MARK_EVERY and self._seen < self._records:
            return False
        self._marks.append((time.monotonic(), self._seen))
        if self._seen < self._records:
            return False
        print(json.dumps(self._marks), flush=True)
        return True


def _ours(bootstrap: str, topic: str, group: str, records: int) -> None:
    logs.configure(LogSettings(level="warning"), "bench")
    stop, count = StopSignal(), _Count(records)
    stop.install()

    def process(batch: Sequence[Record]) -> Iterable[Rejected]:
        if count.add(len(batch)):
            stop.set()
        return ()

    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    kafka = KafkaSettings(bootstrap=bootstrap)
    letters = LetterMaker(
        consumer="bench", group=group, topic="none", worker="bench", version="0", now_ms=now_ms, limit_bytes=1_000_000
    )
    with KafkaPublisher(kafka) as publisher:
        run_worker(
            Worker(
                group=group,
                name="bench",
                kafka=kafka,
                agents=(BatchAgent(name="bench", topics=(topic,), process=process),),
                delivery=Delivery(letters=letters, publisher=publisher, random=random.random),
                gatekeeper=Gatekeeper(MemoryGateStore(), "bench"),
                stop=stop,
                voice=Notifier({}),
                now_ms=now_ms,
            )
        )


def _stock(bootstrap: str, topic: str, group: str, records: int) -> None:
    import faust  # noqa: PLC0415
    import uvloop  # noqa: PLC0415

    async def main() -> None:
        # As Faust's guide has it: only what the topic needs is set.
        app = faust.App(
            group, broker=f"kafka://{bootstrap}", topic_allow_declare=False, topic_disable_leader=True, web_enabled=False
        )
        count, ended = _Count(records), asyncio.Event()

        async def empty(stream: Any) -> None:
            async for _event in stream.events():
                if count.add(1):
                    ended.set()

        app.agent(app.topic(topic, key_serializer="raw", value_serializer="raw"), name="empty")(empty)
        await app.start()
        await ended.wait()
        await app.stop()

    # Faust writes a directory where it stands.
    with tempfile.TemporaryDirectory(prefix="omero-mq-bench-stock-", ignore_cleanup_errors=True) as here:
        os.chdir(here)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())


if __name__ == "__main__":
    {"ours": _ours, "stock": _stock}[sys.argv[1]](sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
