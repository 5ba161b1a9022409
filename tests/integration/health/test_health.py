"""Status and doctor on real servers: what is well, and what is really broken, is said so."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import psycopg
import pytest
from cdc.capture import until
from confluent_kafka import Producer

from pipeline.delivery.letter import OURS
from pipeline.health.ask import Away
from pipeline.health.checks import CHECKS
from pipeline.health.doctor import count, run
from pipeline.health.examine import examine
from pipeline.health.listening import reach
from pipeline.health.observe import observe
from pipeline.health.status import status
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.cluster import Broker
from pipeline.settings import CdcSettings, KafkaSettings, OmeroSettings, Settings, StateSettings
from pipeline.settings.postgres import connection_parameters
from pipeline.state.outbox import lead
from pipeline.wire.topics import letters_topic

pytestmark = pytest.mark.stack


def stage(settings, name: str):
    return next(one for one in status(observe(settings, within_s=10.0)).stages if one.name == name)


def verdicts(settings) -> dict:
    return {one.name: one.verdict for one in run(CHECKS, examine(settings))}


def test_an_installation_without_services_is_well_but_for_them(installation, capture):
    found = status(observe(installation, within_s=10.0))
    bad = {one.name: [each.problem for each in one.problems] for one in found.stages if one.state != "ok"}
    assert bad == {"relay": ["no relay runs"], "outbox": ["no outbox service runs"]}
    last = max(capture.committed_ids())
    by_name = {one.name: one for one in found.stages}
    assert by_name["OMERO database"].facts["last_eventlog_id"] == last
    assert by_name["capture"].facts["last_captured_id"] == last
    assert by_name["relay"].facts["behind_records"] == len(capture.committed_ids())
    assert 0 < by_name["relay"].facts["age_s"] < 60


def test_the_doctor_finds_a_well_made_installation_well(installation):
    found = verdicts(installation)
    # Servers for tests may have no cap, and others use their slots.
    assert {name: one for name, one in found.items() if one.state != "ok" and name != "database.wal_cap"} == {}


def test_a_dropped_slot_a_stopped_connector_and_another_configuration_are_found(installation, capture):
    this = capture.eventlog
    capture.connect.apply(this.name, {**capture.connect.config(this.name), "poll.interval.ms": "777"})
    found = until(lambda: _verdict_unless(installation, "capture.configuration", "halted"))
    assert (found.state, "poll.interval.ms" in found.said) == ("warn", True)
    capture.connect.stop(this.name)
    until(lambda: verdicts(installation)["capture.connectors"].fix == "omero-mq connector resume")
    assert stage(installation, "capture").problems[0].fix == "omero-mq connector resume"
    until(lambda: not capture.slot().active)
    capture.admin.execute("SELECT pg_drop_replication_slot(%s)", (this.slot,))
    assert verdicts(installation)["capture.slots"].fix == "omero-mq repair"
    assert stage(installation, "capture").problems[0].fix == "omero-mq repair"


def _verdict_unless(settings, name, state):
    found = verdicts(settings)[name]
    return None if found.state == state else found


def test_rights_beyond_need_and_missing_rights_are_found(installation, capture):
    user = installation.omero.user
    capture.admin.execute(f"GRANT SELECT ON password TO {user}; GRANT SELECT (uuid) ON session TO {user}")
    capture.admin.execute(f"GRANT UPDATE ON image TO {installation.cdc.user}")
    found = verdicts(installation)["database.least_privilege"]
    assert found.state == "warn"
    for text in (f"{user} can read password.hash, session.uuid", f"{installation.cdc.user} can change image"):
        assert text in found.said
    capture.admin.execute(f"REVOKE SELECT (time) ON event FROM {user}; REVOKE EXECUTE ON FUNCTION omero_mq_db_uuid() FROM {user}")
    missing = verdicts(installation)["database.grants"]
    assert (missing.state, missing.said) == ("fail", f"{user} may not use event.time, omero_mq_db_uuid()")


def test_publications_and_tables_that_were_changed_are_found(installation, capture):
    capture.admin.execute(f"ALTER PUBLICATION {capture.eventlog.publication} SET (publish = 'insert, delete')")
    assert "more than inserts" in verdicts(installation)["capture.publications"].said
    capture.admin.execute(f"ALTER PUBLICATION {capture.eventlog.publication} SET (publish = 'insert')")
    capture.admin.execute(f"ALTER PUBLICATION {capture.eventlog.publication} SET TABLE eventlog")
    assert "no row filter" in verdicts(installation)["capture.publications"].said
    capture.admin.execute("ALTER TABLE roi RENAME COLUMN description TO other")
    assert "roi.description: the column is missing" in verdicts(installation)["schema.relied_on"].said


def test_a_wrong_time_zone_and_rows_that_nobody_takes_are_found(installation, capture):
    ahead = replace(installation, omero=replace(installation.omero, timezone="Pacific/Honolulu"))
    assert "10.0 h into the future" in verdicts(ahead)["database.timezone"].said
    capture.admin.execute(
        "INSERT INTO _reindexing_required (event_id, entity_type, entity_id)"
        " SELECT (SELECT max(id) FROM event), 'ome.model.core.Image', n FROM generate_series(1, 100001) n"
    )
    assert verdicts(installation)["database.reindexing"].state == "warn"


def test_topics_that_are_missing_or_kept_too_short_are_found(installation):
    prefix = installation.kafka.prefix
    letters = letters_topic("relay", prefix)
    with KafkaAdmin(installation.kafka) as admin:
        admin.delete([f"{prefix}.reindex"])
        until(lambda: not admin.exist([f"{prefix}.reindex"])[f"{prefix}.reindex"])
    found = verdicts(installation)
    assert (found["kafka.topics"].fix, f"{prefix}.reindex" in found["kafka.topics"].said) == ("omero-mq topic create", True)
    assert stage(installation, "Kafka").problems[0].problem == f"no such topic: {prefix}.reindex"
    _keep(installation.kafka, letters, retention_ms=60_000)
    assert until(lambda: _verdict_unless(installation, "kafka.letters_kept", "ok")).said.startswith(f"{letters} keeps")


def _keep(kafka: KafkaSettings, topic: str, *, retention_ms: int) -> None:
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry("retention.ms", str(retention_ms), incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    for future in admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    ).values():
        future.result(20)


def test_letters_are_counted_and_put_together_by_cause(installation):
    producer = Producer({"bootstrap.servers": installation.kafka.bootstrap})
    for number, cause in enumerate(("9f3c1a", "9f3c1a", "77aa00")):
        texts = {"id": f"id-{number}", "fingerprint": cause, "exception": "pipeline.errors.Undecodable", "headers": "0"}
        headers = [(OURS + name, text.encode()) for name, text in sorted(texts.items(), key=lambda one: one[0] != "headers")]
        producer.produce(letters_topic("relay", installation.kafka.prefix), value=b"?", headers=headers)
    assert producer.flush(20) == 0
    seen = observe(installation, within_s=10.0).letters
    assert (seen.held, seen.recent) == ({"relay": 3}, {"relay": 3})
    assert [(one.consumer, one.fingerprint, one.count, one.message) for one in seen.causes] == [
        ("relay", "9f3c1a", 2, "Undecodable: "),
        ("relay", "77aa00", 1, "Undecodable: "),
    ]
    assert stage(installation, "letters of relay").state == "warn"


def test_a_poller_is_seen_by_its_lock_and_a_full_outbox_by_its_rows(installation):
    with psycopg.connect(**connection_parameters(installation.state, service="test"), autocommit=True) as connection:
        assert lead(connection)
        assert stage(installation, "outbox").state == "ok"
        connection.execute("INSERT INTO omero_mq.outbox (topic, value) VALUES ('x', 'y')")
        assert stage(installation, "outbox").facts["waiting"] == 1
    assert [one.problem for one in stage(installation, "outbox").problems] == ["no outbox service runs"]


def test_before_init_the_state_database_asks_for_it(capture):
    assert stage(capture.settings, "state database").problems[0].fix == "omero-mq init"
    assert verdicts(capture.settings)["state.schema"].fix == "omero-mq init"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def nowhere() -> Settings:
    return Settings(
        kafka=KafkaSettings(bootstrap=f"127.0.0.1:{free_port()}"),
        omero=OmeroSettings(port=free_port()),
        state=StateSettings(port=free_port()),
        cdc=CdcSettings(connect_url=f"http://127.0.0.1:{free_port()}"),
    )


def test_status_answers_in_less_than_three_seconds_when_everything_is_away():
    began = time.monotonic()
    found = status(observe(nowhere()))
    assert time.monotonic() - began < 3.0
    assert found.verdict == "failed"
    assert [one.name for one in found.stages if one.state == "fail"] == ["OMERO database", "capture", "Kafka", "state database"]


def test_status_waits_for_no_server_that_accepts_and_then_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = Settings(
            kafka=KafkaSettings(bootstrap=f"127.0.0.1:{port}"),
            omero=OmeroSettings(port=port),
            state=StateSettings(port=port),
            cdc=CdcSettings(connect_url=f"http://127.0.0.1:{port}"),
        )
        began = time.monotonic()
        seen = observe(settings)
        assert time.monotonic() - began < 3.0
    for each in (seen.omero, seen.state, seen.connect, seen.kafka):
        assert isinstance(each, Away)


def test_the_doctor_halts_what_needs_a_part_that_is_away():
    results = run(CHECKS, examine(nowhere(), within_s=6.0))
    failed = {one.name for one in results if one.verdict.state == "fail"}
    assert failed == {"database.connected", "kafka.connected", "state.connected", "capture.connect"}
    assert count(results)["halted"] == len(CHECKS) - len(failed) - 3  # packages, codecs and disk of this machine


def test_a_broker_that_advertises_what_cannot_be_reached_is_found():
    port = free_port()
    found = reach([Broker(id=1, host="127.0.0.1", port=port), Broker(id=2, host="no-such-host.invalid", port=9092)])
    assert [(broker.id, why) for broker, why in found] == [(1, "connection refused"), (2, "that name is not known here")]
