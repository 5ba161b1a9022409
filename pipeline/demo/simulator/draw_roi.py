"""Somebody draws regions of interest on an image."""

from __future__ import annotations

from pipeline.demo.simulator.entities import CLASSES, SHAPE_CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server


def draw_roi(server: Server, actor: Actor, image_id: int, *, shapes: int = 1) -> Done:
    """Save one ROI with so many rectangles; the database notes the image for reindexing."""
    random = server.random
    with server.call(actor) as call:
        roi_id = call.insert("roi", image=image_id, name=None, description=None)
        rectangles = [
            {
                "discriminator": "rect",
                "roi": roi_id,
                "roi_index": index,
                "thez": 0,
                "thet": 0,
                "x": random.uniform(0, 400),
                "y": random.uniform(0, 400),
                "width": random.uniform(5, 99),
                "height": random.uniform(5, 99),
            }
            for index in range(shapes)
        ]
        call.insert_many("shape", rectangles, class_name=SHAPE_CLASSES["rect"])
    return call.done("draw ROI", named(CLASSES["roi"], roi_id), named(CLASSES["image"], image_id))
