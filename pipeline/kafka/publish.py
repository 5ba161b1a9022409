"""Writes records so that they survive: idempotent, acknowledged by all in-sync replicas, within a bounded time."""

# ruff: noqa: SLF001  (librdkafka's own errors are constants whose names begin with an underscore)
from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from pipeline.delivery.record import Outgoing
from pipeline.errors import DependencyDown, OmeroMqError
from pipeline.kafka.config import made, producer_config
from pipeline.kafka.trouble import TOO_LARGE, meaning
from pipeline.settings.model import KafkaSettings

IMPATIENT_S = 0.1
BROKERS = "see whether the brokers in kafka.bootstrap run and can be reached"
SERVE_EVERY = 10_000  # records between two looks at what came back
FOLLOWED = frozenset({KafkaError._GAPLESS_GUARANTEE, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._FATAL})

Failure = KafkaError | None  # None: not handed over, because another failed first


@dataclass(slots=True)
class _Tally:
    failures: dict[int, Failure] = field(default_factory=dict)
    broken: bool = False  # the client broke down, so that nothing is certain


class KafkaPublisher:
    """A `Publisher` on librdkafka; one per process, safe to call from several threads (calls wait for one another).

    Args:
        kafka: where and how.
        timeout_s: how long one `publish` tries before it says that Kafka is away [s].
    """

    def __init__(self, kafka: KafkaSettings, *, timeout_s: float = 30.0) -> None:
        self._seen = ""  # librdkafka's latest complaint, for the message when nothing else is known
        self._config = {**producer_config(kafka, timeout_s=timeout_s), "error_cb": self._note}
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._producer: Producer | None = made(Producer, self._config)

    def publish(self, records: Sequence[Outgoing]) -> None:
        """See `Publisher.publish`."""
        with self._lock:
            failures = self._send(records)
            if any(error is not None and error.code() in TOO_LARGE for error in failures.values()):
                records = [records[index] for index in sorted(failures)]
                failures = self._one_by_one(records)
            if failures:
                raise _worst(failures, records)

    def close(self) -> None:
        """Give up what is still unacknowledged; nothing that `publish` returned from is."""
        with self._lock:
            producer, self._producer = self._producer, None
            if producer is not None:
                _drop(producer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _send(self, records: Sequence[Outgoing]) -> dict[int, Failure]:
        """Write what can be written; answers what was not, by its place in ``records``."""
        producer = self._producer
        if producer is None:
            producer = self._producer = made(Producer, self._config)
        tally = _Tally()
        until = time.monotonic() + self._timeout_s
        self._seen = ""
        try:
            handed_over = self._hand_over(producer, records, tally, until)
            while self._left(producer, tally, max(0.0, until - time.monotonic())):
                self._check_time(until)
        except BaseException:
            # Also on Ctrl-C: what was queued and not reported must not be sent behind the caller's back.
            self._producer = None
            _drop(producer)
            raise
        if not tally.failures and not tally.broken:
            return {}
        # After a gap the producer lets nothing through that came later (enable.gapless.guarantee), so that a repetition
        # cannot put an old record of a key behind a newer one. It is beyond repair; the next call makes another.
        self._producer = None
        _drop(producer)
        unknown = range(len(records)) if tally.broken else range(handed_over, len(records))
        return {**dict.fromkeys(unknown, None), **tally.failures}

    def _hand_over(self, producer: Producer, records: Sequence[Outgoing], tally: _Tally, until: float) -> int:
        """Queue the records; answers how many were tried: after a failure the rest would only make a longer repetition."""
        produce = producer.produce
        for index, record in enumerate(records):
            arguments = _arguments(record)
            arguments["on_delivery"] = _noting(index, tally.failures)
            while True:
                try:
                    produce(**arguments)
                    break
                except BufferError:  # librdkafka's queue is full
                    self._left(producer, tally, 0.05)
                    self._check_time(until)
                except KafkaException as exc:
                    tally.failures[index] = exc.args[0]
                    return index + 1
            if index % SERVE_EVERY == 0:
                self._left(producer, tally, 0.0)
                if tally.failures or tally.broken:
                    return index + 1
        return len(records)

    def _left(self, producer: Producer, tally: _Tally, wait_s: float) -> int:
        """Serve what came back for a while; answers how many records are still under way."""
        try:
            if wait_s > IMPATIENT_S:
                producer.flush(wait_s)
            else:
                producer.poll(wait_s)  # flush() would end the lingering that makes batches
        except (KafkaException, SystemError):
            # A fatal error is thrown through whichever callback runs at that moment, and what that one had to say may be
            # lost. So no record of this call counts as written.
            tally.broken = True
        return len(producer)

    def _check_time(self, until: float) -> None:
        if time.monotonic() >= until:
            seen = f"; last heard: {self._seen}" if self._seen else ""
            raise DependencyDown("kafka", f"no acknowledgement within {self._timeout_s:g} s{seen}", fix=BROKERS)

    def _note(self, error: KafkaError) -> None:
        # Also keeps confluent-kafka from raising fatal errors out of poll(); they come back as the failures that they are.
        self._seen = error.str()

    def _one_by_one(self, records: Sequence[Outgoing]) -> dict[int, Failure]:
        """The broker refuses a whole batch for its size; alone, only that one fails that is too large itself."""
        for index, record in enumerate(records):
            failures = self._send([record])
            if failures:
                return {index: failures[0]}
        return {}


def _arguments(record: Outgoing) -> dict[str, Any]:
    arguments: dict[str, Any] = {"topic": record.topic, "value": record.value, "key": record.key}
    if record.headers:
        record.check_header_names()
        arguments["headers"] = list(record.headers)
    if record.partition is not None:
        arguments["partition"] = record.partition
    if record.timestamp_ms is not None and record.timestamp_ms >= 0:
        arguments["timestamp"] = record.timestamp_ms
    return arguments


def _noting(index: int, failures: dict[int, Failure]) -> Any:
    # Only called for failures (delivery.report.only.error), so a million good records cost no callback.
    def note(error: KafkaError | None, _message: Any) -> None:
        if error is not None:
            failures[index] = error

    return note


def _worst(failures: Mapping[int, Failure], records: Sequence[Outgoing]) -> OmeroMqError:
    """The failure to report: those that only followed from another, and those that pass by themselves, come last."""

    def lightness(index: int) -> tuple[int, int]:
        error = failures[index]
        if error is None or error.code() in FOLLOWED:
            return 2, index
        return (1 if isinstance(meaning(error), DependencyDown) else 0), index

    index = min(failures, key=lightness)
    error, record = failures[index], records[index]
    detail = f"{record.size} bytes, {len(failures)} of {len(records)} records not written"
    if error is None:
        return DependencyDown("kafka", detail)
    return meaning(error, topic=record.topic, detail=detail)


def _drop(producer: Producer) -> None:
    producer.purge(in_queue=True, in_flight=True, blocking=False)
    producer.flush(1.0)
