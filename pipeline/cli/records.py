"""Any record of any topic, as people and as programs read it."""

from __future__ import annotations

import base64
import json
from typing import Any

from pipeline.cli.when import iso
from pipeline.delivery.record import Headers, Record
from pipeline.errors import Undecodable
from pipeline.wire.reading import decode_any


def facts(record: Record, prefix: str) -> dict[str, Any]:
    """A record as one JSON object; a value that cannot be decoded is there as bytes, with the reason."""
    found: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": iso(record.timestamp_ms) or None,
        "key": text(record.key),
        "headers": [{"name": name, "value": text(value)} for name, value in record.headers],
    }
    if record.value is None:
        return {**found, "encoding": "none", "value": None}
    try:
        decoded = decode_any(record.topic, record.value, prefix)
    except Undecodable as error:
        raw = base64.b64encode(record.value).decode()
        return {**found, "encoding": "unknown", "value": None, "base64": raw, "undecodable": str(error)}
    return {**found, "encoding": decoded.encoding, "value_schema": decoded.schema or None, "value": decoded.value}


def line(record: Record, prefix: str, *, headers: bool) -> str:
    """A record as lines of text: where, when, key, value; headers below it when they are asked for."""
    found = facts(record, prefix)
    if "undecodable" in found:
        shown = f"(cannot be decoded: {found['undecodable']}) {preview(record.value or b'')}"
    else:
        shown = json.dumps(found["value"], ensure_ascii=False) if record.value is not None else "(no value)"
    lines = [f"{record.position}  {found['time'] or '-'}  {found['key'] or '-'}  {shown}"]
    if headers:
        lines += [f"    {name}: {' '.join(shown_text(value).split())}" for name, value in record.headers]
    return "\n".join(lines)


def text(data: bytes | None) -> str | None:
    """Bytes as text; those that are none as ``hex:...``."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "hex:" + data.hex()


def shown_text(data: bytes | None) -> str:
    """The same for people: no value is a dash."""
    return text(data) or "-"


def bounded(shown: str, *, at_most: int = 120) -> str:
    """The beginning of a text that somebody else chose the length of, and how long it is."""
    return shown if len(shown) <= at_most else f"{shown[:at_most]}... ({len(shown)} characters)"


def preview(data: bytes, *, at_most: int = 120) -> str:
    """The beginning of foreign bytes, quoted, and how many there are."""
    quoted = repr(data[:at_most])[1:]
    return f"{quoted}{'...' if len(data) > at_most else ''} ({len(data)} bytes)"


def header(headers: Headers, name: str) -> str:
    """The last header of that name as text; empty when there is none."""
    found = [value for each, value in headers if each == name]
    return (text(found[-1]) or "") if found else ""
