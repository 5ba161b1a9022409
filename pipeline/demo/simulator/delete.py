"""Somebody deletes images, datasets or plates: one transaction, a DELETE row for each object; the files go afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import CLASSES, JOB_CLASSES, named
from pipeline.demo.simulator.graph import Part, of_datasets, of_images, of_plates
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server

_GRAPHS: dict[str, Callable[[Call, Sequence[int]], list[Part]]] = {"image": of_images, "dataset": of_datasets, "plate": of_plates}
_KINDS = {class_name: kind for kind, class_name in JOB_CLASSES.items()}


def delete(server: Server, actor: Actor, table: str, ids: Sequence[int]) -> Done:
    """Delete images (whole filesets), datasets with their images, or plates; then forget the files that went from disk."""
    with server.call(actor) as call:
        for part in _GRAPHS[table](call, ids):
            if part.table == "job":
                call.execute(f"DELETE FROM {_KINDS[part.class_name]} WHERE job_id = ANY (%s)", (part.ids,))
            call.delete(part.table, part.ids, class_name=part.class_name)
    _forget_files(server, call.event_id)
    return call.done(f"delete {table}", *(named(CLASSES[table], each) for each in ids))


def _forget_files(server: Server, event_id: int) -> None:
    """After the commit the files are removed from disk, and then from the list of what is still to be removed."""
    server.connection.execute("DELETE FROM _fs_deletelog WHERE event_id = %s", (event_id,))
    server.connection.commit()
