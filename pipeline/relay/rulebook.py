"""The rules in force, as a plain list: a queue's rules are added here, and nowhere found by scanning."""

from __future__ import annotations

from pipeline.relay.rules import Rule

RULES: tuple[Rule, ...] = ()
