"""The disk as Azure will see it: a view of a file, padded to whole MiB."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from gallery_operator.worker.formats import FdSource
from gallery_operator.worker.layout import MIB, Range, round_up
from gallery_operator.worker.sparse import data_extents


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells without reading whether a file is the one seen before.

    Attributes:
        size: Bytes.
        mtime_ns: Time of last change, nanoseconds.
        device: True for a block device, whose time of change says nothing.
    """

    size: int
    mtime_ns: int
    device: bool


def identity(fd: int) -> FileIdentity:
    """Return the identity of an open file."""
    state = os.fstat(fd)
    device = stat.S_ISBLK(state.st_mode)
    size = os.lseek(fd, 0, os.SEEK_END)
    return FileIdentity(size, 0 if device else state.st_mtime_ns, device)


class Disk(Protocol):
    """The bytes of a disk, whatever file they are in; what is missing to whole MiB reads as zeros.

    All but ``close`` may be called from several threads at once.
    """

    @property
    def size(self) -> int:
        """Bytes of the disk in Azure, a multiple of 1 MiB."""
        ...

    @property
    def data_size(self) -> int:
        """Bytes of the disk before padding."""
        ...

    def identity(self) -> FileIdentity:
        """What tells whether the file is still the one that was opened."""
        ...

    def require_whole(self) -> None:
        """Raise ``CorruptImage`` when the file lacks what its own tables say that it holds."""
        ...

    def extents(self) -> Iterator[Range]:
        """Yield where there may be data, in order, not overlapping; all else is zero."""
        ...

    def pread(self, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at ``offset``; fewer only at the end of the padded disk."""
        ...

    def pread_into(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer, which must not reach beyond the padded disk, with the bytes at ``offset``."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class RawDisk:
    """A disk whose bytes are in its file as they are, from offset 0 (see ``Disk``).

    Args:
        fd: An open file or block device; owned from now on.
        data_size: Bytes of the file that are the disk's (a fixed VHD's footer is not).
    """

    def __init__(self, fd: int, data_size: int) -> None:
        self.fd = fd
        self.data_size = data_size
        self._source = FdSource(fd, data_size)

    @property
    def size(self) -> int:
        """Bytes of the disk in Azure, a multiple of 1 MiB."""
        return round_up(self.data_size, MIB)

    def identity(self) -> FileIdentity:
        """What tells whether the file is still the one that was opened."""
        return identity(self.fd)

    def require_whole(self) -> None:
        """A raw disk has no tables."""

    def extents(self) -> Iterator[Range]:
        """Yield where the file has data; all of it where the file system or device cannot tell."""
        return data_extents(self.fd, self.data_size)

    def pread(self, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at ``offset``; fewer only at the end of the padded disk.

        Raises:
            OSError: The file cannot be read, or has become shorter than it was.
        """
        length = min(length, self.size - offset)
        if length <= 0 or offset < 0:
            return b""
        inside = max(0, min(length, self.data_size - offset))
        data = self._source.pread(inside, offset) if inside else b""
        if len(data) != inside:
            raise OSError(f"the disk ended at byte {offset + len(data)}, it should have {self.data_size}")
        return data if inside == length else data + bytes(length - inside)

    def pread_into(self, buffer: memoryview, offset: int) -> None:
        """Fill a buffer with the bytes at ``offset``, without copying them once more.

        Args:
            buffer: All of it is filled; it must not reach beyond the padded disk.
            offset: In the disk.

        Raises:
            OSError: The file cannot be read, or has become shorter than it was.
        """
        inside = max(0, min(len(buffer), self.data_size - offset))
        at = 0
        while at < inside:
            got = os.preadv(self.fd, [buffer[at:inside]], offset + at)
            if got == 0:
                raise OSError(f"the disk ended at byte {offset + at}, it should have {self.data_size}")
            at += got
        if inside < len(buffer):
            buffer[inside:] = bytes(len(buffer) - inside)

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
