"""Whether ten times the rows take ten times the time, and no more memory.

Rows go into `omero.eventlog` in one Kafka transaction, so that the relay sees none of them before it sees all. The clock runs
from the commit to the last event. Each round has a new relay, and every row is a new one.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks import facility
from benchmarks.bars import at_most
from benchmarks.site import Site, peak_rss_mb, site, time_of, until
from pipeline.errors import DependencyDown
from pipeline.kafka.admin import KafkaAdmin
from pipeline.wire import topics

TIMES = 10
# What an accidental n log n or a table without an index would break; below it is the noise of a shared machine.
BAR, WISH = 12.0, 10.5
MEMORY_BAR = 1.1
ROWS, QUICK_ROWS = 50_000, 4_000
# Enough to fill every buffer once, so that what grows after it grows with the rows: after 40,000 librdkafka's were not full,
# and 300,000 rows more took 1.36 times the memory, which a million did not exceed.
WARM_UP_ROWS, QUICK_WARM_UP_ROWS = 300_000, 40_000
ROUNDS = 3
WITHIN_S = 300.0


def run(*, quick: bool) -> Mapping[str, Any]:
    """Measure; see `python -m benchmarks`."""
    rows = QUICK_ROWS if quick else ROWS
    warm_up_rows = QUICK_WARM_UP_ROWS if quick else WARM_UP_ROWS
    all_rows = ROUNDS * (warm_up_rows + rows + TIMES * rows)
    with site(parts=("postgres", "kafka")) as here:
        with here.omero(autocommit=False) as connection:
            facility.fill(connection, rows=all_rows)
        with here.omero() as connection:
            connection.execute("vacuum analyze")
        source = facility.eventlog(rows=all_rows)
        rounds = [_round(here, source, rows, warm_up_rows) for _ in range(ROUNDS)]
    ratio = statistics.median(one["long_s"] / one["short_s"] for one in rounds)
    memory = statistics.median(one["long_mb"] / one["short_mb"] for one in rounds)
    return {
        "bars": [
            at_most(f"time for {TIMES} times the rows", round(ratio, 2), BAR, "times"),
            at_most(f"memory for {TIMES} times the rows", round(memory, 3), MEMORY_BAR, "times"),
        ],
        "peer": "itself, with a tenth of the rows",
        "wish": WISH,
        "within_wish": ratio <= WISH,
        "rows": [rows, TIMES * rows],
        "warm_up_rows": warm_up_rows,
        "rounds": [{key: round(value, 3) for key, value in one.items()} for one in rounds],
        "method": f"median of {ROUNDS} rounds' ratios",
    }


def _round(here: Site, source: Iterator[facility.Row], rows: int, warm_up_rows: int) -> dict[str, float]:
    """A new relay, warmed up, that gets the few and then the many: seconds and peak memory of each."""
    process = here.start_relay()
    try:
        _time(here, process, source, warm_up_rows)
        short_s, short_mb = _time(here, process, source, rows)
        long_s, long_mb = _time(here, process, source, TIMES * rows)
    finally:
        here.stop_relay()
    return {"short_s": short_s, "long_s": long_s, "short_mb": short_mb, "long_mb": long_mb}


def _time(here: Site, process: psutil.Process, source: Iterator[facility.Row], rows: int) -> tuple[float, float]:
    """Seconds from the commit of so many rows to their last event, and the relay's peak memory until then."""
    with KafkaAdmin(here.settings.kafka) as admin:
        name = here.topic(topics.EVENTS)
        places = [(name, partition) for partition in range(topics.EVENTS.partitions)]

        def there() -> int:
            if process.status() == psutil.STATUS_ZOMBIE:
                raise RuntimeError("the relay ended; its reason stands above")
            try:
                return sum(admin.ends(places).values())
            except DependencyDown:
                # On a busy machine a broker that missed its own heartbeat has no leader for a moment.
                return -1

        while (before := there()) < 0:
            time.sleep(0.1)
        began_ms = _send(here, itertools.islice(source, rows))
        until(lambda: there() >= before + rows, within_s=WITHIN_S)
    return max(0.001, (_last_ms(here) - began_ms) / 1000), peak_rss_mb(process)


def _send(here: Site, rows: Iterator[facility.Row]) -> float:
    """All of them as Debezium would send them, or none; when they became visible [ms since 1970]."""
    with here.omero() as connection:
        ((xid,),) = connection.execute("select pg_current_xact_id()::text::int8").fetchall()
    producer = Producer(
        {"bootstrap.servers": here.settings.kafka.bootstrap, "compression.type": "lz4", "transactional.id": "bench-growth"}
    )
    producer.init_transactions()
    producer.begin_transaction()
    for row in rows:
        key, value = facility.as_debezium(row, xid=xid % 2**32, commit_us=1_800_000_000_000_000)
        while True:
            try:
                producer.produce(here.topic(topics.EVENTLOG), key=key, value=value)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
    began_ms = time.time_ns() / 1e6
    producer.commit_transaction()
    return began_ms


def _last_ms(here: Site) -> int:
    """When the relay wrote its newest event [ms since 1970]."""
    consumer = Consumer({"bootstrap.servers": here.settings.kafka.bootstrap, "group.id": "bench", "enable.auto.commit": False})
    times = []
    for partition in range(topics.EVENTS.partitions):
        place = TopicPartition(here.topic(topics.EVENTS), partition)
        place.offset = consumer.get_watermark_offsets(place)[1] - 1
        if place.offset >= 0:
            consumer.assign([place])
            times.append(time_of(consumer.poll(30)))
    consumer.close()
    return max(times)
