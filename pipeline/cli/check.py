"""`omero-mq check`: one line and an exit status as Nagios, Icinga, Checkmk and containers' health checks want it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli.app import typer_app
from pipeline.errors import OmeroMqError
from pipeline.health import check as checks
from pipeline.health.check import Answer, Code
from pipeline.health.facts import Seen
from pipeline.health.observe import observe

app = typer_app(help="For monitoring: one line and numbers; exit status 0 ok, 1 warning, 2 critical, 3 unknown.")


@app.command()
def lag(
    context: typer.Context,
    *,
    warning: Annotated[float, typer.Option("-w", "--warning", min=0, help="Age of the oldest unread row [s].")] = 60.0,
    critical: Annotated[float, typer.Option("-c", "--critical", min=0, help="Likewise.")] = 300.0,
) -> int:
    """How long the oldest change has waited to become an event.

    \b
    Examples:
      omero-mq check lag
      omero-mq check lag -w 30 -c 120
    """  # noqa: D301 - \b keeps the lines of an example apart
    return _answer(context, lambda seen: checks.lag(seen, warning_s=warning, critical_s=critical))


@app.command()
def letters(
    context: typer.Context,
    *,
    warning: Annotated[int, typer.Option("-w", "--warning", min=0, help="Messages that failed in the last 24 h.")] = 1,
    critical: Annotated[int, typer.Option("-c", "--critical", min=0, help="Likewise.")] = 50,
) -> int:
    """How many messages failed for good in the last 24 hours.

    \b
    Examples:
      omero-mq check letters -w 1 -c 50
    """  # noqa: D301 - \b keeps the lines of an example apart
    return _answer(context, lambda seen: checks.letters(seen, warning=warning, critical=critical))


@app.command()
def capture(context: typer.Context) -> int:
    """Whether changes flow from the database to Kafka, and how much log PostgreSQL keeps for that.

    \b
    Examples:
      omero-mq check capture
    """  # noqa: D301 - \b keeps the lines of an example apart
    return _answer(context, checks.capture)


@app.command()
def ready(
    context: typer.Context, name: Annotated[str, typer.Argument(help=f"One of: {', '.join(checks.READY)}.")] = "all"
) -> int:
    """Whether a part is ready, or all of them; fit for a container's health check.

    \b
    Examples:
      omero-mq check ready
      omero-mq check ready relay
    """  # noqa: D301 - \b keeps the lines of an example apart
    return _answer(context, lambda seen: checks.ready(seen, name))


def _answer(context: typer.Context, judge: Callable[[Seen], Answer]) -> int:
    """Say it in one line. Whatever goes wrong here is unknown, never a warning: 1 and 2 have another meaning there."""
    call = calls.of(context)
    try:
        answer = judge(observe(call.settings()))
    except OmeroMqError as error:
        answer = Answer(code=Code.UNKNOWN, text=f"{error}; {error.fix}" if error.fix else str(error))
    facts = {"state": answer.code.name, "text": answer.text, "numbers": dict(answer.numbers)}
    call.output.item("check", facts, answer.line)
    return int(answer.code)
