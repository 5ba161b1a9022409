"""Tags: new ones, known ones on more objects, off again, reworded, gathered in sets."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.demo.simulator.annotate import edit_annotation, hang, new_annotation
from pipeline.demo.simulator.entities import ANNOTATION_CLASSES, CLASSES, TAG, TAG_SET_NAMESPACE, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server

_TAG_CLASS = ANNOTATION_CLASSES[TAG]


def add_new_tag(server: Server, actor: Actor, text: str, parents: Sequence[int], *, table: str = "image") -> Done:
    """Make a tag and put it on objects, in one call."""
    with server.call(actor) as call:
        tag_id = new_annotation(call, TAG, textvalue=text)
        hang(call, tag_id, table, parents)
    return call.done("tag", named(_TAG_CLASS, tag_id), *(named(CLASSES[table], parent) for parent in parents))


def add_tag(server: Server, actor: Actor, tag_id: int, parents: Sequence[int], *, table: str = "image") -> Done:
    """Put a known tag on objects, as a link of this user's own."""
    with server.call(actor) as call:
        hang(call, tag_id, table, parents)
    return call.done("tag", named(_TAG_CLASS, tag_id), *(named(CLASSES[table], parent) for parent in parents))


def remove_tag(server: Server, actor: Actor, tag_id: int, parent: int, *, table: str = "image") -> Done:
    """Take the tag off one object: everybody's links that join the two."""
    links = f"{table}annotationlink"
    with server.call(actor) as call:
        found = call.ids(f"SELECT id FROM {links} WHERE child = %s AND parent = %s ORDER BY id", (tag_id, parent))
        call.delete(links, found)
    return call.done("untag", named(_TAG_CLASS, tag_id), named(CLASSES[table], parent))


def reword_tag(server: Server, actor: Actor, tag_id: int, text: str) -> Done:
    """Change the tag's text. One eventlog row; the database notes every object that wears the tag."""
    with server.call(actor) as call:
        edit_annotation(call, tag_id, textvalue=text)
    return call.done("reword tag", named(_TAG_CLASS, tag_id))


def gather_tags(server: Server, actor: Actor, name: str, tags: Sequence[int]) -> Done:
    """Make a tag set: a tag in a namespace of its own, parent of its tags."""
    with server.call(actor) as call:
        set_id = new_annotation(call, TAG, ns=TAG_SET_NAMESPACE, textvalue=name)
        call.insert_many("annotationannotationlink", [{"parent": set_id, "child": tag} for tag in tags])
    return call.done("gather tags", named(_TAG_CLASS, set_id), *(named(_TAG_CLASS, tag) for tag in tags))
