"""Snapshots: what they see, how they order what was read in them, and 32-bit transaction ids made whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.omero.snapshot import Snapshot, parse

TWO_32 = 1 << 32
xids = st.integers(min_value=3, max_value=1 << 45)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    xmin = draw(xids)
    xmax = xmin + draw(st.integers(min_value=0, max_value=100))
    running = draw(st.frozensets(st.integers(min_value=xmin, max_value=xmax - 1))) if xmax > xmin else frozenset()
    return Snapshot(xmin=xmin, xmax=xmax, running=running)


def as_text(snapshot: Snapshot) -> str:
    return f"{snapshot.xmin}:{snapshot.xmax}:{','.join(map(str, sorted(snapshot.running)))}"


@given(snapshots())
def test_the_text_of_a_snapshot_is_read_as_it_was_written(snapshot: Snapshot) -> None:
    assert parse(as_text(snapshot)) == snapshot


@pytest.mark.parametrize("text", ["", "1", "1:2", "1:2:3:4", "a:b:c", "1:2:x", "1:2:3,,4"])
def test_what_is_no_snapshot_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)


def test_what_had_ended_is_seen_and_what_ran_or_came_later_is_not() -> None:
    snapshot = parse("10:20:12,15")
    assert {xid: snapshot.sees(xid) for xid in (9, 10, 11, 12, 15, 19, 20, 21)} == {
        9: True, 10: True, 11: True, 12: False, 15: False, 19: True, 20: False, 21: False,
    }  # fmt: skip


@given(snapshots(), st.integers(min_value=-(1 << 31), max_value=(1 << 31) - 1))
def test_the_low_half_of_a_near_transaction_id_is_made_whole(snapshot: Snapshot, distance: int) -> None:
    xid = snapshot.xmax + distance
    if xid >= 0:
        assert snapshot.widen(xid % TWO_32) == xid


@pytest.mark.parametrize(
    ("xmax", "low", "whole"),
    [
        (TWO_32 + 5, 2**32 - 1, TWO_32 - 1),
        (TWO_32 + 5, 4, TWO_32 + 4),
        (TWO_32 - 5, 3, TWO_32 + 3),
        (TWO_32 - 5, 2**32 - 10, TWO_32 - 10),
        (3 * TWO_32, 2**32 - 1, 3 * TWO_32 - 1),
        (900, 700, 700),
        (900, TWO_32 + 700, TWO_32 + 700),
    ],
)
def test_ids_around_the_wrap_belong_to_the_nearest_epoch(xmax: int, low: int, whole: int) -> None:
    assert Snapshot(xmin=xmax, xmax=xmax, running=frozenset()).widen(low) == whole


def test_an_id_that_the_young_database_never_gave_is_not_visible() -> None:
    young = parse("900:900:")
    assert not young.sees(young.widen(2**32 - 7))


@given(snapshots(), st.integers(min_value=0, max_value=50))
def test_a_transaction_that_starts_makes_the_version_higher(snapshot: Snapshot, more: int) -> None:
    later = Snapshot(xmin=snapshot.xmin, xmax=snapshot.xmax + 1, running=snapshot.running | {snapshot.xmax - more})
    assert later.version > snapshot.version


@given(snapshots())
def test_a_transaction_that_ends_makes_the_version_higher(snapshot: Snapshot) -> None:
    if snapshot.running:
        ended = Snapshot(xmin=snapshot.xmin, xmax=snapshot.xmax, running=snapshot.running - {min(snapshot.running)})
        assert ended.version > snapshot.version


def test_a_version_is_what_decision_d6_says() -> None:
    assert parse("10:20:12,15").version == 20 << 16 | (65535 - 2)
    assert Snapshot(xmin=1, xmax=200_000, running=frozenset(range(1, 100_001))).version == 200_000 << 16
