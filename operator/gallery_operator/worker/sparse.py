"""Sparse files: where their data is, and writing them without their zeros."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.layout import Range, is_zero

_BLOCK = 64 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


def data_extents(fd: int, size: int, at: int = 0) -> Iterator[Range]:
    """Yield where a file has data; all of it where the file system or device cannot tell.

    Args:
        fd: An open file or block device; its file offset is moved.
        size: The byte to look up to.
        at: The byte to begin with.
    """
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # Only a hole is left.
            yield Range(at, size)
            return
        if start >= size:
            return
        try:
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError:
            end = size
        end = min(max(end, start + 1), size)
        yield Range(start, end)
        at = end


class SparseWriter:
    """Writes a file from front to back and leaves its zero blocks as holes.

    Args:
        path: The file; made if absent, cut off at ``position``.
        position: Where to go on; what is before it is kept.
        limit: Most bytes the file may get, None for no limit.
        too_large: The error's message when the limit is passed.

    Raises:
        WorkerError: ``ScratchFull`` when the volume has no room, ``TooLarge`` beyond the limit.
    """

    def __init__(
        self, path: Path, position: int = 0, *, limit: int | None = None, too_large: str = "The data is too large."
    ) -> None:
        self.path = path
        self._limit = limit
        self._too_large = too_large
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.ftruncate(self._fd, position)
        self.position = position

    def write(self, data: bytes) -> bool:
        """Append bytes; return whether any of them is not zero."""
        if self._limit is not None and self.position + len(data) > self._limit:
            raise WorkerError(FailureCode.TOO_LARGE, self._too_large)
        start, written = 0, False
        while start < len(data):
            # Blocks end at multiples of _BLOCK of the file, so that holes fall on the file system's blocks.
            end = min(len(data), start + _BLOCK - (self.position + start) % _BLOCK)
            piece = data[start:end] if (start, end) != (0, len(data)) else data
            if not is_zero(piece):
                self._pwrite(piece, self.position + start)
                written = True
            start = end
        self.position += len(data)
        return written

    def skip(self, length: int) -> None:
        """Append zeros without writing them."""
        if self._limit is not None and self.position + length > self._limit:
            raise WorkerError(FailureCode.TOO_LARGE, self._too_large)
        self.position += length

    def sync(self) -> None:
        """Make everything so far durable and the file exactly ``position`` bytes long."""
        try:
            os.ftruncate(self._fd, self.position)
            os.fsync(self._fd)
        except OSError as error:
            raise self._full(error) from error

    def close(self) -> None:
        """Set the length and close; without making it durable."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.ftruncate(fd, self.position)
            finally:
                os.close(fd)

    def _pwrite(self, data: bytes, offset: int) -> None:
        try:
            written = os.pwrite(self._fd, data, offset)
            while written < len(data):
                written += os.pwrite(self._fd, data[written:], offset + written)
        except OSError as error:
            raise self._full(error) from error

    def _full(self, error: OSError) -> BaseException:
        if error.errno not in _FULL:
            return error
        return scratch_full(self.path.parent, f"it was full after {self.position} bytes of {self.path.name}")


def free_bytes(folder: Path) -> int:
    """Return the bytes that may still be written to a folder's volume."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def scratch_full(folder: Path, what: str, needed: int | None = None) -> WorkerError:
    """Make the error for a scratch volume that is too small.

    Args:
        folder: The scratch folder.
        what: What happened, a clause.
        needed: Bytes that would be needed in addition, when known.
    """
    need = f"{needed} bytes are needed, " if needed is not None else ""
    room = f"{need}{free_bytes(folder)} bytes are free"
    message = f"The scratch volume is too small: {what}; {room}. Make spec.scratch.size larger."
    return WorkerError(FailureCode.SCRATCH_FULL, message)


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse before writing what will not fit.

    Raises:
        WorkerError: ``ScratchFull``, with the bytes needed and free.
    """
    if needed > free_bytes(folder):
        raise scratch_full(folder, what, needed)
