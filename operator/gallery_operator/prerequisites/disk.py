"""Where the bytes of a disk come from: a protocol and the plain-file implementation."""

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self


class DiskSource(Protocol):
    """A read-only disk."""

    @property
    def size(self) -> int:
        """Bytes of the disk as the guest sees it; a VHD's footer is not part of it."""
        ...

    def pread(self, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at ``offset``; fewer only at the end of the disk."""
        ...


class FileDisk:
    """A raw disk or fixed VHD in a file or block device, opened read-only.

    Args:
        path: The file or device.
        size: Bytes of the disk; None takes the whole file. A fixed VHD's disk is 512 bytes shorter than
            its file.

    Raises:
        OSError: The file cannot be opened, or is neither a regular file nor a block device.
    """

    def __init__(self, path: str | os.PathLike[str], size: int | None = None) -> None:
        self._path = Path(path)
        # O_NONBLOCK: a FIFO put in the place of the file must not hang the open.
        self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        mode = os.fstat(self._fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            self.close()
            raise OSError(f"{self._path} is neither a regular file nor a block device")
        length = os.lseek(self._fd, 0, os.SEEK_END)
        self._size = length if size is None else min(size, length)

    @property
    def size(self) -> int:
        """Bytes of the disk."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at ``offset``.

        Returns:
            The bytes; fewer than ``length`` only where the disk ends.
        """
        if offset < 0 or length <= 0 or offset >= self._size:
            return b""
        length = min(length, self._size - offset)
        chunks: list[bytes] = []
        while length > 0:
            chunk = os.pread(self._fd, length, offset)
            if not chunk:
                break
            chunks.append(chunk)
            offset += len(chunk)
            length -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
