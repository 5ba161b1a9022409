"""What belongs to an object and goes where it goes: the server's model graph, as far as the simulator writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import ANNOTATION_CLASSES, CLASSES, JOB_CLASSES, SHAPE_CLASSES, TAG


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Rows of one table and one class."""

    table: str
    class_name: str
    ids: list[int]


_OF_IMAGES = (("imageannotationlink", "parent"), ("datasetimagelink", "child"), ("wellsample", "image"))
_OF_PIXELS = ("thumbnail", "planeinfo")


def of_images(call: Call, images: Sequence[int]) -> list[Part]:
    """Images with everything that is theirs alone, in an order in which rows can be deleted.

    Filesets go as a whole: if any image of a fileset is named, all of its images are included.
    """
    whole = call.ids(
        "SELECT id FROM image WHERE id = ANY (%s) OR fileset IN (SELECT fileset FROM image WHERE id = ANY (%s)) ORDER BY id",
        (list(images), list(images)),
    )
    parts = [_part(call, table, column, whole) for table, column in _OF_IMAGES]
    own = _own_annotations(call, "imageannotationlink", whole)
    rois = call.ids("SELECT id FROM roi WHERE image = ANY (%s) ORDER BY id", (whole,))
    parts += [_part(call, "folderroilink", "child", rois)]
    parts += _shapes(call, rois)
    parts += [_plain("roi", rois), *_of_pixels(call, whole), _plain("image", whole), *_of_filesets(call, whole), *own]
    return [part for part in parts if part.ids]


def of_datasets(call: Call, datasets: Sequence[int]) -> list[Part]:
    """Datasets with their images and everything that is theirs alone."""
    found = list(datasets)
    images = call.ids("SELECT DISTINCT child FROM datasetimagelink WHERE parent = ANY (%s) ORDER BY child", (found,))
    own = _own_annotations(call, "datasetannotationlink", found)
    links = [_part(call, "datasetannotationlink", "parent", found), _part(call, "projectdatasetlink", "child", found)]
    return [part for part in (*links, *of_images(call, images), _plain("dataset", found), *own) if part.ids]


def of_plates(call: Call, plates: Sequence[int]) -> list[Part]:
    """Plates with wells, fields, images and everything that is theirs alone."""
    found = list(plates)
    wells = call.ids("SELECT id FROM well WHERE plate = ANY (%s) ORDER BY id", (found,))
    images = call.ids("SELECT DISTINCT image FROM wellsample WHERE well = ANY (%s) ORDER BY image", (wells,))
    own = _own_annotations(call, "plateannotationlink", found) + _own_annotations(call, "wellannotationlink", wells)
    links = [
        _part(call, "screenplatelink", "child", found),
        _part(call, "plateannotationlink", "parent", found),
        _part(call, "wellannotationlink", "parent", wells),
    ]
    rest = [_plain("well", wells), _part(call, "plateacquisition", "plate", found), _plain("plate", found)]
    return [part for part in (*links, *of_images(call, images), *rest, *own) if part.ids]


def _of_pixels(call: Call, images: list[int]) -> Iterator[Part]:
    pixels = call.ids("SELECT id FROM pixels WHERE image = ANY (%s) ORDER BY id", (images,))
    for table in _OF_PIXELS:
        yield _part(call, table, "pixels", pixels)
    views = call.rows("SELECT id, quantization FROM renderingdef WHERE pixels = ANY (%s) ORDER BY id", (pixels,))
    yield _part(call, "channelbinding", "renderingdef", [row[0] for row in views])
    yield _plain("renderingdef", [row[0] for row in views])
    yield _plain("quantumdef", [row[1] for row in views])
    channels = call.rows("SELECT id, statsinfo, logicalchannel FROM channel WHERE pixels = ANY (%s) ORDER BY id", (pixels,))
    yield _plain("channel", [row[0] for row in channels])
    yield _plain("statsinfo", [row[1] for row in channels if row[1] is not None])
    yield _plain("logicalchannel", [row[2] for row in channels])
    yield _plain("pixels", pixels)


def _of_filesets(call: Call, images: list[int]) -> Iterator[Part]:
    filesets = call.ids(
        "SELECT DISTINCT fileset FROM image WHERE id = ANY (%s) AND fileset IS NOT NULL ORDER BY fileset", (images,)
    )
    entries = call.rows("SELECT id, originalfile FROM filesetentry WHERE fileset = ANY (%s) ORDER BY id", (filesets,))
    links = call.rows("SELECT id, child FROM filesetjoblink WHERE parent = ANY (%s) ORDER BY id", (filesets,))
    yield _plain("filesetentry", [row[0] for row in entries])
    yield _plain("filesetjoblink", [row[0] for row in links])
    jobs = [row[1] for row in links]
    for kind, class_name in JOB_CLASSES.items():
        ids = call.ids(f"SELECT job_id FROM {kind} WHERE job_id = ANY (%s) ORDER BY job_id", (jobs,))
        yield Part(table="job", class_name=class_name, ids=ids)
    yield _plain("fileset", filesets)
    yield _plain("originalfile", [row[1] for row in entries])


def _own_annotations(call: Call, links: str, parents: list[int]) -> list[Part]:
    """Annotations of these parents that hang nowhere else; tags are everybody's and stay."""
    rows = call.rows(
        f"SELECT DISTINCT annotation.id, discriminator FROM annotation JOIN {links} AS link ON link.child = annotation.id"
        " WHERE link.parent = ANY (%(parents)s) AND discriminator <> %(tag)s"
        f" AND NOT EXISTS (SELECT FROM {links} WHERE child = annotation.id AND parent <> ALL (%(parents)s)) ORDER BY 1",
        {"parents": parents, "tag": TAG},
    )
    return _grouped("annotation", ANNOTATION_CLASSES, rows)


def _shapes(call: Call, rois: list[int]) -> list[Part]:
    rows = call.rows("SELECT id, discriminator FROM shape WHERE roi = ANY (%s) ORDER BY id", (rois,))
    return _grouped("shape", SHAPE_CLASSES, rows)


def _grouped(table: str, classes: dict[str, str], rows: list[tuple[int, str]]) -> list[Part]:
    found: dict[str, list[int]] = {}
    for row_id, kind in rows:
        found.setdefault(classes[kind], []).append(row_id)
    return [Part(table=table, class_name=class_name, ids=ids) for class_name, ids in found.items()]


def _part(call: Call, table: str, column: str, parents: list[int]) -> Part:
    return _plain(table, call.ids(f"SELECT id FROM {table} WHERE {column} = ANY (%s) ORDER BY id", (parents,)))


def _plain(table: str, ids: list[int]) -> Part:
    return Part(table=table, class_name=CLASSES[table], ids=ids)
