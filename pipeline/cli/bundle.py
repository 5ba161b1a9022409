"""`omero-mq bundle`: everything in one archive, for machines without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import call as calls
from pipeline.cli.exits import Exit
from pipeline.stack import bundle as bundles
from pipeline.stack.directory import chosen
from pipeline.stack.fetch import fetch


def bundle(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="OUT.tar.gz", help="The archive; its checksum goes into OUT.tar.gz.sha256.")],
) -> int:
    """Make one checksummed archive (wheels, Kafka, Debezium, an installer) that installs with the network off.

    Needs a network itself, and a checkout. It is for this kind of machine and this version of Python.

    \b
    Examples:
      omero-mq bundle omero-mq.tar.gz
      sha256sum -c omero-mq.tar.gz.sha256 && tar xzf omero-mq.tar.gz && omero-mq-*/install.sh /opt/omero-mq
    """  # noqa: D301 - \b keeps the lines of an example apart
    call = calls.of(context)
    settings = call.settings()
    jvm = Path(settings.stack.jvm_directory).expanduser() if settings.stack.jvm_directory else None
    jvm = jvm or chosen(settings.stack.data_directory).jvm
    call.output.note(f"collecting wheels, and Kafka and Debezium from {jvm}")
    fetch(jvm, environment=call.environ)
    made = bundles.make(out.absolute(), jvm=jvm, environment=call.environ)
    kind = {"python": made.python, "platform": made.platform}
    call.output.item("bundle", {"path": str(made.path), "bytes": made.size_bytes, "sha256": made.sha256, **kind})
    call.output.line(
        f"{made.path}: {made.size_bytes / 1e6:.0f} MB, for Python {made.python} on {made.platform}\nsha256 {made.sha256}"
    )
    call.output.following(
        f"sha256sum -c {made.path.name}.sha256", f"tar xzf {made.path.name}", "omero-mq-*/install.sh /opt/omero-mq"
    )
    return Exit.OK
