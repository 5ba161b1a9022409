"""In which order processes start and stop, and how long a restart waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import Misconfigured
from pipeline.stack.backoff import Backoff
from pipeline.stack.process import Process, levels, with_needs


def process(name: str, *after: str) -> Process:
    return Process(name=name, argv=("true",), directory=Path(), after=after)


TABLE = [
    process("relay", "connect", "postgres"),
    process("postgres"),
    process("kafka"),
    process("connect", "kafka"),
]


def test_what_needs_nothing_starts_at_once_and_the_rest_after_what_it_needs():
    assert levels(TABLE) == [["postgres", "kafka"], ["connect"], ["relay"]]


def test_asking_for_one_process_asks_for_all_that_it_needs():
    assert with_needs(TABLE, ["connect"]) == {"connect", "kafka"}
    assert with_needs(TABLE, ["relay"]) == {"relay", "connect", "kafka", "postgres"}


def test_a_circle_is_named():
    with pytest.raises(Misconfigured, match="in a circle: a, b"):
        levels([process("a", "b"), process("b", "a"), process("c")])


def test_a_need_that_is_not_started_is_named():
    with pytest.raises(Misconfigured, match="needs search, which is not started here"):
        levels([process("a", "search")])


def test_a_name_that_is_used_twice_is_named():
    with pytest.raises(Misconfigured, match="two processes are called a"):
        levels([process("a"), process("a")])


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(Misconfigured, match="nothing is called kafak") as caught:
        with_needs(TABLE, ["kafak"])
    assert caught.value.fix == "known are: connect, kafka, postgres, relay"


def test_the_wait_before_a_restart_doubles_up_to_half_a_minute():
    state, waits = Backoff(), []
    for _ in range(9):
        waits.append(state.wait_s)
        state = state.after(ready_for_s=1.0)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_after_a_healthy_run_the_wait_is_short_again():
    state = Backoff(failures=7).after(ready_for_s=30.0)
    assert state == Backoff(failures=1)


def test_thousands_of_failures_do_not_overflow_the_wait():
    assert Backoff(failures=100_000).wait_s == 30.0
