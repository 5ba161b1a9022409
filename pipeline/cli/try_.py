"""`omero-mq try`: a dump of one's own OMERO, restored beside everything else and served until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli import demo as demos
from pipeline.cli import stage
from pipeline.cli.call import Call
from pipeline.cli.exits import Exit
from pipeline.demo.commands import worth_trying
from pipeline.demo.copy import OWNER, Content, Copy, content, copies, next_copy, remove
from pipeline.demo.dump import Dump, RestoreCancelled, Target, recognise, refuse_other_products, restore
from pipeline.demo.show import Change, Show, follow
from pipeline.errors import Misconfigured
from pipeline.process.signals import StopSignal
from pipeline.settings import Settings
from pipeline.settings.load import Sourced
from pipeline.stack.addresses import Addresses
from pipeline.stack.control import running
from pipeline.stack.directory import DataDirectory, chosen
from pipeline.stack.install import Wish
from pipeline.stack.postgres import find_programs
from pipeline.stack.stack import Cancelled

COMMAND = "omero-mq try"
_LEAST_FREE_FACTOR = 8  # a compressed dump grows about so much when it is restored


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One call: which copy is served, and what it is made from, if it is not there yet.

    Attributes:
        ours: the words that `omero-mq` begins with here.
    """

    call: Call
    stop: StopSignal
    directory: DataDirectory
    copy: Copy
    dump: Dump | None
    ours: list[str]

    def stopped(self) -> bool:
        """Whether somebody pressed Ctrl-C."""
        return self.stop.is_set


def try_(
    context: typer.Context,
    *,
    dump: Annotated[
        str | None,
        typer.Option("--dump", metavar="FILE", help="What pg_dump wrote, in any format; default: serve the last copy."),
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Let the demo's users work in the copy, too.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Prove that the copy is served, then stop.")] = False,
    actions: Annotated[int | None, typer.Option("--actions", min=1, help="With --simulate: end after so many.")] = None,
) -> int:
    """Restore a dump of your own OMERO into the PostgreSQL that `omero-mq up` brings, and serve the copy until Ctrl-C.

    Nothing touches the OMERO that the dump came from, and no right in it is needed. Only what changes in the copy from now on
    becomes an event; to begin with, its newest image is asked to be read again. The next dump replaces the copy.

    \b
    Examples:
      omero-mq try --dump last-night.dump
      omero-mq try --dump last-night.dump --once
      omero-mq try --simulate
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    stop = StopSignal()
    stop.install()
    trial = _trial(call, stop, dump)
    call.given = replace(call.given, config=trial.copy.file)
    made: list[str] = []
    try:
        _require_its_names(call.sourced(), trial.copy)
        wish = Wish(
            read=call.settings,
            environment=call.environ,
            make_database=_maker(trial, made),
            config=trial.copy.file,
            overrides=call.given.overrides,
            command=COMMAND,
        )
        with stage.started(call, wish, stop=trial.stopped) as where:
            return _serve(trial, where, simulate=simulate, once=once, actions=actions)
    except (Cancelled, RestoreCancelled):
        return Exit.INTERRUPTED
    finally:
        if trial.dump is not None and not made:
            trial.copy.file.unlink(missing_ok=True)


def _trial(call: Call, stop: StopSignal, dump: str | None) -> Trial:
    """Everything that can be found out before anything is started.

    Raises:
        Misconfigured: there is nothing to serve, the file is no dump of an OMERO, or something else runs here.
    """
    settings = call.settings()
    directory = chosen(settings.stack.data_directory)
    ours = stage.our_command(call)
    found = recognise(Path(dump)) if dump is not None else None
    if found is not None:
        refuse_other_products(found, find_programs(call.environ))
    if (other := running(directory)) is not None:
        raise Misconfigured(
            f"{directory.path} is in use by process {other.holder.who.pid} ({other.holder.command})",
            fix=f"stop that one first: {stage.shown([*ours, 'down'])}",
        )
    if found is None:
        there = copies(directory)
        if not there:
            raise Misconfigured(f"there is no copy in {directory.path} yet", fix="name a dump: omero-mq try --dump FILE")
        return Trial(call=call, stop=stop, directory=directory, copy=there[-1], dump=None, ours=ours)
    size = sum(path.stat().st_size for path in ([found.path] if found.path.is_file() else found.path.iterdir()))
    directory.prepare(least_free_bytes=2**30 + _LEAST_FREE_FACTOR * size)
    copy = next_copy(directory)
    copy.write(settings, source=str(found.path))
    return Trial(call=call, stop=stop, directory=directory, copy=copy, dump=found, ours=ours)


def _require_its_names(sourced: Sourced, copy: Copy) -> None:
    """See that no variable and no --set points the copy's commands at something else.

    Raises:
        Misconfigured: one does.
    """
    for name, value in copy.names().items():
        room, field = name.split(".")
        if getattr(getattr(sourced.settings, room), field) != value:
            raise Misconfigured(
                f"{name} is set by {sourced.sources[name]}, and a copy has a name of its own", fix="leave it out for this command"
            )


def _maker(trial: Trial, made: list[str]) -> Callable[[str, str], object]:
    """What makes the copy's database when it is not there, and adds its name to `made`."""

    def make(superuser: str, database: str) -> None:
        note = trial.call.output.note
        if trial.dump is None:
            raise Misconfigured(f"the database {database} is gone", fix="restore it: omero-mq try --dump FILE")
        note(f"restoring {trial.dump.path} into the database {database}")
        target = Target(
            superuser=superuser,
            database=database,
            owner=OWNER,
            owner_password=trial.directory.secret("try-owner"),
            programs=find_programs(trial.call.environ),
            environment=trial.call.environ,
        )
        for complaint in restore(trial.dump, target, tell=lambda text: note(f"  {text}"), cancelled=trial.stopped):
            note(f"  passed over: {complaint}")
        made.append(database)

    return make


def _serve(trial: Trial, where: Addresses, *, simulate: bool, once: bool, actions: int | None) -> int:
    call = trial.call
    settings = call.settings()
    _forget_older(trial, where)
    conninfo = where.superuser_dsn(settings.omero.database)
    has = content(conninfo)
    _introduce(call, has, settings)
    show = Show(settings.kafka, conninfo, stop=trial.stopped)
    problems = _prove(call, show, has)
    if not problems and not once and not trial.stopped():
        _tell_what_next(trial, where, settings)
        if simulate:
            problems = demos.play(call, show, actions=actions, rate_per_s=2.0).problems
        else:
            for seen in follow(settings.kafka, stop=trial.stopped):
                demos.print_foreign(call, seen)
                call.output.flush()
    return Exit.ERROR if problems else Exit.OK


def _forget_older(trial: Trial, where: Addresses) -> None:
    """Remove the copies before this one; the place on the disk is theirs."""
    for copy in copies(trial.directory):
        if copy.number < trial.copy.number:
            trial.call.output.note(f"removing the copy before this one ({copy.names()['omero.database']})")
            call = replace(trial.call, given=replace(trial.call.given, config=copy.file))
            remove(copy, call.settings(), where)


def _introduce(call: Call, has: Content, settings: Settings) -> None:
    database = settings.omero.database
    call.output.item(
        "copy",
        {
            "database": database,
            "config": str(call.given.config),
            "version": has.version,
            "size_bytes": has.size_bytes,
            "counts": dict(has.counts),
            "newest_event": has.newest or None,
        },
    )
    names = {
        "image": "images",
        "dataset": "datasets",
        "experimenter": "users",
        "experimentergroup": "groups",
        "eventlog": "log rows",
    }
    counts = ", ".join(f"{has.counts.get(table, 0):,} {name}" for table, name in names.items())
    call.output.line(f"\nthe copy: database {database}, {has.version}, {has.size_bytes / 2**20:,.0f} MiB, about {counts}")
    call.output.line(
        f"its newest event is of {has.newest or 'never'}; only what changes in the copy from now on becomes an event\n"
    )


def _prove(call: Call, show: Show, has: Content) -> list[str]:
    """Ask for the newest object to be read again, and see that it arrives."""
    if has.touchable is None:
        call.output.note("the copy holds no image, dataset or user: nothing to show yet")
        return []
    problems: list[str] = []
    call.output.line(demos.HEAD)
    for seen in show.touch(*has.touchable):
        if isinstance(seen, Change):
            problems += seen.problems
            call.output.item("change", demos.facts(seen), demos.line(seen))
        else:
            demos.print_foreign(call, seen)
    for problem in problems:
        call.output.note(f"  WRONG  {problem}")
    call.output.flush()
    return problems


def _tell_what_next(trial: Trial, where: Addresses, settings: Settings) -> None:
    ours = stage.our_command(trial.call, config=trial.copy.file)
    call = trial.call
    call.output.line("\nIt works with your data. Worth trying in another terminal while this runs:")
    for what, command in worth_trying(where, settings, ours):
        call.output.line(f"  # {what}\n  {command}")
    call.output.line("  # users at work in the copy (stop this first)")
    call.output.line(f"  {stage.shown([*trial.ours, 'try', '--simulate'])}")
    call.output.line("\nEvents are shown here as they come; Ctrl-C stops everything, and the copy stays.\n")
    call.output.flush()
