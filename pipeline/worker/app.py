"""Makes the Faust application with the settings under which it loses nothing; docs/explanation/faust.md says why each."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust

from pipeline.errors import Misconfigured
from pipeline.settings.model import KafkaSettings
from pipeline.worker.credentials import broker_url, credentials

NEVER_S = 1_000_000_000.0
"""After so long without a fetch the client library leaves the group and never comes back: so this must never happen."""

SESSION_S = 10.0
REBALANCE_S = 60.0
REQUEST_S = 90.0  # must exceed the rebalance timeout: joining is one request
BUFFERED = 4096


class Quiet(faust.Monitor):
    """Faust's sensor without what it counts for each single event, which nobody of ours reads."""

    def on_stream_event_in(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing."""


Body = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """One agent as Faust gets it.

    Attributes:
        name: explicit and unique: of two agents with one name Faust keeps the last, and says nothing.
        topics: full names.
        body: reads the stream; lets no exception out.
        isolated: one actor and one buffer per partition.
    """

    name: str
    topics: tuple[str, ...]
    body: Body
    isolated: bool


def build_app(kafka: KafkaSettings, *, group: str, agents: Sequence[Registration]) -> Any:
    """The application; call it inside the running event loop.

    Raises:
        Misconfigured: two agents have one name, one has none or no topic, or ``kafka.client`` asks for what Faust cannot do.
    """
    check(agents)
    client = kafka.client
    app = faust.App(
        group,
        broker=broker_url(kafka),
        broker_credentials=credentials(kafka),
        broker_client_id=client.get("client.id", "omero-mq"),
        broker_max_poll_interval=NEVER_S,
        broker_session_timeout=int(client.get("session.timeout.ms", SESSION_S * 1000)) / 1000,
        broker_heartbeat_interval=int(client.get("heartbeat.interval.ms", 2000)) / 1000,
        broker_rebalance_timeout=REBALANCE_S,
        broker_request_timeout=REQUEST_S,
        consumer_auto_offset_reset="none",
        stream_wait_empty=True,
        stream_buffer_maxsize=BUFFERED,
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        autodiscover=False,
        web_enabled=False,
        web_tables_enabled=False,
        worker_redirect_stdouts=False,
        Monitor=Quiet,
        datadir=Path(tempfile.gettempdir()) / f"omero-mq-faust-{group}",  # Faust makes one whether or not it is used
    )
    for agent in agents:
        # Without Faust's acknowledgements: the offsets are ours to move, see `Member`.
        topic = app.topic(*agent.topics, key_serializer="raw", value_serializer="raw", acks=False)
        app.agent(topic, name=agent.name, isolated_partitions=agent.isolated)(agent.body)
    return app


def check(agents: Sequence[Registration]) -> None:
    """See that Faust cannot mix agents up.

    Raises:
        Misconfigured: as `build_app` says.
    """
    if not agents:
        raise Misconfigured("a worker without agents does nothing", fix="give it at least one")
    for agent in agents:
        if not agent.name or not agent.topics:
            raise Misconfigured(f"agent {agent.name!r} needs a name and a topic", fix="name both")
    twice = sorted(name for name, count in Counter(agent.name for agent in agents).items() if count > 1)
    if twice:
        raise Misconfigured(f"two agents are called {', '.join(twice)}", fix="give each agent a name of its own")
    shared = sorted(name for name, count in Counter(topic for agent in agents for topic in agent.topics).items() if count > 1)
    if shared:
        raise Misconfigured(
            f"two agents of one group read {', '.join(shared)}: its offset cannot say which of them is done",
            fix="give each agent a group of its own",
        )
