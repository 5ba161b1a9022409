"""A widely used tag is reworded: one eventlog row by the user, then one REINDEX row for each object that wears it."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.note_reindex import note_reindex
from pipeline.demo.simulator.server import Server
from pipeline.demo.simulator.tag import reword_tag


def reindex_flood(server: Server, actor: Actor, tag_id: int, text: str) -> Iterator[Done]:
    """Reword the tag, then let the indexer note it until nothing is left to note.

    A young database has no statistics of its event log yet, which an old one has. Without them PostgreSQL looks for any row
    of this event first, and 100,000 notes in one event take minutes instead of seconds; so they are made here.
    """
    server.connection.execute("ANALYZE eventlog")
    server.connection.commit()
    yield reword_tag(server, actor, tag_id, text)
    while True:
        done = note_reindex(server)
        yield done
        waiting = server.connection.execute("SELECT EXISTS (SELECT FROM _reindexing_required)").fetchone()
        server.connection.rollback()
        if waiting == (False,):
            return
