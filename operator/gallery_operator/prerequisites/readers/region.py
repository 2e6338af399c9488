"""A part of a disk: what a partition or a logical volume is to a reader."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from gallery_operator.prerequisites.disk import DiskSource


@dataclass(frozen=True, slots=True)
class Region:
    """A range of bytes with its own offset 0.

    Attributes:
        size: Bytes.
        read_at: Reads (length, offset); may return less at the end.
    """

    size: int
    read_at: Callable[[int, int], bytes]

    @staticmethod
    def of_disk(disk: DiskSource, offset: int = 0, size: int | None = None) -> "Region":
        """The range of ``size`` bytes at ``offset``, cut at the end of the disk."""
        available = max(0, disk.size - offset)
        length = available if size is None else max(0, min(size, available))
        return Region(length, lambda count, at: disk.pread(count, offset + at))

    def pread(self, length: int, offset: int) -> bytes:
        """Bytes at ``offset``; fewer than ``length`` only where the region or the disk ends."""
        if offset < 0 or offset >= self.size or length <= 0:
            return b""
        return self.read_at(min(length, self.size - offset), offset)


class RegionFile:
    """A region as the file object that libyal wants."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._offset = 0

    def read(self, size: int = -1) -> bytes:
        """Bytes at the current offset."""
        data = self._region.pread(self._region.size if size < 0 else size, self._offset)
        self._offset += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the current offset."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._region.size}[whence]
        self._offset = base + offset
        return self._offset

    def tell(self) -> int:
        """The current offset."""
        return self._offset

    def get_size(self) -> int:
        """Bytes in all."""
        return self._region.size
