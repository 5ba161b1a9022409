"""Errors, split by what happens next and not by where they came from.

::

    OmeroMqError                 has `fix`: what the reader of the message should do next
    |-- Misconfigured            a person must change something; the command or service ends with exit status 1 (2 for usage)
    |-- Permanent                this message can never succeed: a letter, at once
    |   |-- Undecodable          its bytes are not what the topic's schema says
    |   `-- RecordTooLarge       a record is larger than its topic takes
    |-- Transient                this attempt failed, the next may not: retried in place with jitter, then a letter
    |-- DependencyDown           a named service is away: wait in place; costs no attempt, makes no letter
    `-- Halt                     going on would lose or falsify something: the service stops, nothing acknowledged
        |-- EpochChanged         the OMERO database is not the one that was read before (restore, failover, upgrade)
        `-- OffsetGap            records that were not read are gone from the topic
"""

from __future__ import annotations


class OmeroMqError(Exception):
    """An error of ours; the message says what and where, `fix` what to do next."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class Misconfigured(OmeroMqError):
    """A person must change a setting, a grant, a version or a file before this can work."""


class Permanent(OmeroMqError):
    """This message can never succeed."""


class Undecodable(Permanent):
    """The bytes are not what the topic's schema says."""


class Transient(OmeroMqError):
    """This attempt failed; the next one may succeed."""


class DependencyDown(OmeroMqError):
    """A named dependency is away; whoever needs it waits, spends no attempt and writes no letter.

    Args:
        name: what is away, as people call it: ``omero-database``, ``state-database``, ``kafka``.
        message: what was seen, e.g. the driver's own message.
        fix: what to do next, when that is known.
    """

    def __init__(self, name: str, message: str, *, fix: str = "") -> None:
        super().__init__(f"{name} is away: {message}", fix=fix)
        self.name = name


class Halt(OmeroMqError):
    """Going on would lose or falsify something; the service stops without acknowledging anything."""


class EpochChanged(Halt):
    """The OMERO database is not the one that was read before."""


class OffsetGap(Halt):
    """Records that were not read yet are gone from the topic."""


class RecordTooLarge(Permanent):
    """A record is larger than its topic takes."""
