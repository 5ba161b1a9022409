"""From the process's arguments to its exit status: the one place where errors become messages."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # a public name, only not in its hints

from pipeline.cli.app import COMMAND, root
from pipeline.cli.call import Call
from pipeline.cli.exits import Exit
from pipeline.cli.output import Output, ReaderGoneError, one_line, wants_colour
from pipeline.errors import DependencyDown, OmeroMqError
from pipeline.settings.load import Given

COMPLETING = "_OMERO_MQ_COMPLETE"  # set by the shell's completion script
_ANYWHERE = {"--json": 0, "--verbose": 0, "-v": 0, "--config": 1, "--set": 1}  # options and how many words follow


def run(arguments: Sequence[str], environ: Mapping[str, str], *, directory: Path = Path()) -> int:
    """Run one command and return its exit status; prints to the process's own streams."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_text(stream)
    output = Output(stdout=sys.stdout, stderr=sys.stderr, colour=wants_colour(sys.stdout, environ))
    call = Call(given=Given(environ=environ, directory=directory), output=output)
    try:
        status = _run(in_front(arguments), call)
        output.flush()
    except ReaderGoneError:
        for stream in (sys.stdout, sys.stderr):
            _let_go(stream)
        status = Exit.OK
    return int(status)


def in_front(arguments: Sequence[str]) -> list[str]:
    """Arguments with the options of every command in front of the command, where they may stand anywhere before ``--``."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.partition("=")
        if word == "--":
            rest.extend([word, *words])
        elif name in _ANYWHERE:
            front.append(word)
            front.extend(
                following for following in (next(words, None) for _ in range(0 if equals else _ANYWHERE[name])) if following
            )
        else:
            rest.append(word)
    return front + rest


def _run(arguments: list[str], call: Call) -> int:
    if COMPLETING in call.environ:
        completion_init()
    try:
        result: Any = root().main(args=arguments, prog_name=COMMAND, standalone_mode=False, obj=call, complete_var=COMPLETING)
    except (KeyboardInterrupt, typer.Abort):
        return Exit.INTERRUPTED
    except typer.TyperException as error:
        return _usage(error, call)
    except OmeroMqError as error:
        _say(call, str(error), error.fix, error, where=call.address_of(error.name) if isinstance(error, DependencyDown) else "")
        return Exit.ERROR
    except ReaderGoneError:
        raise
    except Exception as error:  # noqa: BLE001 - the last place: whatever it is, a person must be told
        fix = "" if call.verbose else "run again with -v for the traceback, and report it: this should have been caught"
        _say(call, f"unexpected {type(error).__name__}: {error}", fix, error)
        return Exit.ERROR
    return result if isinstance(result, int) else Exit.OK


def _usage(error: typer.TyperException, call: Call) -> int:
    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context else COMMAND
    if type(error).__name__ == "NoArgsIsHelpError":  # a noun alone: its help is the answer
        call.output.note(context.get_help())
    else:
        _say(call, error.format_message(), f"{path} --help", None)
    return Exit.USAGE


def _say(call: Call, message: str, fix: str, error: BaseException | None, *, where: str = "") -> None:
    output = call.output
    if call.verbose and error is not None:
        output.note("".join(traceback.format_exception(error)))
    output.note(f"error: {one_line(message)}")
    if where:
        output.note(f"  looked for at {one_line(where)}")
    if fix:
        output.note(f"  fix: {one_line(fix)}")


def _let_go(stream: TextIO) -> None:
    """Python flushes once more when it ends, and would fail again: what is left over goes nowhere."""
    try:
        stream.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _never_fail_on_text(stream: TextIO) -> None:
    """A lone surrogate or a letter that the terminal lacks is printed as an escape."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
