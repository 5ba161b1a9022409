"""What comes in and what goes out: Kafka records as plain values, the same for both client libraries."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import Permanent

Headers = tuple[tuple[str, bytes | None], ...]

# Stands in for all headers of a record whose header names are not UTF-8, which the client library cannot tell us.
UNREADABLE_HEADERS = "omero.unreadable-headers"


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A record as it was read; nothing of it is ever changed.

    Attributes:
        timestamp_ms: Kafka's timestamp [ms since 1970 UTC], or -1 where the record has none.
        topic_id: Kafka's uuid of the topic, or "" where the client does not tell; a topic made anew has another.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int = -1
    topic_id: str = ""

    @property
    def position(self) -> str:
        """``topic/partition@offset``, as people and the command line write it."""
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A record to be written; the partitioner (murmur2, as Java's) chooses the partition from the key unless one is given."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None

    @property
    def size(self) -> int:
        """Bytes of key, value and headers, without Kafka's own framing."""
        headers = sum(len(name.encode(errors="surrogatepass")) + len(value or b"") for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + headers

    def check_header_names(self) -> None:
        """See that they can be sent: Kafka's client ends the process on a name that is no Unicode, and cuts one at a zero byte.

        Raises:
            Permanent: they cannot.
        """
        for name, _ in self.headers:
            if name.isascii() and "\0" not in name:
                continue
            try:
                name.encode()
            except UnicodeEncodeError as exc:
                raise Permanent(f"header name {name!r} is not Unicode text (record for {self.topic})") from exc
            if "\0" in name:
                raise Permanent(f"header name {name!r} has a zero byte (record for {self.topic})")
