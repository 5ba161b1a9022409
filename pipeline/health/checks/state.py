"""The state database: there, of a supported version, with our schema, and of the OMERO database that is there now."""

from __future__ import annotations

from pipeline.health.ask import Away
from pipeline.health.doctor import Check, Verdict, fail, ok, reached, warn
from pipeline.health.examined import Examined, StateExamined
from pipeline.health.facts import plain
from pipeline.omero.epoch import differences
from pipeline.state.migrate import OLDEST_SERVER


def connected(seen: Examined) -> Verdict:
    """Whether it answers."""
    where = seen.settings.state
    return reached(seen.state, f"connected to {where.database} at {where.host}:{where.port} as {where.user}")


def version(seen: Examined) -> Verdict:
    """Whether its server is new enough."""
    found = _state(seen).version
    if found < OLDEST_SERVER:
        return fail(f"the state database runs on PostgreSQL {found // 10_000}", "use PostgreSQL 14 or newer for it")
    return ok(f"PostgreSQL {found // 10_000}")


def schema(seen: Examined) -> Verdict:
    """Whether its tables are those that this program needs."""
    found = _state(seen).schema
    if found.verdict == "missing":
        return fail("the state database has no tables of ours", "omero-mq init")
    said = f"the state database has schema {found.current}, this program makes {found.needed}"
    if found.verdict == "too new":
        return fail(said, "install the release of omero-mq that made it, or a newer one; schemas are never downgraded")
    if found.verdict == "too old":
        return fail(said, "omero-mq init")
    if found.verdict == "older":
        return warn(f"{said}; it works", "omero-mq init")
    return ok(
        f"schema {found.current}" + (f", made by a newer release than this ({found.needed})" if found.verdict == "newer" else "")
    )


def epoch(seen: Examined) -> Verdict:
    """Whether OMERO's database is the one that was accepted."""
    accepted = _state(seen).accepted
    if accepted is None:
        return ok("no OMERO database was accepted yet; the relay accepts the first one that it reads")
    if isinstance(seen.identity, Away):
        return reached(seen.identity, "")
    changed = differences(plain(accepted), seen.identity)
    if changed:
        said = f"OMERO's database is not the one that was accepted: {'; '.join(changed)}"
        return fail(said, "if it was restored, failed over or upgraded on purpose: `omero-mq epoch accept --reason '...'`")
    return ok(f"OMERO's database is the one that was accepted on {accepted.accepted_at:%Y-%m-%d} (epoch {accepted.number})")


def _state(seen: Examined) -> StateExamined:
    assert isinstance(seen.state, StateExamined)  # noqa: S101 - `needs` halts a check before it comes here
    return seen.state


CHECKS = (
    Check(name="state.connected", run=connected),
    Check(name="state.version", run=version, needs=("state.connected",)),
    Check(name="state.schema", run=schema, needs=("state.connected",)),
    Check(name="state.epoch", run=epoch, needs=("state.schema", "database.grants")),
)
