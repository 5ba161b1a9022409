"""What a service says to whoever started it, byte for byte as systemd expects it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time

import pytest

from pipeline.process.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def listening(request, tmp_path):
    name = str(tmp_path / "notify") if request.param == "path" else f"@omero-mq-test-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("\0" + name[1:] if name.startswith("@") else name)
        channel.settimeout(2.0)
        yield name, channel


def fill(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.connect(path)
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.send(b"x")


def test_each_message_is_one_datagram_in_systemds_words(listening):
    name, channel = listening
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"})
    notifier.ready("reads omero.eventlog")
    notifier.status("waits for kafka")
    notifier.watchdog()
    notifier.stopping()
    said = [channel.recv(4096) for _ in range(4)]
    assert said == [b"READY=1\nSTATUS=reads omero.eventlog", b"STATUS=waits for kafka", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_status_with_line_breaks_cannot_forge_another_field(listening):
    name, channel = listening
    Notifier({"NOTIFY_SOCKET": name}).status("error:\nREADY=1")
    assert channel.recv(4096) == b"STATUS=error: READY=1"


def test_nobody_listening_is_no_error():
    notifier = Notifier({})
    notifier.ready()
    assert (notifier.enabled, notifier.watchdog_interval_s) == (False, 0.0)


def test_a_listener_that_went_away_neither_raises_nor_blocks(tmp_path):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000000"})
    began = time.monotonic()
    for _ in range(100):
        notifier.watchdog()
    assert time.monotonic() - began < 1.0


def test_a_listener_that_does_not_read_blocks_for_half_a_second_at_most(tmp_path):
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(path)
        fill(path)
        began = time.monotonic()
        Notifier({"NOTIFY_SOCKET": path}).ready()
        assert time.monotonic() - began < 1.5


def test_it_is_due_three_times_before_silence_kills():
    assert Notifier({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}).watchdog_interval_s == 10.0


def test_a_watchdog_meant_for_another_process_is_not_fed():
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}
    assert Notifier({**environment, "WATCHDOG_PID": str(os.getpid() + 1)}).watchdog_interval_s == 0.0
    assert Notifier({**environment, "WATCHDOG_PID": str(os.getpid())}).watchdog_interval_s == 10.0
