"""Grains of a self-contained VMDK (VMware Virtual Disk Format 5.0).

A last grain of which only the end is missing is taken, as ``qemu-img`` takes it.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

from gallery_operator.worker.formats import vmdk
from gallery_operator.worker.formats.maps.base import TABLE_CACHE_BYTES, Segment, cut_off, joined, numbers
from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly, unsupported
from gallery_operator.worker.formats.vmdk import SECTOR

_MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
_MAX_TABLE_ENTRIES = 512  # QEMU reads no larger ones
_COMPRESSED, _MARKERS = 1 << 16, 1 << 17
_DEFLATE = 1
_MAX_COMPRESSED_GRAIN = 2 * 1024 * 1024
_MARKER = struct.Struct("<QI")
_ZEROS = 1


class VmdkMap:
    """Where the grains of a VMDK are.

    Args:
        source: The whole file; its header has been checked.
        virtual_size: Bytes of the disk.

    Raises:
        WorkerError: ``CorruptImage`` or ``UnsupportedFormat``.
    """

    def __init__(self, source: ByteSource, virtual_size: int) -> None:
        header = vmdk.filled_header(source)
        (flags,) = struct.unpack_from("<I", header, 8)
        _, grain = struct.unpack_from("<QQ", header, 12)
        (self._entries,) = struct.unpack_from("<I", header, 44)
        (directory,) = struct.unpack_from("<Q", header, 56)
        (method,) = struct.unpack_from("<H", header, 77)
        if not 0 < self._entries <= _MAX_TABLE_ENTRIES:
            raise corrupt(f"The VMDK header names grain tables of {self._entries} entries.")
        self._source = source
        self.block = grain * SECTOR
        self._size = virtual_size
        self._count = -(-virtual_size // self.block)
        self._packed = bool(flags & _COMPRESSED)
        if self._packed and (not flags & _MARKERS or method != _DEFLATE or self.block > _MAX_COMPRESSED_GRAIN):
            raise unsupported("The VMDK is compressed in an unknown way; export it as streamOptimized anew.")
        length = -(-self._count // self._entries) * 4
        if length > _MAX_DIRECTORY_BYTES:
            raise corrupt(f"The VMDK header names a grain directory of {length} bytes.")
        self._directory = numbers(
            read_exactly(source, length, directory * SECTOR, "grain directory"), "I", big=False
        )  # fmt: skip
        self._table = lru_cache(TABLE_CACHE_BYTES // (4 * _MAX_TABLE_ENTRIES))(self._read_table)

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """Yield what the file holds of a range of the disk (see ``BlockMap``)."""
        return joined(self._grains(start // self.block, min(-(-end // self.block), self._count)))

    def unpack(self, segment: Segment) -> bytes:
        """Decompress a grain (see ``BlockMap``)."""
        _, length = _MARKER.unpack(read_exactly(self._source, _MARKER.size, segment.offset, "grain"))
        if not 0 < length <= segment.packed:
            raise _damaged(segment)
        packed = read_exactly(self._source, length, segment.offset + _MARKER.size, "grain")
        try:
            data = zlib.decompressobj().decompress(packed, self.block)
        except zlib.error as error:
            raise _damaged(segment) from error
        # What lies beyond the end of the disk need not be there.
        if len(data) < min(self.block, self._size - segment.start):
            raise _damaged(segment)
        return data

    def _grains(self, first: int, last: int) -> Iterator[Segment]:
        while first < last:
            index, at = divmod(first, self._entries)
            count = min(self._entries - at, last - first)
            if self._directory[index]:
                for grain, sector in enumerate(self._table(index)[at : at + count], first):
                    if sector > _ZEROS:
                        offset = sector * SECTOR
                        if offset >= self._source.size:
                            raise cut_off(offset, self._source.size)
                        packed = 2 * self.block if self._packed else 0
                        yield Segment(grain * self.block, self.block, offset, packed)
            first += count

    def _read_table(self, index: int) -> Sequence[int]:
        count = min(self._entries, self._count - index * self._entries)
        raw = read_exactly(self._source, count * 4, self._directory[index] * SECTOR, "grain table")
        return numbers(raw, "I", big=False)


def _damaged(segment: Segment) -> Exception:
    return corrupt(f"The VMDK is damaged: its grain at byte {segment.offset} cannot be decompressed.")
