"""All checks of `doctor`, one group in each file, in the order in which they are made."""

from __future__ import annotations

from pipeline.health.checks import capture, database, host, kafka, schema, state
from pipeline.health.doctor import Check

CHECKS: tuple[Check, ...] = (
    *host.CHECKS,
    *database.CHECKS,
    *schema.CHECKS,
    *kafka.CHECKS,
    *state.CHECKS,
    *capture.CHECKS,
)
