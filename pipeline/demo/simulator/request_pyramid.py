"""Somebody opens a large image that has no pyramid: the server asks its PixelData process for one, each time."""

from __future__ import annotations

from pipeline.demo.simulator.entities import CLASSES, LOG_PERMISSIONS, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server


def request_pyramid(server: Server, actor: Actor, pixels_id: int) -> Done:
    """One row PIXELDATA, saved as an entity.

    Its id comes from the process's block of 50, reserved hours ago perhaps: far below the ids that others have drawn since.
    """
    with server.call(actor, event_type="Internal") as call:
        (log_id,) = server.ids.take("eventlog")
        call.execute(
            "INSERT INTO eventlog (id, action, permissions, entityid, entitytype, event)"
            " VALUES (%s, 'PIXELDATA', %s, %s, %s, %s)",
            (log_id, LOG_PERMISSIONS, pixels_id, CLASSES["pixels"], call.event_id),
        )
        call.log_ids = range(log_id, log_id + 1)
    return call.done("request pyramid", named(CLASSES["pixels"], pixels_id))
