"""What the relay does before its first batch: see which database it is, and fill the last-known table in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import structlog

from pipeline.errors import DependencyDown, Misconfigured, Transient
from pipeline.omero.database import OmeroDatabase
from pipeline.omero.entities import MEMBERSHIP_TABLE, REMEMBERED_TABLES
from pipeline.omero.epoch import require_same
from pipeline.omero.lookups import read_epoch
from pipeline.relay.lineage import Lineage, lineage
from pipeline.state.epochs import Epochs
from pipeline.state.fill import FillProgress, describe, fill
from pipeline.state.last_known import LastKnownTable
from pipeline.state.pool import StateDatabase
from pipeline.wire.topics import EVENTLOG, LETTERS

log = structlog.get_logger(__name__)

# Between two portions the relay gets the processor and the databases; live rows come before old ones.
_BREATH_S = 0.02
_RETRY_S = 5.0
LOOK_EVERY_S = 5.0
_PURGE_EVERY_S = 3600.0
_PURGE_ROWS = 10_000


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


class Watch:
    """Looks now and then whether OMERO's database is still the accepted one.

    Each batch sees that by itself; but a restore takes the replication slot with it, so that no batch may come any more.

    Args:
        look: raises EpochChanged where it is not.
        now_s: a steady clock [s].
    """

    def __init__(self, look: Callable[[], object], *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._look = look
        self._now_s = now_s
        self._looked_s = now_s()

    def check(self) -> None:
        """Look, if the last look was a while ago.

        Raises:
            EpochChanged: it is another database.
            Misconfigured: it lacks what it had.
        """
        if self._now_s() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = self._now_s()
        try:
            self._look()
        except DependencyDown as error:
            log.debug("epoch.not_seen", error=str(error))  # who needs the database waits for it, and says so


class Filling:
    """Fills the last-known table while events already flow, from where an earlier start left off; then keeps it from growing.

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
            while not self._left.is_set() and not self._done(self._fill):
                self._left.wait(_RETRY_S)
            self._omero.close()
            while not self._left.is_set():
                self._done(self._purge)
                self._left.wait(_PURGE_EVERY_S)
        except Exception as error:  # noqa: BLE001 - raised again by `check`, in the thread that can end the service
            self._error = error
        finally:
            self._omero.close()

    def _done(self, call: Callable[[], None]) -> bool:
        """Whether it was done; not, when something is away or a lock is held: then it is done later."""
        try:
            call()
        except (DependencyDown, Transient) as error:
            log.warning("last_known.waiting", error=str(error))
            return False
        return True

    def _fill(self) -> None:
        with self._omero.connected() as connection:
            kinds = describe(connection, REMEMBERED_TABLES | {MEMBERSHIP_TABLE})
            if fill(connection, self._state, kinds, progress=self._go_on):
                log.info("last_known.filled")

    def _purge(self) -> None:
        """Drop what went longer ago than anything can be replayed."""
        table = LastKnownTable(self._state)
        before = datetime.now(UTC) - timedelta(milliseconds=EVENTLOG.retention_ms + LETTERS.retention_ms)
        while table.purge(gone_before=before, at_most=_PURGE_ROWS) == _PURGE_ROWS and not self._left.wait(_BREATH_S):
            pass

    def _go_on(self, at: FillProgress) -> bool:
        if at.finished and at.rows_read:
            log.info("last_known.kind_filled", kind=at.kind, rows=at.rows_read)
        return not self._left.wait(_BREATH_S)
