"""A facility works, everything is killed, frozen and taken away in turn, and in the end every committed row was told."""

import os

import msgspec
import pytest

from pipeline.kafka.scan import scan
from pipeline.wire import topics

from .disturb import Disturbances
from .record import committed, compare, last_id
from .site import EPOCH_OF_TRANSACTION_IDS, RELAYS
from .waiting import until
from .work import Work

pytestmark = [pytest.mark.stack, pytest.mark.chaos]

SEED = int(os.environ.get("OMERO_MQ_TEST_SEED", "4711"))
DISTURBANCES = int(os.environ.get("OMERO_MQ_TEST_DISTURBANCES", "12"))
AWAY_S = float(os.environ.get("OMERO_MQ_TEST_AWAY_S", "6"))


def what_is_missing(site, rows, events):
    """Where the trail of rows that were not told ends, and when they were committed."""
    told = {int(event.data.id) for event in events}
    captured = {msgspec.json.decode(record.value)["id"] for record in scan(site.settings.kafka, site.topic(topics.EVENTLOG))}
    missing = [row for row in rows if row.id not in told]
    when = (
        "SELECT xmin::text, min(pg_xact_commit_timestamp(xmin)), count(*) FROM eventlog WHERE id = ANY(%s) GROUP BY 1 ORDER BY 2"
    )
    lines = [f"{len(missing)} rows were not told; {sum(row.id in captured for row in missing)} of them are on omero.eventlog"]
    return "\n".join([*lines, *map(str, site.sql(when, [row.id for row in missing])[:40])])


@pytest.mark.timeout(300 + DISTURBANCES * (20 + AWAY_S))
def test_every_committed_row_becomes_an_event_whatever_is_killed(site):
    first, mark = last_id(site), site.told.here()
    disturbances = Disturbances(site, seed=SEED, away_s=AWAY_S)
    before = {name: site.condition(name).restarts for name in RELAYS}
    site.ended_by_us = dict.fromkeys(RELAYS, 0)
    with Work(site.dsn(), seed=SEED) as work:
        until(lambda: work.actions > 30, what="people at work")
        for _ in range(DISTURBANCES):
            disturbances.one()
    site.calm_down()
    rows = committed(site, above=first)
    wanted = {f"eventlog:{row.id}" for row in rows}
    try:
        until(lambda: wanted <= {event.id for event in site.told.since(mark)}, within_s=90, what=f"all told ({disturbances.log})")
    except AssertionError:
        print(site.report())
        print(what_is_missing(site, rows, site.told.since(mark)))
        raise
    until(lambda: site.lag() == 0, what="lag 0")
    events = site.told.since(mark)
    twice = compare(rows, events, epoch_of_ids=EPOCH_OF_TRANSACTION_IDS)
    print(f"{len(rows)} rows of {len({row.transaction for row in rows})} transactions told, {twice} of them twice")
    assert site.letters() == []
    assert len(rows) > DISTURBANCES * 20
    ended = {name: site.condition(name).restarts - before[name] for name in RELAYS}
    assert ended == site.ended_by_us, "a relay ends only when somebody ends it"
