"""Remembers on the scratch volume which pieces the target has acknowledged."""

import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

JOURNAL = "upload.journal"

_RECORD = struct.Struct(">II")
_HEADER_BYTES = 32
_DOUBT = 1 << 31
"""Set in a record of a piece that was found to be lost or damaged; no disk has so many pieces."""


class Bitmap:
    """A set of small numbers, one bit each."""

    def __init__(self, size: int) -> None:
        self._bits = bytearray(-(-size // 8))

    def __contains__(self, index: int) -> bool:
        return bool(self._bits[index >> 3] & (1 << (index & 7)))

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "little").bit_count()

    def __iter__(self) -> Iterator[int]:
        for at, byte in enumerate(self._bits):
            if byte:
                yield from (at * 8 + bit for bit in range(8) if byte & (1 << bit))

    def add(self, index: int) -> None:
        """Put a number in."""
        self._bits[index >> 3] |= 1 << (index & 7)

    def discard(self, index: int) -> None:
        """Take a number out."""
        self._bits[index >> 3] &= ~(1 << (index & 7))


class Journal:
    """Numbers of the pieces that were sent, and of those that were found damaged, for one disk and one target.

    A journal of another disk or target is thrown away; the pieces of a disk follow from its bytes alone. A record
    is written after the service has acknowledged the piece, so a pod killed in between only sends that piece again.
    A torn or damaged record is left out.

    Args:
        path: The file.
        url: The target; its query (the SAS) plays no part, as it is renewed.
        sha256: Digest (hex) of the disk.
        pieces: Number of its pieces.

    Attributes:
        acknowledged: Pieces that the target has taken, and that nothing has been found wrong with since.
        doubted: Pieces that were found to be lost or damaged at some time: the target's word for them is no more
            enough, whoever sent them again.

    Raises:
        OSError: The volume cannot be written to.
    """

    def __init__(self, path: Path, url: str, sha256: str, pieces: int) -> None:
        self._lock = threading.Lock()
        self._pieces = pieces
        self.acknowledged, self.doubted = Bitmap(pieces), Bitmap(pieces)
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
            for value, check in _RECORD.iter_unpack(block[:whole]):
                if (index := value & ~_DOUBT) < pieces and check == self._check(value):
                    self._note(index, doubt=bool(value & _DOUBT))
            at += whole
        os.ftruncate(self._fd, at)

    def _note(self, index: int, *, doubt: bool) -> None:
        if doubt:
            self.acknowledged.discard(index)
            self.doubted.add(index)
        else:
            self.acknowledged.add(index)

    def _check(self, value: int) -> int:
        return zlib.crc32(struct.pack(">I", value), self._salt)

    def add(self, index: int) -> None:
        """Remember that the target has taken a piece; from any thread."""
        self._write(index, doubt=False)

    def doubt(self, index: int) -> None:
        """Remember that a piece was found to be lost or damaged; from any thread."""
        self._write(index, doubt=True)

    def _write(self, index: int, *, doubt: bool) -> None:
        value = index | _DOUBT if doubt else index
        record = _RECORD.pack(value, self._check(value))
        with self._lock:
            self._note(index, doubt=doubt)
            # One write at the end of the file: what a kill leaves is a whole record or none.
            os.lseek(self._fd, 0, os.SEEK_END)
            os.write(self._fd, record)

    def forget(self) -> None:
        """Start with an empty target: what was sent to a blob of the same name went with it."""
        with self._lock:
            os.ftruncate(self._fd, _HEADER_BYTES)
            self.acknowledged, self.doubted = Bitmap(self._pieces), Bitmap(self._pieces)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
