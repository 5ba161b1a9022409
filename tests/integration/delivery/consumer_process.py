"""A consumer as a process: reads ``source``, fails on values that end in 77, notes the rest in a file. Its tests kill it.

`python consumer_process.py '{"bootstrap": ..., "group": ..., "source": ..., "letters": ..., "effects": ...}'`
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.delivery.batch import Rejected, deliver_batch
from pipeline.delivery.compose import LetterMaker
from pipeline.delivery.deliver import Delivery
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import Undecodable
from pipeline.kafka.consume import KafkaReader
from pipeline.kafka.publish import KafkaPublisher
from pipeline.settings.model import KafkaSettings

given = json.loads(sys.argv[1])
settings = KafkaSettings(bootstrap=given["bootstrap"], client=given["client"])
effects = Path(given["effects"]).open("ab", buffering=0)  # noqa: SIM115  it ends with the process
letters_left = given.get("die_after_letters", 10**9)
stopping = False


def stop(_signal: int, _frame: object) -> None:
    global stopping  # noqa: PLW0603
    stopping = True


class Deadly(KafkaPublisher):
    """Dies between the acknowledgement of a letter and anything that could come after it."""

    def publish(self, records: Sequence[Outgoing]) -> None:
        global letters_left  # noqa: PLW0603
        super().publish(records)
        letters_left -= len(records)
        if letters_left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def process(batch: Sequence[Record]) -> Iterable[Rejected]:
    for record in batch:
        if (record.value or b"").endswith(b"77"):
            raise Undecodable(f"value {record.value!r} ends in 77")
    effects.write(b"".join(b"%b %d\n" % (record.value or b"", record.partition) for record in batch))
    time.sleep(given.get("seconds_per_batch", 0))
    return ()


signal.signal(signal.SIGTERM, stop)
maker = LetterMaker(
    consumer="test",
    group=given["group"],
    topic=given["letters"],
    worker=str(os.getpid()),
    version="0",
    now_ms=lambda: int(time.time() * 1000),
    limit_bytes=1_000_000,
)
with Deadly(settings) as publisher, KafkaReader(settings, group=given["group"], topics=[given["source"]]) as reader:
    delivery = Delivery(letters=maker, publisher=publisher, random=lambda: 0.5)
    while not stopping:
        batch = reader.read(at_most=given.get("at_most", 100), wait_s=0.1)
        outcomes = deliver_batch(batch, process, delivery=delivery, pause=lambda wait_s: time.sleep(wait_s) or stopping)
        reader.done([outcome.record for outcome in outcomes if outcome.finished])
