"""Hang an annotation on objects: what tagging, rating, commenting and key-value pairs have in common."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.demo.simulator.call import Call
from pipeline.demo.simulator.entities import ANNOTATION_CLASSES


def new_annotation(call: Call, discriminator: str, *, ns: str | None = None, **value: object) -> int:
    """Write an annotation that hangs nowhere yet."""
    return call.insert("annotation", class_name=ANNOTATION_CLASSES[discriminator], discriminator=discriminator, ns=ns, **value)


def hang(call: Call, annotation_id: int, table: str, parents: Sequence[int]) -> list[int]:
    """Link the annotation to rows of the table. The links' ids in order."""
    return call.insert_many(f"{table}annotationlink", [{"parent": parent, "child": annotation_id} for parent in parents])


def edit_annotation(call: Call, annotation_id: int, **value: object) -> None:
    """Change an annotation's own columns; the database notes what it hangs on."""
    (discriminator,) = call.row("SELECT discriminator FROM annotation WHERE id = %s", (annotation_id,))
    call.update("annotation", [annotation_id], class_name=ANNOTATION_CLASSES[discriminator], **value)
