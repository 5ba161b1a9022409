"""A service of ours, `omero-mq run NAME`, as a process to supervise."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.stack.process import Process

WATCHDOG_S = 30.0
_NOT_HANDED_ON = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")  # those of the supervisor itself


def service(
    name: str,
    *,
    environment: Mapping[str, str],
    data_directory: Path,
    config: Path | None = None,
    overrides: Sequence[str] = (),
    after: tuple[str, ...] = (),
) -> Process:
    """The service with the settings of this command: its environment, its file, its ``--set``, and the stack's addresses.

    Args:
        name: as in `omero-mq run NAME`.
        environment: of this command; secrets travel in it, never on the command line.
        data_directory: of the stack that the service belongs to.
        config: the omero-mq.toml that this command read, if any.
        overrides: ``room.field=value`` texts of ``--set``.
        after: other services that must be ready first.
    """
    handed_on = {key: value for key, value in environment.items() if key not in _NOT_HANDED_ON}
    given = [f"--set={override}" for override in overrides]
    if config is not None:
        given.append(f"--config={config.resolve()}")
    return Process(
        name=name,
        argv=(sys.executable, "-m", "pipeline", "run", name, *given),
        # A working directory without an omero-mq.toml of its own: which file counts is said above.
        directory=data_directory / "services",
        environment={**handed_on, "OMERO_MQ_STACK_DATA_DIRECTORY": str(data_directory)},
        after=after,
        ready_within_s=60.0,
        watchdog_s=WATCHDOG_S,
        grace_s=15.0,
    )
