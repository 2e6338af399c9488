"""Bytes that header parsers read."""

import os
from typing import Protocol

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError


class ByteSource(Protocol):
    """Something with a length that can be read anywhere."""

    @property
    def size(self) -> int:
        """Number of bytes."""
        ...

    def pread(self, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at ``offset``; fewer only at the end."""
        ...


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self._data)

    def pread(self, length: int, offset: int) -> bytes:
        """Return a slice."""
        return self._data[offset : offset + length]


class FdSource:
    """An open file or block device; the descriptor stays the caller's."""

    def __init__(self, fd: int, size: int | None = None) -> None:
        self.fd = fd
        self._size = os.lseek(fd, 0, os.SEEK_END) if size is None else size

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def pread(self, length: int, offset: int) -> bytes:
        """Read at most ``length`` bytes at ``offset``; fewer only at the end."""
        length = min(length, self._size - offset)
        if length <= 0:
            return b""
        data = os.pread(self.fd, length, offset)
        while len(data) < length:
            more = os.pread(self.fd, length - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data


def read_exactly(source: ByteSource, length: int, offset: int, what: str) -> bytes:
    """Read a structure that must be there whole.

    Raises:
        WorkerError: ``CorruptImage`` when the file ends before it.
    """
    data = source.pread(length, offset)
    if len(data) != length:
        message = f"The image is cut off: its {what} should be at byte {offset}, but the file has {source.size} bytes."
        raise WorkerError(FailureCode.CORRUPT_IMAGE, message)
    return data


def corrupt(message: str) -> WorkerError:
    """Make the error for an image that breaks the rules of its format."""
    return WorkerError(FailureCode.CORRUPT_IMAGE, message)


def unsafe(message: str) -> WorkerError:
    """Make the error for an image that refers to something outside itself."""
    return WorkerError(FailureCode.UNSAFE_IMAGE, message)


def unsupported(message: str) -> WorkerError:
    """Make the error for a format or a variant that is not read."""
    return WorkerError(FailureCode.UNSUPPORTED_FORMAT, message)
