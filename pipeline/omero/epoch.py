"""Which database this is: the identity that changes when OMERO's database was restored, failed over or upgraded."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pipeline.errors import EpochChanged

# One row; evaluated in the batch's own snapshot. On a standby pg_current_wal_lsn() is an error, hence the case.
# The oids of eventlog and of the database change when a dump is restored in place of the old one.
EPOCH_SQL = """
select pg_current_snapshot()::text,
       pg_is_in_recovery(),
       (select system_identifier::text from pg_control_system()),
       case when pg_is_in_recovery() then '' else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end,
       (select oid::int8 from pg_database where datname = current_database()),
       coalesce(to_regclass('public.eventlog')::oid::int8, 0)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """Everything that stays the same while positions, transaction ids and eventlog ids keep their meaning.

    Attributes:
        system: the cluster's system identifier; ``initdb`` and ``pg_upgrade`` make a new one.
        timeline: eight hexadecimal digits; a promotion or point-in-time recovery makes a new one.
        database_oid: a dropped and re-made database has another.
        eventlog_oid: a dropped and re-made table has another.
        omero_uuid: ``omero.db.uuid``, OMERO's own name for its database.
    """

    system: str
    timeline: str
    database_oid: int
    eventlog_oid: int
    omero_uuid: str


def differences(before: Epoch, now: Epoch) -> list[str]:
    """What differs, one line each, as people read it; empty when it is the same epoch."""
    pairs = [(f.name, getattr(before, f.name), getattr(now, f.name)) for f in fields(Epoch)]
    return [f"{name}: was {old}, is {new}" for name, old, new in pairs if old != new]


def require_same(before: Epoch, now: Epoch) -> None:
    """See that the database is the one that was accepted.

    Raises:
        EpochChanged: it is another; the message names what differs.
    """
    if before == now:
        return
    raise EpochChanged(
        "OMERO's database is not the one that was read before (" + "; ".join(differences(before, now)) + ")",
        fix="If it was restored, failed over or upgraded on purpose, run `omero-mq epoch accept`; "
        "otherwise correct omero.host, omero.port or omero.database",
    )
