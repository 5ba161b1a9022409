"""How fast the relay drains a full `omero.eventlog`, against how fast Debezium filled it; and how much memory it takes.

Each works alone on the machine, with tuned settings: Debezium takes up to 4,096 rows at once, for throughput, while the connector
that we ship hands on each row by itself, for latency. Rates are taken from Kafka's times of the records, without the first third:
starting up counts for neither, nor does Java's compiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from benchmarks import facility
from benchmarks.bars import at_least, at_most
from benchmarks.site import Site, peak_rss_mb, site, time_of, until
from pipeline.kafka.admin import KafkaAdmin
from pipeline.wire import topics

BAR = 0.8
MOST_RSS_MB = 250
ROWS, QUICK_ROWS = 300_000, 75_000
# Rows of one transaction; at the end of the program, since it only shows memory.
HUGE, QUICK_HUGE = 1_000_000, 120_000
WITHIN_S = 300.0
FOR_THROUGHPUT = {"max.batch.size": "4096"}  # the wait for more rows plays no part in a flood


def run(*, quick: bool) -> Mapping[str, Any]:
    """Measure; see `python -m benchmarks`."""
    rows, huge = (QUICK_ROWS, QUICK_HUGE) if quick else (ROWS, HUGE)
    with site() as here:
        _write(here, rows)
        here.start_connector(FOR_THROUGHPUT)
        debezium = _rate(here, topics.EVENTLOG, rows)
        here.stop_connector()
        process = here.start_relay()
        relay = _rate(here, topics.EVENTS, rows)
        rss_mb = peak_rss_mb(process)
        _send_one_transaction(here, huge, after=rows)
        _wait_for(here, topics.EVENTS, rows + huge)
        huge_rss_mb = peak_rss_mb(process)
    return {
        "bars": [
            at_least("drains a full topic", round(relay / debezium, 2), BAR, "of Debezium's rate"),
            at_most("its memory", round(rss_mb), MOST_RSS_MB, "MB RSS"),
            at_most(f"its memory in one transaction of {huge:,} rows", round(huge_rss_mb), MOST_RSS_MB, "MB RSS"),
        ],
        "peer": "Debezium 3.7.0 for PostgreSQL on Kafka Connect 4.3.1",
        "rows": rows,
        "relay_rows_per_s": round(relay),
        "debezium_rows_per_s": round(debezium),
        "one_transaction_rows": huge,
    }


def _write(here: Site, rows: int) -> None:
    """The facility, and its eventlog in transactions of a hundred rows."""
    with here.omero(autocommit=False) as connection:
        facility.fill(connection, rows=rows)
    with here.omero(autocommit=False) as connection:
        connection.execute("set synchronous_commit = off")
        batch: list[facility.Row] = []
        for row in facility.eventlog(rows=rows):
            if batch and row.transaction != batch[-1].transaction:
                _insert(connection, batch)
                batch = []
            batch.append(row)
        _insert(connection, batch)
    with here.omero() as connection:
        connection.execute("analyze")


def _insert(connection: Any, batch: list[facility.Row]) -> None:
    columns = "eventlog (id, action, permissions, entityid, entitytype, event)"
    with connection.cursor().copy(f"copy {columns} from stdin") as copy:
        for row in batch:
            copy.write_row((row.id, row.action, -35, row.entityid, row.entitytype, row.event))
    connection.commit()


def _send_one_transaction(here: Site, rows: int, *, after: int) -> None:
    """Rows of one huge transaction, as Debezium would send them; it was measured before, so it is not asked again."""
    with here.omero() as connection:
        ((xid,),) = connection.execute("select pg_current_xact_id()::text::int8").fetchall()
    producer = Producer(
        {"bootstrap.servers": here.settings.kafka.bootstrap, "compression.type": "lz4", "linger.ms": 5, "acks": "all"}
    )
    for row in facility.eventlog(rows=after + rows):
        if row.id < facility.FIRST_ID + after:
            continue
        key, value = facility.as_debezium(row, xid=xid % 2**32, commit_us=1_800_000_000_000_000)
        while True:
            try:
                producer.produce(here.topic(topics.EVENTLOG), key=key, value=value)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def _rate(here: Site, topic: topics.Topic, rows: int) -> float:
    """Records per second, over the last two thirds of them."""
    _wait_for(here, topic, rows)
    began_ms, ended_ms, count = _last_two_thirds(here, topic)
    return count / max(0.001, (ended_ms - began_ms) / 1000)


def _wait_for(here: Site, topic: topics.Topic, rows: int) -> None:
    with KafkaAdmin(here.settings.kafka) as admin:
        name = here.topic(topic)
        places = [(name, partition) for partition in range(admin.partitions([name])[name])]
        until(lambda: sum(admin.ends(places).values()) >= rows, within_s=WITHIN_S)


def _last_two_thirds(here: Site, topic: topics.Topic) -> tuple[float, int, int]:
    """When the first third was there and when everything was (Kafka's times [ms]), and how many records came in between."""
    name = here.topic(topic)
    consumer = Consumer({"bootstrap.servers": here.settings.kafka.bootstrap, "group.id": "bench", "enable.auto.commit": False})
    began: list[int] = []
    ended: list[int] = []
    count = 0
    for partition in range(topic.partitions):
        place = TopicPartition(name, partition)
        low, high = consumer.get_watermark_offsets(place)
        third = low + (high - low) // 3
        count += high - third
        for offset, times in ((third, began), (high - 1, ended)):
            consumer.assign([TopicPartition(name, partition, offset)])
            times.append(time_of(consumer.poll(30)))
    consumer.close()
    return sum(began) / len(began), max(ended), count
