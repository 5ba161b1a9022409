"""The set of ids behaves as a set, in bounded memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from pipeline.cdc.ids import IdSet

ids = st.one_of(st.integers(0, 200_000), st.integers(0, 2**63 - 1))


@given(st.lists(ids), st.lists(ids))
def test_it_holds_what_was_put_in_and_not_taken_out(put, taken):
    tested = IdSet(put)
    expected = set(put)
    for one in taken:
        tested.discard(one)
        expected.discard(one)
    assert list(tested) == sorted(expected)
    assert len(tested) == len(expected)
    assert all((one in tested) == (one in expected) for one in [*put, *taken])


def test_a_million_neighbours_take_less_than_a_megabyte():
    tracemalloc.start()
    tested = IdSet(range(8_000_000, 9_000_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(tested) == 1_000_000
    assert peak < 1_000_000
