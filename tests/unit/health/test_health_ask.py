"""Questions to several parts: none waits for another, and none is waited for longer than agreed."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.health.ask import Away, ask_all
from pipeline.health.listening import where_listened
from pipeline.health.words import counted, duration, moment, size


def raising(error: Exception):
    def ask():
        raise error

    return ask


def test_answers_and_absences_come_back_by_name():
    found = ask_all(
        {
            ("kafka", "a"): lambda: 1,
            ("kafka", "b"): raising(DependencyDown("kafka", "Local: Timed out")),
            ("state-database", "c"): raising(Misconfigured("wrong password", fix="correct state.password")),
            ("kafka-connect", "d"): raising(ValueError("odd\nanswer")),
            ("omero-database", "e"): raising(DependencyDown("omero-database", "connection failed: refused\nIs the server up?")),
        },
        within_s=5.0,
    )
    assert found["a"] == 1
    assert (found["b"].name, found["b"].why, found["b"].refused) == ("kafka", "no broker answers as it should (timed out)", False)
    assert found["c"] == Away(name="state-database", why="wrong password", fix="correct state.password", refused=True)
    assert (found["d"].why, found["d"].refused) == ("unexpected ValueError: odd answer", True)
    assert found["e"].why == "refused"


def test_a_part_that_hangs_is_not_waited_for():
    over = threading.Event()
    began = time.monotonic()
    found = ask_all({("kafka", "slow"): lambda: over.wait(30), ("state-database", "quick"): lambda: "here"}, within_s=0.2)
    took_s = time.monotonic() - began
    over.set()
    assert took_s < 2.0
    assert found["quick"] == "here"
    assert (found["slow"].name, found["slow"].why) == ("kafka", "no answer within 0.2 s")


def test_where_nobody_listens_the_question_is_not_even_asked():
    asked = []
    refused = ask_all({("kafka", "a"): where_listened("127.0.0.1:9, SASL_SSL://[::1]:9", lambda: asked.append(1))}, within_s=5.0)
    assert (asked, refused["a"].name) == ([], "kafka")
    assert refused["a"].why.startswith("no broker answers as it should (127.0.0.1:9: connection refused; ")
    with socket.create_server(("127.0.0.1", 0)) as server:
        bootstrap = f"127.0.0.1:9,127.0.0.1:{server.getsockname()[1]}"
        assert ask_all({("kafka", "a"): where_listened(bootstrap, lambda: 1)}, within_s=5.0) == {"a": 1}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (0.42, "0.4 s"), (9.96, "10 s"), (75, "75 s"), (300, "5 min"), (21_720, "6 h 02 min"), (259_200, "3 days")],
)
def test_durations_have_one_unit_or_two(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (592, "592 bytes"),
        (1_200, "1.2 kB"),
        (12_400, "12 kB"),
        (999_600, "1.0 MB"),
        (10_737_418_240, "11 GB"),
        (3 * 10**12, "3.0 TB"),
    ],
)
def test_sizes_have_two_figures_that_matter(count, text):
    assert size(count) == text


def test_counts_and_moments_read_as_sentences():
    assert [counted(one, "row") for one in (0, 1, 1_234)] == ["no rows", "1 row", "1,234 rows"]
    assert moment(0) == "1970-01-01 00:00:00 UTC"
