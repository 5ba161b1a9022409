"""How long after COMMIT has returned another process sees the public event, at a hundred rows a second."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from benchmarks import facility
from benchmarks.bars import at_most
from benchmarks.site import Site, site, until
from pipeline.wire import topics
from pipeline.wire.messages import EVENT

P50_MS, P95_MS = 80.0, 150.0
ROWS_PER_S = 100
# Java compiles and caches fill meanwhile; a facility's server has been running since last month.
WARM_UP_S, QUICK_WARM_UP_S = 20.0, 8.0
SECONDS, QUICK_SECONDS = 60.0, 12.0
PROFILE = "small"


def run(*, quick: bool) -> Mapping[str, Any]:
    """Measure; see `python -m benchmarks`."""
    warm_up_s, seconds = (QUICK_WARM_UP_S, QUICK_SECONDS) if quick else (WARM_UP_S, SECONDS)
    with site(profile=PROFILE) as here:
        with here.omero(autocommit=False) as connection:
            facility.fill(connection, rows=10_000)
        here.start_connector()
        here.start_relay()
        seen: multiprocessing.Queue[tuple[int, int]] = multiprocessing.get_context("spawn").Queue()
        reader = multiprocessing.get_context("spawn").Process(
            target=_watch, args=(here.settings.kafka.bootstrap, here.topic(topics.EVENTS), seen), daemon=True
        )
        reader.start()
        committed = _work(here, warm_up_s + seconds)
        waits = _collect(committed, seen, after=int(warm_up_s * ROWS_PER_S))
        reader.terminate()
    p50, p95, p99 = (waits[int(len(waits) * part)] for part in (0.5, 0.95, 0.99))
    return {
        "bars": [
            at_most("from COMMIT to event, median", round(p50, 1), P50_MS, "ms"),
            at_most("19 of 20 within", round(p95, 1), P95_MS, "ms"),
        ],
        "peer": "none: OMERO has no events",
        "p99": round(p99, 1),
        "slowest": round(waits[-1], 1),
        "rows": len(waits),
        "rows_per_s": ROWS_PER_S,
        "profile": PROFILE,
    }


def _work(here: Site, seconds: float) -> dict[int, int]:
    """One row in one transaction, so many times a second; when each COMMIT had returned [ns], by row id."""
    committed: dict[int, int] = {}
    with here.omero(autocommit=False) as connection:
        began_s = time.monotonic()
        for turn in range(int(seconds * ROWS_PER_S)):
            id_ = facility.FIRST_ID + turn
            image = facility.FIRST_ID + 1 + turn % 200
            connection.execute("update image set description = %s where id = %s", (str(turn), image))
            connection.execute(
                "insert into eventlog (id, permissions, action, entitytype, entityid, event)"
                " values (%s, -35, 'UPDATE', %s, %s, %s)",
                (id_, "ome.model.core.Image", image, facility.FIRST_ID + 1),
            )
            connection.commit()
            committed[id_] = time.time_ns()
            time.sleep(max(0.0, began_s + (turn + 1) / ROWS_PER_S - time.monotonic()))
    return committed


def _collect(committed: Mapping[int, int], seen: Any, *, after: int) -> list[float]:
    """Waiting times without the warm-up, shortest first [ms]; waits until every row was seen."""
    at: dict[int, int] = {}

    def all_there() -> bool:
        while not seen.empty():
            id_, time_ns = seen.get()
            at.setdefault(id_, time_ns)
        return len(at) == len(committed)

    until(all_there, within_s=60)
    return sorted((at[id_] - time_ns) / 1e6 for id_, time_ns in list(committed.items())[after:])


def _watch(bootstrap: str, topic: str, seen: Any) -> None:
    """Another process's consumer: says when it had which event."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-watch", "fetch.wait.max.ms": 100})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(topics.EVENTS.partitions)])
    while True:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            now_ns = time.time_ns()
            seen.put((int(EVENT.json.decode(message.value() or b"").data.id), now_ns))
