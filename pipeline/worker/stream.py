"""The little of Faust's stream that the lanes see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any


async def events_of(stream: Any) -> AsyncIterator[Any]:
    """The stream's events, without Faust's acknowledgement: an event counts for nothing until its offset is in a `Ledger`.

    Faust acknowledges an event as soon as its reader goes on, for whatever reason: the next one, an exception, a cancellation.
    """
    unacknowledged = stream.noack()
    async for _ in unacknowledged:
        event = unacknowledged.current_event
        if event is not None:
            yield event
