"""Remembers on the scratch volume which pieces the target has acknowledged."""

import hashlib
import os
import struct
import threading
import zlib
from pathlib import Path
from urllib.parse import urlsplit

JOURNAL = "upload.journal"

_RECORD = struct.Struct(">II")
_HEADER_BYTES = 32


class Bitmap:
    """A set of small numbers, one bit each."""

    def __init__(self, size: int) -> None:
        self._bits = bytearray(-(-size // 8))

    def __contains__(self, index: int) -> bool:
        return bool(self._bits[index >> 3] & (1 << (index & 7)))

    def add(self, index: int) -> None:
        """Put a number in."""
        self._bits[index >> 3] |= 1 << (index & 7)


class Journal:
    """Numbers of the pieces that were sent, for one disk and one target.

    A journal of another disk or target is thrown away; the pieces of a disk follow from its bytes alone. A record
    is written after the service has acknowledged the piece, so a pod killed in between only sends that piece again.
    A torn or damaged record is left out.

    Args:
        path: The file.
        url: The target; its query (the SAS) plays no part, as it is renewed.
        sha256: Digest (hex) of the disk.
        pieces: Number of its pieces.

    Raises:
        OSError: The volume cannot be written to.
    """

    def __init__(self, path: Path, url: str, sha256: str, pieces: int) -> None:
        self._lock = threading.Lock()
        self._pieces = pieces
        self.acknowledged = Bitmap(pieces)
        self.count = 0
        parts = urlsplit(url)
        self._key = hashlib.sha256(f"2 {parts.scheme}://{parts.netloc}{parts.path} {sha256}".encode()).digest()
        self._salt = zlib.crc32(self._key)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.pread(self._fd, _HEADER_BYTES, 0) == self._key:
            self._load(pieces)
        else:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, self._key, 0)

    def _load(self, pieces: int) -> None:
        at = _HEADER_BYTES
        while len(block := os.pread(self._fd, _RECORD.size * 8192, at)) >= _RECORD.size:
            whole = len(block) // _RECORD.size * _RECORD.size
            for index, check in _RECORD.iter_unpack(block[:whole]):
                if index < pieces and check == self._check(index) and index not in self.acknowledged:
                    self.acknowledged.add(index)
                    self.count += 1
            at += whole
        os.ftruncate(self._fd, at)

    def _check(self, index: int) -> int:
        return zlib.crc32(struct.pack(">I", index), self._salt)

    def add(self, index: int) -> None:
        """Remember a piece; from any thread."""
        record = _RECORD.pack(index, self._check(index))
        with self._lock:
            self.acknowledged.add(index)
            # One write at the end of the file: what a kill leaves is a whole record or none.
            os.lseek(self._fd, 0, os.SEEK_END)
            os.write(self._fd, record)

    def forget(self) -> None:
        """Start with an empty target: what was sent to a blob of the same name went with it."""
        with self._lock:
            os.ftruncate(self._fd, _HEADER_BYTES)
            self.acknowledged, self.count = Bitmap(self._pieces), 0

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
