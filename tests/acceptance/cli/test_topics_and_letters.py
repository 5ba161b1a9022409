"""Topics, events and letters as a user sees them on a real Kafka; written by hand, as a foreign client would write them."""

from __future__ import annotations

import json
import signal
import time
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer

pytestmark = pytest.mark.stack


@pytest.fixture
def site(kafka, unique, environ):
    """A Kafka with topics of its own prefix."""
    environ |= {"OMERO_MQ_KAFKA_BOOTSTRAP": kafka.bootstrap, "OMERO_MQ_KAFKA_PREFIX": unique}
    return unique


@pytest.fixture
def write(kafka):
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})

    def send(topic: str, *records: tuple, headers=(), timestamp_ms: int = 0) -> None:
        failures = []
        for key, value in records:
            reported = lambda error, _: failures.append(error) if error else None  # noqa: E731
            producer.produce(topic, key=key, value=value, headers=list(headers), timestamp=timestamp_ms, on_delivery=reported)
        assert producer.flush(20) == 0
        assert failures == []

    return send


def event(
    number: int, *, group: str = "3", kind: str = "Image", action: str = "INSERT", ago_ms: int = 0, **more: str
) -> tuple[str, str]:
    """Key and value of a public event."""
    moment = datetime.fromtimestamp(time.time() - ago_ms / 1000, tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    subject = f"{kind}:{number}"
    row = {"id": str(number), "action": action, "entitytype": f"ome.model.core.{kind}", "entityid": str(number), "event": "9"}
    said = {"specversion": "1.0", "id": f"eventlog:{number}", "source": "/omero/u", "subject": subject, "time": moment}
    said |= {"type": f"org.openmicroscopy.{kind.lower()}.{action.lower()}", "datacontenttype": "application/json"}
    said |= {"actor": "17", "owner": "18", "group": group, "committime": moment, "data": {**row, "permissions": "-52"}, **more}
    return subject, json.dumps(said)


def letter_headers(place: int, message: str, *, cause: str, failed: str, own=(), topic="t.eventlog") -> list[tuple[str, str]]:
    ours = {
        "omero.dlq.headers": str(len(own)),
        "omero.dlq.id": f"00000000-0000-5000-8000-{place:012d}",
        "omero.dlq.consumer": "relay",
        "omero.dlq.class": "poison",
        "omero.dlq.exception": "some.module.NoSuchType",
        "__dlq.errors.message": message,
        "__dlq.errors.topic": topic,
        "__dlq.errors.partition": "3",
        "__dlq.errors.offset": str(place),
        "omero.dlq.attempts": "5",
        "omero.dlq.first-failed-at": failed,
        "omero.dlq.failed-at": failed,
        "omero.dlq.worker": "relay@host:1",
        "omero.dlq.version": "0.1.0",
        "omero.dlq.fingerprint": cause,
        "omero.dlq.stack": 'Traceback (most recent call last):\n  File "relay.py", line 8, in work\nNoSuchType: x',
    }
    return [*own, *ours.items()]


def test_topics_are_listed_made_once_and_checked(site, omero_mq, objects):
    before = objects(omero_mq("topic", "list", "--json"))
    assert {each["exists"] for each in before} == {False}
    assert {each["topic"] for each in objects(omero_mq("topic", "check", "--json", expect=3))} == {
        each["name"] for each in before
    }
    made = objects(omero_mq("topic", "create", "--json"))
    assert [each["name"] for each in made] == [each["name"] for each in before]
    assert objects(omero_mq("topic", "create", "--json")) == []
    assert omero_mq("topic", "check").stdout == f"ok    all {len(before)} topics are as declared\n"
    wider = objects(omero_mq("topic", "check", "--json", "--set", "kafka.replication_factor=3", expect=3))
    assert {each["what"] for each in wider} == {"replication_factor"}
    after = objects(omero_mq("topic", "list", "--json"))
    assert [(each["exists"], each["records"]) for each in after] == [(True, 0)] * len(before)


def test_records_are_shown_newest_last_and_whatever_cannot_be_decoded_is_told_and_escaped(site, omero_mq, objects, write):
    omero_mq("topic", "create")
    write(f"{site}.events", *(event(number) for number in range(30)))
    write(f"{site}.events", (b"\xff", b"\x00\x1b[2Jgarbage"))
    newest = objects(omero_mq("topic", "cat", "events", "--json", "--limit", "1"))
    assert [(each["key"], each["encoding"], each["base64"]) for each in newest] == [("hex:ff", "unknown", "ABtbMkpnYXJiYWdl")]
    text = omero_mq("topic", "cat", "events")
    assert len(text.stdout.splitlines()) == 20
    assert "\x1b" not in text.stdout
    assert "... 11 more (use --all)" in text.stderr
    assert len(objects(omero_mq("topic", "cat", f"{site}.events", "--all", "--json"))) == 31
    of_one = objects(omero_mq("topic", "cat", "events", "--key", "Image:7", "--json"))
    assert [each["value"]["id"] for each in of_one] == ["eventlog:7"]
    assert objects(omero_mq("topic", "cat", "events", "--since", "0s", "--json", expect=4)) == []


def test_a_topic_that_is_not_ours_is_told_with_the_nearest(site, omero_mq):
    done = omero_mq("topic", "cat", "event", expect=1)
    assert done.stderr.splitlines()[1] == f"  fix: did you mean {site}.events?"


def test_events_are_followed_as_they_come_with_the_time_from_their_commit(site, omero_mq, started, write):
    omero_mq("topic", "create")
    write(f"{site}.events", event(1))
    following = started("events", "follow", "--count", "2", "--type", "image,dataset", "--group", "3")
    assert following.stderr.readline().split() == ["COMMITTED", "OBJECT", "ACTION", "ACTOR", "OWNER", "GROUP", "MS"]
    time.sleep(1.5)
    write(f"{site}.events", event(2, group="4"), event(3, kind="Project"), event(4, ago_ms=40))
    write(f"{site}.events", event(5, kind="Dataset", group="9", previousgroup="3", action="UPDATE"))
    out, _ = following.communicate(timeout=60)
    lines = sorted(line.split()[1:] for line in out.splitlines())
    assert following.returncode == 0
    assert [line[:5] for line in lines] == [
        ["Dataset:5", "UPDATE", "17", "18", "3>9"],
        ["Image:4", "INSERT", "17", "18", "3"],
    ]
    assert 40 <= int(lines[1][5]) < 5000


def test_events_from_the_past_are_shown_to_the_end_and_nothing_matched_has_a_status_of_its_own(site, omero_mq, objects, write):
    omero_mq("topic", "create")
    write(f"{site}.events", *(event(number) for number in range(5)))
    write(f"{site}.events", (b"Image:9", b"not an event"))
    done = omero_mq("events", "follow", "--from-beginning", "--no-wait", "--object", "Image:2,Image:3", "--json")
    found = sorted((each["event"]["subject"], each["live"]) for each in objects(done))
    assert found == [("Image:2", False), ("Image:3", False)]
    assert "is no event" in done.stderr
    omero_mq("events", "follow", "--since", "1h", "--no-wait", "--group", "77", expect=4)
    assert len(omero_mq("events", "follow", "--since", "1h", "--no-wait").stdout.splitlines()) == 5


def test_following_ends_quietly_with_130_on_ctrl_c(site, omero_mq, started):
    omero_mq("topic", "create")
    following = started("events", "follow")
    following.stderr.readline()
    time.sleep(0.5)
    following.send_signal(signal.SIGINT)
    _, said = following.communicate(timeout=60)
    assert following.returncode == 130
    assert "Traceback" not in said
    assert "KeyboardInterrupt" not in said


def test_letters_are_grouped_by_cause_and_a_letter_written_twice_counts_once(site, omero_mq, objects, write):
    omero_mq("topic", "create")
    assert "no letters" in omero_mq("dlq", "list", expect=4).stderr
    topic, value = f"{site}.dlq.relay", '{"id":1,"entitytype":"ome.model.core.Image","entityid":42,"action":"INSERT"}'
    for place in (1, 2, 2, 3):
        headers = letter_headers(
            place, f"no such type {place}", cause="aaaaaa1111111111", failed=f"2026-11-24T0{place}:00:00.000Z"
        )
        write(topic, (b"k", value), headers=headers)
    write(
        topic,
        (b"k", b"\x00\xff"),
        headers=letter_headers(9, "broken", cause="bbbbbb2222222222", failed="2026-11-24T05:00:00.000Z"),
    )
    causes = objects(omero_mq("dlq", "list", "--json"))
    assert [(each["cause"], each["count"], each["first"], each["last"]) for each in causes] == [
        ("aaaaaa1111111111", 3, "2026-11-24T01:00:00.000Z", "2026-11-24T03:00:00.000Z"),
        ("bbbbbb2222222222", 1, "2026-11-24T05:00:00.000Z", "2026-11-24T05:00:00.000Z"),
    ]
    assert omero_mq("dlq", "list").stdout.startswith("4 failed in 2 causes")
    letters = objects(omero_mq("dlq", "list", "aaaaaa", "--records", "--json"))
    assert [(each["record"], each["object"], each["message"]) for each in letters] == [
        ("relay/0@3", "Image:42", "no such type 3"),
        ("relay/0@2", "Image:42", "no such type 2"),
        ("relay/0@0", "Image:42", "no such type 1"),
    ]


def test_one_letter_is_shown_with_its_origin_its_reason_and_what_was_in_it(site, omero_mq, objects, write):
    omero_mq("topic", "create")
    headers = letter_headers(
        7, "no such type", cause="aaaaaa1111111111", failed="2026-11-24T05:00:00.000Z", own=[("mine", "yes")]
    )
    write(f"{site}.dlq.relay", (b"k", b"\x00\x1b[2J"), headers=headers)
    text = omero_mq("dlq", "show", "relay/0@0").stdout
    lines = {line[:11].strip(): line[11:] for line in text.splitlines()}
    assert lines["Record"].startswith(f"{site}.dlq.relay/0@0      from t.eventlog/3@7")
    assert lines["Error"] == "some.module.NoSuchType: no such type    (poison)"
    assert lines["Where"].startswith('File "relay.py", line 8, in work')
    assert lines["Headers"] == "mine=yes"
    assert "\x1b" not in text
    assert "Traceback" in omero_mq("dlq", "show", "relay/0@0", "--stack").stdout
    (one,) = objects(omero_mq("dlq", "show", "00000000-0000-5000", "--json"))
    assert one["origin"] == {"topic": "t.eventlog", "partition": 3, "offset": 7, "time": None}
    assert one["headers"] == [{"name": "mine", "value": "yes"}]
    assert "no letter relay/0@5" in omero_mq("dlq", "show", "relay/0@5", expect=4).stderr


def test_an_unreachable_kafka_is_told_with_the_address_and_who_said_it(omero_mq):
    done = omero_mq("topic", "list", "--set", "kafka.bootstrap=127.0.0.1:1", expect=1)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0].startswith("error: kafka is away: ")
    assert lines[1] == "  looked for at kafka.bootstrap = 127.0.0.1:1 (--set kafka.bootstrap)"
    assert len(lines) <= 4


def test_what_each_consumer_promises_is_printed_with_its_proof(omero_mq, objects):
    found = {each["name"]: each for each in objects(omero_mq("queues", "--json", "--set", "kafka.prefix=site"))}
    assert found["relay"]["guarantee"] == "at least once"
    assert found["relay"]["letters"] == "site.dlq.relay"
    assert found["relay"]["test"].startswith("tests/")
