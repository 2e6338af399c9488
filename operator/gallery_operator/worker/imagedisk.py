"""A disk in an image file of any format, read where it lies: nothing is converted, only allocated blocks are read."""

import os
from collections.abc import Iterator
from functools import lru_cache

from gallery_operator.worker.disk import Disk, FileIdentity, RawDisk, identity
from gallery_operator.worker.formats import FdSource, ImageInfo
from gallery_operator.worker.formats.maps import Segment, block_map
from gallery_operator.worker.layout import MIB, PAGE_BYTES, Range, round_up
from gallery_operator.worker.sparse import data_extents

_UNPACKED_BYTES = 4 * MIB
"""How much of what was decompressed is kept: checks read little pieces, many of the same block."""


def open_disk(fd: int, info: ImageInfo) -> Disk:
    """Make the disk of an open image file.

    Args:
        fd: The file; owned by the disk from now on, closed when this fails.
        info: What ``inspect_image`` found in it.

    Raises:
        WorkerError: ``CorruptImage`` or ``UnsupportedFormat``.
    """
    try:
        return RawDisk(fd, info.virtual_size) if info.is_plain else ImageDisk(fd, info)
    except BaseException:
        os.close(fd)
        raise


class ImageDisk:
    """The disk in a qcow2, VMDK, VHDX or dynamic VHD (see ``Disk``).

    Args:
        fd: The open image; owned from now on.
        info: What ``inspect_image`` found in it.

    Raises:
        WorkerError: ``CorruptImage`` or ``UnsupportedFormat``.
    """

    def __init__(self, fd: int, info: ImageInfo) -> None:
        self.data_size = info.virtual_size
        self._source = FdSource(fd)
        self._map = block_map(self._source, info)
        self._fd = fd
        self._unpacked = lru_cache(max(2, _UNPACKED_BYTES // self._map.block))(self._map.unpack)

    @property
    def size(self) -> int:
        """Bytes of the disk in Azure, a multiple of 1 MiB."""
        return round_up(self.data_size, MIB)

    def identity(self) -> FileIdentity:
        """What tells whether the file is still the one that was opened."""
        return identity(self._fd)

    def extents(self) -> Iterator[Range]:
        """Yield where there may be data, by the image's tables and the file's own holes.

        Raises:
            WorkerError: ``CorruptImage``: the tables name data beyond the end of the file.
        """
        last = Range(0, 0)
        for found in self._allocated():
            if found.start > last.end:
                if last.end:
                    yield last
                last = found
            else:
                last = Range(last.start, found.end)
        if last.end:
            yield last

    def require_whole(self) -> None:
        """Read all of the image's tables.

        Raises:
            WorkerError: ``CorruptImage``: they break the format's rules, or name data beyond the end of the file.
        """
        for _ in self._map.segments(0, self.data_size):
            pass

    def pread(self, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at ``offset``; fewer only at the end of the padded disk.

        Raises:
            WorkerError: ``CorruptImage``.
            OSError: The file cannot be read, or has become shorter than it was.
        """
        length = min(length, self.size - offset)
        if length <= 0 or offset < 0:
            return b""
        segments = self._segments(offset, length)
        if len(segments) == 1 and not segments[0].packed:
            start, end, where = segments[0].start, segments[0].end, segments[0].offset
            if start <= offset and offset + length <= min(end, self.data_size):
                # The usual case, without a copy.
                data = self._source.pread(length, where + offset - start)
                if len(data) == length:
                    return data
        buffer = bytearray(length)
        with memoryview(buffer) as view:
            self._read(view, offset, segments)
        return bytes(buffer)

    def pread_into(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer with the bytes at ``offset``.

        Args:
            buffer: All of it is filled; it must not reach beyond the padded disk.
            offset: In the disk.

        Raises:
            WorkerError: ``CorruptImage``.
            OSError: The file cannot be read, or has become shorter than it was.
        """
        self._read(buffer, offset, self._segments(offset, len(buffer)))

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _segments(self, offset: int, length: int) -> list[Segment]:
        return list(self._map.segments(offset, min(offset + length, self.data_size)))

    def _read(self, buffer: memoryview, offset: int, segments: list[Segment]) -> None:
        at, end = offset, min(offset + len(buffer), self.data_size)
        for segment in segments:
            start, stop = max(segment.start, at), min(segment.end, end)
            if start >= stop:
                continue
            _clear(buffer[at - offset : start - offset])
            self._fill(buffer[start - offset : stop - offset], segment, start - segment.start)
            at = stop
        _clear(buffer[at - offset :])

    def _allocated(self) -> Iterator[Range]:
        for segment in self._map.segments(0, self.data_size):
            end = min(segment.end, self.data_size)
            if segment.packed or segment.length <= PAGE_BYTES:
                yield Range(segment.start, end)
                continue
            # What was allocated beforehand (preallocation=metadata) may be a hole of the file.
            ahead = segment.start - segment.offset
            for found in data_extents(self._fd, end - ahead, segment.offset):
                yield Range(found.start + ahead, found.end + ahead)

    def _fill(self, buffer: memoryview, segment: Segment, skipped: int) -> None:
        if segment.packed:
            data = self._unpacked(segment)[skipped : skipped + len(buffer)]
            buffer[: len(data)] = data
            _clear(buffer[len(data) :])
            return
        offset, at = segment.offset + skipped, 0
        while at < len(buffer):
            got = os.preadv(self._fd, [buffer[at:]], offset + at)
            if got == 0:
                if offset + at < self._source.size:
                    raise OSError(f"the image ended at byte {offset + at}, it should have {self._source.size}")
                _clear(buffer[at:])
                return
            at += got


def _clear(buffer: memoryview) -> None:
    if len(buffer):
        buffer[:] = bytes(len(buffer))
