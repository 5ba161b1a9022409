"""Somebody comments on an object."""

from __future__ import annotations

from pipeline.demo.simulator.annotate import hang, new_annotation
from pipeline.demo.simulator.entities import ANNOTATION_CLASSES, CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server

_COMMENT = "/basic/text/comment/"


def comment(server: Server, actor: Actor, text: str, parent: int, *, table: str = "image") -> Done:
    """Write a comment and hang it on the object."""
    with server.call(actor) as call:
        comment_id = new_annotation(call, _COMMENT, textvalue=text)
        hang(call, comment_id, table, [parent])
    return call.done("comment", named(ANNOTATION_CLASSES[_COMMENT], comment_id), named(CLASSES[table], parent))
