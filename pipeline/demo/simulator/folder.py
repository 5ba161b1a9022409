"""Folders: made, filled with ROIs, renamed (which touches the images of their ROIs)."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server


def create_folder(server: Server, actor: Actor, name: str, *, rois: Sequence[int] = (), parent: int | None = None) -> Done:
    """Make a folder, inside another one or not, and put ROIs in it."""
    with server.call(actor) as call:
        folder_id = call.insert("folder", name=name, parentfolder=parent)
        call.insert_many("folderroilink", [{"parent": folder_id, "child": roi} for roi in rois])
    return call.done("create folder", named(CLASSES["folder"], folder_id), *(named(CLASSES["roi"], roi) for roi in rois))
