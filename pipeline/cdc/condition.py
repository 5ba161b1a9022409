"""Whether rows can flow: one connector, its slot and its publication looked at together, with what to do next."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.cdc.connect import ConnectorState
from pipeline.cdc.connectors import Connector
from pipeline.cdc.slots import Publication, Slot

_REPAIR = "omero-mq repair"
_GRANTS = "have a DBA run what `omero-mq init --print-sql` prints"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is wrong, and the next step."""

    problem: str
    fix: str


def condition(
    connector: Connector,
    state: ConnectorState,
    slot: Slot | None,
    publication: Publication | None,
    *,
    database: str,
    topics: Collection[str] | None = None,
) -> list[Finding]:
    """What keeps rows from flowing, the cause before its consequence; empty when nothing does.

    Args:
        connector: whose names they are.
        state: as Kafka Connect shows it.
        slot: as PostgreSQL shows it; None: there is none.
        publication: likewise.
        database: where the slot must be.
        topics: names of the topics that exist; None: nobody looked. Kafka Connect waits for a missing topic without a word.
    """
    findings = [
        *_slot_findings(connector, state, slot, database),
        *_publication_findings(connector, publication),
        *_topic_findings(connector, topics),
    ]
    if state.problem:
        findings.append(Finding(problem=state.problem, fix=_connector_fix(state, findings)))
    return findings


def _slot_findings(connector: Connector, state: ConnectorState, slot: Slot | None, database: str) -> list[Finding]:
    if slot is None:
        if state.state == "MISSING":
            return [Finding(problem=f"the replication slot {connector.slot} does not exist yet", fix=_GRANTS)]
        problem = f"the replication slot {connector.slot} is gone, and with it its place: rows committed since may be missing"
        return [Finding(problem=problem, fix=_REPAIR)]
    if slot.database != database:
        problem = f"the replication slot {slot.name} belongs to the database {slot.database}, not to {database}"
        return [Finding(problem=problem, fix="choose another cdc.*_slot; a slot's name is unique in a whole PostgreSQL server")]
    if slot.is_lost:
        problem = (
            f"the replication slot {slot.name} is lost: its write-ahead log is gone, rows are missing from {connector.topic}"
        )
        return [Finding(problem=problem, fix=_REPAIR)]
    if slot.wal_status == "unreserved":
        problem = f"the replication slot {slot.name} will be lost soon: it keeps {_size(slot.retained_bytes)}, too much"
        return [Finding(problem=problem, fix="let its connector run: `omero-mq connector status`")]
    return []


def _publication_findings(connector: Connector, publication: Publication | None) -> list[Finding]:
    if publication is None:
        return [Finding(problem=f"the publication {connector.publication} does not exist", fix=_GRANTS)]
    wanted = (f"public.{connector.table}",)
    if publication.all_tables or publication.tables != wanted:
        listed = "all tables" if publication.all_tables else ", ".join(publication.tables) or "no table"
        return [Finding(problem=f"the publication {publication.name} has {listed} instead of {wanted[0]}", fix=_GRANTS)]
    if not publication.inserts_only:
        problem = (
            f"the publication {publication.name} publishes more than inserts, which stops deletes in tables without primary key"
        )
        return [Finding(problem=problem, fix=_GRANTS)]
    return []


def _topic_findings(connector: Connector, topics: Collection[str] | None) -> list[Finding]:
    missing = [] if topics is None else [name for name in (connector.topic, connector.heartbeat_topic) if name not in topics]
    return [
        Finding(problem=f"there is no topic {name}: {connector.name} runs, and waits for it", fix="omero-mq topic create")
        for name in missing
    ]


def _connector_fix(state: ConnectorState, findings: list[Finding]) -> str:
    if findings:
        return findings[0].fix
    if state.state == "MISSING":
        return "omero-mq connector apply"
    if state.state in {"PAUSED", "STOPPED"}:
        return "omero-mq connector resume"
    if "no longer available on the server" in state.problem:
        return _REPAIR  # a slot of the same name was made anew: its beginning is after the connector's place
    if "FAILED" in {state.state, *(task.state for task in state.tasks)}:
        return "remove the cause, then `omero-mq connector restart`"
    return "wait a few seconds; if it stays so, look into Kafka Connect's log"


def _size(count: int | None) -> str:
    return "an unknown amount" if count is None else f"{count / 1e6:,.0f} MB"
