"""Projects, datasets and screens: made, and things put into them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server

_LINKS = {
    ("project", "dataset"): "projectdatasetlink",
    ("dataset", "image"): "datasetimagelink",
    ("screen", "plate"): "screenplatelink",
}


def create_container(server: Server, actor: Actor, table: str, name: str) -> Done:
    """Make a project, dataset or screen."""
    with server.call(actor) as call:
        container = call.insert(table, name=name, description=None)
    return call.done(f"create {table}", named(CLASSES[table], container))


def put_into(server: Server, actor: Actor, into: tuple[str, int], table: str, children: Sequence[int]) -> Done:
    """Link children into a container, given as ``("dataset", 3)``."""
    parent_table, parent = into
    with server.call(actor) as call:
        call.insert_many(_LINKS[parent_table, table], [{"parent": parent, "child": child} for child in children])
    return call.done("put into", named(CLASSES[parent_table], parent), *(named(CLASSES[table], child) for child in children))
