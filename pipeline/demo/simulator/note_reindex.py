"""OMERO's indexer turns what the triggers noted into eventlog rows REINDEX, at most 100,000 a call."""

from __future__ import annotations

import time

from pipeline.demo.simulator.history import ROOT, Done
from pipeline.demo.simulator.server import Server

_MINE = (
    "SELECT id FROM eventlog WHERE id > %s AND action = 'REINDEX' AND permissions = -52"
    " AND xmin::text::int8 = pg_current_xact_id()::text::int8 %% 4294967296 ORDER BY id"
)


def note_reindex(server: Server) -> Done:
    """One call of `updated_entities_note_reindex()` in a transaction of its own, without an event."""
    connection = server.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM seq_eventlog")
        (before,) = cursor.fetchone() or (0,)
        cursor.execute("SELECT updated_entities_note_reindex()")
        log_ids = tuple(row[0] for row in cursor.execute(_MINE, (before,)))
        cursor.execute("SELECT pg_current_xact_id()::text::int8")
        (transaction_id,) = cursor.fetchone() or (0,)
    connection.commit()
    return Done(
        action="note reindex",
        actor=ROOT,
        objects=(),
        event_id=0,
        log_ids=log_ids,
        transaction_id=transaction_id,
        committed_ns=time.time_ns(),
    )
