"""`omero-mq init` and `uninstall`: what a DBA reviews, what we make ourselves, and undoing all of it."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli.call import Call
from pipeline.cli.connections import as_superuser
from pipeline.cli.connector import apply_all, delete_all
from pipeline.cli.exits import Exit
from pipeline.errors import DependencyDown, Misconfigured
from pipeline.kafka.admin import KafkaAdmin
from pipeline.kafka.installation import make_groups, make_topics
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.grants import print_sql
from pipeline.omero.removal import leftovers, uninstall_sql
from pipeline.omero.removal import uninstall as remove
from pipeline.settings import Settings
from pipeline.state.migrate import migrate
from pipeline.state.pool import connect


def init(
    context: typer.Context,
    *,
    sql: Annotated[bool, typer.Option("--print-sql", help="Only print what a DBA runs on OMERO's PostgreSQL.")] = False,
    version: Annotated[
        int | None, typer.Option("--postgres-version", help="Its major version, if it cannot be asked yet.")
    ] = None,
    connectors: Annotated[bool, typer.Option("--connectors", help="The connectors on Kafka Connect, too.")] = False,
) -> int:
    """Make or upgrade what is ours: the state database's schema, topics, first offsets of the groups. May be repeated.

    With --print-sql nothing is changed: roles, grants, publications, slots and functions are printed for a DBA to review.

    \b
    Examples:
      omero-mq init --print-sql --postgres-version 16 > omero-mq.sql
      omero-mq init
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    if sql:
        call.output.raw(print_sql(settings, version or _server_version(settings)))
        return Exit.OK
    with connect(settings.state, service="init", autocommit=True) as connection:
        steps = [f"{step.version}" for step in migrate(connection)]
    with KafkaAdmin(settings.kafka) as admin:
        made = make_topics(admin, settings.kafka.prefix)
        groups = sorted(make_groups(admin, settings.kafka))
    applied = apply_all(settings) if connectors else []
    call.output.item("init", {"migrations": steps, "topics": made, "groups": groups, "connectors": applied})
    call.output.line(f"state database: {f'migrated to {steps[-1]}' if steps else 'up to date'}")
    call.output.line(f"topics: {', '.join(made) or 'all there'}")
    call.output.line(f"groups: {', '.join(groups) or 'all there'}")
    if connectors:
        call.output.line(f"connectors: {', '.join(applied) or 'as they should be'}")
    call.output.following("omero-mq connector status" if connectors else "omero-mq connector apply", "omero-mq topic check")
    return Exit.OK


def uninstall(
    context: typer.Context,
    *,
    sql: Annotated[bool, typer.Option("--print-sql", help="Only print what a DBA runs on OMERO's PostgreSQL.")] = False,
    superuser: Annotated[str, typer.Option("--superuser", metavar="CONNINFO", help="How to connect, without a password.")] = "",
    with_state: Annotated[bool, typer.Option("--with-state-database", help="Drop our own database, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Without asking.")] = False,
) -> int:
    """Remove connectors, slots, publications, functions and roles from OMERO's PostgreSQL, and prove that nothing is left.

    OMERO's own data are not touched. Kafka's topics stay.

    \b
    Examples:
      omero-mq uninstall --print-sql
      omero-mq uninstall --superuser "host=db.example.org user=postgres" --yes
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    if sql:
        call.output.raw(uninstall_sql(settings, with_state_database=with_state))
        return Exit.OK
    what = f"remove all that is ours from the database {settings.omero.database} at {settings.omero.host}:{settings.omero.port}"
    if not call.confirmed(what + (", our state database included" if with_state else ""), yes=yes):
        return Exit.REFUSED
    _delete_connectors(settings, call)
    with as_superuser(settings, superuser, call) as connection:
        remove(connection, settings, with_state_database=with_state)
        left = leftovers(connection, settings, with_state_database=with_state)
    call.output.item("uninstall", {"left": left})
    for each in left:
        call.output.marked("left", "red", each)
    if not left:
        kept = "" if with_state else f"; the state database {settings.state.database} and its role are kept"
        call.output.line(f"nothing of ours is left in OMERO's PostgreSQL{kept}")
    return Exit.PARTLY if left else Exit.OK


def _delete_connectors(settings: Settings, call: Call) -> None:
    try:
        for name in delete_all(settings):
            call.output.line(f"deleted the connector {name}")
    except DependencyDown as error:
        call.output.note(f"connectors not deleted: {error}; if one still runs somewhere it will fail from now on")


def _server_version(settings: Settings) -> int:
    database = OmeroDatabase(settings.omero, service="init")
    try:
        with database.connected() as connection:
            return connection.info.server_version // 10_000
    except (DependencyDown, Misconfigured) as error:
        raise Misconfigured(
            f"OMERO's PostgreSQL cannot be asked for its version ({error})",
            fix="add --postgres-version N; `psql -c 'SHOW server_version'` says which",
        ) from error
    finally:
        database.close()
