"""The relay's process: from captured rows to public events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from pipeline.omero.database import OmeroDatabase
from pipeline.omero.lookups import Wanted, look_up, never_begun, owned_tables
from pipeline.omero.wallclock import zone
from pipeline.process.signals import StopSignal
from pipeline.relay import batch, loop, start
from pipeline.relay.rulebook import RULES
from pipeline.relay.rules import Rule
from pipeline.services.ground import Ground
from pipeline.settings import Settings
from pipeline.state.epochs import Epochs
from pipeline.state.last_known import LastKnownTable
from pipeline.wire.consumers import RELAY


def run(settings: Settings, environment: Mapping[str, str], stop: StopSignal, rules: Sequence[Rule] = RULES) -> None:
    """Relay until told to stop, or until the gate closes.

    Raises:
        Misconfigured, Halt: a person is needed; nothing unfinished is acknowledged.
    """
    with ExitStack() as closing:
        ground = closing.enter_context(Ground(RELAY, settings, environment, stop))
        omero = closing.enter_context(OmeroDatabase(settings.omero, service="relay"))
        filling = start.Filling(OmeroDatabase(settings.omero, service="relay fill"), ground.state)
        checks = [filling.check]
        turns = loop.Loop(ground, checks=checks, batch_rows=settings.relay.batch_rows)
        if not turns.wait_for_gate():
            return
        lineage = ground.patiently(partial(start.accepted_lineage, omero, Epochs(ground.state), actor=ground.worker))
        tables = ground.patiently(partial(owned_tables, omero))
        reader = ground.patiently(ground.reader)
        if lineage is None or tables is None or reader is None:
            return
        relay = batch.Relay(
            look_up=partial(look_up, omero, expected=lineage.epoch, tables=tables),
            never_begun=partial(never_begun, omero),
            memory=LastKnownTable(ground.state),
            publisher=ground.publisher,
            lineage=lineage,
            rules=rules,
            prefix=settings.kafka.prefix,
            place=zone(settings.omero.timezone),
            pause=ground.pause,
            visibility_alert_s=settings.relay.visibility_alert_s,
        )
        checks.append(start.Watch(partial(look_up, omero, Wanted(), expected=lineage.epoch, tables=tables)).check)
        closing.enter_context(reader)
        closing.enter_context(filling)
        turns.run(reader, relay.process)
