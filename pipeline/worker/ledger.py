"""Which records of each partition were handed out, which are finished, and how far offsets may move; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.delivery.record import Record

Place = tuple[str, int]
"""Topic and partition."""

NOT_OURS = -1


@dataclass(slots=True)
class _Partition:
    expected: int
    handed_out: deque[int] = field(default_factory=deque)
    finished: set[int] = field(default_factory=set)


class Ledger:
    """One member's books, from one rebalance to the next.

    Offsets move only over records that are finished and before which none is unfinished, in whatever order they finish.
    """

    def __init__(self) -> None:
        self._partitions: dict[Place, _Partition] = {}

    def begin(self, starts: Mapping[Place, int]) -> None:
        """Open new books: the partitions that are ours from now on, each with the group's offset. The old books are closed."""
        self._partitions = {place: _Partition(expected=start) for place, start in starts.items()}

    def close(self) -> None:
        """Nothing is ours any more; what was not finished will be read again by whoever comes next."""
        self._partitions = {}

    @property
    def places(self) -> frozenset[Place]:
        """The partitions that are ours."""
        return frozenset(self._partitions)

    @property
    def unfinished(self) -> int:
        """How many records were handed out and are not committable yet."""
        return sum(len(partition.handed_out) for partition in self._partitions.values())

    def take(self, topic: str, partition: int, offset: int) -> int:
        """Hand a record out. Answers how many offsets lie between it and the one that was expected.

        0 is the rule. More means that whoever delivers has left something out, or that nothing was there: transactions and
        compaction leave holes. `NOT_OURS` means that it was handed out before, or is of a partition that is not ours: leave it.
        """
        books = self._partitions.get((topic, partition))
        if books is None or offset < books.expected:
            return NOT_OURS
        left_out = offset - books.expected
        books.expected = offset + 1
        books.handed_out.append(offset)
        return left_out

    def finish(self, records: Iterable[Record]) -> None:
        """Note that records are done, or that their letters are written."""
        for record in records:
            books = self._partitions.get((record.topic, record.partition))
            if books is not None and books.handed_out and books.handed_out[0] <= record.offset < books.expected:
                books.finished.add(record.offset)

    def advance(self) -> dict[Place, int]:
        """The offsets to commit, of the partitions in which they moved; each is given once."""
        moved = {}
        for place, books in self._partitions.items():
            last = None
            while books.handed_out and books.handed_out[0] in books.finished:
                last = books.handed_out.popleft()
                books.finished.discard(last)
            if last is not None:
                moved[place] = last + 1
        return moved
