"""SIGTERM as a flag that loops look at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.process.signals import StopSignal


@pytest.fixture
def stop():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    made = StopSignal()
    made.install()
    yield made
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])


def test_a_signal_sets_the_flag_and_ends_the_wait_at_once(stop):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    began = time.monotonic()
    assert stop.wait(10.0) is True
    assert time.monotonic() - began < 5.0
    assert (stop.is_set, stop.received) == (True, signal.SIGTERM)
    assert stop.wait(10.0) is True


def test_without_a_signal_the_wait_ends_in_time(stop):
    assert stop.wait(0.05) is False


def test_every_waiting_thread_is_woken(stop):
    woken = []
    threads = [threading.Thread(target=lambda: woken.append(stop.wait(10.0))) for _ in range(3)]
    for thread in threads:
        thread.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert woken == [True, True, True]


def test_a_second_signal_ends_the_process_at_once():
    code = (
        "import time; from pipeline.process.signals import StopSignal; s = StopSignal(); s.install(); "
        "print('ready', flush=True); s.wait(20); print('asked', flush=True); time.sleep(20)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
