"""The contract: Avro schemas from ``schemas/`` and ``schemas/released/``, found by name or by fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fastavro.schema import parse_schema, to_parsing_canonical_form

from pipeline import shipped

_CRC64_EMPTY = 0xC15D213AA4D7A795
_MASK64 = 0xFFFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """One version of one schema.

    Attributes:
        name: file stem in ``schemas/``, e.g. ``work-item``.
        version: number of the release, or 0 for the one in use.
        declared: as the file says it, with documentation and limits.
        parsed: as fastavro wants it.
        fingerprint: CRC-64-AVRO of the parsing canonical form, little-endian, as single-object encoding carries it [8 bytes].
    """

    name: str
    version: int
    declared: Mapping[str, Any]
    parsed: Any
    fingerprint: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaSet:
    """All schemas that can be read and written."""

    current: Mapping[str, Schema]
    by_fingerprint: Mapping[bytes, Schema]


@cache
def shipped_schemas() -> SchemaSet:
    """The schemas that came with this package, read once."""
    return load(shipped.directory("schemas"))


def load(directory: Path) -> SchemaSet:
    """Read ``<name>.avsc`` (in use) and ``released/<name>/<version>.avsc``.

    Raises:
        OSError, ValueError, fastavro.schema.SchemaParseException: the package is damaged.
    """
    current = {path.stem: _read(path, path.stem, 0) for path in sorted(directory.glob("*.avsc"))}
    released = [_read(path, path.parent.name, int(path.stem)) for path in sorted(directory.glob("released/*/*.avsc"))]
    return SchemaSet(current=MappingProxyType(current), by_fingerprint=_by_fingerprint([*released, *current.values()]))


def schema_of(declared: Mapping[str, Any], name: str, version: int = 0) -> Schema:
    """A schema from its JSON."""
    canonical = to_parsing_canonical_form(dict(declared))
    parsed = parse_schema(dict(declared))  # keeps no names between calls, so versions of one name do not collide
    return Schema(name=name, version=version, declared=declared, parsed=parsed, fingerprint=fingerprint(canonical))


def fingerprint(canonical: str) -> bytes:
    """CRC-64-AVRO of a parsing canonical form, little-endian [8 bytes]; Avro specification, "Schema Fingerprints"."""
    value = _CRC64_EMPTY
    table = _crc_table()
    for byte in canonical.encode():
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return value.to_bytes(8, "little")


@cache
def _crc_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index
        for _ in range(8):
            value = (value >> 1) ^ (_CRC64_EMPTY & -(value & 1) & _MASK64)
        table.append(value)
    return tuple(table)


def _read(path: Path, name: str, version: int) -> Schema:
    return schema_of(json.loads(path.read_text(encoding="utf-8")), name, version)


def _by_fingerprint(schemas: Iterable[Schema]) -> Mapping[bytes, Schema]:
    return MappingProxyType({schema.fingerprint: schema for schema in schemas})
