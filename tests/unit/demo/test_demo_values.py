"""The simulator's plain values: clocks, names, sizes, what was done."""

from datetime import datetime
from random import Random

import pytest

from pipeline.demo.database import Secrets, schema_files
from pipeline.demo.facility import WEIGHTS, Facility
from pipeline.demo.simulator import names
from pipeline.demo.simulator.acquisition import Stack
from pipeline.demo.simulator.clock import seeded_clock, wall_clock
from pipeline.demo.simulator.entities import named
from pipeline.demo.simulator.history import ROOT, Done
from pipeline.demo.simulator.import_plate import PlateSize


def test_a_seeded_clock_tells_the_same_times_and_never_stands_still():
    one, same, other = seeded_clock(1), seeded_clock(1), seeded_clock(2)
    times = [one() for _ in range(100)]
    assert times == [same() for _ in range(100)]
    assert times == sorted(set(times))
    assert times[0] > datetime.fromisoformat("2024-03-01T08:00:00")
    assert times != [other() for _ in range(100)]


def test_the_wall_clock_has_no_zone_as_omeros_columns():
    assert wall_clock().tzinfo is None


def test_a_plate_knows_how_many_rows_it_makes():
    assert Stack(channels=3, sections=6).log_rows == 2 + 6 + 18
    assert PlateSize(rows=1, columns=2, fields=3, stack=Stack(channels=1)).log_rows == 6 * (2 + 2 + 1 + 1) + 2 + 3
    for wanted in (1, 10_000, 100_000, 1_000_000):
        assert PlateSize.at_least(wanted).log_rows >= wanted
    assert PlateSize.at_least(100_000).log_rows < 115_000


def test_what_was_done_counts_its_rows_and_names_its_first_object():
    done = Done(
        action="tag",
        actor=ROOT,
        objects=("TagAnnotation:7", "Image:3"),
        event_id=5,
        log_ids=range(10, 12),
        transaction_id=900,
        committed_ns=1,
    )
    assert (done.rows, done.object_id) == (2, 7)


def test_an_object_is_named_by_its_class_without_the_package():
    assert named("ome.model.core.Image", 42) == "Image:42"


def test_names_come_from_the_seed_and_not_only_from_ascii():
    made = [names.image_name(Random(n)) for n in range(50)]
    assert made == [names.image_name(Random(n)) for n in range(50)]
    assert not "".join([*names.TAGS, *names.LABS, *names.STAINS]).isascii()
    assert len({names.user_name(n)[0] for n in range(100)}) == 100
    assert len({names.group_name(n) for n in range(100)}) == 100


def test_marked_secrets_differ_and_each_holds_the_word():
    secrets = Secrets.marked("canary")
    values = [secrets.node_uuid, secrets.session_prefix, secrets.password_prefix, secrets.mail_password, secrets.email_domain]
    assert len(set(values)) == 5
    assert all(value.startswith("canary-") for value in values)
    assert len(Secrets.marked("c" * 20).node_uuid) <= 36


def test_an_unknown_action_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"no action 'rename image'; it knows: import image, rename"):
        Facility(None, weights={"rename image": 1, "rename": 1})  # type: ignore[arg-type]


def test_every_weight_has_its_deed():
    class Idle:
        random = Random(0)

    assert set(Facility(Idle())._deeds) == set(WEIGHTS)


def test_the_schema_files_are_read_in_their_order():
    found = [name for name, _ in schema_files()]
    assert found == sorted(found)
    assert [name[:2] for name in found] == [f"{n:02}" for n in range(1, len(found) + 1)]
