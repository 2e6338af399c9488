"""Blocks of a dynamic VHD (Virtual Hard Disk Image Format 1.0)."""

import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache

from gallery_operator.worker.formats.maps.base import Segment, numbers
from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly, unsupported
from gallery_operator.worker.formats.vhd import SECTOR, Vhd

_UNALLOCATED = 0xFFFFFFFF
_MIN_BLOCK, _MAX_BLOCK = 64 * 1024, 256 * 1024 * 1024
_SLICE = 16384
_SLICES = _BITMAPS = 16


class DynamicVhdMap:
    """Where the blocks of a dynamic VHD are. Sectors whose bit in their block's bitmap is 0 were never written.

    Args:
        source: The whole file.
        vhd: What its footer says.

    Raises:
        WorkerError: ``CorruptImage`` or ``UnsupportedFormat``.
    """

    def __init__(self, source: ByteSource, vhd: Vhd) -> None:
        (header_offset,) = struct.unpack_from(">Q", vhd.footer, 16)
        header = read_exactly(source, 1024, header_offset, "VHD dynamic header")
        if header[:8] != b"cxsparse":
            raise corrupt("The dynamic VHD has no dynamic header where its footer says.")
        self._table_offset, _, entries, self.block = struct.unpack_from(">QIII", header, 16)
        if not _MIN_BLOCK <= self.block <= _MAX_BLOCK or self.block & (self.block - 1):
            raise unsupported(f"The dynamic VHD has blocks of {self.block} bytes.")
        self._count = -(-vhd.size // self.block)
        if entries < self._count:
            raise corrupt(f"The dynamic VHD's table has {entries} entries, but its size needs {self._count}.")
        self._source = source
        self._size = vhd.size
        self._bitmap_bytes = -(-(self.block // SECTOR // 8) // SECTOR) * SECTOR
        self._table = lru_cache(_SLICES)(self._read_table)
        self._bitmap = lru_cache(_BITMAPS)(self._read_bitmap)

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """Yield what the file holds of a range of the disk (see ``BlockMap``)."""
        end = min(end, self._size)
        for index in range(start // self.block, -(-end // self.block)):
            sector = self._table(index // _SLICE)[index % _SLICE]
            if sector == _UNALLOCATED:
                continue
            block, data = index * self.block, sector * SECTOR + self._bitmap_bytes
            length = min(self.block, self._size - block)
            if data + length > self._source.size:
                raise corrupt(f"The dynamic VHD is cut off: block {index} should end at byte {data + length}.")
            first, last = max(start - block, 0) // SECTOR, -(-min(end - block, length) // SECTOR)
            for one, other in _runs(self._bitmap(sector), first, last):
                yield Segment(block + one * SECTOR, (other - one) * SECTOR, data + one * SECTOR)

    def unpack(self, segment: Segment) -> bytes:
        """Nothing in a VHD is compressed."""
        raise NotImplementedError

    def _read_table(self, index: int) -> Sequence[int]:
        count = min(_SLICE, self._count - index * _SLICE)
        offset = self._table_offset + 4 * _SLICE * index
        return numbers(read_exactly(self._source, 4 * count, offset, "VHD block table"), "I", big=True)

    def _read_bitmap(self, sector: int) -> bytes:
        return read_exactly(self._source, self._bitmap_bytes, sector * SECTOR, "VHD block")


def _runs(bitmap: bytes, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the runs of ones (first bit of a byte: its highest) between two bits."""
    part = bitmap[first // 8 : -(-last // 8)]
    if part.count(0xFF) == len(part):
        yield first, last
        return
    begin = -1
    for bit in range(first, last):
        if bitmap[bit >> 3] & (0x80 >> (bit & 7)):
            if begin < 0:
                begin = bit
        elif begin >= 0:
            yield begin, bit
            begin = -1
    if begin >= 0:
        yield begin, last
