"""Rules: pure functions that turn an event into work for a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.errors import Permanent
from pipeline.wire.events import PublicEvent
from pipeline.wire.messages import WORK_ITEM
from pipeline.wire.work import WorkItem


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One reason to do work.

    Attributes:
        name: kebab-case; stands in the letter when the rule raises, so it never changes its meaning.
        work: from an event to no, one or several work items. Pure: no clock, no database, no network. The same event gives the
            same items with the same ids, since an event may come twice and its work must be done once.
    """

    name: str
    work: Callable[[PublicEvent], Iterable[WorkItem]]


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleFailed:
    """A rule that raised on an event: a letter of its own, named by the rule, and nothing else stops."""

    rule: str
    error: Exception


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A work item, and its bytes as they go to the queue."""

    item: WorkItem
    data: bytes


def apply(rules: Sequence[Rule], event: PublicEvent) -> Iterator[Work | RuleFailed]:
    """What all rules say about one event. A rule that raises half-way, or makes what no queue could read, makes nothing."""
    for rule in rules:
        try:
            made = [Work(item=item, data=WORK_ITEM.json.encode_checked(item)) for item in rule.work(event)]
        except Exception as error:  # noqa: BLE001 - whatever a rule does wrong concerns this rule alone
            yield RuleFailed(rule=rule.name, error=error)
        else:
            yield from made


def chosen(rules: Sequence[Rule], name: str) -> Sequence[Rule]:
    """The one rule of that name, for a replay of what it failed at.

    Raises:
        Permanent: there is none any more.
    """
    found = [rule for rule in rules if rule.name == name]
    if not found:
        raise Permanent(f"there is no rule {name!r}", fix="discard the letter, or run a version that has the rule")
    return found
