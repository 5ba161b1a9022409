"""What is printed: data apart from commentary, and nothing that steers a terminal."""

from __future__ import annotations

import io
import json

import pytest

from pipeline.cli.output import Output, clean, one_line, wants_colour


class Stream(io.StringIO):
    """A stream with an encoding, which may be a terminal."""

    def __init__(self, *, encoding="utf-8", terminal=False):
        super().__init__()
        self._encoding, self._terminal = encoding, terminal

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return self._terminal


def output(**options) -> Output:
    return Output(stdout=Stream(encoding=options.pop("encoding", "utf-8")), stderr=Stream(), **options)


def test_columns_are_as_wide_as_needed_and_numbers_stand_to_the_right():
    out = output()
    out.table(("NAME", "COUNT", "ERROR"), [("a", 7, "short"), ("longer", 1200, "a text that ends where it ends")])
    assert out.stdout.getvalue() == (
        "NAME    COUNT  ERROR\na           7  short\nlonger   1200  a text that ends where it ends\n"
    )


def test_with_json_there_is_one_object_per_line_and_nothing_else_on_standard_output():
    out = output(json=True)
    out.line("for people")
    out.table(("A",), [("b",)])
    out.item("thing", {"name": "Bjørn"}, "for people")
    out.following("omero-mq more")
    assert [json.loads(line) for line in out.stdout.getvalue().splitlines()] == [{"schema": "omero-mq.thing/1", "name": "Bjørn"}]
    assert "ø" in out.stdout.getvalue()
    assert out.stderr.getvalue() == ""


def test_json_for_a_stream_that_cannot_write_every_letter_is_escaped():
    out = output(json=True, encoding="ascii")
    out.item("thing", {"name": "ø"})
    assert "\\u00f8" in out.stdout.getvalue()


@pytest.mark.parametrize("hostile", ["\x1b]0;title\x07", "\x1b[2J", "a\rb", "\x9b31m", "\u202eevil", "\x00"])
def test_foreign_text_cannot_steer_a_terminal(hostile):
    assert not {"\x1b", "\r", "\x07", "\x9b", "\u202e", "\x00"} & set(clean(hostile))


def test_a_message_is_one_line_of_bounded_length():
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x" * 5000)) == 600


@pytest.mark.parametrize(
    ("terminal", "environ", "expected"),
    [
        (True, {"TERM": "xterm"}, True),
        (False, {"TERM": "xterm"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_that_want_them(terminal, environ, expected):
    assert wants_colour(Stream(terminal=terminal), environ) is expected
