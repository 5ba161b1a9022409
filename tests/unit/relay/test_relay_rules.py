"""Rules: from events to work, each on its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.errors import Permanent, Undecodable
from pipeline.relay.rules import Rule, RuleFailed, Work, apply, chosen
from pipeline.wire.events import EventlogData, PublicEvent
from pipeline.wire.work import WorkItem

EVENT = PublicEvent(
    specversion="1.0",
    id="eventlog:100",
    source="/omero/abc",
    type="org.openmicroscopy.image.insert",
    subject="Image:42",
    time="2026-11-24T07:01:24.503741Z",
    datacontenttype="application/json",
    data=EventlogData(id="100", action="INSERT", entitytype="ome.model.core.Image", entityid="42", event="70", permissions="-35"),
)


def thumbnail(event: PublicEvent, size: int = 96) -> WorkItem:
    return WorkItem(id=f"{event.id}:thumbnail:{size}", queue="thumbnails", requested_by="relay", payload={"size": size})


def two(event: PublicEvent) -> Iterator[WorkItem]:
    yield thumbnail(event)
    yield thumbnail(event, 480)


def half_way(event: PublicEvent) -> Iterator[WorkItem]:
    yield thumbnail(event)
    raise RuntimeError("no such size")


def work(size: int) -> Work:
    item = f'{{"id":"eventlog:100:thumbnail:{size}","queue":"thumbnails","requested_by":"relay","payload":{{"size":{size}}}}}'
    return Work(item=thumbnail(EVENT, size), data=item.encode())


TWO = [work(96), work(480)]


def test_every_rule_says_what_it_wants_in_order() -> None:
    rules = [Rule(name="none", work=lambda _: ()), Rule(name="two", work=two)]
    assert list(apply(rules, EVENT)) == TWO


def test_a_rule_that_raises_is_named_gives_nothing_and_stops_no_other() -> None:
    first, *rest = apply([Rule(name="half-way", work=half_way), Rule(name="two", work=two)], EVENT)
    assert isinstance(first, RuleFailed)
    assert (first.rule, repr(first.error)) == ("half-way", "RuntimeError('no such size')")
    assert rest == TWO


def test_work_that_no_queue_could_read_fails_like_a_rule_that_raises() -> None:
    def shouting(event: PublicEvent) -> list[WorkItem]:
        return [WorkItem(id=event.id, queue="NO SUCH QUEUE", requested_by="relay", payload={})]

    (failed,) = apply([Rule(name="shouting", work=shouting)], EVENT)
    assert isinstance(failed, RuleFailed)
    assert isinstance(failed.error, Undecodable)
    assert "$.queue" in str(failed.error)


def test_a_replay_chooses_the_rule_that_failed() -> None:
    rules = [Rule(name="two", work=two), Rule(name="half-way", work=half_way)]
    assert chosen(rules, "half-way") == [rules[1]]
    with pytest.raises(Permanent, match="no rule 'gone'"):
        chosen(rules, "gone")
