"""The page of errors is made from the sources, and no error leaves a person alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pipeline.cli.error_reference import MEANINGS, SOURCES, Message, errors_page, messages

FOR_A_PERSON = {"Misconfigured", "EpochChanged", "OffsetGap", "Halt"}
REASONS_IN_ERRORS_PY = {"OmeroMqError"}  # never raised itself


@pytest.fixture(scope="module")
def raised() -> set[Message]:
    return messages()


def test_every_error_that_needs_a_person_says_what_to_do(raised: set[Message]):
    assert [each.text for each in raised if each.kind in FOR_A_PERSON and not each.fix] == []


def test_every_kind_of_error_is_explained():
    tree = ast.parse((SOURCES / "errors.py").read_text(encoding="utf-8"))
    kinds = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert kinds - REASONS_IN_ERRORS_PY <= MEANINGS.keys()


def test_a_message_is_read_from_the_source_with_names_for_what_differs(tmp_path: Path):
    source = """
NAME = "kafka"
def work(self, port):
    raise Misconfigured(f"port {port} of {self._host!r} is in use" + " here", fix=FIX)
def more():
    raise DependencyDown(NAME, f"{first(error)}")
    raise DependencyDown(name, message)
    raise ValueError("not of ours")
FIX = "choose another | port"
"""
    (tmp_path / "one.py").write_text(source)
    assert messages(tmp_path) == {
        Message(
            text="port \u2039port\u203a of \u2039host\u203a is in use here", kind="Misconfigured", fix="choose another | port"
        ),
        Message(text="kafka: \u2039error\u203a", kind="DependencyDown", fix=""),
    }


def test_the_page_holds_every_message(raised: set[Message]):
    page = errors_page()
    assert page.count("\n| ") >= len(raised)
    assert "| port \u2039port\u203a on 127.0.0.1 (\u2039setting\u203a) is in use by another program | see which with `ss" in page
