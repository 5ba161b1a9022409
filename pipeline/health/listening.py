"""Whether anybody listens at an address: told at once, where a Kafka client would try again until its time is over."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.errors import DependencyDown
from pipeline.kafka.cluster import Broker

_REACH_S = 1.5
_KAFKA_PORT = 9092
Answer = TypeVar("Answer")


def reach(brokers: Sequence[Broker]) -> tuple[tuple[Broker, str], ...]:
    """Brokers that cannot be reached where they say that they are, and why; blocks for seconds at the most."""
    return tuple((broker, why) for broker in brokers if (why := _refusal(broker.host, broker.port)))


def where_listened(bootstrap: str, question: Callable[[], Answer]) -> Callable[[], Answer]:
    """The question, but answered at once when nobody listens at any of the addresses.

    Raises:
        DependencyDown: then ``kafka`` is away.
    """

    def ask() -> Answer:
        refusals = [(address, _refusal(*_split(address))) for address in bootstrap.split(",") if address.strip()]
        if refusals and all(why for _, why in refusals):
            raise DependencyDown("kafka", "; ".join(f"{address.strip()}: {why}" for address, why in refusals))
        return question()

    return ask


def _split(address: str) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port``, ``[::1]:port`` or ``PROTOCOL://host:port``."""
    host, colon, port = address.strip().rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return address.strip(), _KAFKA_PORT
    return host.strip("[]"), int(port)


def _refusal(host: str, port: int) -> str:
    """Why no connection can be made; empty when one can."""
    try:
        with socket.create_connection((host, port), timeout=_REACH_S):
            return ""
    except socket.gaierror:
        return "that name is not known here"
    except (OSError, OverflowError) as error:
        return (getattr(error, "strerror", None) or str(error)).lower()
