"""What one installation has on Kafka: its topics under their real names, and the first offsets of its consumer groups."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from pipeline.errors import DependencyDown
from pipeline.kafka.admin import KafkaAdmin, Place
from pipeline.settings.model import KafkaSettings
from pipeline.wire import topics
from pipeline.wire.consumers import CONSUMERS, ConsumerSpec, group_name
from pipeline.wire.topics import Topic, named

CONNECTORS = ("eventlog", "reindexing")
KNOWN_AFTER_S = 15.0


def installed_topics(prefix: str, *, queues: Sequence[str] = ()) -> list[Topic]:
    """Every topic of an installation, named under its prefix; those that are only planned are left out."""
    members = {
        topics.LETTERS.name: [spec.name for spec in CONSUMERS if spec.letters and spec.runs],
        topics.HEARTBEAT.name: list(CONNECTORS),
        topics.WORK.name: list(queues),
    }
    return [
        replace(topic, name=named(topic, prefix, member))
        for topic in topics.TOPICS
        if not topic.planned
        for member in members.get(topic.name, [""])
    ]


def make_topics(admin: KafkaAdmin, prefix: str) -> list[str]:
    """Make the topics that are missing and wait until the brokers know them; answers which were made. Idempotent.

    Raises:
        DependencyDown: ``kafka`` is away, or did not make them in time.
        Misconfigured: the broker refuses.
    """
    wanted = installed_topics(prefix)
    made = admin.create(wanted)
    deadline = time.monotonic() + KNOWN_AFTER_S
    while not all(admin.exist(topic.name for topic in wanted).values()):
        if time.monotonic() > deadline:
            raise DependencyDown("kafka", "topics that were made are not there yet", fix="run `omero-mq topic create` again")
        time.sleep(0.1)
    return made


def make_groups(admin: KafkaAdmin, kafka: KafkaSettings) -> dict[str, dict[Place, int]]:
    """Write the first offsets of every consumer group that has none; answers what was written, by group. Idempotent.

    Raises:
        DependencyDown: ``kafka`` is away.
        Misconfigured: a topic is missing, or a group runs while partitions of it have no place.
    """
    written = {}
    for spec in CONSUMERS:
        if spec.runs and spec.sources:
            group = group_name(spec, kafka.prefix)
            if offsets := admin.create_group(group, _sources(spec, kafka.prefix)):
                written[group] = offsets
    return written


def _sources(spec: ConsumerSpec, prefix: str) -> list[str]:
    return [named(topic, prefix) for topic in spec.sources]
