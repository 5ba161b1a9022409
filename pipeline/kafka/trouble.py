"""What a Kafka error means for us: the broker is away, the record is too large, or a person must act."""

# ruff: noqa: SLF001  (librdkafka's own errors are constants whose names begin with an underscore)
from __future__ import annotations

from confluent_kafka import KafkaError

from pipeline.errors import DependencyDown, Misconfigured, OmeroMqError, Permanent, RecordTooLarge

TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE})
NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
FORBIDDEN = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
# The broker looked at this one record and will never take it, e.g. a time in the far future.
REFUSED = frozenset({KafkaError.INVALID_RECORD, KafkaError.INVALID_TIMESTAMP})
WRONG = frozenset(
    {
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,
        KafkaError._INVALID_ARG,
        KafkaError._SSL,
    }
)


def meaning(error: KafkaError, *, topic: str = "", detail: str = "") -> OmeroMqError:
    """The error of ours that says what happens next; whatever is not known to be otherwise may pass by itself.

    Args:
        error: librdkafka's.
        topic: which topic it was about, if it was about one.
        detail: what more is known, e.g. a record's size.
    """
    where = f" ({topic}{': ' if topic and detail else ''}{detail})" if topic or detail else ""
    code, text = error.code(), error.str()
    if code in TOO_LARGE:
        return RecordTooLarge(f"record is beyond what the topic takes{where}: {text}", fix="raise max.message.bytes of the topic")
    if code in REFUSED:
        return Permanent(f"Kafka refuses this record{where}: {text}")
    if code in NO_TOPIC:
        return Misconfigured(f"no such topic or partition{where}: {text}", fix="run `omero-mq topic create`")
    if code in FORBIDDEN:
        return Misconfigured(f"Kafka does not allow it{where}: {text}", fix="grant this client's principal the access it needs")
    if code in WRONG:
        return Misconfigured(
            f"Kafka refuses it{where}: {text}", fix="compare with `omero-mq topic check` and the setting kafka.client"
        )
    return DependencyDown("kafka", f"{text}{where}", fix="see whether the brokers in kafka.bootstrap run and can be reached")
