"""Clusters of a qcow2 image (QEMU, docs/interop/qcow2.txt).

A last cluster of which only the end is missing is taken, as ``qemu-img check`` takes it: such files are made ("the last
cluster may be semi-allocated", block/qcow2-refcount.c). Only a checksum tells these from a loss.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import zstandard

from gallery_operator.worker.formats.maps.base import TABLE_CACHE_BYTES, Segment, cut_off, joined, numbers
from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly, unsupported

_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_ZEROS = 1
_PARTS = 32
_ALL_PARTS = (1 << _PARTS) - 1
_COMPRESSION_TYPE, _EXTENDED_L2 = 1 << 3, 1 << 4
_MIN_EXTENDED_BITS = 14
_SECTOR = 512
_WINDOW_BITS = -12  # raw deflate with a window of 4 KiB (block/qcow2-threads.c)
_ZSTD_WINDOW = 8 * 1024 * 1024
_ZLIB, _ZSTD = 0, 1


class Qcow2Map:
    """Where the clusters of a qcow2 image are.

    Args:
        source: The whole file; its header has been checked.
        virtual_size: Bytes of the disk.

    Raises:
        WorkerError: ``CorruptImage`` or ``UnsupportedFormat``.
    """

    def __init__(self, source: ByteSource, virtual_size: int) -> None:
        header = read_exactly(source, 72, 0, "qcow2 header")
        (self._version,) = struct.unpack_from(">I", header, 4)
        (self._bits,) = struct.unpack_from(">I", header, 20)
        l1_entries, l1_offset = struct.unpack_from(">IQ", header, 36)
        features, header_length = 0, 72
        if self._version >= 3:
            more = read_exactly(source, 32, 72, "qcow2 header")
            features, header_length = struct.unpack_from(">Q20xI", more)
        self._method = _ZLIB
        if features & _COMPRESSION_TYPE and header_length > 104:
            (self._method,) = read_exactly(source, 1, 104, "qcow2 header")
        if self._method not in (_ZLIB, _ZSTD):
            raise unsupported(
                f"The qcow2 image is compressed by method {self._method}; 0 (zlib) and 1 (zstd) are read."
            )
        self._extended = bool(features & _EXTENDED_L2)
        if self._extended and self._bits < _MIN_EXTENDED_BITS:
            raise corrupt(f"The qcow2 header names extended L2 entries for clusters of 2^{self._bits} bytes.")
        self._source = source
        self.block = 1 << self._bits
        self._entries = self.block // (16 if self._extended else 8)
        self._clusters = -(-virtual_size // self.block)
        tables = -(-self._clusters // self._entries)
        if l1_entries < tables:
            raise corrupt(f"The L1 table of the qcow2 image has {l1_entries} entries, but its size needs {tables}.")
        self._l1 = numbers(read_exactly(source, tables * 8, l1_offset, "L1 table"), "Q", big=True)
        self._table = lru_cache(max(2, TABLE_CACHE_BYTES // self.block))(self._read_table)

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """Yield what the file holds of a range of the disk (see ``BlockMap``)."""
        cluster, last = start >> self._bits, min(-(-end >> self._bits), self._clusters)
        while cluster < last:
            index, first = divmod(cluster, self._entries)
            count = min(self._entries - first, last - cluster)
            offset = self._l1[index] & _OFFSET
            if offset:
                words = self._table(offset)
                if self._extended:
                    yield from joined(self._extended_clusters(words[2 * first : 2 * (first + count)], cluster))
                else:
                    yield from self._standard_clusters(words[first : first + count], cluster)
            cluster += count

    def unpack(self, segment: Segment) -> bytes:
        """Decompress a cluster (see ``BlockMap``)."""
        packed = self._source.pread(segment.packed, segment.offset)
        try:
            if self._method == _ZSTD:
                reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).stream_reader(packed)
                data = bytes(reader.read(self.block))
            else:
                data = zlib.decompressobj(_WINDOW_BITS).decompress(packed, self.block)
        except (zlib.error, zstandard.ZstdError) as error:
            raise self._damaged(segment) from error
        if len(data) != self.block:
            raise self._damaged(segment)
        return data

    def _read_table(self, offset: int) -> Sequence[int]:
        self._require_aligned(offset)
        return numbers(read_exactly(self._source, self.block, offset, "L2 table"), "Q", big=True)

    def _standard_clusters(self, words: Sequence[int], first: int) -> Iterator[Segment]:
        # Joined here, as it goes: a large disk has millions of clusters, most of them in a row.
        size, run, offset, length = self.block, 0, 0, 0
        for cluster, word in enumerate(words, first):
            where = -1 if word & _COMPRESSED else 0 if word & _ZEROS else word & _OFFSET
            if length and where == offset + length:
                length += size
                continue
            if length:
                yield self._run(run, offset, length)
                length = 0
            if where < 0:
                yield self._compressed(cluster, word)
            elif where:
                run, offset, length = cluster << self._bits, where, size
            elif word & _ZEROS and self._version < 3:
                raise corrupt("The qcow2 image has a cluster of zeros, which its version 2 does not know.")
        if length:
            yield self._run(run, offset, length)

    def _run(self, start: int, offset: int, length: int) -> Segment:
        self._require_aligned(offset)
        self._require_inside(offset + length - self.block)
        return Segment(start, length, offset)

    def _extended_clusters(self, words: Sequence[int], first: int) -> Iterator[Segment]:
        part = self.block // _PARTS
        for cluster, (word, parts) in enumerate(zip(words[::2], words[1::2], strict=True), first):
            if word & _COMPRESSED:
                yield self._compressed(cluster, word)
                continue
            allocated, zeros, offset = parts & _ALL_PARTS, parts >> _PARTS, word & _OFFSET
            if not allocated:
                continue
            if allocated & zeros or not offset:
                raise corrupt(f"The entry of cluster {cluster} of the qcow2 image contradicts itself.")
            self._require_aligned(offset)
            self._require_inside(offset)
            for index in range(_PARTS):
                if allocated >> index & 1:
                    yield Segment((cluster << self._bits) + index * part, part, offset + index * part)

    def _compressed(self, cluster: int, word: int) -> Segment:
        bits = 62 - (self._bits - 8)
        offset = word & ((1 << bits) - 1)
        sectors = (word >> bits & ((1 << (self._bits - 8)) - 1)) + 1
        self._require_inside(offset)
        return Segment(cluster << self._bits, self.block, offset, sectors * _SECTOR - offset % _SECTOR)

    def _require_inside(self, offset: int) -> None:
        if offset >= self._source.size:
            raise cut_off(offset, self._source.size)

    def _require_aligned(self, offset: int) -> None:
        if offset % self.block:
            raise corrupt(f"The qcow2 image names byte {offset} of its file, where no cluster begins.")

    def _damaged(self, segment: Segment) -> Exception:
        return corrupt(f"The qcow2 image is damaged: its cluster at byte {segment.offset} cannot be decompressed.")
