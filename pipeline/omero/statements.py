"""SQL that a DBA can read and psql can run, and that a connection of ours can run as well: the same statements either way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

_TAG = "$run$"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One statement, run only when its condition holds, so that the whole can be run again.

    Attributes:
        text: SQL; a psql variable ``:'name'`` may stand for a secret.
        when: a boolean SQL expression; empty: always.
        why: what it is for, as a comment above it.
    """

    text: str
    when: str = ""
    why: str = ""


def name(identifier: str) -> str:
    """An identifier as SQL writes it, quoted where it must be."""
    plain = identifier.isascii() and identifier.replace("_", "a").isalnum() and identifier == identifier.lower()
    if plain and not identifier[0].isdigit():
        return identifier
    return '"' + identifier.replace('"', '""') + '"'


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def for_psql(statements: Iterable[Statement]) -> str:
    """The statements as psql runs them, with their comments."""
    return "\n".join(_psql(one) for one in statements) + "\n"


def _psql(one: Statement) -> str:
    comment = "".join(f"-- {line}\n" for line in one.why.splitlines())
    if comment:
        comment = "\n" + comment
    secret = next(iter(_variables(one.text)), "")
    if secret:
        return f"{comment}\\if :{{?{secret}}}\n{one.text};\n\\endif"
    if not one.when:
        return f"{comment}{one.text};"
    return f"{comment}SELECT {_TAG}{one.text}{_TAG}\n WHERE {one.when} \\gexec"


def run(connection: Connection, statements: Sequence[Statement], secrets: Mapping[str, str]) -> None:
    """Run the statements on a connection in autocommit mode; what was run stays, so an interrupted run is simply run again.

    Args:
        connection: in autocommit mode, since databases and slots cannot be made inside a transaction that wrote.
        statements: in order.
        secrets: values for psql variables by name; a statement that needs one that is missing is left out.
    """
    for one in statements:
        wanted = [variable for variable in _variables(one.text) if variable not in secrets]
        if wanted or not _holds(connection, one.when):
            continue
        connection.execute(_filled(one.text, secrets).encode())


def _variables(statement: str) -> list[str]:
    return [part.partition("'")[0] for part in statement.split(" :'")[1:]]


def _filled(statement: str, secrets: Mapping[str, str]) -> str:
    for variable in _variables(statement):
        statement = statement.replace(f":'{variable}'", sql.Literal(secrets[variable]).as_string())
    return statement


def _holds(connection: Connection, when: str) -> bool:
    if not when:
        return True
    row = connection.execute(f"SELECT {when}".encode()).fetchone()
    return row is not None and bool(row[0])
