"""JSON: decoded at full speed; what does not fit is explained against the schema, field by field."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Generic, NoReturn, TypeVar

import msgspec

from pipeline.errors import Undecodable
from pipeline.wire.schemas import shipped_schemas
from pipeline.wire.text import unfit_texts
from pipeline.wire.validation import problems

PROBLEMS_SHOWN = 5
AVRO_MARKER = b"\xc3\x01"  # no JSON begins so: it would not be UTF-8
LONGEST_NUMBER = 40  # digits; twice what 64 bits need

M = TypeVar("M", bound=msgspec.Struct)


class JsonCodec(Generic[M]):
    """JSON of one message; thread-safe.

    Accepts exactly what `pipeline.wire.validation` accepts, except that a name which stands twice in one object is not noticed
    (the last one counts, as everywhere).
    """

    __slots__ = ("_decode", "_encode", "schema")

    def __init__(self, message: type[M], schema: str) -> None:
        self.schema = schema
        self._decode = msgspec.json.Decoder(message).decode
        self._encode = msgspec.json.Encoder().encode

    def decode(self, data: bytes) -> M:
        """The message.

        Raises:
            Undecodable: it is no JSON, or not what the schema says; names each field that is wrong.
        """
        try:
            message = self._decode(data)
            if not data.isascii():
                data.decode()  # msgspec looks into no text that it passes over
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            value = parse(data)
            found = [*unfit_texts(value), *problems(shipped_schemas().current[self.schema].declared, value)]
            raise self._undecodable(found or [str(error)]) from error
        # Maybe a NUL, maybe an escaped backslash before "u0000".
        if b"\\u0000" in data and (wrong := list(unfit_texts(parse(data)))):
            raise self._undecodable(wrong)
        return message

    def encode(self, message: M) -> bytes:
        """The bytes; values that were not decoded or checked before are taken as they are."""
        return self._encode(message)

    def encode_checked(self, message: M) -> bytes:
        """The bytes of a message that others made, such as a rule or a client.

        Raises:
            Undecodable: nobody could read it; names each field that is wrong.
        """
        try:
            data = self._encode(message)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise Undecodable(f"{self.schema} cannot be written as JSON: {error}", fix=self._fix) from error
        self.decode(data)
        return data

    @property
    def _fix(self) -> str:
        return f"write it as schemas/{self.schema}.avsc says; docs/reference/messages.md has examples"

    def _undecodable(self, wrong: Iterable[str]) -> Undecodable:
        return Undecodable(f"no {self.schema}: {joined(wrong)}", fix=self._fix)


def joined(found: Iterable[str]) -> str:
    """The first few problems in one line, and how many there are beside."""
    wrong = list(dict.fromkeys(found))
    more = f"; and {len(wrong) - PROBLEMS_SHOWN} more" if len(wrong) > PROBLEMS_SHOWN else ""
    return "; ".join(wrong[:PROBLEMS_SHOWN]) + more


def parse(data: bytes) -> Any:
    """JSON of any shape, as strict as `JsonCodec` and stricter: a name that stands twice in an object is refused.

    Raises:
        Undecodable: it is no JSON; says where it ends being so.
    """
    fix = "look at it with `omero-mq topic cat`, and at who wrote it"
    if data.startswith(AVRO_MARKER):
        raise Undecodable("not JSON but Avro (its first bytes are C3 01)", fix=fix)
    try:
        return json.loads(data.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant, parse_int=_bounded)
    except UnicodeDecodeError as error:
        raise Undecodable(f"not UTF-8: {error.reason} at byte {error.start}", fix=fix) from error
    except RecursionError as error:
        raise Undecodable("not decodable JSON: nested too deeply", fix=fix) from error
    except ValueError as error:
        said = "there are 0 bytes" if not data else str(error).replace("Extra data:", "something follows after its end:")
        raise Undecodable(f"not JSON: {said}", fix=fix) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"name {next(name for name in names if names.count(name) > 1)!a} stands twice in one object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _bounded(digits: str) -> int:
    return int(digits[:LONGEST_NUMBER])  # beyond 64 bits either way, and Python refuses to read thousands of digits
