"""What the command's exit status means; the same for every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses, for scripts and monitoring."""

    OK = 0
    ERROR = 1
    USAGE = 2
    UNHEALTHY = 3
    NOTHING = 4
    PARTLY = 5
    REFUSED = 6
    INTERRUPTED = 130


MEANING = {
    Exit.OK: "done",
    Exit.ERROR: "failed: the message says what, why and what to do",
    Exit.USAGE: "the command was not understood",
    Exit.UNHEALTHY: "degraded: it works, but something is not as it should be",
    Exit.NOTHING: "nothing matched",
    Exit.PARTLY: "partly failed: some of it was done, some not",
    Exit.REFUSED: "refused: it would change or remove something; add --yes",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}
