"""Types of OMERO's objects: their tables, and who has an owner."""

from __future__ import annotations

import pytest

from pipeline.omero.entities import OWNED_TABLES, REMEMBERED_TABLES, EntityType, entity_type


@pytest.mark.parametrize(
    ("full_name", "name", "table", "owned", "remembered"),
    [
        ("ome.model.core.Image", "Image", "image", True, True),
        ("ome.model.annotations.TagAnnotation", "TagAnnotation", "annotation", True, True),
        ("ome.model.annotations.ImageAnnotationLink", "ImageAnnotationLink", "imageannotationlink", True, True),
        ("ome.model.containers.DatasetImageLink", "DatasetImageLink", "datasetimagelink", True, True),
        ("ome.model.jobs.ScriptJob", "ScriptJob", "job", True, True),
        ("ome.model.roi.Rectangle", "Rectangle", "shape", True, False),
        ("ome.model.acquisition.Laser", "Laser", "lightsource", True, False),
        ("ome.model.core.PlaneInfo", "PlaneInfo", "planeinfo", True, False),
        ("ome.model.meta.GroupExperimenterMap", "GroupExperimenterMap", "groupexperimentermap", False, True),
        ("ome.model.meta.Experimenter", "Experimenter", "experimenter", False, False),
        ("ome.model.meta.ExperimenterGroup", "ExperimenterGroup", "experimentergroup", False, False),
        ("ome.model.meta.Session", "Session", "session", False, False),
        ("ome.model.enums.Format", "Format", "format", False, False),
        ("org.example.Image", "Image", "image", False, False),
        ("Image", "Image", "image", False, False),
        ("", "", "", False, False),
        ("ome.model.core.", "", "", False, False),
        ("ome.model.core.Image; drop table image", "Image; drop table image", "image; drop table image", False, False),
    ],
)
def test_a_class_name_says_where_the_object_is(full_name: str, name: str, table: str, owned: bool, remembered: bool) -> None:
    assert entity_type(full_name) == EntityType(name=name, table=table, owned=owned, remembered=remembered)


def test_only_group_memberships_are_memberships() -> None:
    assert entity_type("ome.model.meta.GroupExperimenterMap").is_membership
    assert not entity_type("ome.model.meta.ExperimenterGroup").is_membership


def test_whatever_is_remembered_has_an_owner_to_remember() -> None:
    assert REMEMBERED_TABLES < OWNED_TABLES
    assert len([table for table in REMEMBERED_TABLES if table.endswith("annotationlink")]) == 28
