"""Commands worth trying beside a running installation, with its real addresses, ready to be pasted into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pipeline.settings import Settings
from pipeline.stack.addresses import Addresses
from pipeline.wire import topics

_KINDS = "SELECT entitytype, action, count(*) FROM eventlog GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 10"


def worth_trying(where: Addresses, settings: Settings, ours: Sequence[str]) -> list[tuple[str, str]]:
    """What each shows, and the command.

    Args:
        where: of the running stack.
        settings: names of database and topics.
        ours: the words that `omero-mq` begins with here: its path, and the options by which it finds this installation.
    """
    events, rows = (topics.named(topic, settings.kafka.prefix) for topic in (topics.EVENTS, topics.EVENTLOG))
    broker = where.kafka_bootstrap
    password = f'PGPASSWORD="$(cat {shlex.quote(where.superuser_password_file)})"'
    psql = [
        "psql",
        *("-X", "-P", "pager=off", "-h", where.postgres_host, "-p", str(where.postgres_port), "-U", where.superuser),
        *("-d", settings.omero.database, "-c", _KINDS),
    ]
    return [
        ("the newest events, as any Kafka client reads them", f"kcat -C -q -e -b {broker} -t {events} -o -2 -f '%k  %s\\n'"),
        ("what Debezium wrote for them", f"kcat -C -q -e -b {broker} -t {rows} -o -2 -f '%s\\n'"),
        (
            "what happened to images in the last hour",
            shlex.join([*ours, "events", "follow", "--type", "Image", "--since", "1h", "--no-wait"]),
        ),
        ("the connectors that read the database", shlex.join([*ours, "connector", "status"])),
        ("what OMERO's own event log says", f"{password} {shlex.join(psql)}"),
    ]
