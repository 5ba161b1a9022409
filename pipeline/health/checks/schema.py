"""OMERO's tables and columns, compared with what is relied on."""

from __future__ import annotations

from pipeline.health.ask import Away
from pipeline.health.doctor import Check, Verdict, fail, ok, reached, warn
from pipeline.health.examined import Examined

_ALL = "see all of them, and what does not work without each: `omero-mq doctor --schema`"


def relied_on(seen: Examined) -> Verdict:
    """Whether every table and column that is read is there and of the expected type."""
    if isinstance(seen.schema, Away):
        return reached(seen.schema, "")
    errors = [finding for finding in seen.schema if finding.severity == "error"]
    if errors:
        return fail(f"{len(errors)} tables or columns that are needed are missing or different, first: {errors[0]}", _ALL)
    if seen.schema:
        return warn(f"{len(seen.schema)} tables or columns are missing or different, first: {seen.schema[0]}", _ALL)
    return ok("every table and column that is read is as expected")


CHECKS = (Check(name="schema.relied_on", run=relied_on, needs=("database.connected",), before=True),)
