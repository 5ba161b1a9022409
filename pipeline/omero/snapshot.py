"""What a PostgreSQL snapshot can tell: whether a transaction is visible in it, and how it orders what was read in it."""

from __future__ import annotations

from dataclasses import dataclass

_XID_SPAN = 1 << 32
_HALF_SPAN = 1 << 31
_MOST_RUNNING = 65535


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """``pg_current_snapshot()``: which transactions had ended when it was taken.

    Attributes:
        xmin: every transaction below has ended.
        xmax: no transaction at or above had ended.
        running: transactions between the two that had not ended.
    """

    xmin: int
    xmax: int
    running: frozenset[int]

    @property
    def version(self) -> int:
        """Orders snapshots of one primary: what was read in a higher one is at least as new.

        A transaction that starts raises xmax; one that ends, while xmax stands still, shortens the list of the running.
        """
        return self.xmax << 16 | (_MOST_RUNNING - min(len(self.running), _MOST_RUNNING))

    def sees(self, xid: int) -> bool:
        """Whether the (64-bit) transaction had ended, so that a query in this snapshot sees what it committed."""
        if xid < self.xmin:
            return True
        return xid < self.xmax and xid not in self.running

    def widen(self, xid: int) -> int:
        """The 64-bit transaction id nearest to this snapshot whose low 32 bits are those of ``xid``.

        Debezium hands on the 32 bits that are on the replication stream. An id that is wide already stays as it is. Correct while
        fewer than 2^31 transactions lie between the row and the snapshot: years at OMERO's rates.
        """
        if xid >= _XID_SPAN:
            return xid
        distance = (xid - self.xmax + _HALF_SPAN) % _XID_SPAN - _HALF_SPAN
        wide = self.xmax + distance
        return wide if wide >= 0 else wide + _XID_SPAN


def parse(text: str) -> Snapshot:
    """A snapshot from PostgreSQL's text form ``xmin:xmax:xip,xip,...``.

    Raises:
        ValueError: the text has another form.
    """
    xmin, xmax, running = text.split(":")
    return Snapshot(xmin=int(xmin), xmax=int(xmax), running=frozenset(map(int, running.split(","))) if running else frozenset())
