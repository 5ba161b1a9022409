"""Requests: read this object again, do this work."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pipeline.wire.text import unfit_for_json

Millis = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]  # until the end of the year 9999
ObjectName = Annotated[str, Meta(pattern=r"^[^\s:]+:(0|[1-9][0-9]{0,18})$(?!\n)", max_length=255)]
Kebab = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$(?!\n)", max_length=100)]
# Keys become indexed columns of the state database; PostgreSQL's index rows take 2,700 bytes.
Key = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(min_length=1)]

Urgency = Literal["interactive", "normal", "bulk"]


class ReindexRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Read this object again and write its document anew (schemas/reindex-request.avsc). Idempotent.

    Attributes:
        object: ``Image:42``; the Kafka key, too.
        reason: why, for people: ``reconcile``, ``repair of eventlog 21-40``, ``text was extracted``.
        requested_by: a user, or the service that asked.
        requested_at_ms: when it was asked [ms since 1970 UTC].
    """

    object: ObjectName
    reason: Text
    requested_by: Text
    requested_at_ms: Millis


class WorkItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One piece of work for one queue (schemas/work-item.avsc). Accepted once per ``id``, however often it is sent.

    Attributes:
        id: chosen by who asks; the same work asked for again has the same id.
        queue: which queue does it; also the end of the topic's name.
        requested_by: id of the user whose share it counts against, or the service that asked.
        payload: what the queue needs; each queue has its own fields. No secrets: whoever reads the topic reads them.
        order_key: work with the same key is done strictly one after another.
        dedupe_key: while work with this key waits, more of it is the same work.
        urgency: ``interactive`` before ``normal`` before ``bulk``.
        cause: ``id`` of the public event that this follows from.
        not_before_ms: not to be started earlier [ms since 1970 UTC].
        expires_ms: not to be started later [ms since 1970 UTC].
    """

    id: Key
    queue: Kebab
    requested_by: Text
    payload: dict[str, Any]
    order_key: Key | None = None
    dedupe_key: Key | None = None
    urgency: Urgency = "normal"
    cause: Text | None = None
    not_before_ms: Millis | None = None
    expires_ms: Millis | None = None

    def __post_init__(self) -> None:
        """Refuse a payload that would not come out as it went in.

        Raises:
            ValueError: it holds NaN, a number beyond 64 bits, a NUL, a lone surrogate, another type than JSON's, or is too deep.
        """
        if problem := unfit_for_json(self.payload):
            raise ValueError(f"payload{problem}")


def work_key(item: WorkItem) -> bytes:
    """The Kafka key of a work item: its order key, so that what is ordered stays in one partition; else its id."""
    return (item.order_key or item.id).encode()
