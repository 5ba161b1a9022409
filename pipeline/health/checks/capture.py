"""Capture: slots, publications, connectors and their configuration, as Kafka Connect and PostgreSQL show them."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.cdc.connectors import Connector
from pipeline.health.ask import Away
from pipeline.health.doctor import Check, Verdict, fail, ok, reached, warn
from pipeline.health.examined import CaptureExamined, ConnectExamined, Examined
from pipeline.health.words import size

_GRANTS = "have a DBA run what `omero-mq init --print-sql` prints"
_REPAIR = "omero-mq repair"
_ROW_FILTERS_FROM = 150_000
_SUPPORTED = "3."
LAG_WARN_BYTES = 1_000_000_000


def connect(seen: Examined) -> Verdict:
    """Whether Kafka Connect answers and has Debezium."""
    if isinstance(seen.connect, Away):
        return reached(seen.connect, "")
    version = seen.connect.debezium
    if not version:
        fix = "put Debezium's PostgreSQL connector into Kafka Connect's plugin.path, then restart it"
        return fail("Kafka Connect has no Debezium connector for PostgreSQL", fix)
    if not version.startswith(_SUPPORTED):
        return warn(f"Kafka Connect has Debezium {version}; tested is 3.6", "use Debezium 3.6")
    return ok(f"Kafka Connect at {seen.settings.cdc.connect_url} has Debezium {version}")


def slots(seen: Examined) -> Verdict:
    """Whether both slots exist here, are read, and have lost nothing."""
    found = _capture(seen).slots
    for this in seen.connectors:
        slot = found.get(this.slot)
        if slot is None:
            gone = not isinstance(seen.connect, Away) and seen.connect.states[this.name].state != "MISSING"
            said = f"there is no replication slot {this.slot}"
            return fail(f"{said}: rows committed since it went may be missing", _repair(this)) if gone else fail(said, _GRANTS)
        if slot.database != seen.settings.omero.database:
            said = f"the slot {slot.name} belongs to the database {slot.database}"
            return fail(said, "choose another cdc.*_slot; a slot's name is unique in a whole PostgreSQL server")
        if slot.is_lost:
            return fail(f"the slot {slot.name} is lost: PostgreSQL has thrown away log that was not read yet", _repair(this))
        if slot.wal_status == "unreserved":
            return fail(f"the slot {slot.name} is about to be lost, it is too far behind", "omero-mq connector status")
    behind = max(slot.behind_bytes or 0 for slot in found.values())
    if behind > LAG_WARN_BYTES:
        return warn(f"{size(behind)} of PostgreSQL's log wait to be read", "omero-mq connector status")
    return ok(f"{' and '.join(found)}: nothing lost, {size(behind)} behind")


def active(seen: Examined) -> Verdict:
    """Whether somebody reads from the slots: else PostgreSQL keeps its log for nobody."""
    idle = [slot for slot in _capture(seen).slots.values() if not slot.active]
    if idle:
        kept = size(max(slot.retained_bytes or 0 for slot in idle))
        return fail(
            f"nobody reads {' and '.join(slot.name for slot in idle)}; PostgreSQL keeps {kept} of log",
            "omero-mq connector status",
        )
    return ok("both slots are being read")


def publications(seen: Examined) -> Verdict:
    """Whether each publication has its one table and inserts only."""
    server = seen.server
    for this in seen.connectors:
        found = _capture(seen).publications.get(this.publication)
        wanted = (f"public.{this.table}",)
        if found is None:
            return fail(f"there is no publication {this.publication}", _GRANTS)
        if found.all_tables:
            return fail(
                f"the publication {found.name} is FOR ALL TABLES: it would stop updates of tables without primary key", _GRANTS
            )
        if found.tables != wanted:
            return fail(
                f"the publication {found.name} has {', '.join(found.tables) or 'no table'} instead of {wanted[0]}", _GRANTS
            )
        if not found.inserts_only:
            return fail(f"the publication {found.name} publishes more than inserts", _GRANTS)
        filters = not isinstance(server, Away) and server.version >= _ROW_FILTERS_FROM
        if this.kind == "eventlog" and filters and not found.row_filter:
            return warn(
                f"the publication {found.name} has no row filter, so reindexing floods pass through Kafka as well", _GRANTS
            )
    return ok("one table each, inserts only")


def connectors(seen: Examined) -> Verdict:
    """Whether both connectors and their tasks run. A connector without tasks reads nothing."""
    for this in seen.connectors:
        state = _connect(seen).states[this.name]
        if state.state == "MISSING":
            return fail(state.problem, "omero-mq connector apply")
        if state.state in {"PAUSED", "STOPPED"}:
            return fail(state.problem, "omero-mq connector resume")
        if state.problem:
            return fail(state.problem, "remove the cause, then `omero-mq connector restart`")
    return ok("both connectors run, each with its task")


def configuration(seen: Examined) -> Verdict:
    """Whether the connectors have the configuration that `connector apply` would give them."""
    found = {name: changes for name, changes in _connect(seen).changes.items() if changes}
    if not found:
        return ok("connectors are configured as they would be now")
    name, changes = next(iter(found.items()))
    listed = ", ".join(change.option for change in changes[:3]) + (" and more" if len(changes) > 3 else "")  # noqa: PLR2004
    return warn(f"{name} is configured otherwise than it would be now: {listed}", "omero-mq connector apply --dry-run")


def _repair(this: Connector) -> str:
    return _REPAIR if this.kind == "eventlog" else f"{_REPAIR} {this.kind}"


def _capture(seen: Examined) -> CaptureExamined:
    assert isinstance(seen.capture, CaptureExamined)  # noqa: S101 - `needs` halts a check before it comes here
    return seen.capture


def _connect(seen: Examined) -> ConnectExamined:
    assert isinstance(seen.connect, ConnectExamined)  # noqa: S101 - see above
    return seen.connect


def _asked(check: Callable[[Examined], Verdict]) -> Callable[[Examined], Verdict]:
    """The check, or that the question about slots and publications was not answered."""
    return lambda seen: reached(seen.capture, "") if isinstance(seen.capture, Away) else check(seen)


_DATABASE = ("database.connected",)
CHECKS = (
    Check(name="capture.connect", run=connect, before=True),
    Check(name="capture.publications", run=_asked(publications), needs=_DATABASE),
    Check(name="capture.slots", run=_asked(slots), needs=_DATABASE),
    Check(name="capture.connectors", run=connectors, needs=("capture.connect", "capture.slots", "capture.publications")),
    Check(name="capture.active", run=active, needs=("capture.connectors",)),
    Check(name="capture.configuration", run=configuration, needs=("capture.connectors",)),
)
