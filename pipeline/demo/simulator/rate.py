"""Somebody gives an image one to five stars: a long annotation in the rating namespace."""

from __future__ import annotations

from pipeline.demo.simulator.annotate import edit_annotation, hang, new_annotation
from pipeline.demo.simulator.entities import ANNOTATION_CLASSES, CLASSES, RATING_NAMESPACE, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server

_LONG = "/basic/num/long/"


def rate(server: Server, actor: Actor, image_id: int, stars: int) -> Done:
    """Rate an image; a second rating by the same user changes the first."""
    with server.call(actor) as call:
        known = call.ids(
            "SELECT annotation.id FROM annotation JOIN imageannotationlink AS link ON link.child = annotation.id"
            " WHERE link.parent = %s AND ns = %s AND annotation.owner_id = %s",
            (image_id, RATING_NAMESPACE, actor.user_id),
        )
        if known:
            rating_id = known[0]
            edit_annotation(call, rating_id, longvalue=stars)
        else:
            rating_id = new_annotation(call, _LONG, ns=RATING_NAMESPACE, longvalue=stars)
            hang(call, rating_id, "image", [image_id])
    return call.done("rate", named(ANNOTATION_CLASSES[_LONG], rating_id), named(CLASSES["image"], image_id))
