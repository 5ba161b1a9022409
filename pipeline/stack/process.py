"""A process as plain data, and the order in which processes start and stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import Misconfigured


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One process that the supervisor keeps running.

    Attributes:
        name: unique; names the log file, too.
        argv: what is executed; no shell.
        environment: its whole environment.
        directory: its working directory.
        user: system user to become before it starts; "" to stay who we are.
        after: names that must be ready before it is started.
        make: called before each start, e.g. to create a data directory; must be idempotent.
        probe: whether it answers; None: it says so itself with ``READY=1``.
        ready_within_s: longest wait for that, and, at a restart, longest silence until then [s].
        watchdog_s: killed when it has not said ``WATCHDOG=1`` for so long; 0: it does not speak [s].
        stop_signal: asks it to end cleanly.
        grace_s: time between that and SIGKILL [s].
        timer_slack_us: how much later than asked its timed waits may end, so that an idle process costs less [us].
    """

    name: str
    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    after: tuple[str, ...] = ()
    make: Callable[[], None] | None = None
    probe: Callable[[], bool] | None = None
    ready_within_s: float = 60.0
    watchdog_s: float = 0.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    timer_slack_us: int = 50


class Step(Protocol):
    """What the order is computed from."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def after(self) -> tuple[str, ...]: ...  # noqa: D102


def levels(steps: Sequence[Step]) -> list[list[str]]:
    """Names in start order; those in one list do not need each other. Stop in the reverse order.

    Raises:
        Misconfigured: a name is used twice, is not there, or needs itself.
    """
    needs = {step.name: set(step.after) for step in steps}
    if len(needs) != len(steps):
        names = [step.name for step in steps]
        double = sorted({name for name in names if names.count(name) > 1})
        raise Misconfigured(f"two processes are called {', '.join(double)}", fix="give each process a name of its own")
    unknown = sorted({need for wanted in needs.values() for need in wanted} - set(needs))
    if unknown:
        raise Misconfigured(f"a process needs {', '.join(unknown)}, which is not started here", fix="start it as well")
    found: list[list[str]] = []
    while needs:
        level = [name for name, wanted in needs.items() if not wanted & set(needs)]
        if not level:
            raise Misconfigured(f"processes need each other in a circle: {', '.join(sorted(needs))}", fix="remove one `after`")
        found.append(level)
        for name in level:
            del needs[name]
    return found


def with_needs(steps: Sequence[Step], names: Iterable[str]) -> set[str]:
    """The names and everything that they need, directly or not."""
    needs = {step.name: step.after for step in steps}
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needs:
            raise Misconfigured(f"nothing is called {name}", fix=f"known are: {', '.join(sorted(needs))}")
        if name not in found:
            found.add(name)
            waiting.extend(needs[name])
    return found
