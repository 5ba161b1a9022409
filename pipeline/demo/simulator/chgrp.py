"""Somebody moves images or datasets to another group: UPDATE rows for all that moves, DELETE rows for links that cannot."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import CLASSES, TAG, named
from pipeline.demo.simulator.graph import Part, of_datasets, of_images
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server


def chgrp(server: Server, actor: Actor, table: str, ids: Sequence[int], group_id: int) -> Done:
    """Move images (whole filesets) or datasets with their images; containers and tags that stay behind are unlinked."""
    with server.call(actor) as call:
        parts = of_images(call, ids) if table == "image" else of_datasets(call, ids)
        for part in parts:
            staying = _links_to_what_stays(call, part, ids if table == "dataset" else ())
            if staying:
                call.delete(part.table, staying, class_name=part.class_name)
            moving = sorted(set(part.ids).difference(staying))
            if moving:
                call.execute(f"UPDATE {part.table} SET group_id = %s WHERE id = ANY (%s)", (group_id, moving))
                call.note("UPDATE", part.class_name, moving)
    return call.done("chgrp", *(named(CLASSES[table], each) for each in ids))


def _links_to_what_stays(call: Call, part: Part, datasets: Sequence[int]) -> list[int]:
    if part.table == "projectdatasetlink":
        return part.ids
    if part.table == "datasetimagelink":
        return call.ids("SELECT id FROM datasetimagelink WHERE id = ANY (%s) AND parent <> ALL (%s)", (part.ids, list(datasets)))
    if part.table in {"imageannotationlink", "datasetannotationlink"}:
        return call.ids(
            f"SELECT link.id FROM {part.table} AS link JOIN annotation ON annotation.id = link.child"
            " WHERE link.id = ANY (%s) AND discriminator = %s ORDER BY link.id",
            (part.ids, TAG),
        )
    return []
