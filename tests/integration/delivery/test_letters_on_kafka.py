"""Letters on real Kafka: nothing is passed over while one cannot be written, and nothing is lost whatever is killed."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from pipeline.delivery.batch import Rejected, deliver_batch
from pipeline.delivery.compose import LetterMaker
from pipeline.delivery.deliver import Delivery, Outcome, Waiting
from pipeline.delivery.letter import Letter, read
from pipeline.delivery.record import Outgoing, Record
from pipeline.errors import DependencyDown, Undecodable
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.consume import KafkaReader
from pipeline.kafka.publish import KafkaPublisher
from pipeline.kafka.scan import scan
from pipeline.settings.model import KafkaSettings
from tests.contract.delivery.conftest import topic

pytestmark = pytest.mark.stack
PROGRAM = Path(__file__).parent / "consumer_process.py"


class Site:
    """A source topic, a letters topic and a group, on one broker."""

    def __init__(self, bootstrap: str, word: str) -> None:
        # The shortest session that a broker allows: a killed member's partitions are taken over sooner.
        self.settings = KafkaSettings(bootstrap=bootstrap, client={"session.timeout.ms": "6000"})
        self.source, self.letters_topic, self.group = f"{word}.source", f"{word}.dlq.test", f"{word}.test"

    def prepare(self, count: int, *, partitions: int = 1, letters: bool = True) -> None:
        with KafkaAdmin(self.settings) as admin:
            admin.create([topic(self.source, partitions=partitions)] + [topic(self.letters_topic)] * letters)
            admin.create_group(self.group, [self.source])
        with KafkaPublisher(self.settings) as publisher:
            publisher.publish([Outgoing(topic=self.source, key=b"%d" % (n % 50), value=b"%d" % n) for n in range(count)])

    def create_letters_topic(self, **options: int) -> None:
        with KafkaAdmin(self.settings) as admin:
            admin.create([topic(self.letters_topic, **options)])

    def letters(self) -> list[Letter]:
        return [read(record) for record in scan(self.settings, self.letters_topic)]

    def committed(self) -> list[int | None]:
        with KafkaAdmin(self.settings) as admin:
            return list(admin.committed(self.group, [self.source]).values())

    def ends(self) -> list[int]:
        with KafkaAdmin(self.settings) as admin:
            return list(admin.ends(admin.committed(self.group, [self.source])).values())

    def delivery(self, publisher: KafkaPublisher, said: list[Waiting | None] | None = None) -> Delivery:
        maker = LetterMaker(
            consumer="test",
            group=self.group,
            topic=self.letters_topic,
            worker="w",
            version="0",
            now_ms=lambda: int(time.time() * 1000),
            limit_bytes=1_000_000,
        )
        waiting = (said if said is not None else []).append
        return Delivery(letters=maker, publisher=publisher, random=random.Random(1).random, waiting=waiting)


@pytest.fixture
def site(kafka, unique: str) -> Site:
    return Site(kafka.bootstrap, unique)


class BadAre:
    """A process that refuses some values, and notes the others."""

    def __init__(self, bad: Callable[[int], bool]) -> None:
        self.bad = bad
        self.done: list[int] = []

    def __call__(self, batch: Sequence[Record]) -> Iterable[Rejected]:
        numbers = [int(record.value or b"") for record in batch]
        for number in numbers:
            if self.bad(number):
                raise Undecodable(f"row {number} is unreadable")
        self.done += numbers
        return ()


def drain(site: Site, process: BadAre, pause: Callable[[float], bool], *, said: list | None = None, timeout_s: float = 2) -> None:
    """Reads to the end as a service would; ends early when a record is left."""
    with (
        KafkaPublisher(site.settings, timeout_s=timeout_s) as publisher,
        KafkaReader(site.settings, group=site.group, topics=[site.source]) as reader,
    ):
        while batch := patiently(reader):
            outcomes: list[Outcome] = deliver_batch(batch, process, delivery=site.delivery(publisher, said), pause=pause)
            reader.done([outcome.record for outcome in outcomes if outcome.finished])
            if batch[-1].offset == 999 or not all(outcome.finished for outcome in outcomes):
                return


def patiently(reader: KafkaReader) -> list[Record]:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if batch := reader.read(at_most=128, wait_s=0.2):
            return batch
    return []


def asleep(_wait_s: float) -> bool:
    time.sleep(0.05)
    return False


def test_990_bad_of_1000_make_990_readable_letters_and_none_is_lost(site: Site) -> None:
    site.prepare(1000)
    process = BadAre(lambda n: n % 100 != 0)

    drain(site, process, asleep)

    assert process.done == list(range(0, 1000, 100))
    letters = site.letters()
    assert [letter.value for letter in letters] == [b"%d" % n for n in range(1000) if n % 100]
    assert {(letter.letter_class, letter.attempts, letter.consumer) for letter in letters} == {("undecodable", 1, "test")}
    assert len({letter.id for letter in letters}) == 990
    assert len({letter.fingerprint for letter in letters}) == 1
    assert site.committed() == site.ends() == [1000]


def test_a_letter_is_readable_with_kcat(site: Site) -> None:
    site.prepare(1)
    drain_one(site)

    shown = subprocess.run(
        ["kcat", "-b", site.settings.bootstrap, "-C", "-t", site.letters_topic, "-e", "-q", "-f", "%k|%s|%h"],
        capture_output=True,
        check=True,
    ).stdout.decode()

    assert shown.startswith("0|0|omero.dlq.headers=0,omero.dlq.id=")
    assert "__dlq.errors.message=row 0 is unreadable" in shown
    assert f"__dlq.errors.topic={site.source},__dlq.errors.partition=0,__dlq.errors.offset=0" in shown


def drain_one(site: Site) -> None:
    with KafkaPublisher(site.settings) as publisher, KafkaReader(site.settings, group=site.group, topics=[site.source]) as reader:
        outcomes = deliver_batch(patiently(reader), BadAre(lambda _: True), delivery=site.delivery(publisher), pause=asleep)
        reader.done([outcome.record for outcome in outcomes])


def test_while_the_letters_topic_is_missing_nothing_is_committed_and_afterwards_nothing_is_missing(site: Site) -> None:
    site.prepare(1000, letters=False)
    committed, said = [], []

    def made_at_the_second_wait(_wait_s: float) -> bool:
        time.sleep(1.2)  # longer than the interval of commits
        committed.append(site.committed())
        if len(committed) == 2:
            site.create_letters_topic()
        return False

    drain(site, BadAre(lambda n: n % 100 == 0), made_at_the_second_wait, said=said)

    assert committed == [[0], [0]]
    assert [waiting.what for waiting in said if waiting] == ["letters", "letters"]
    assert "topic create" in said[0].fix
    assert [letter.value for letter in site.letters()] == [b"%d" % n for n in range(0, 1000, 100)]
    assert site.committed() == [1000]


def test_a_letters_topic_that_takes_nothing_holds_the_consumer_until_it_is_mended(site: Site) -> None:
    site.prepare(1000, letters=False)
    site.create_letters_topic(max_message_bytes=300)
    committed = []
    raw = AdminClient({"bootstrap.servers": site.settings.bootstrap})

    def mended_at_the_second_wait(_wait_s: float) -> bool:
        committed.append(site.committed())
        if len(committed) == 2:
            entry = ConfigEntry("max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
            resource = ConfigResource(ResourceType.TOPIC, site.letters_topic, incremental_configs=[entry])
            for future in raw.incremental_alter_configs([resource]).values():
                future.result(10)
        return False

    process = BadAre(lambda n: n % 100 == 0)
    drain(site, process, mended_at_the_second_wait)

    assert committed[:2] == [[0], [0]]
    assert [letter.origin.offset for letter in site.letters()] == list(range(0, 1000, 100))
    assert site.committed() == [1000]


def test_told_to_stop_while_a_letter_cannot_be_written_the_next_run_writes_it(site: Site) -> None:
    site.prepare(1000, letters=False)

    drain(site, BadAre(lambda n: n == 5), lambda _: True)
    assert site.committed() == [5]

    site.create_letters_topic()
    drain(site, again := BadAre(lambda n: n == 5), asleep)
    assert again.done == list(range(6, 1000))
    assert [letter.origin.offset for letter in site.letters()] == [5]


def test_a_record_at_the_source_topics_limit_becomes_a_letter_in_full_and_one_beyond_the_letters_topic_by_reference(
    site: Site,
) -> None:
    site.prepare(0, letters=False)
    site.create_letters_topic(max_message_bytes=20_000)
    large, small = random.Random(1).randbytes(30_000), random.Random(2).randbytes(15_000)
    with KafkaPublisher(site.settings) as publisher:
        publisher.publish([Outgoing(topic=site.source, key=b"k", value=value) for value in (large, small)])
        with KafkaReader(site.settings, group=site.group, topics=[site.source]) as reader:
            batch = patiently(reader)

            def refuse(records: Sequence[Record]) -> Iterable[Rejected]:
                return [Rejected(record=record, error=Undecodable("random")) for record in records]

            deliver_batch(batch, refuse, delivery=site.delivery(publisher), pause=asleep)

    by_reference, in_full = site.letters()
    assert (in_full.value, in_full.dataref) == (small, None)
    assert by_reference.value is None
    assert by_reference.dataref is not None
    assert (by_reference.dataref["offset"], by_reference.dataref["length"]) == (0, 30_000)


def test_headers_whose_names_are_no_text_are_marked_and_stop_nothing(site: Site) -> None:
    site.prepare(0)
    subprocess.run(
        [b"kcat", b"-b", site.settings.bootstrap.encode(), b"-P", b"-t", site.source.encode(), b"-H", b"n\xff\xfe=x"],
        input=b"7",
        check=True,
    )

    drain_one(site)

    (letter,) = site.letters()
    assert (letter.value, letter.headers[0][0]) == (b"7", "omero.unreadable-headers")


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start(site: Site, tmp_path: Path) -> Iterator[Start]:
    """Starts consumer processes that note what they did in one file."""
    processes = []

    def start(**more: object) -> subprocess.Popen[bytes]:
        given = {
            "bootstrap": site.settings.bootstrap,
            "client": site.settings.client,
            "group": site.group,
            "source": site.source,
            "letters": site.letters_topic,
            "effects": str(tmp_path / "effects"),
            **more,
        }
        processes.append(subprocess.Popen([sys.executable, PROGRAM, json.dumps(given)]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def seen(tmp_path: Path) -> list[int]:
    return [int(line.split()[0]) for line in (tmp_path / "effects").read_text().splitlines()]


def finish(site: Site, *processes: subprocess.Popen[bytes], within_s: float = 60) -> None:
    """Waits until all is committed, then ends the processes as an operator would."""
    until = time.monotonic() + within_s
    while site.committed() != site.ends() and time.monotonic() < until:
        time.sleep(0.2)
    assert site.committed() == site.ends()
    for process in processes:
        process.send_signal(signal.SIGTERM)
    assert [process.wait(20) for process in processes] == [0] * len(processes)


@pytest.mark.chaos
def test_killed_between_letter_and_offset_a_failure_keeps_its_identity(site: Site, start: Start, tmp_path: Path) -> None:
    site.prepare(1000)
    for _ in range(2):
        assert start(die_after_letters=2).wait(30) == -signal.SIGKILL
    finish(site, start())

    bad = {n for n in range(1000) if n % 100 == 77}
    letters = site.letters()
    by_id = Counter(letter.id for letter in letters)
    assert {int(letter.value or b"") for letter in letters} == bad
    assert len(by_id) == len(bad)
    assert max(by_id.values()) > 1, "no kill fell between a letter and its offset: this test proves nothing"
    assert set(seen(tmp_path)) == set(range(1000)) - bad
    assert site.committed() == [1000]


@pytest.mark.chaos
def test_killed_stopped_and_joined_at_any_time_a_group_loses_nothing(site: Site, start: Start, tmp_path: Path) -> None:
    count = 20_000
    site.prepare(count, partitions=4)
    chance = random.Random(7)
    options = {"at_most": 50, "seconds_per_batch": 0.01}
    running = [start(**options), start(**options)]
    time.sleep(1.5)

    for disturbance in range(8):
        victim = running.pop(chance.randrange(len(running)))
        victim.send_signal(signal.SIGKILL if disturbance % 2 else signal.SIGTERM)
        # A SIGTERM that comes before Python could listen to it ends the process at once, with nothing read.
        assert victim.wait(20) in ({-signal.SIGKILL} if disturbance % 2 else {0, -signal.SIGTERM})
        running.append(start(**options))
        time.sleep(chance.uniform(0.3, 1.0))
    assert site.committed() != site.ends(), "all was over before the last disturbance: this test proves nothing"
    finish(site, *running)

    bad = {n for n in range(count) if n % 100 == 77}
    done = seen(tmp_path)
    assert set(done) == set(range(count)) - bad
    assert {int(letter.value or b"") for letter in site.letters()} == bad
    first_seen: dict[int, list[int]] = {}
    for number in dict.fromkeys(done):
        first_seen.setdefault(number % 50, []).append(number)
    assert all(numbers == sorted(numbers) for numbers in first_seen.values()), "the order of a key was turned round"


@pytest.mark.chaos
def test_a_broker_that_is_away_loses_nothing_and_makes_no_letter(own_stack, unique: str) -> None:
    stack = own_stack(parts=("kafka",))
    site = Site(stack.start().kafka_bootstrap, unique)
    site.prepare(1000)
    process = BadAre(lambda n: n % 100 == 0)
    waits = []

    def back_at_the_second_wait(_wait_s: float) -> bool:
        waits.append(1)
        if len(waits) == 2:
            stack.bring_up("kafka")
        return False

    with (
        KafkaPublisher(site.settings, timeout_s=2) as publisher,
        KafkaReader(site.settings, group=site.group, topics=[site.source]) as reader,
    ):
        batch = patiently(reader)
        stack.take_down("kafka", kill=True)
        outcomes = deliver_batch(batch, process, delivery=site.delivery(publisher), pause=back_at_the_second_wait)
        reader.done([outcome.record for outcome in outcomes if outcome.finished])
        assert len(waits) >= 2
        while site.committed() != [1000]:
            outcomes = deliver_batch(read_through_outages(reader), process, delivery=site.delivery(publisher), pause=asleep)
            reader.done([outcome.record for outcome in outcomes if outcome.finished])

    assert [letter.origin.offset for letter in unique_letters(site)] == list(range(0, 1000, 100))
    assert list(dict.fromkeys(process.done)) == [n for n in range(1000) if n % 100]


def read_through_outages(reader: KafkaReader) -> list[Record]:
    try:
        return reader.read(at_most=128, wait_s=0.2)
    except DependencyDown:
        time.sleep(0.1)
        return []


def unique_letters(site: Site) -> Iterator[Letter]:
    known = set()
    for letter in site.letters():
        if letter.id not in known:
            known.add(letter.id)
            yield letter


def test_old_records_letters_outlive_their_topics_retention(site: Site) -> None:
    """A letter that kept the event's time would be deleted with it."""
    site.prepare(0, letters=False)
    with KafkaAdmin(site.settings) as admin:
        admin.create([replace(topic(site.letters_topic), retention_ms=3_600_000)])
    month_ago_ms = int(time.time() * 1000) - 30 * 86_400_000
    with KafkaPublisher(site.settings) as publisher:
        publisher.publish([Outgoing(topic=site.source, key=b"k", value=b"0", timestamp_ms=month_ago_ms)])

    drain_one(site)

    (letter,) = site.letters()
    (record,) = scan(site.settings, site.letters_topic)
    assert letter.origin.timestamp_ms == month_ago_ms
    assert abs(record.timestamp_ms - time.time() * 1000) < 60_000
