"""What an exception means for the message at hand: a table from exception types to verdicts, extendable per consumer."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pipeline.errors import DependencyDown, Halt, Misconfigured, Permanent, RecordTooLarge, Transient, Undecodable

Kind = Literal["permanent", "transient", "dependency", "misconfigured", "halt"]
LetterClass = Literal[
    "transient-exhausted",
    "poison",
    "stale",
    "undecodable",
    "oversize",
    "blocked-by",
    "crash",
    "timeout",
    "manual",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What happens next.

    Attributes:
        kind: permanent: a letter now; transient: again, then a letter; dependency: wait; misconfigured, halt: the service stops.
        letter_class: what a letter says, if it comes to one.
        dependency: what is away.
        timed_out: whether time ran out, which letters count apart.
    """

    kind: Kind
    letter_class: LetterClass = "poison"
    dependency: str = ""
    timed_out: bool = False


POISON = Verdict(kind="permanent")
AGAIN = Verdict(kind="transient", letter_class="transient-exhausted")
TIMED_OUT = Verdict(kind="transient", letter_class="timeout", timed_out=True)

Error = TypeVar("Error", bound=BaseException)

Rule = tuple[type[BaseException], Verdict | Callable[[BaseException], Verdict]]
"""An exception type with its verdict, or with what gives one."""


def _of_dependency(exc: BaseException) -> Verdict:
    return Verdict(kind="dependency", dependency=exc.name if isinstance(exc, DependencyDown) else "")


def _of_system(exc: BaseException) -> Verdict:
    # A full disk fails every message alike, and passes: nothing that the message could be blamed for.
    if isinstance(exc, OSError) and exc.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Verdict(kind="dependency", dependency="disk")
    return AGAIN


RULES: tuple[Rule, ...] = (
    (Halt, Verdict(kind="halt")),
    (Misconfigured, Verdict(kind="misconfigured")),
    (DependencyDown, _of_dependency),
    (Undecodable, Verdict(kind="permanent", letter_class="undecodable")),
    (RecordTooLarge, Verdict(kind="permanent", letter_class="oversize")),
    (Permanent, POISON),
    (Transient, AGAIN),
    (TimeoutError, TIMED_OUT),
    (OSError, _of_system),
    (MemoryError, AGAIN),  # the machine's fault as often as the message's
)
"""The first rule that fits counts. What none fits is a mistake in a program, and would be made again: poison."""

# A group of exceptions is as bad as its worst member; what stops or waits comes before what would blame the message.
_GRAVITY: Sequence[Kind] = ("halt", "misconfigured", "dependency", "transient", "permanent")


@dataclass(frozen=True, kw_only=True, slots=True)
class Classifier:
    """The table in use."""

    rules: tuple[Rule, ...] = field(default=RULES)

    def extended(self, *rules: Rule) -> Classifier:
        """With a consumer's own rules in front, e.g. for the exceptions of its database driver."""
        return Classifier(rules=(*rules, *self.rules))

    def verdict(self, exc: BaseException) -> Verdict:
        """What happens next."""
        for kind, verdict in self.rules:
            if isinstance(exc, kind):
                return verdict(exc) if callable(verdict) else verdict
        if isinstance(exc, BaseExceptionGroup):
            return self.verdict(self.gravest(exc.exceptions))
        return POISON

    def gravest(self, errors: Sequence[Error]) -> Error:
        """The error that decides about all of them."""
        return min(errors, key=lambda error: _GRAVITY.index(self.verdict(error).kind))
