"""The connector configurations that are shipped, filled from settings."""

import json

import pytest

from pipeline import shipped
from pipeline.cdc import connectors
from pipeline.errors import Misconfigured
from pipeline.settings.model import CdcSettings, KafkaSettings, OmeroSettings, Settings

SETTINGS = Settings(
    kafka=KafkaSettings(prefix="site-a.omero"),
    omero=OmeroSettings(host="db.example", port=5433, database="omero5", password="never-in-a-connector"),
    cdc=CdcSettings(password="never-here-either", poll_interval_ms=30, heartbeat_ms=2000, sslmode="verify-full"),
)


@pytest.mark.parametrize("kind", connectors.KINDS)
def test_every_placeholder_is_filled(kind):
    rendered = json.dumps(connectors.render(kind, SETTINGS))
    assert "@{" not in rendered


@pytest.mark.parametrize("kind", connectors.KINDS)
def test_the_password_is_a_reference_and_no_secret_appears(kind):
    rendered = connectors.render(kind, SETTINGS)
    assert rendered["database.password"] == "${file:/run/secrets/cdc.properties:password}"
    assert "never" not in json.dumps({key: value for key, value in rendered.items() if key != "publication.autocreate.mode"})


def test_names_come_from_the_settings():
    rendered = connectors.render("eventlog", SETTINGS)
    chosen = {
        key: rendered[key]
        for key in (
            "database.hostname",
            "database.port",
            "database.dbname",
            "database.user",
            "database.sslmode",
            "topic.prefix",
            "slot.name",
            "publication.name",
            "heartbeat.interval.ms",
            "topic.heartbeat.name",
            "poll.interval.ms",
            "predicates.isRow.pattern",
            "transforms.route.replacement",
        )
    }
    assert chosen == {
        "database.hostname": "db.example",
        "database.port": "5433",
        "database.dbname": "omero5",
        "database.user": "omero_cdc",
        "database.sslmode": "verify-full",
        "topic.prefix": "site-a.omero.eventlog",
        "slot.name": "omero_eventlog",
        "publication.name": "omero_eventlog_pub",
        "heartbeat.interval.ms": "2000",
        "topic.heartbeat.name": "site-a.omero.cdc.heartbeat.eventlog",
        "poll.interval.ms": "30",
        "predicates.isRow.pattern": r"site-a\.omero\.eventlog\.public\.eventlog",
        "transforms.route.replacement": "site-a.omero.eventlog",
    }


def test_the_database_may_have_another_address_for_connect():
    rendered = connectors.render("eventlog", Settings(cdc=CdcSettings(database_host="postgres", database_port=6000)))
    assert (rendered["database.hostname"], rendered["database.port"]) == ("postgres", "6000")


def test_the_two_connectors_share_nothing_that_must_be_unique():
    one, other = (connectors.connector(kind, SETTINGS) for kind in connectors.KINDS)
    for unique in ("name", "table", "topic", "heartbeat_topic", "server", "slot", "publication"):
        assert getattr(one, unique) != getattr(other, unique)


@pytest.mark.parametrize("kind", connectors.KINDS)
@pytest.mark.parametrize(
    ("option", "value", "otherwise"),
    [
        ("offset.mismatch.strategy", "no_validation", "a slot made anew would silently skip rows"),
        ("lsn.flush.mode", "connector", "the driver's own flush needs the slot to be trusted"),
        ("errors.tolerance", "none", "a source connector has no letters: rows would vanish"),
        ("errors.max.retries", "-1", "a database restart would stop the task for good"),
        ("publication.autocreate.mode", "disabled", "the connector would need to own OMERO's tables"),
        ("slot.drop.on.stop", "false", "a stopped connector would forget its place"),
        ("snapshot.mode", "no_data", "years of history would be published again"),
        ("producer.override.acks", "all", "a broker's death would lose rows"),
    ],
)
def test_options_that_would_lose_rows_are_fixed(kind, option, value, otherwise):
    assert connectors.render(kind, SETTINGS)[option] == value, otherwise


def test_a_row_of_eventlog_is_handed_on_at_once_and_waits_for_no_others():
    rendered = connectors.render("eventlog", Settings())
    assert (rendered["max.batch.size"], rendered["poll.interval.ms"]) == ("1", "50")


def test_an_unknown_placeholder_is_an_error_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "omero-eventlog.json").write_text('{"slot.name": "@{cdc.slott}"}')
    monkeypatch.setattr(shipped, "directory", lambda _: tmp_path)
    with pytest.raises(Misconfigured, match=r"omero-eventlog.json: slot.name: .* @\{cdc.slott\}") as caught:
        connectors.render("eventlog", SETTINGS)
    assert "connector.slot" in caught.value.fix


@pytest.mark.parametrize("damaged", ["", "{", "[1]"])
def test_a_damaged_template_is_an_error_that_names_the_file(tmp_path, monkeypatch, damaged):
    (tmp_path / "omero-eventlog.json").write_text(damaged)
    monkeypatch.setattr(shipped, "directory", lambda _: tmp_path)
    with pytest.raises(Misconfigured, match=r"omero-eventlog.json"):
        connectors.render("eventlog", SETTINGS)


def test_a_prefix_that_no_topic_can_have_is_refused():
    with pytest.raises(Misconfigured, match=r"kafka.prefix"):
        connectors.render("eventlog", Settings(kafka=KafkaSettings(prefix="bad prefix")))
