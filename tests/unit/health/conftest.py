"""Fixtures: a healthy installation as facts."""

from healthy_facts import examined, seen

__all__ = ["examined", "seen"]
