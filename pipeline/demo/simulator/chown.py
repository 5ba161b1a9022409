"""An administrator gives somebody's images or datasets to another user: UPDATE rows for all that changes hands."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.graph import Part, of_datasets, of_images
from pipeline.demo.simulator.history import ROOT, Actor, Done
from pipeline.demo.simulator.server import Server


def chown(server: Server, table: str, ids: Sequence[int], user_id: int, *, by: Actor = ROOT) -> Done:
    """Give images (whole filesets) or datasets with their images to the user; of two equal links the old owner's goes."""
    with server.call(by) as call:
        (owner,) = call.row(f"SELECT owner_id FROM {table} WHERE id = %s", (ids[0],))
        for part in of_images(call, ids) if table == "image" else of_datasets(call, ids):
            double = _double_links(call, part, user_id)
            if double:
                call.delete(part.table, double, class_name=part.class_name)
            own = f"SELECT id FROM {part.table} WHERE id = ANY (%s) AND owner_id = %s ORDER BY id"
            given = call.ids(own, (part.ids, owner))
            call.execute(f"UPDATE {part.table} SET owner_id = %s WHERE id = ANY (%s)", (user_id, given))
            call.note("UPDATE", part.class_name, given)
    return call.done("chown", *(named(CLASSES[table], each) for each in ids))


def _double_links(call: Call, part: Part, user_id: int) -> list[int]:
    if not part.table.endswith("link"):
        return []
    return call.ids(
        f"SELECT old.id FROM {part.table} AS old JOIN {part.table} AS new USING (parent, child)"
        " WHERE old.id = ANY (%s) AND old.owner_id <> %s AND new.owner_id = %s ORDER BY old.id",
        (part.ids, user_id, user_id),
    )
