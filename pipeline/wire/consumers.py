"""Every consumer, once: what it reads, what it promises, what makes that true, and which test shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pipeline.errors import Misconfigured
from pipeline.wire import topics
from pipeline.wire.topics import DEFAULT_PREFIX, Topic

Guarantee = Literal["at least once", "effectively once", "at most once"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerSpec:
    """One consumer and its promise.

    Attributes:
        name: kebab-case; also the end of its letters' topic.
        group: what follows the prefix in its consumer group's name; "" where it reads no topic.
        sources: the topics that it reads; none for the outbox, which reads a table of the state database.
        effect: what comes of a message.
        guarantee: how often that happens for one message.
        how: what makes repeating harmless.
        order: what stays in order.
        test: pytest node id of the test that shows the guarantee under kills.
        letters: whether what fails for good becomes a letter in ``omero.dlq.<name>``.
        runs: whether an installation runs it; False for what only proves a part.
    """

    name: str
    group: str
    sources: tuple[Topic, ...]
    effect: str
    guarantee: Guarantee
    how: str
    order: str
    test: str
    letters: bool
    runs: bool = True


RELAY: Final = ConsumerSpec(
    name="relay",
    group="relay",
    sources=(topics.EVENTLOG, topics.RETRY_RELAY),
    effect="a public event on omero.events, work items of the rules, the object's last-known owner and group",
    guarantee="at least once",
    how="an event's source and id derive from the row; a work item's id derives from event and rule; last-known rows are upserts",
    order="per object, in the order of commits",
    test="tests/chaos/test_disturbances.py::test_every_committed_row_becomes_an_event_whatever_is_killed",
    letters=True,
)
OUTBOX: Final = ConsumerSpec(
    name="outbox",
    group="",
    sources=(),
    effect="the record that a transaction on the state database wrote down",
    guarantee="at least once",
    how="a row is deleted after the broker has acknowledged it; sent again, it is the same record with the same id",
    order="per key, in the order of writing; a row that no topic takes is parked and holds back only its key",
    test=(
        "tests/integration/state/test_outbox.py::test_pollers_killed_at_any_moment_publish_everything_at_least_once_and_in_order"
    ),
    letters=False,
)
ECHO: Final = ConsumerSpec(
    name="echo",
    group="echo",
    sources=(topics.EVENTS,),
    effect="none: it shows that the Faust worker acknowledges nothing that it has not finished",
    guarantee="at least once",
    how="records are acknowledged together after the effect, in order, each once",
    order="per partition",
    test="tests/integration/worker/test_worker_survives.py::test_every_record_is_seen_whatever_is_killed",
    letters=True,
    runs=False,
)

CONSUMERS: Final[tuple[ConsumerSpec, ...]] = (RELAY, OUTBOX, ECHO)


def consumer(name: str) -> ConsumerSpec:
    """The entry of the table.

    Raises:
        Misconfigured: there is none of that name.
    """
    for spec in CONSUMERS:
        if spec.name == name:
            return spec
    raise Misconfigured(f"there is no consumer {name!r}", fix=f"choose one of {', '.join(spec.name for spec in CONSUMERS)}")


def group_name(spec: ConsumerSpec, prefix: str = DEFAULT_PREFIX) -> str:
    """The Kafka consumer group, e.g. ``omero.relay``.

    Raises:
        Misconfigured: it reads no topic, or the prefix cannot begin a name.
    """
    if not spec.group:
        raise Misconfigured(f"{spec.name} reads no topic and has no consumer group", fix="look at `omero-mq queues`")
    return f"{topics.checked_prefix(prefix)}.{spec.group}"
