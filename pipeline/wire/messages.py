"""The messages: one class, one schema, one codec each."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec

from pipeline.wire.avro_codec import AvroCodec, is_avro
from pipeline.wire.events import PublicEvent
from pipeline.wire.json_codec import JsonCodec
from pipeline.wire.rows import EventlogRow, ReindexingRow
from pipeline.wire.topics import Topic
from pipeline.wire.work import ReindexRequest, WorkItem

M = TypeVar("M", bound=msgspec.Struct)


class Message(Generic[M]):
    """One kind of message.

    Attributes:
        type: what it is in Python.
        schema: file stem in ``schemas/``.
        json: its JSON.
        avro: its Avro, in single-object encoding.
    """

    __slots__ = ("avro", "json", "schema", "type")

    def __init__(self, message: type[M], schema: str) -> None:
        self.type = message
        self.schema = schema
        self.json: JsonCodec[M] = JsonCodec(message, schema)
        self.avro: AvroCodec[M] = AvroCodec(message, schema)

    def decode(self, data: bytes) -> M:
        """The message from JSON or Avro, told apart by the first bytes.

        Raises:
            Undecodable: it is neither, or not what the schema says.
        """
        return self.avro.decode(data) if is_avro(data) else self.json.decode(data)


EVENTLOG_ROW: Final = Message(EventlogRow, "eventlog-row")
REINDEXING_ROW: Final = Message(ReindexingRow, "reindexing-row")
EVENT: Final = Message(PublicEvent, "event")
REINDEX_REQUEST: Final = Message(ReindexRequest, "reindex-request")
WORK_ITEM: Final = Message(WorkItem, "work-item")

MESSAGES: Final[tuple[Message[Any], ...]] = (EVENTLOG_ROW, REINDEXING_ROW, EVENT, REINDEX_REQUEST, WORK_ITEM)


def message_of(topic: Topic) -> Message[Any] | None:
    """What a topic carries; None where that is somebody else's or not made yet."""
    return next((message for message in MESSAGES if message.schema == topic.schema), None)
