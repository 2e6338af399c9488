"""The disk as Azure will see it: a view of a file, padded to whole MiB."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from gallery_operator.worker.formats import FdSource
from gallery_operator.worker.layout import MIB, round_up


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


class RawDisk:
    """The bytes of a disk, read from a file; what is missing to whole MiB reads as zeros.

    Args:
        fd: An open file or block device; owned from now on.
        data_size: Bytes of the file that are the disk's (a fixed VHD's footer is not).
        path: The file, for readers that are other programs; None when there is none to name.
    """

    def __init__(self, fd: int, data_size: int, path: Path | None = None) -> None:
        self.fd = fd
        self.data_size = data_size
        self._path = path
        self._source = FdSource(fd, data_size)

    @property
    def size(self) -> int:
        """Bytes of the disk in Azure, a multiple of 1 MiB."""
        return round_up(self.data_size, MIB)

    @property
    def path(self) -> Path | None:
        """A file whose bytes are the disk's from offset 0."""
        return self._path

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
