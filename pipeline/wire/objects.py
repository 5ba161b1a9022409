"""OMERO's objects as they are named on the wire: ``Image:42``, never a Java class."""

from __future__ import annotations

import re

from pipeline.errors import Undecodable

MAX_ID = 2**63 - 1

_ID = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


def simple_class(entity_type: str) -> str:
    """The last part of a class name, known to us or not: ``ome.model.annotations.TagAnnotation`` -> ``TagAnnotation``."""
    return entity_type.rpartition(".")[2] or entity_type


def object_name(entity: str, entity_id: int) -> str:
    """How an object is written for people, e.g. ``Image:42``."""
    return f"{entity}:{entity_id}"


def object_key(entity: str, entity_id: int) -> bytes:
    """The Kafka key of everything about one object, e.g. ``b"Image:42"``: one object, one partition, one order."""
    return f"{entity}:{entity_id}".encode()


def parse_object(text: str) -> tuple[str, int]:
    """The inverse of `object_name`.

    Raises:
        Undecodable: it is not ``Type:id`` with an id of 0 to 2^63-1.
    """
    entity, colon, digits = text.rpartition(":")
    if not colon or not entity or not _ID.fullmatch(digits) or int(digits) > MAX_ID:
        raise Undecodable(f"{text[:80]!r} names no object", fix="write the type, a colon and the id, e.g. Image:42")
    return entity, int(digits)


def parse_object_key(key: bytes | None) -> tuple[str, int]:
    """The inverse of `object_key`.

    Raises:
        Undecodable: there is no key, or it is not ``Type:id`` in UTF-8.
    """
    if key is None:
        raise Undecodable("the record has no key", fix="give it the object as its key, e.g. Image:42")
    try:
        return parse_object(key.decode())
    except UnicodeDecodeError as error:
        raise Undecodable(f"key {key[:80]!r} is not UTF-8: {error.reason} at byte {error.start}") from error
