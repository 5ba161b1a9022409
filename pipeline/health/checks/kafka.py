"""Kafka: reachable also where it says that it is, topics as declared, letters kept at least as long as what they are about."""

from __future__ import annotations

from pipeline.health.ask import Away
from pipeline.health.doctor import Check, Verdict, fail, ok, reached, warn
from pipeline.health.examined import Examined, KafkaExamined
from pipeline.health.words import counted
from pipeline.wire import topics
from pipeline.wire.consumers import CONSUMERS
from pipeline.wire.topics import DAY_MS

MORE = "docs/reference/doctor.md#advertised-listener"


def connected(seen: Examined) -> Verdict:
    """Whether a broker answers."""
    if isinstance(seen.kafka, Away):
        return reached(seen.kafka, "")
    return ok(f"{counted(len(seen.kafka.brokers), 'broker')} at {seen.settings.kafka.bootstrap}")


def advertised(seen: Examined) -> Verdict:
    """Whether brokers can be reached where they tell clients to go: the classic, with containers and tunnels."""
    found = _kafka(seen)
    if not found.unreachable:
        return ok("every broker can be reached at the address that it advertises")
    broker, why = found.unreachable[0]
    more = "" if len(found.unreachable) == 1 else f" (and {len(found.unreachable) - 1} more)"
    there = f"{broker.host}:{broker.port}"
    said = f"{seen.settings.kafka.bootstrap} answers but advertises {there}, which cannot be reached: {why}{more}"
    fix = (
        "give the broker a second listener for this network and advertise it, e.g. in server.properties "
        f"advertised.listeners=INTERNAL://{there},EXTERNAL://{seen.settings.kafka.bootstrap}   More: {MORE}"
    )
    return fail(said, fix)


def declared(seen: Examined) -> Verdict:
    """Whether topics exist and are as `topic check` wants them."""
    found = _kafka(seen)
    missing = [one.topic for one in found.differences if one.what == "missing"]
    if missing:
        return fail(f"{counted(len(missing), 'topic')} missing: {', '.join(missing)}", "omero-mq topic create")
    other = sorted(found.differences, key=lambda one: not one.serious)
    if not other:
        return ok(f"{counted(found.topics, 'topic')}: partitions, copies, retention and record sizes are as declared")
    first = other[0]
    more = f" (and {len(other) - 1} more: omero-mq topic check)" if len(other) > 1 else ""
    said = f"{first.topic}: {first.what} is {first.found}, declared is {first.wanted}{more}"
    return (fail if first.serious else warn)(said, first.fix)


def letters_kept(seen: Examined) -> Verdict:
    """Whether a letter outlives the record that it is about."""
    found, prefix = _kafka(seen).retention_ms, seen.settings.kafka.prefix
    for spec in CONSUMERS:
        if not (spec.letters and spec.runs):
            continue
        name = topics.letters_topic(spec.name, prefix)
        for source in (topics.named(topic, prefix) for topic in spec.sources):
            if name in found and source in found and _shorter(found[name], found[source]):
                said = f"{name} keeps {_days(found[name])}, its source {source} {_days(found[source])}: too short"
                return fail(said, f"kafka-configs --alter --topic {name} --add-config retention.ms={topics.LETTERS.retention_ms}")
    return ok("letters are kept at least as long as what they are about")


def _kafka(seen: Examined) -> KafkaExamined:
    assert isinstance(seen.kafka, KafkaExamined)  # noqa: S101 - `needs` halts a check before it comes here
    return seen.kafka


def _shorter(one_ms: int, other_ms: int) -> bool:
    return one_ms >= 0 and (other_ms < 0 or one_ms < other_ms)


def _days(retention_ms: int) -> str:
    return "for ever" if retention_ms < 0 else f"{retention_ms / DAY_MS:g} days"


CHECKS = (
    Check(name="kafka.connected", run=connected, before=True),
    Check(name="kafka.advertised", run=advertised, needs=("kafka.connected",), before=True),
    Check(name="kafka.topics", run=declared, needs=("kafka.advertised",)),
    Check(name="kafka.letters_kept", run=letters_kept, needs=("kafka.advertised",)),
)
