"""What every consumer's process stands on: signals, supervisor, state database, publisher, letters and gate."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from pipeline import __version__
from pipeline.delivery.compose import LetterMaker
from pipeline.delivery.deliver import Delivery, Waiting
from pipeline.delivery.gate import Gatekeeper
from pipeline.delivery.retry import RetryPolicy
from pipeline.errors import DependencyDown
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.consume import KafkaReader
from pipeline.kafka.publish import KafkaPublisher
from pipeline.process.notify import Notifier
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings
from pipeline.state.gates import PostgresGateStore
from pipeline.state.pool import StateDatabase
from pipeline.wire.consumers import ConsumerSpec, group_name
from pipeline.wire.topics import LETTERS, letters_topic, named

T = TypeVar("T")

# While it waits for Kafka a service hears no stop, so this is well below the grace that a supervisor gives it.
PUBLISH_S = 8.0


class Ground:
    """Made once, at the start of a process; nothing is connected before it is used.

    Attributes:
        worker: this process, as letters and gates name it.
    """

    def __init__(self, spec: ConsumerSpec, settings: Settings, environment: Mapping[str, str], stop: StopSignal) -> None:
        prefix = settings.kafka.prefix
        self.settings = settings
        self.worker = f"{spec.name}@{socket.gethostname()}:{os.getpid()}"
        self.stop = stop
        self.voice = Notifier(environment)
        self.state = StateDatabase(settings.state, service=spec.name)
        self.publisher = KafkaPublisher(settings.kafka, timeout_s=PUBLISH_S)
        self.gatekeeper = Gatekeeper(PostgresGateStore(self.state), spec.name)
        self._group = group_name(spec, prefix)
        self._topics = [named(topic, prefix) for topic in spec.sources]
        letters = LetterMaker(
            consumer=spec.name,
            group=self._group,
            topic=letters_topic(spec.name, prefix),
            worker=self.worker,
            version=__version__,
            now_ms=self.now_ms,
            limit_bytes=LETTERS.max_message_bytes,
            stack_limit_bytes=settings.delivery.stack_limit_bytes,
        )
        self.delivery = Delivery(
            letters=letters,
            publisher=self.publisher,
            random=random.random,
            policy=RetryPolicy.of(settings.delivery),
            waiting=self._waiting,
        )

    def reader(self) -> KafkaReader:
        """A member of the group, at its first offsets if the group is new.

        Raises:
            DependencyDown: ``kafka`` is away.
            Misconfigured: a topic is missing.
        """
        admin = KafkaAdmin(self.settings.kafka)
        try:
            admin.create_group(self._group, self._topics)
        finally:
            admin.close()
        return KafkaReader(self.settings.kafka, group=self._group, topics=self._topics)

    def pause(self, wait_s: float) -> bool:
        """Wait so long [s], or until the service shall stop; answers whether it shall. The supervisor hears of us meanwhile."""
        until_s = time.monotonic() + wait_s
        step_s = self.voice.watchdog_interval_s or wait_s
        while (left_s := until_s - time.monotonic()) > 0 and not self.stop.is_set:
            self.voice.watchdog()
            self.stop.wait(min(left_s, step_s))
        return self.stop.is_set

    def patiently(self, call: Callable[[], T]) -> T | None:
        """What the call gives, once nothing that it needs is away; None when the service was told to stop meanwhile."""
        times = 0
        while True:
            try:
                return call()
            except DependencyDown as error:
                times += 1
                self.delivery.stands_still(error.name, error, times)
                if self.pause(self.delivery.policy.dependency_wait_s(times, random.random)):
                    return None

    def now_ms(self) -> int:
        """The clock [ms since 1970 UTC]."""
        return time.time_ns() // 1_000_000

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of everything; what was not acknowledged stays unacknowledged."""
        self.voice.stopping()
        self.publisher.close()
        self.state.close()

    def _waiting(self, what: Waiting | None) -> None:
        self.voice.status("working again" if what is None else f"waiting for {what.what}: {what.why}")
