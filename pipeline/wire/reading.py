"""Any record of any topic made readable, for people: `omero-mq topic cat`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from pipeline.errors import Misconfigured, Undecodable
from pipeline.wire.avro_codec import decode_value, is_avro, writer_of
from pipeline.wire.json_codec import parse
from pipeline.wire.messages import message_of
from pipeline.wire.schemas import shipped_schemas
from pipeline.wire.text import unfit_texts
from pipeline.wire.topics import DEFAULT_PREFIX, by_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoded:
    """A record's value as it can be shown.

    Attributes:
        encoding: how it was written.
        schema: file stem in ``schemas/``; "" where no schema of ours says what it is.
        value: plain JSON values.
    """

    encoding: Literal["json", "avro"]
    schema: str
    value: Any


def decode_any(topic_name: str, data: bytes | None, prefix: str = DEFAULT_PREFIX) -> Decoded:
    """The value of a record, checked against its topic's schema where there is one.

    Where there is none (letters and retries carry others' bytes) any JSON and any Avro with a known fingerprint is read.

    Raises:
        Undecodable: there is no value, or it is neither; nothing else is raised.
    """
    if data is None:
        raise Undecodable("there is no value (a tombstone)", fix="nothing: the record marks its key as deleted")
    try:
        message = message_of(by_name(topic_name, prefix))
    except Misconfigured:
        message = None
    if message is None:
        return _unspecified(data)
    value = msgspec.to_builtins(message.decode(data))
    return Decoded(encoding="avro" if is_avro(data) else "json", schema=message.schema, value=value)


def _unspecified(data: bytes) -> Decoded:
    if not is_avro(data):
        value = parse(data)
        if wrong := next(unfit_texts(value), ""):
            raise Undecodable(wrong, fix="look at the bytes with kcat, and at who wrote them")
        return Decoded(encoding="json", schema="", value=value)
    writer = writer_of(data, shipped_schemas())
    return Decoded(encoding="avro", schema=writer.name, value=decode_value(data, writer, writer))
