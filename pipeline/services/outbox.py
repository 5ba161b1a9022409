"""The outbox poller's process: from committed rows of the state database to Kafka."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pipeline.kafka.publish import KafkaPublisher
from pipeline.process.notify import Notifier
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings
from pipeline.state.poller import Poller


class _Process:
    """What the poller needs of its process: the stop signal, and the supervisor's ear, which hears each status once."""

    def __init__(self, voice: Notifier, stop: StopSignal) -> None:
        self._voice, self._stop = voice, stop
        self._said, self._woke_s = "", 0.0

    def stopping(self, timeout_s: float) -> bool:
        return self._stop.wait(timeout_s) if timeout_s else self._stop.is_set

    def alive(self, status: str) -> None:
        if time.monotonic() - self._woke_s > self._voice.watchdog_interval_s / 3:
            self._voice.watchdog()
            self._woke_s = time.monotonic()
        if status != self._said:
            (self._voice.status if self._said else self._voice.ready)(status)
            self._said = status


def run(settings: Settings, environment: Mapping[str, str], stop: StopSignal) -> None:
    """Publish until told to stop; raises Misconfigured when a person is needed, with nothing lost."""
    voice = Notifier(environment)
    with KafkaPublisher(settings.kafka, timeout_s=10.0) as publisher:
        Poller(settings.state, publisher, _Process(voice, stop)).run()
    voice.stopping()
