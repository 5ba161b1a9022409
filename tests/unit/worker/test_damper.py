"""A library that repeats itself is heard every so often, with how often it was not."""

import logging

import pytest

from pipeline.worker.damper import AGAIN_AFTER_S, Damper


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


@pytest.fixture
def heard():
    handler = Kept()
    logging.getLogger().addHandler(handler)
    yield handler.texts
    logging.getLogger().removeHandler(handler)


def said(line, text, *args):
    return logging.LogRecord("aiokafka", logging.ERROR, "conn.py", line, text, args, None)


def test_the_same_line_speaks_once_and_later_says_how_often_it_was_kept_back(heard):
    now_s = 0.0
    damper = Damper(lambda: now_s)
    for node in range(3):
        damper.handle(said(1, "node %s is away", node))
    damper.handle(said(2, "something else"))
    assert heard == ["node 0 is away", "something else"]
    now_s = AGAIN_AFTER_S
    damper.handle(said(1, "node %s is away", 7))
    damper.handle(said(2, "something else"))
    assert heard[2:] == ["node 7 is away (2 more like this)", "something else"]
