"""A consumer whose letters go into memory, with a clock that stands still."""

from __future__ import annotations

import pytest

from pipeline.delivery.compose import LetterMaker

LETTERS = "omero.dlq.relay"


@pytest.fixture
def maker() -> LetterMaker:
    return letter_maker()


def letter_maker(limit_bytes: int = 2_097_176) -> LetterMaker:
    return LetterMaker(
        consumer="relay",
        group="omero.relay",
        topic=LETTERS,
        worker="host-a/4711",
        version="0.1.0",
        now_ms=lambda: 1_764_000_000_000,
        limit_bytes=limit_bytes,
    )
