"""Somebody gives a thing another name, or a description."""

from __future__ import annotations

from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server


def rename(server: Server, actor: Actor, table: str, entity_id: int, name: str) -> Done:
    """Rename an image, dataset, project, screen, plate, folder or group; of a user the last name."""
    with server.call(actor) as call:
        column = "lastname" if table == "experimenter" else "name"
        call.update(table, [entity_id], **{column: name})
    return call.done("rename", named(CLASSES[table], entity_id))


def describe(server: Server, actor: Actor, table: str, entity_id: int, description: str) -> Done:
    """Set the description."""
    with server.call(actor) as call:
        call.update(table, [entity_id], description=description)
    return call.done("describe", named(CLASSES[table], entity_id))
