"""Avro's single-object encoding: C3 01, the schema's fingerprint (8 bytes), the body; readable without a registry."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import fastavro
import msgspec
from fastavro.read import SchemaResolutionError

from pipeline.errors import Undecodable
from pipeline.wire.json_codec import AVRO_MARKER, joined, parse
from pipeline.wire.schemas import Schema, SchemaSet, shipped_schemas
from pipeline.wire.text import unfit_texts
from pipeline.wire.validation import problems

HEADER_BYTES = len(AVRO_MARKER) + 8

M = TypeVar("M", bound=msgspec.Struct)

# What fastavro raises on bytes that are no body of the schema.
_BODY_ERRORS = (EOFError, ValueError, LookupError, ArithmeticError, TypeError, struct.error, SchemaResolutionError)
_FIX = "look at who wrote it and with which version; readers know the schemas in schemas/ and schemas/released/"


class AvroCodec(Generic[M]):
    """Avro of one message; thread-safe.

    Args:
        message: what is decoded.
        schema: file stem in ``schemas/``: what is written, and what others' versions are resolved to.
        schemas: where writers' schemas are found.
    """

    __slots__ = ("_message", "_schemas", "schema")

    def __init__(self, message: type[M], schema: str, schemas: Callable[[], SchemaSet] = shipped_schemas) -> None:
        self._message = message
        self._schemas = schemas
        self.schema = schema

    def decode(self, data: bytes) -> M:
        """The message, whichever released version of its schema wrote it.

        Raises:
            Undecodable: says whether the marker, the fingerprint, the schema, the body's end or a field is wrong.
        """
        return self._checked(self._read(data), fix=_FIX)

    def encode(self, message: M) -> bytes:
        """The bytes, by the schema in use.

        Raises:
            Undecodable: a value is not what the schema says.
        """
        value = msgspec.to_builtins(message)
        self._checked(value, fix=f"write it as schemas/{self.schema}.avsc says")
        return encode_value(self._schemas().current[self.schema], value)

    def _checked(self, value: Any, fix: str) -> M:
        wrong = list(unfit_texts(value))
        try:
            if not wrong:
                return msgspec.convert(value, self._message)
        except msgspec.ValidationError as error:
            wrong = list(problems(self._schemas().current[self.schema].declared, value)) or [str(error)]
        raise Undecodable(f"no {self.schema}: {joined(wrong)}", fix=fix)

    def _read(self, data: bytes) -> Any:
        writer = writer_of(data, self._schemas())
        if writer.name != self.schema:
            raise Undecodable(f"Avro of a {writer.name}, where a {self.schema} is expected", fix="send it to its own topic")
        return decode_value(data, writer, self._schemas().current[self.schema])


def is_avro(data: bytes) -> bool:
    """Whether the bytes begin as single-object encoding does."""
    return data.startswith(AVRO_MARKER)


def writer_of(data: bytes, schemas: SchemaSet) -> Schema:
    """The schema that wrote the bytes.

    Raises:
        Undecodable: no marker, no whole fingerprint, or one that is not known here.
    """
    if not is_avro(data):
        raise Undecodable(
            f"no Avro single-object encoding: begins with {data[:2].hex(' ') or 'nothing'}, not with c3 01", fix=_FIX
        )
    if len(data) < HEADER_BYTES:
        raise Undecodable(
            f"truncated Avro: {len(data)} bytes, and the marker and fingerprint alone take {HEADER_BYTES}", fix=_FIX
        )
    fingerprint = data[len(AVRO_MARKER) : HEADER_BYTES]
    if fingerprint not in schemas.by_fingerprint:
        raise Undecodable(
            f"Avro by an unknown schema: fingerprint {fingerprint.hex()}",
            fix="upgrade this installation, if the writer is newer; else look at who wrote it",
        )
    return schemas.by_fingerprint[fingerprint]


def encode_value(schema: Schema, value: Mapping[str, Any]) -> bytes:
    """Single-object encoding of a decoded JSON value; absent fields take their defaults."""
    out = io.BytesIO()
    out.write(AVRO_MARKER + schema.fingerprint)
    texts = {name: msgspec.json.encode(value[name]).decode() for name in _json_fields(schema) if name in value}
    fastavro.schemaless_writer(out, schema.parsed, {**value, **texts})
    return out.getvalue()


def decode_value(data: bytes, writer: Schema, reader: Schema) -> Any:
    """The value of single-object encoding as JSON would have it.

    Raises:
        Undecodable: the body is truncated, is longer than its schema says, or cannot be read as the reader's version.
    """
    body = io.BytesIO(data)
    body.seek(HEADER_BYTES)
    by = f"{writer.name} (fingerprint {writer.fingerprint.hex()})"
    try:
        value: Any = fastavro.schemaless_reader(body, writer.parsed, reader.parsed)
    except EOFError as error:
        raise Undecodable(f"truncated Avro: {len(data)} bytes end within a {by}", fix=_FIX) from error
    except _BODY_ERRORS as error:
        raise Undecodable(f"no Avro body of a {by}: {type(error).__name__}: {error}", fix=_FIX) from error
    if trailing := len(data) - body.tell():
        raise Undecodable(f"{trailing} trailing bytes after the Avro body of a {by}", fix=_FIX)
    return {**value, **{name: parse(value[name].encode()) for name in _json_fields(reader) if name in value}}


def _json_fields(schema: Schema) -> list[str]:
    fields = schema.declared["fields"]
    return [one["name"] for one in fields if isinstance(one["type"], dict) and one["type"].get("logicalType") == "json-object"]
