"""The table of consumers: every promise has a test, every consumer a name and a group of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pipeline.errors import Misconfigured
from pipeline.wire.consumers import CONSUMERS, ECHO, OUTBOX, RELAY, consumer, group_name
from pipeline.wire.topics import TOPICS, letters_topic, lookup

ROOT = Path(__file__).resolve().parents[3]

each_consumer = pytest.mark.parametrize("spec", CONSUMERS, ids=lambda spec: spec.name)


def exists(node_id):
    """Whether a pytest node id names a test function; parameters in brackets are not looked at."""
    path, _, names = node_id.partition("::")
    if not (ROOT / path).is_file():
        return False
    scope = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    for name in names.partition("[")[0].split("::"):
        found = [
            node
            for node in scope
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
        ]
        if not found:
            return False
        scope = found[0].body
    return True


@each_consumer
def test_every_guarantee_names_a_test_that_exists(spec):
    assert exists(spec.test)


def test_a_test_that_does_not_exist_is_noticed():
    here = str(Path(__file__).relative_to(ROOT))
    assert exists(f"{here}::test_a_test_that_does_not_exist_is_noticed")
    assert not exists(f"{here}::test_nothing")
    assert not exists("tests/unit/wire/test_nowhere.py::test_nothing")


@each_consumer
def test_everything_is_said(spec):
    assert all([spec.name, spec.effect, spec.how, spec.order, spec.test])
    assert bool(spec.group) == bool(spec.sources)
    assert set(spec.sources) <= set(TOPICS)


@each_consumer
def test_letters_go_to_a_topic_of_the_consumers_own(spec):
    assert lookup(letters_topic(spec.name, "site"), "site")[1] == spec.name


def test_names_and_groups_are_unique():
    groups = [spec.group for spec in CONSUMERS if spec.group]
    assert len(set(groups)) == len(groups)
    assert len({spec.name for spec in CONSUMERS}) == len(CONSUMERS)


def test_groups_begin_with_the_prefix():
    assert group_name(RELAY) == "omero.relay"
    assert group_name(ECHO, "site-a") == "site-a.echo"
    with pytest.raises(Misconfigured, match="outbox reads no topic and has no consumer group"):
        group_name(OUTBOX)
    with pytest.raises(Misconfigured, match="cannot begin a topic name"):
        group_name(RELAY, ".")


def test_a_consumer_is_found_by_name():
    assert consumer("relay") is RELAY
    with pytest.raises(Misconfigured, match="there is no consumer 'relais'") as caught:
        consumer("relais")
    assert caught.value.fix == "choose one of relay, outbox, echo"
