"""`omero-mq queues`: what each consumer promises, what makes that true, and which test shows it."""

from __future__ import annotations

import typer

from pipeline.cli import call as calls
from pipeline.cli.exits import Exit
from pipeline.wire import topics
from pipeline.wire.consumers import CONSUMERS


def queues(context: typer.Context) -> int:
    """What each consumer and queue promises, what makes that true, and which test shows it under kills.

    \b
    Examples:
      omero-mq queues
      omero-mq queues --json | jq -r '[.name, .guarantee] | @tsv'
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    prefix = call.settings().kafka.prefix
    output = call.output
    for spec in CONSUMERS:
        if not spec.runs:
            continue
        sources = [topics.named(topic, prefix) for topic in spec.sources]
        letters = topics.letters_topic(spec.name, prefix) if spec.letters else None
        promise = {"guarantee": spec.guarantee, "how": spec.how, "order": spec.order, "test": spec.test}
        output.item("queue", {"name": spec.name, "reads": sources, "effect": spec.effect, "letters": letters, **promise})
        output.marked(spec.name, "bold", spec.guarantee)
        for label, text in (
            ("reads", ", ".join(sources) or "a table of the state database"),
            ("effect", spec.effect),
            ("because", spec.how),
            ("order", spec.order),
            ("failures", f"become letters in {letters}" if letters else "are tried again until they succeed"),
            ("proof", spec.test),
        ):
            output.line(f"  {label:<9} {text}")
        output.line()
    output.following("omero-mq topic list", "omero-mq dlq list")
    return Exit.OK
