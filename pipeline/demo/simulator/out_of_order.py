"""Two calls that overlap and commit in the opposite order of their eventlog ids: whoever polls by id loses the first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from pipeline.demo.simulator.entities import CLASSES, named
from pipeline.demo.simulator.history import Actor, Done
from pipeline.demo.simulator.server import Server


def out_of_order(
    slow: Server, fast: Server, actor: Actor, images: Sequence[int], other: int, *, hold_s: float = 0.0
) -> Iterator[Done]:
    """Describe `images` on one server, `other` on another meanwhile. Two transactions, the second id block first.

    Args:
        actor: who does both.
        images: what the slow call describes.
        slow: draws its eventlog ids and writes the rows first, commits last.
        fast: draws and commits in between, on a connection of its own.
        other: an image that is not among `images`.
        hold_s: how long the slow call stays open after the fast one has committed [s].
    """
    call = slow.start(actor)
    try:
        call.update("image", images, description="slow but first")
        call.flush()
        with fast.call(actor) as overtaking:
            overtaking.update("image", [other], description="fast but second")
        yield overtaking.done("describe", named(CLASSES["image"], other))
        time.sleep(hold_s)
        call.commit()
    except BaseException:
        slow.connection.rollback()
        raise
    yield call.done("describe", *(named(CLASSES["image"], image) for image in images))
