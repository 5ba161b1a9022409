"""OMERO's PostgreSQL: version, replication settings, our rights and no more, clock and time zone."""

from __future__ import annotations

from datetime import timedelta

from pipeline.errors import Misconfigured
from pipeline.health.ask import Away
from pipeline.health.doctor import Check, Verdict, fail, ok, reached, warn
from pipeline.health.examined import REINDEXING_COUNTED, Examined, Log, Rights, Role, Server
from pipeline.health.words import duration, number
from pipeline.omero.wallclock import to_utc, zone

OLDEST, NEWEST, ROW_FILTERS_FROM = 14, 18, 15
SKEW_WARN_S, SKEW_FAIL_S = 2.0, 30.0
FUTURE = timedelta(minutes=2)
_GRANTS = "have a DBA run what `omero-mq init --print-sql` prints"
_LEAST_CAP_MB = 1024


def connected(seen: Examined) -> Verdict:
    """Whether it answers."""
    where = seen.settings.omero
    if isinstance(seen.server, Away):
        return reached(seen.server, "")
    version = f"{seen.server.version // 10_000}.{seen.server.version % 10_000}"
    return ok(f"connected to {where.database} at {where.host}:{where.port} as {where.user}, PostgreSQL {version}")


def version(seen: Examined) -> Verdict:
    """Whether its version is supported, and good enough for the row filter."""
    major = _server(seen).version // 10_000
    if major < OLDEST:
        return fail(f"PostgreSQL {major} is not supported", f"upgrade OMERO's PostgreSQL to {OLDEST} or newer")
    if major > NEWEST:
        return warn(f"PostgreSQL {major} is newer than what was tested ({NEWEST})", "look whether there is a newer omero-mq")
    if major < ROW_FILTERS_FROM:
        return warn(
            f"PostgreSQL {major} cannot filter rows, so OMERO's own reindexing floods pass through Kafka as well",
            f"it works; PostgreSQL {ROW_FILTERS_FROM} or newer is quicker",
        )
    return ok(f"version {major} is supported and filters rows")


def primary(seen: Examined) -> Verdict:
    """Whether it is the server that is written to."""
    if _server(seen).standby:
        return fail("this server is a standby: slots and transaction ids are the primary's", "point omero.host at the primary")
    return ok("it is the primary")


def wal_level(seen: Examined) -> Verdict:
    """Whether changes can be read from its log at all."""
    found = _server(seen).wal_level
    if found == "logical":
        return ok("wal_level is logical")
    fix = "ALTER SYSTEM SET wal_level = 'logical';   then restart PostgreSQL (the only restart that is needed)"
    return fail(f"wal_level is {found!r}, so no change can be captured", fix)


def wal_cap(seen: Examined) -> Verdict:
    """Whether a reader that is away can fill OMERO's disk."""
    megabytes = _server(seen).wal_keep_mb
    fix = "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();"
    if megabytes < 0:
        return fail("max_slot_wal_keep_size is unlimited: if Kafka Connect is away for days, OMERO's disk fills up", fix)
    if megabytes < _LEAST_CAP_MB:
        return warn(f"max_slot_wal_keep_size is only {megabytes} MB: a short absence of Kafka Connect loses the slot", fix)
    return ok(f"PostgreSQL keeps at most {megabytes / 1024:.3g} GB of its log for a reader that is away")


def slots_free(seen: Examined) -> Verdict:
    """Whether there is room for our two slots and their connections."""
    found = _server(seen)
    ours = 0 if isinstance(seen.capture, Away) else len(seen.capture.slots)
    wanted = 2 - ours
    short = []
    if found.slots - found.slots_used < wanted:
        short.append(("max_replication_slots", found.slots_used + wanted, found.slots))
    if found.senders - found.senders_used < wanted:
        short.append(("max_wal_senders", found.senders_used + wanted, found.senders))
    if short:
        said = ", ".join(f"{name} is {there} and must be at least {needed}" for name, needed, there in short)
        changes = " ".join(f"ALTER SYSTEM SET {name} = {needed + 2};" for name, needed, _ in short)
        return fail(said, f"{changes}   then restart PostgreSQL")
    return ok(
        f"{found.slots_used} of {found.slots} replication slots in use, {found.senders_used} of {found.senders} connections"
    )


def grants(seen: Examined) -> Verdict:
    """Whether what is read may be read."""
    missing = _rights(seen).missing
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""  # noqa: PLR2004 - as many as fit a line
        return fail(f"{seen.settings.omero.user} may not use {', '.join(missing[:4])}{more}", _GRANTS)
    return ok(f"{seen.settings.omero.user} may read what it needs")


def least_privilege(seen: Examined) -> Verdict:
    """Whether our roles may do more than they need; then a mistake of ours, or whoever steals a password, could do more, too."""
    rights = _rights(seen)
    excess = [text for role in (rights.reader, rights.streamer) for text in _excess(role)]
    if rights.reader.replication:
        excess.append(f"{rights.reader.name} has REPLICATION and needs it not")
    if excess:
        return warn(f"more rights than needed: {'; '.join(excess)}", "have a DBA take them away; " + _GRANTS)
    names = " and ".join(dict.fromkeys(role.name for role in (rights.reader, rights.streamer) if role.exists))
    return ok(f"{names} can read no password, no session and no mail address, and write nothing")


def streamer(seen: Examined) -> Verdict:
    """Whether the role of Debezium exists and may stream."""
    role = _rights(seen).streamer
    if not role.exists:
        return fail(f"there is no role {role.name} for Kafka Connect", _GRANTS)
    if not role.replication and "SUPERUSER" not in role.powers:
        return fail(f"{role.name} may not stream: it lacks REPLICATION", _GRANTS)
    return ok(f"{role.name} may stream")


def clock(seen: Examined) -> Verdict:
    """Whether the server's clock and ours agree: ages and "how long ago" are differences of the two."""
    skew_s = _server(seen).skew_s
    way = "ahead of" if skew_s > 0 else "behind"
    fix = "let both machines keep time by NTP: `timedatectl set-ntp true`"
    if abs(skew_s) > SKEW_FAIL_S:
        return fail(f"the database's clock is {duration(abs(skew_s))} {way} ours", fix)
    if abs(skew_s) > SKEW_WARN_S:
        return warn(f"the database's clock is {duration(abs(skew_s))} {way} ours", fix)
    return ok(f"clocks agree within {max(0.01, abs(skew_s)):.2f} s")


def timezone(seen: Examined) -> Verdict:
    """Whether `omero.timezone` can be right: no change may lie in the future."""
    log, name = _log(seen), seen.settings.omero.timezone
    try:
        place = zone(name)
    except Misconfigured as error:
        return fail(str(error), error.fix)
    if log.last_event is None:
        return ok(f"times are read as {name}; there is no change yet to compare")
    ahead = to_utc(log.last_event, place, not_after=None) - log.now
    if ahead > FUTURE:
        hours = ahead.total_seconds() / 3600
        fix = "set omero.timezone to the zone of the OMERO server's JVM (`timedatectl` there shows it), e.g. Europe/Berlin"
        return fail(f"omero.timezone = {name} would put the last change {hours:.1f} h into the future", fix)
    return ok(f"times are read as {name}; the last change was {duration(-ahead.total_seconds())} ago")


def moving(seen: Examined) -> Verdict:
    """What the log of changes holds."""
    log = _log(seen)
    if log.last_id is None:
        return ok("eventlog can be read and holds no row yet")
    return ok(f"eventlog can be read, its last row is {number(log.last_id)}")


def reindexing(seen: Examined) -> Verdict:
    """Whether anybody empties the table in which OMERO notes what to index again."""
    waiting = _log(seen).reindexing
    if waiting >= REINDEXING_COUNTED:
        fix = "see whether OMERO's Indexer-0 runs: `omero admin diagnostics`; nothing of ours needs these rows"
        return warn(f"_reindexing_required has more than {number(REINDEXING_COUNTED - 1)} rows, and nobody empties it", fix)
    return ok(f"{number(waiting)} rows wait for OMERO's own indexer, which may go on as it does")


def beside(seen: Examined) -> Verdict:
    """Whether OMERO itself is there; only a note, since everything here runs beside it."""
    found, owner = _server(seen).omero_connections, seen.settings.omero.owner
    if not found:
        return ok(f"no OMERO server is connected as {owner}; changes come once it is")
    return ok(f"OMERO has {number(found)} connections as {owner}; its Indexer, PixelData and Processor may all go on")


def _server(seen: Examined) -> Server:
    assert isinstance(seen.server, Server)  # noqa: S101 - `needs` halts a check before it comes here
    return seen.server


def _rights(seen: Examined) -> Rights:
    assert isinstance(seen.rights, Rights)  # noqa: S101 - see above
    return seen.rights


def _log(seen: Examined) -> Log:
    assert isinstance(seen.log, Log)  # noqa: S101 - see above
    return seen.log


def _rights_known(seen: Examined) -> Verdict:
    return reached(seen.rights, f"our roles: {seen.settings.omero.user} and {seen.settings.cdc.user}")


def _log_known(seen: Examined) -> Verdict:
    return moving(seen) if isinstance(seen.log, Log) else reached(seen.log, "")


def _excess(role: Role) -> list[str]:
    found = []
    if role.powers:
        found.append(f"{role.name} is {', '.join(role.powers)}")
    if role.reads:
        found.append(f"{role.name} can read {', '.join(role.reads)}")
    if role.writes:
        more = " and more" if len(role.writes) > 3 else ""  # noqa: PLR2004 - as many as fit a line
        found.append(f"{role.name} can change {', '.join(role.writes[:3])}{more}")
    return found


_HERE = ("database.connected",)
CHECKS = (
    Check(name="database.connected", run=connected, before=True),
    Check(name="database.version", run=version, needs=_HERE, before=True),
    Check(name="database.primary", run=primary, needs=_HERE, before=True),
    Check(name="database.wal_level", run=wal_level, needs=_HERE, before=True),
    Check(name="database.wal_cap", run=wal_cap, needs=_HERE, before=True),
    Check(name="database.slots_free", run=slots_free, needs=_HERE, before=True),
    Check(name="database.clock", run=clock, needs=_HERE, before=True),
    Check(name="database.omero", run=beside, needs=_HERE, before=True),
    Check(name="database.roles", run=_rights_known, needs=_HERE),
    Check(name="database.grants", run=grants, needs=("database.roles",)),
    Check(name="database.least_privilege", run=least_privilege, needs=("database.roles",)),
    Check(name="database.streamer", run=streamer, needs=("database.roles",)),
    Check(name="database.eventlog", run=_log_known, needs=("database.grants",)),
    Check(name="database.timezone", run=timezone, needs=("database.eventlog",)),
    Check(name="database.reindexing", run=reindexing, needs=("database.eventlog",)),
)
