"""What the relay does before its first batch: see which database it is, and fill the last-known table in the background."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import structlog

from pipeline.errors import DependencyDown, Misconfigured
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.entities import MEMBERSHIP_TABLE, REMEMBERED_TABLES
from pipeline.omero.epoch import require_same
from pipeline.omero.lookups import read_epoch
from pipeline.relay.lineage import Lineage, lineage
from pipeline.state.epochs import Epochs
from pipeline.state.fill import FillProgress, describe, fill
from pipeline.state.pool import StateDatabase

log = structlog.get_logger(__name__)

# Between two portions the relay gets the processor and the databases; live rows come before old ones.
_BREATH_S = 0.02
_RETRY_S = 5.0


def accepted_lineage(omero: OmeroDatabase, epochs: Epochs, *, actor: str) -> Lineage:
    """The accepted epoch, which the very first start accepts by itself.

    Raises:
        DependencyDown: a database is away.
        EpochChanged: OMERO's database is not the accepted one.
        Misconfigured: it is no OMERO database.
    """
    now = read_epoch(omero)
    if not now.omero_uuid:
        raise Misconfigured("the database has no omero.db.uuid, so it is no OMERO database", fix="correct omero.database")
    history = epochs.history(at_most=2)
    if not history:
        epochs.accept(now, actor=actor, reason="first start", boundaries={})
        history = epochs.history(at_most=2)
    accepted = lineage(history)
    require_same(accepted.epoch, now)
    return accepted


class Filling:
    """Fills the last-known table while events already flow; begins where an earlier start was interrupted.

    Until it is done, a delete of an object that was not reached yet is told without owner and group: to administrators only.

    Args:
        omero: a connection of its own.
        state: the state database.
    """

    def __init__(self, omero: OmeroDatabase, state: StateDatabase) -> None:
        self._omero = omero
        self._state = state
        self._left = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="last-known", daemon=True)

    def __enter__(self) -> Self:
        """Begin, in a thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Leave off after the portion under way; blocks for that long."""
        self._left.set()
        self._thread.join(timeout=60)

    def check(self) -> None:
        """Raise what ended it, if something did that a person must see."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._left.is_set() and not self._filled():
                self._left.wait(_RETRY_S)
        except Exception as error:  # noqa: BLE001 - raised again by `check`, in the thread that can end the service
            self._error = error
        finally:
            self._omero.close()

    def _filled(self) -> bool:
        """Go on with it; answers whether nothing is left to do, or was told to leave off."""
        try:
            with self._omero.connected() as connection:
                kinds = describe(connection, REMEMBERED_TABLES | {MEMBERSHIP_TABLE})
                if fill(connection, self._state, kinds, progress=self._go_on):
                    log.info("last_known.filled")
        except DependencyDown as error:
            log.warning("last_known.waiting", what=error.name, error=str(error))
            return False
        return True

    def _go_on(self, at: FillProgress) -> bool:
        if at.finished and at.rows_read:
            log.info("last_known.kind_filled", kind=at.kind, rows=at.rows_read)
        return not self._left.wait(_BREATH_S)
