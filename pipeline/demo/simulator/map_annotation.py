"""Key-value pairs on an object, and edits of their values."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.demo.simulator.annotate import hang, new_annotation
from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import ANNOTATION_CLASSES, CLASSES, MAP_NAMESPACE, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server

_MAP = "/map/"
_MAP_CLASS = ANNOTATION_CLASSES[_MAP]
Pairs = Sequence[tuple[str, str]]


def add_key_values(server: Server, actor: Actor, pairs: Pairs, parent: int, *, table: str = "image") -> Done:
    """Make a map annotation and hang it on one object."""
    with server.call(actor) as call:
        map_id = new_annotation(call, _MAP, ns=MAP_NAMESPACE)
        _write_pairs(call, map_id, pairs)
        hang(call, map_id, table, [parent])
    return call.done("add key-values", named(_MAP_CLASS, map_id), named(CLASSES[table], parent))


def edit_key_values(server: Server, actor: Actor, map_id: int, pairs: Pairs) -> Done:
    """Replace the pairs: rows of the collection, and UPDATE of the annotation that holds it."""
    with server.call(actor) as call:
        call.update("annotation", [map_id], class_name=_MAP_CLASS)
        call.execute("DELETE FROM annotation_mapvalue WHERE annotation_id = %s", (map_id,))
        _write_pairs(call, map_id, pairs)
    return call.done("edit key-values", named(_MAP_CLASS, map_id))


def _write_pairs(call: Call, map_id: int, pairs: Pairs) -> None:
    for index, (name, value) in enumerate(pairs):
        call.execute("INSERT INTO annotation_mapvalue VALUES (%s, %s, %s, %s)", (map_id, name, value, index))
