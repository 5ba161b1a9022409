"""What was committed, as OMERO's database says at the end; what was told, as it came; and what the two must have in common."""

from collections import Counter
from dataclasses import dataclass

from pipeline.kafka.scan import scan
from pipeline.wire import topics
from pipeline.wire.messages import EVENT

from .waiting import patiently

# The publication leaves out what triggers wrote: it comes through another door.
PUBLISHED = "NOT (action = 'REINDEX' AND permissions = -52)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One committed row of eventlog; `transaction` has 32 bits."""

    id: int
    subject: str
    action: str
    transaction: int


def committed(site, *, above):
    """Rows with an id above that one, in the order of their commits."""
    rows = site.sql(
        "SELECT id, entitytype, entityid, action, xmin::text::int8 FROM eventlog"
        f" WHERE id > %s AND {PUBLISHED} ORDER BY pg_xact_commit_timestamp(xmin), id",
        above,
    )
    return [
        Row(id=id_, subject=f"{kind.rpartition('.')[2]}:{object_}", action=action, transaction=xid)
        for id_, kind, object_, action, xid in rows
    ]


def last_id(site):
    ((found,),) = site.sql("SELECT coalesce(max(id), -1) FROM eventlog")
    return found


class Told:
    """Everything on `omero.events`, read on at each look; order within a partition."""

    def __init__(self, settings):
        self._kafka = settings.kafka
        self._topic = topics.named(topics.EVENTS, settings.kafka.prefix)
        self._next = {}
        self.events = []

    def look(self):
        """Reads what came since the last look."""
        for record in scan(self._kafka, self._topic, start=self._next, silence_s=10.0):
            self._next[record.partition] = record.offset + 1
            event = EVENT.json.decode(record.value)
            assert record.key == event.subject.encode()
            self.events.append(event)

    def here(self, mark=0):
        """How much was told so far; the beginning of what a test looks at."""
        patiently(self.look)
        return len(self.events)

    def since(self, mark):
        patiently(self.look)
        return self.events[mark:]


def first_occurrences(events):
    """What is left when each event is counted once, as a consumer does by source and id."""
    first = {}
    for event in events:
        first.setdefault((event.source, event.id), event)
    return list(first.values())


def duplicates(events):
    return sum(count - 1 for count in Counter((event.source, event.id) for event in events).values())


def histories(pairs):
    """Subject -> ids in their order."""
    found = {}
    for subject, id_ in pairs:
        found.setdefault(subject, []).append(id_)
    return found


def compare(rows, events, *, epoch_of_ids=None):
    """Every row was told with its deterministic id, nothing else was, and each object's history is in the order of commits.

    Returns:
        How many events came twice.
    """
    told = first_occurrences(events)
    wanted, seen = {row.id for row in rows}, {int(event.data.id) for event in told}
    assert sorted(wanted - seen) == [], "committed and not told"
    assert sorted(seen - wanted) == [], "told and not committed"
    assert len({event.source for event in told}) <= 1
    assert [event for event in told if event.id != f"eventlog:{event.data.id}"] == []
    assert histories((event.subject, int(event.data.id)) for event in told) == histories((row.subject, row.id) for row in rows)
    if epoch_of_ids is not None:
        full = {row.id: (epoch_of_ids << 32) + row.transaction for row in rows}
        assert [event for event in told if event.transaction and int(event.transaction) != full[int(event.data.id)]] == []
    return duplicates(events)
