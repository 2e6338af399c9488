"""Payload blocks of a VHDX ([MS-VHDX] 2.5)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from gallery_operator.worker.formats import vhdx
from gallery_operator.worker.formats.maps.base import Segment, cut_off, joined, numbers
from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly

_STATE = 0x7
_OFFSET = ~0xF_FFFF
_FULLY_PRESENT, _PARTIALLY_PRESENT = 6, 7
_SECTORS_IN_CHUNK = 1 << 23
_SLICE = 8192
_SLICES = 16


class VhdxMap:
    """Where the payload blocks of a VHDX are.

    Args:
        source: The whole file; its headers have been checked.
        virtual_size: Bytes of the disk.

    Raises:
        WorkerError: ``CorruptImage``.
    """

    def __init__(self, source: ByteSource, virtual_size: int) -> None:
        self._source = source
        self.block = vhdx.block_size(source)
        self._count = -(-virtual_size // self.block)
        # After the payload blocks of each chunk the table has an entry for the chunk's sector bitmap.
        self._chunk = _SECTORS_IN_CHUNK * vhdx.SECTOR // self.block
        self._entries = self._count + (self._count - 1) // self._chunk
        self._offset, length = vhdx.block_table(source)
        if length < 8 * self._entries:
            raise corrupt(f"The block table of the VHDX has {length} bytes, but its size needs {8 * self._entries}.")
        self._table = lru_cache(_SLICES)(self._read_table)

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """Yield what the file holds of a range of the disk (see ``BlockMap``)."""
        return joined(self._blocks(start // self.block, min(-(-end // self.block), self._count)))

    def unpack(self, segment: Segment) -> bytes:
        """Nothing in a VHDX is compressed."""
        raise NotImplementedError

    def _blocks(self, first: int, last: int) -> Iterator[Segment]:
        for block in range(first, last):
            index = block + block // self._chunk
            entry = self._table(index // _SLICE)[index % _SLICE]
            state, offset = entry & _STATE, entry & _OFFSET
            if state == _PARTIALLY_PRESENT:
                raise corrupt(f"Block {block} of the VHDX is said to be in a parent disk, but it has none.")
            if state != _FULLY_PRESENT:
                continue
            if offset + self.block > self._source.size:
                raise cut_off(offset, self._source.size)
            yield Segment(block * self.block, self.block, offset)

    def _read_table(self, index: int) -> Sequence[int]:
        count = min(_SLICE, self._entries - index * _SLICE)
        offset = self._offset + 8 * _SLICE * index
        return numbers(read_exactly(self._source, 8 * count, offset, "VHDX block table"), "Q", big=False)
