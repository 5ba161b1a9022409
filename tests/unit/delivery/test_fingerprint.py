from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.delivery.fingerprint import fingerprint, one_line, shortened, stack


def of(message: str) -> str:
    return fingerprint("relay", "poison", ValueError(message))


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ("no image 42", "no image 43711"),
        ("file /OMERO/Files/Dir-001/17 is gone", "file /srv/data/9 is gone"),
        ("cannot reach db1.example.org:5432", "cannot reach 10.0.0.7:5433"),
        ("session 8a6e0804-2bd0-4672-b79d-d97027f9071a expired", "session 00000000-2bd0-4672-b79d-d97027f90000 expired"),
        ("column 'owner_id' of \"image\" is null", "column 'group_id' of \"dataset\" is null"),
        ("ids (1, 2, 3) are gone", "ids (17, 4711) are gone"),
        ("digest 0123456789abcdef differs", "digest fedcba9876543210 differs"),
        ("took 1.5e3 ms", "took 20 ms"),
    ],
)
def test_failures_of_one_cause_share_a_fingerprint(one: str, another: str) -> None:
    assert of(one) == of(another)


def test_different_causes_do_not() -> None:
    assert (
        len(
            {
                of("no such image"),
                of("no such dataset"),
                fingerprint("documents", "poison", ValueError("no such image")),
                fingerprint("relay", "timeout", ValueError("no such image")),
                fingerprint("relay", "poison", KeyError("no such image")),
            }
        )
        == 5
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("connection to postgresql://omero:hunter2@db/omero failed", "connection to postgresql://omero:***@db/omero failed"),
        ("FATAL: password=hunter2 host=db", "FATAL: password=*** host=db"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': '***'}"),
        ("two\nlines\tand\x07 a bell", "two lines and? a bell"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
    ],
)
def test_a_message_is_one_printable_line_without_secrets(said: str, shown: str) -> None:
    assert one_line(ValueError(said)) == shown


def test_secrets_are_not_in_the_stack_either() -> None:
    assert "hunter2" not in stack(ValueError("password=hunter2"))


def test_an_exception_that_cannot_describe_itself_is_described_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert one_line(Mute()).startswith("(RuntimeError while asking ")


@given(st.text(), st.integers(0, 300))
def test_a_shortened_text_is_within_its_bytes_and_keeps_both_ends(text: str, limit: int) -> None:
    short = shortened(text, limit)

    assert len(short.encode()) <= limit
    if len(text.encode(errors="replace")) <= limit:
        assert short == text.encode(errors="replace").decode()


@given(st.text(max_size=2000))
def test_any_message_has_a_fingerprint(text: str) -> None:
    assert len(of(text)) == 16


def test_a_message_of_a_megabyte_takes_no_time() -> None:
    for said in ("1" * 10**6, "/a" * 500_000, "'" * 10**6, "a." * 500_000, "f" * 10**6, "password" * 100_000):
        assert len(of(said)) == 16
        assert len(one_line(ValueError(said))) <= 256
