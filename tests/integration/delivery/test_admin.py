"""Topics and groups on real Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, ResourceType

from pipeline.delivery.record import Outgoing
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.kafka.admin import Difference, KafkaAdmin
from pipeline.kafka.config import consumer_config, producer_config
from pipeline.kafka.consume import KafkaReader
from pipeline.kafka.publish import KafkaPublisher
from pipeline.settings.model import KafkaSettings
from tests.contract.delivery.conftest import topic

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka.bootstrap)


@pytest.fixture
def admin(settings: KafkaSettings) -> Iterator[KafkaAdmin]:
    with KafkaAdmin(settings) as admin:
        yield admin


def test_topics_are_made_once_and_as_declared(admin: KafkaAdmin, unique: str) -> None:
    a, b = topic(f"{unique}.a", partitions=3), topic(f"{unique}.b", compacted=True)

    assert admin.create([a]) == [a.name]
    assert admin.create([a, b]) == [b.name]
    assert admin.check([a, b]) == []
    assert admin.partitions([a.name, b.name, f"{unique}.c"]) == {a.name: 3, b.name: 1}
    assert admin.exist([a.name, f"{unique}.c"]) == {a.name: True, f"{unique}.c": False}


def test_what_differs_from_the_declaration_is_named_with_what_mends_it(
    admin: KafkaAdmin, settings: KafkaSettings, unique: str
) -> None:
    name = f"{unique}.a"
    admin.create([topic(name, partitions=2)])
    raw = AdminClient({"bootstrap.servers": settings.bootstrap})
    raw.create_partitions([NewPartitions(name, 4)])[name].result(10)
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    change = raw.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])])
    for future in change.values():
        future.result(10)

    differences = admin.check([topic(name, partitions=2), topic(f"{unique}.b")])

    assert differences == [
        Difference(
            topic=name,
            what="partitions",
            wanted="2",
            found="4",
            serious=False,
            fix=f"kafka-topics --alter --topic {name} --partitions 2 (moves keys: stop the writers first)",
        ),
        Difference(
            topic=name,
            what="retention.ms",
            wanted="3600000",
            found="1000",
            serious=True,
            fix=f"kafka-configs --alter --topic {name} --add-config retention.ms=3600000",
        ),
        Difference(
            topic=f"{unique}.b",
            what="missing",
            wanted="exists",
            found="no such topic",
            serious=True,
            fix=f"run `omero-mq topic create`, or make {unique}.b with 1 partitions",
        ),
    ]


def test_a_topic_made_anew_has_another_id(admin: KafkaAdmin, unique: str) -> None:
    name = f"{unique}.a"
    admin.create([topic(name)])
    before = admin.topic_ids([name])[name]
    admin.delete([name])
    while admin.exist([name])[name]:
        pass
    admin.create([topic(name)])

    assert admin.topic_ids([name])[name] != before


def test_more_copies_than_brokers_are_refused_with_a_fix(settings: KafkaSettings, unique: str) -> None:
    with KafkaAdmin(replace(settings, replication_factor=3)) as admin, pytest.raises(Misconfigured, match=unique):
        admin.create([topic(f"{unique}.a")])


def test_new_partitions_get_their_first_offsets_only_while_the_group_rests(
    admin: KafkaAdmin, settings: KafkaSettings, unique: str
) -> None:
    name, group = f"{unique}.a", f"{unique}.g"
    admin.create([topic(name)])
    assert admin.create_group(group, [name]) == {(name, 0): 0}
    reader = KafkaReader(settings, group=group, topics=[name])
    while not reader.assigned:
        reader.read(at_most=1, wait_s=0.1)
    raw = AdminClient({"bootstrap.servers": settings.bootstrap})
    raw.create_partitions([NewPartitions(name, 2)])[name].result(10)
    while admin.partitions([name])[name] < 2:
        pass

    with pytest.raises(Misconfigured, match="is running"):
        admin.create_group(group, [name])
    reader.close()

    assert admin.create_group(group, [name]) == {(name, 1): 0}


def test_a_broker_that_is_not_there_is_a_dependency_that_is_down(unique: str) -> None:
    nowhere = KafkaSettings(bootstrap="127.0.0.1:1")

    with KafkaAdmin(nowhere, timeout_s=1) as admin, pytest.raises(DependencyDown):
        admin.topic_ids([unique])
    with KafkaPublisher(nowhere, timeout_s=1) as publisher, pytest.raises(DependencyDown, match="within 1 s"):
        publisher.publish([Outgoing(topic=unique, key=b"k", value=b"v")])
    with KafkaReader(nowhere, group=unique, topics=[unique]) as reader, pytest.raises(DependencyDown):
        reader.read(at_most=1, wait_s=5)


def test_a_site_passes_properties_on_but_not_those_that_guard_against_loss() -> None:
    site = KafkaSettings(client={"security.protocol": "SASL_SSL", "linger.ms": "1"})

    assert producer_config(site, timeout_s=5)["security.protocol"] == "SASL_SSL"
    assert producer_config(site, timeout_s=5)["linger.ms"] == "1"
    with pytest.raises(Misconfigured, match="acks"):
        producer_config(KafkaSettings(client={"acks": "1"}), timeout_s=5)
    with pytest.raises(Misconfigured, match=r"auto\.offset\.reset"):
        consumer_config(KafkaSettings(client={"auto.offset.reset": "latest"}), group="g")


def test_a_property_that_librdkafka_does_not_know_is_named() -> None:
    with pytest.raises(Misconfigured, match=r"sasl\.user") as caught:
        KafkaPublisher(KafkaSettings(client={"sasl.user": "x"}))
    assert "kafka.client" in caught.value.fix
