"""A set of eventlog ids in little memory: a bit for each, in blocks, so that tens of millions fit into a few megabytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_BLOCK_BITS = 16
_BLOCK_BYTES = (1 << _BLOCK_BITS) // 8
_IN_BLOCK = (1 << _BLOCK_BITS) - 1


class IdSet:
    """Ids from 0 to 2^63 - 1; a block of 65,536 neighbours costs 8 KiB, however many of them are there."""

    def __init__(self, ids: Iterable[int] = ()) -> None:
        self._blocks: dict[int, bytearray] = {}
        for one in ids:
            self.add(one)

    def add(self, one: int) -> None:
        """Put an id in; nothing happens when it is there."""
        block = self._blocks.get(one >> _BLOCK_BITS)
        if block is None:
            block = self._blocks[one >> _BLOCK_BITS] = bytearray(_BLOCK_BYTES)
        place = one & _IN_BLOCK
        block[place >> 3] |= 1 << (place & 7)

    def discard(self, one: int) -> None:
        """Take an id out; nothing happens when it is not there."""
        block = self._blocks.get(one >> _BLOCK_BITS)
        if block is not None:
            place = one & _IN_BLOCK
            block[place >> 3] &= ~(1 << (place & 7))

    def __contains__(self, one: int) -> bool:
        block = self._blocks.get(one >> _BLOCK_BITS)
        place = one & _IN_BLOCK
        return block is not None and bool(block[place >> 3] & (1 << (place & 7)))

    def __len__(self) -> int:
        return sum(int.from_bytes(block).bit_count() for block in self._blocks.values())

    def __iter__(self) -> Iterator[int]:
        """In ascending order."""
        for number in sorted(self._blocks):
            first = number << _BLOCK_BITS
            for index, byte in enumerate(self._blocks[number]):
                if byte:
                    yield from (first + (index << 3) + bit for bit in range(8) if byte & (1 << bit))
