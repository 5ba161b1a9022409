"""Objects, events and times as they are named on the wire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import Undecodable
from pipeline.wire import events, objects


@pytest.mark.parametrize(
    ("entity_type", "simple"),
    [
        ("ome.model.core.Image", "Image"),
        ("ome.model.annotations.TagAnnotation", "TagAnnotation"),
        ("Image", "Image"),
        ("de.institut.Präparat", "Präparat"),
        ("ends.with.", "ends.with."),
        ("", ""),
    ],
)
def test_an_object_is_called_by_the_last_part_of_its_class(entity_type, simple):
    assert objects.simple_class(entity_type) == simple


def test_the_key_is_the_object_in_utf8():
    assert objects.object_key("Image", 42) == b"Image:42"
    assert objects.object_key("Präparat", 1) == "Präparat:1".encode()


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.integers(0, 2**63 - 1))
def test_what_is_formatted_can_be_parsed(entity, entity_id):
    assert objects.parse_object(objects.object_name(entity, entity_id)) == (entity, entity_id)
    assert objects.parse_object_key(objects.object_key(entity, entity_id)) == (entity, entity_id)


@given(st.binary(max_size=30) | st.text().map(str.encode))
def test_any_key_is_an_object_or_undecodable(key):
    try:
        entity, entity_id = objects.parse_object_key(key)
    except Undecodable:
        return
    assert objects.object_key(entity, entity_id) == key


@pytest.mark.parametrize(
    "text", ["", "Image", "Image:", ":42", "Image:-1", "Image:042", "Image:4 2", "Image:٤٢", f"Image:{2**63}", "Image:42\n"]
)
def test_what_is_no_object_is_refused_with_an_example(text):
    with pytest.raises(Undecodable, match="names no object") as caught:
        objects.parse_object(text)
    assert caught.value.fix == "write the type, a colon and the id, e.g. Image:42"


@pytest.mark.parametrize(
    ("key", "why"),
    [(None, "the record has no key"), (b"\xff:1", r"key b'\xff:1' is not UTF-8: invalid start byte at byte 0")],
)
def test_a_key_that_is_none_is_refused(key, why):
    with pytest.raises(Undecodable) as caught:
        objects.parse_object_key(key)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    ("entity_type", "action", "expected"),
    [
        ("ome.model.core.Image", "INSERT", "org.openmicroscopy.image.insert"),
        ("ome.model.meta.ExperimenterGroup", "CHMOD(rwr---)", "org.openmicroscopy.experimentergroup.chmod"),
        ("ome.model.core.Pixels", "PIXELDATA", "org.openmicroscopy.pixels.pixeldata"),
        ("x.Thing", "DEEP-COPY", "org.openmicroscopy.thing.deep-copy"),
        ("x.My Thing_2", "  what  ever ", "org.openmicroscopy.my-thing-2.what-ever"),
        ("de.institut.Präparat", "MESSUNG µ", "org.openmicroscopy.präparat.messung-µ"),
        ("$", "(x)", "org.openmicroscopy.unknown.unknown"),
    ],
)
def test_the_type_of_an_event_says_what_happened_to_what(entity_type, action, expected):
    assert events.event_type(entity_type, action) == expected


@given(st.text(), st.text())
def test_every_action_on_every_type_makes_a_type_of_two_words(entity_type, action):
    made = events.event_type(entity_type, action)
    assert made.startswith("org.openmicroscopy.")
    assert len(made.split(".")) == 4
    assert all(made.split("."))
    assert made.isprintable()
    assert " " not in made


def test_an_event_is_told_from_others_by_source_and_id():
    assert events.event_id(4711) == "eventlog:4711"
    assert events.event_source("8a1c") == "/omero/8a1c"
    assert events.event_source("8a1c", 1) == "/omero/8a1c"
    assert events.event_source("8a1c", 2) == "/omero/8a1c/epoch/2"


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_keep_their_microseconds(us):
    text = events.rfc3339(us)
    assert datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(microseconds=us)
    assert text.endswith("Z")
    assert len(text) == len("2026-11-24T06:50:30.123456Z")
