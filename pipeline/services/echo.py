"""The trivial agent's process: reads public events and does nothing with them; one watches what it does with offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipeline.delivery.batch import Rejected
from pipeline.delivery.record import Record
from pipeline.kafka.admin import KafkaAdmin
from pipeline.process.signals import StopSignal
from pipeline.services.ground import Ground
from pipeline.settings import Settings
from pipeline.wire.consumers import ECHO, group_name
from pipeline.wire.topics import named
from pipeline.worker.run import BatchAgent, Worker
from pipeline.worker.run import run as run_worker


def nothing(_records: Sequence[Record]) -> Iterable[Rejected]:
    """The effect."""
    return ()


def run(settings: Settings, environment: Mapping[str, str], stop: StopSignal) -> None:
    """Read until told to stop, or until the gate closes.

    Raises:
        Misconfigured, Halt: a person is needed; nothing unfinished is acknowledged.
    """
    topic, group = named(ECHO.sources[0], settings.kafka.prefix), group_name(ECHO, settings.kafka.prefix)
    with Ground(ECHO, settings, environment, stop) as ground:

        def make_group() -> bool:
            with KafkaAdmin(settings.kafka) as admin:
                admin.create_group(group, [topic])
            return True

        if ground.patiently(make_group):
            run_worker(worker_of(ground, settings, group=group, agent=BatchAgent(name="echo", topics=(topic,), process=nothing)))


def worker_of(ground: Ground, settings: Settings, *, group: str, agent: BatchAgent) -> Worker:
    """The worker on the ground that every consumer stands on."""
    return Worker(
        group=group,
        name=ground.worker,
        kafka=settings.kafka,
        agents=(agent,),
        delivery=ground.delivery,
        gatekeeper=ground.gatekeeper,
        stop=ground.stop,
        voice=ground.voice,
        now_ms=ground.now_ms,
    )
