"""Logs: one line per event, for people or machines, and never a secret."""

from __future__ import annotations

import errno
import io
import json
import logging

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.process.logs import configure, redact
from pipeline.settings.model import LogSettings

CANARY = "canary-7f3a"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_before():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


JSON = LogSettings(format="json")


def _logged(act, *, settings=JSON, stream=None) -> str:
    out = stream or io.StringIO()
    configure(settings, "relay", stream=out)
    act(structlog.get_logger("pipeline.somewhere"))
    return out.getvalue()


def _raise(error: Exception) -> None:
    raise error


def _json(act, **more) -> dict:
    return json.loads(_logged(act, **more))


def test_a_line_is_json_with_event_level_time_service_and_facts():
    line = _json(lambda log: log.warning("message.dead_lettered", topic="omero.eventlog", offset=7))
    assert line.pop("timestamp").endswith("Z")
    facts = {"topic": "omero.eventlog", "offset": 7}
    assert line == {"event": "message.dead_lettered", "level": "warning", "service": "relay", **facts}


def test_auto_is_human_on_a_terminal_and_json_elsewhere():
    def say(log):
        log.info("relay.ready")

    assert not _logged(say, settings=LogSettings(), stream=Terminal()).startswith("{")
    assert _json(say, settings=LogSettings())["event"] == "relay.ready"


def test_what_is_below_the_level_is_not_written():
    assert _logged(lambda log: log.info("quiet"), settings=LogSettings(format="json", level="warning")) == ""


@pytest.mark.parametrize("wrong", [LogSettings(level="loud"), LogSettings(format="xml")])
def test_a_level_or_format_that_does_not_exist_is_refused_with_those_that_do(wrong):
    with pytest.raises(Misconfigured) as caught:
        configure(wrong, "relay")
    assert "debug, info, warning, error" in caught.value.fix
    assert "auto, human, json" in caught.value.fix


def test_nothing_goes_to_standard_output(capsys):
    configure(LogSettings(format="json"), "relay")
    structlog.get_logger().info("one")
    logging.getLogger("library").warning("two")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == ["one", "two"]


def test_libraries_write_the_same_lines_from_warning_on():
    def speak(_log):
        logging.getLogger("aiokafka").warning("lost %s", "node 1")
        logging.getLogger("aiokafka").info("joined")

    line = _json(speak)
    line.pop("timestamp")
    assert line == {"event": "lost node 1", "level": "warning", "service": "relay", "logger": "aiokafka"}


def test_an_error_of_ours_brings_its_fix_and_its_trace():
    def fail(log):
        try:
            _raise(DependencyDown("kafka", "timed out", fix="start it"))
        except DependencyDown:
            log.exception("relay.stopped")

    line = _json(fail)
    assert line["fix"] == "start it"
    assert "DependencyDown: kafka is away: timed out" in line["exception"]


@pytest.mark.parametrize(
    "facts",
    [
        {"password": CANARY},
        {"PGPASSWORD": CANARY},
        {"client_secret": CANARY},
        {"session_uuid": CANARY},
        {"uuid": CANARY},
        {"token": [CANARY]},
        {"settings": {"state": {"password": CANARY}}},
        {"rows": [{"uuid": CANARY}]},
        {"dsn": f"host=db password={CANARY} dbname=x"},
        {"dsn": f"host=db password='{CANARY} x' dbname=x"},
        {"url": f"postgresql://omero:{CANARY}@db/omero"},
        {"error": ValueError(f"cannot connect with password={CANARY}")},
        {"body": f'{{"password": "{CANARY}"}}'},
        {"sasl_password": CANARY.encode()},
        {"record": f"password={CANARY}".encode()},
    ],
)
def test_no_secret_is_logged_in_any_form(facts):
    line = _logged(lambda log: log.error("connect.failed", **facts))
    assert CANARY not in line
    assert "***" in line


def test_a_secret_in_a_trace_is_hidden():
    def fail(log):
        try:
            _raise(ValueError(f"postgresql://omero:{CANARY}@db refuses"))
        except ValueError:
            log.exception("connect.failed")

    assert CANARY not in _logged(fail)


def test_a_secret_in_a_librarys_text_is_hidden():
    assert CANARY not in _logged(lambda _log: logging.getLogger("x").error("dsn password=%s", CANARY))


def test_the_databases_own_uuid_is_no_secret():
    assert redact(None, "info", {"event": "e", "omero_uuid": "u-1"}) == {"event": "e", "omero_uuid": "u-1"}


def test_an_unset_secret_is_seen_to_be_unset():
    assert redact(None, "info", {"event": "e", "password": ""}) == {"event": "e", "password": ""}


leaves = st.none() | st.integers() | st.text() | st.binary()
anything = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(st.dictionaries(st.text(min_size=1), anything, max_size=3))
@settings(max_examples=50, deadline=None)
def test_any_facts_become_one_line_of_json(facts):
    facts = {f"fact_{name}": value for name, value in facts.items()}
    line = _logged(lambda log: log.info("event.constant", **facts))
    assert line.count("\n") == 1
    assert json.loads(line)["event"] == "event.constant"


class Full(io.StringIO):
    def write(self, text: str = "") -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    flush = write


def test_a_line_that_cannot_be_written_is_dropped_and_the_service_goes_on():
    def say(log):
        log.error("dependency.away", what="kafka")
        logging.getLogger("library").warning("two")

    assert _logged(say, stream=Full()) == ""
