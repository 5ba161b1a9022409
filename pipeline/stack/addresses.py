"""Where the parts of a running stack are, for every other command: ``addresses.json`` and a generated ``omero-mq.toml``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psycopg.conninfo

from pipeline.errors import Misconfigured
from pipeline.stack.directory import DataDirectory, write_atomically


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of one running stack; a part that was not asked for has none.

    Attributes:
        directory: the data directory.
        postgres_port: 0 when there is no PostgreSQL.
        superuser: PostgreSQL's; its password is in a file that only the owner of the data directory reads.
        kafka_bootstrap: "" when there is no Kafka.
        connect_url: "" when there is no Kafka Connect.
        secrets_directory: the only place from which Kafka Connect reads ``${file:...}`` references.
    """

    directory: str
    postgres_host: str = "127.0.0.1"
    postgres_port: int = 0
    superuser: str = "postgres"
    superuser_password_file: str = ""
    kafka_bootstrap: str = ""
    connect_url: str = ""
    secrets_directory: str = ""

    def superuser_dsn(self, database: str = "postgres") -> str:
        """A connection string for PostgreSQL's superuser."""
        return psycopg.conninfo.make_conninfo(
            host=self.postgres_host,
            port=self.postgres_port,
            user=self.superuser,
            password=Path(self.superuser_password_file).read_text(encoding="utf-8"),
            dbname=database,
        )


def load(path: Path) -> Addresses:
    """The addresses of the stack that runs in a data directory.

    Raises:
        Misconfigured: nothing runs there.
    """
    directory = DataDirectory(path)
    try:
        found = msgspec.json.decode(directory.addresses_file.read_bytes(), type=Addresses)
    except FileNotFoundError:
        raise Misconfigured(f"nothing was started in {path}", fix="start it with: omero-mq up") from None
    if directory.holder() is None:
        raise Misconfigured(f"nothing runs in {path} now", fix="start it with: omero-mq up")
    return found


def write(directory: DataDirectory, addresses: Addresses, settings: Mapping[str, Mapping[str, str | int]]) -> None:
    """Writes both files; the settings file has the passwords of our own roles, so that only its owner reads it."""
    write_atomically(directory.addresses_file, msgspec.json.format(msgspec.json.encode(addresses)).decode() + "\n", mode=0o644)
    lines = ["# Written by `omero-mq up` at each start: where everything is. Your own settings go elsewhere."]
    for table, values in settings.items():
        lines += ["", f"[{table}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    write_atomically(directory.settings_file, "\n".join(lines) + "\n", mode=0o600)
