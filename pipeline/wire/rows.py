"""What Debezium puts on Kafka for each committed row: flat JSON, as its ExtractNewRecordState writes it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Bits = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Micros = Annotated[int, Meta(ge=0, le=253_402_300_799_999_999)]  # until the end of the year 9999
Text = Annotated[str, Meta(min_length=1)]


class EventlogRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of OMERO's ``eventlog`` (schemas/eventlog-row.avsc); columns that are unknown to us are passed over.

    Attributes:
        id: allocated before the commit, so no order.
        action: ``INSERT``, ``UPDATE``, ``DELETE``, ``REINDEX``, ``PIXELDATA``, ``PASSWORD``, ``CHMOD(rwr---)`` or a site's own.
        permissions: of the row itself, a negative bitmask; says nothing about who may see the object.
        entitytype: Java class name, e.g. ``ome.model.core.Image``.
        event: id of the row's ``event``, which knows actor, session and time.
        op: ``c`` as it was streamed, ``r`` read again by a repair.
        commit_us: when the transaction was committed [us since 1970 UTC]; when it was read, for a row read again.
        lsn: position in the write-ahead log; no order across transactions. None for a row read again.
        txid: the lower 32 bits of the transaction id. None for a row read again.
    """

    id: Id
    action: Text
    permissions: Bits
    entityid: Id
    entitytype: Text
    external_id: Id | None = None
    event: Id
    op: Text = msgspec.field(name="__op")
    commit_us: Micros = msgspec.field(name="__commit_us")
    lsn: Id | None = msgspec.field(name="__lsn", default=None)
    txid: Id | None = msgspec.field(name="__txid", default=None)


class ReindexingRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row of OMERO's ``_reindexing_required`` (schemas/reindexing-row.avsc): an object's annotations changed, says a trigger.

    Attributes:
        event_id: id of the ``event`` in which the annotation was changed.
        entity_type: Java class name of the annotated object, e.g. ``ome.model.core.Image``.
        op, commit_us, lsn, txid: as in `EventlogRow`.
    """

    event_id: Id
    entity_type: Text
    entity_id: Id
    op: Text = msgspec.field(name="__op")
    commit_us: Micros = msgspec.field(name="__commit_us")
    lsn: Id | None = msgspec.field(name="__lsn", default=None)
    txid: Id | None = msgspec.field(name="__txid", default=None)
