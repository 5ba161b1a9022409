from __future__ import annotations

import errno

import pytest

from pipeline.delivery.classify import Classifier, Verdict
from pipeline.errors import (
    DependencyDown,
    EpochChanged,
    Halt,
    Misconfigured,
    OffsetGap,
    Permanent,
    RecordTooLarge,
    Transient,
    Undecodable,
)


def permanent(letter_class: str) -> Verdict:
    return Verdict(kind="permanent", letter_class=letter_class)  # type: ignore[arg-type]


AGAIN = Verdict(kind="transient", letter_class="transient-exhausted")
TIMED_OUT = Verdict(kind="transient", letter_class="timeout", timed_out=True)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (Permanent("no"), permanent("poison")),
        (Undecodable("no"), permanent("undecodable")),
        (RecordTooLarge("no"), permanent("oversize")),
        (Transient("later"), AGAIN),
        (DependencyDown("omero-database", "refused"), Verdict(kind="dependency", dependency="omero-database")),
        (Misconfigured("no such topic"), Verdict(kind="misconfigured")),
        (Halt("no"), Verdict(kind="halt")),
        (EpochChanged("restored"), Verdict(kind="halt")),
        (OffsetGap("gone"), Verdict(kind="halt")),
        (TimeoutError(), TIMED_OUT),
        (ConnectionResetError(), AGAIN),
        (OSError(errno.EIO, "input/output error"), AGAIN),
        (OSError(errno.ENOSPC, "no space left on device"), Verdict(kind="dependency", dependency="disk")),
        (MemoryError(), AGAIN),
        (TypeError("a mistake in a program"), permanent("poison")),
        (KeyError("x"), permanent("poison")),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"), permanent("poison")),
        (RecursionError(), permanent("poison")),
        (Exception("nobody's"), permanent("poison")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_exception_has_one_meaning(error: Exception, verdict: Verdict) -> None:
    assert Classifier().verdict(error) == verdict


def test_a_consumer_can_say_what_its_own_exceptions_mean() -> None:
    class DriverError(OSError): ...

    classifier = Classifier().extended((DriverError, Verdict(kind="dependency", dependency="state-database")))

    assert classifier.verdict(DriverError()) == Verdict(kind="dependency", dependency="state-database")
    assert classifier.verdict(OSError()) == AGAIN


def test_a_group_of_exceptions_is_as_grave_as_its_gravest() -> None:
    group = ExceptionGroup(
        "several", [KeyError("x"), ExceptionGroup("inner", [Transient("t"), DependencyDown("smtp", "refused")])]
    )

    assert Classifier().verdict(group) == Verdict(kind="dependency", dependency="smtp")
