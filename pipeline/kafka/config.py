"""Configurations of librdkafka clients: what we must have, what we prefer, and what a site passes on unchanged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import structlog
from confluent_kafka import KafkaException

from pipeline.errors import Misconfigured
from pipeline.settings.model import KafkaSettings

Client = TypeVar("Client")

# Our guarantees rest on these; a site that changes one would lose records without being told.
PRODUCER_MUST: Mapping[str, Any] = {
    "acks": "all",
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,  # a failed record stops the later ones, or a repetition would turn their order round
    "partitioner": "murmur2_random",  # Java's: records of one key meet in one partition, whoever wrote them
    "delivery.report.only.error": True,
    # For ever: a record that timed out by itself would let the next one of its key overtake it. The publisher gives up on all.
    "message.timeout.ms": 0,
}
CONSUMER_MUST: Mapping[str, Any] = {
    "enable.auto.commit": True,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",  # a lost position is an error with a name, never a silent jump
    "partition.assignment.strategy": "cooperative-sticky",
    "enable.partition.eof": False,
}
PRODUCER_LIKES: Mapping[str, Any] = {
    "compression.type": "lz4",
    "linger.ms": 5,  # flush() does not wait for it, so it costs a waiting caller nothing
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 500_000,
    "queue.buffering.max.kbytes": 262_144,
    # The broker's limit per topic decides; this one only has to be above the largest topic's.
    "message.max.bytes": 16_000_000,
}
CONSUMER_LIKES: Mapping[str, Any] = {
    "auto.commit.interval.ms": 1000,
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 2000,
    # Waiting in place for a database is not death; the supervisor's watchdog decides what is.
    "max.poll.interval.ms": 86_400_000,
    "fetch.wait.max.ms": 500,  # an answer comes as soon as one record is there; this is only how long an empty fetch waits
    "fetch.min.bytes": 1,
    "fetch.error.backoff.ms": 100,
    "fetch.message.max.bytes": 1_048_576,
    # Bounds memory while a batch is being worked on: small records take several times their size, 32 MB of them 200 MB.
    "queued.max.messages.kbytes": 4096,
}
BOTH_LIKE: Mapping[str, Any] = {
    "client.id": "omero-mq",
    "statistics.interval.ms": 0,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,  # back at work a second after the broker is
    "topic.metadata.refresh.sparse": True,
    "broker.address.family": "any",
    "log.connection.close": False,
}


class ClientLog:
    """librdkafka's own lines as structured log records instead of raw text on standard error."""

    def log(self, level: int, _format: str, facility: str, client: str, line: str) -> None:
        """What confluent-kafka calls for each line."""
        if "enable.gapless.guarantee" in line or "Gap-less" in line:
            return  # stopping after a gap is what we ask for, and the publisher reports the cause
        if facility == "CONFWARN" and "will be ignored by this" in line:
            return  # kafka.client is one table for producers and consumers: each passes over what is the other's
        # Single connections come and go, several times a second while a broker is away; whoever needed one reports that.
        level = logging.DEBUG if facility in {"FAIL", "GETPID", "SESSTMOUT"} else level
        structlog.get_logger("librdkafka").log(level, "kafka.client_said", facility=facility, client=client, line=line)


def admin_config(kafka: KafkaSettings) -> dict[str, Any]:
    """For asking and creating.

    Raises:
        Misconfigured: ``kafka.client`` sets something that is ours to set.
    """
    # Quiet: it is polled by nobody, so its lines would pile up unread; whatever matters comes as the answer's error.
    return _merged(kafka, {"log_level": 0}, {})


def producer_config(kafka: KafkaSettings, *, timeout_s: float) -> dict[str, Any]:
    """For writing; ``timeout_s`` bounds how long one answer is waited for [s].

    Raises:
        Misconfigured: ``kafka.client`` sets something that our guarantees rest on.
    """
    timeout_ms = max(1000, min(30_000, int(timeout_s * 1000)))
    # A frozen broker answers nothing: the request in flight must not outlive the call.
    bounds = {
        "socket.timeout.ms": timeout_ms,
        "request.timeout.ms": timeout_ms,
        # A topic that was just created is not an error yet; one that is missing for longer is.
        "topic.metadata.propagation.max.ms": min(3000, timeout_ms // 2),
    }
    return _merged(kafka, {**PRODUCER_LIKES, **bounds}, PRODUCER_MUST)


def consumer_config(kafka: KafkaSettings, *, group: str) -> dict[str, Any]:
    """For reading as a member of ``group``.

    Raises:
        Misconfigured: ``kafka.client`` sets something that our guarantees rest on.
    """
    return _merged(kafka, CONSUMER_LIKES, {**CONSUMER_MUST, "group.id": group})


def place_config(kafka: KafkaSettings, *, group: str) -> dict[str, Any]:
    """For reading and writing a group's places without being a member of it."""
    return _merged(kafka, {"log_level": 0}, {"group.id": group, "enable.auto.commit": False, "enable.auto.offset.store": False})


def look_config(kafka: KafkaSettings) -> dict[str, Any]:
    """For looking at records without being a member of anything: no group is joined and nothing is ever committed."""
    must = {
        "group.id": f"{kafka.prefix}-look",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
    }
    likes = {"fetch.wait.max.ms": 50, "fetch.min.bytes": 1, "queued.max.messages.kbytes": 8192}
    return _merged(kafka, likes, must)


def _merged(kafka: KafkaSettings, likes: Mapping[str, Any], must: Mapping[str, Any]) -> dict[str, Any]:
    ours = {**must, "bootstrap.servers": kafka.bootstrap}
    for name in kafka.client:
        if name in PRODUCER_MUST or name in CONSUMER_MUST or name in {"bootstrap.servers", "group.id", "metadata.broker.list"}:
            raise Misconfigured(
                f"kafka.client sets {name}, which is not a site's to choose",
                fix=f"remove {name} from kafka.client (brokers are set with kafka.bootstrap)",
            )
    return {**BOTH_LIKE, **likes, **kafka.client, **ours, "logger": ClientLog()}


def made(make: Callable[[dict[str, Any]], Client], config: dict[str, Any]) -> Client:
    """A client from its configuration; what librdkafka does not know or take is said in our words.

    Raises:
        Misconfigured: a property is unknown or has a value that librdkafka refuses.
    """
    try:
        return make(config)
    except KafkaException as exc:
        reason = exc.args[0].str()
        raise Misconfigured(
            f"librdkafka refuses its configuration: {reason}",
            fix="correct the property in kafka.client; the names are those of librdkafka's CONFIGURATION.md",
        ) from exc
