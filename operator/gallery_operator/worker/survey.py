"""One pass over a disk: its digest as a fixed VHD, and the table of ranges that must be sent."""

import contextlib
import hashlib
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from gallery_operator.contract import FailureCode
from gallery_operator.worker.disk import Disk
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats.vhd import build_footer
from gallery_operator.worker.layout import MIB, Range, pages_with_data, runs
from gallery_operator.worker.seal import Seal
from gallery_operator.worker.tracking import Tracker

_RECORD = struct.Struct(">QI16s")
_HEADER = struct.Struct(">4s16s")
_MAGIC = b"gop2"
_ZEROS = bytes(MIB)


class Hasher(Protocol):
    """The part of a ``hashlib`` object that is used."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


class Piece(NamedTuple):
    """A range of the VHD that must be sent.

    Attributes:
        offset: In the VHD, a multiple of 512.
        length: At most 4 MiB, a multiple of 512.
        tag: Of the bytes (``Seal``), so that a source that changed is noticed before they are sent.
    """

    offset: int
    length: int
    tag: bytes

    @property
    def range(self) -> Range:
        """The piece's bytes."""
        return Range(self.offset, self.offset + self.length)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the pass found.

    Attributes:
        virtual_size: Bytes of the disk, without footer.
        data_bytes: Bytes to send, without footer.
        sha256: SHA-256 (hex) of the fixed VHD.
        footer: Its last 512 bytes.
        pieces: Number of ranges to send, footer included.
        table_sha256: SHA-256 (hex) of the table of ranges.
    """

    virtual_size: int
    data_bytes: int
    sha256: str
    footer: bytes
    pieces: int
    table_sha256: str


class Surveyor:
    """Makes the digest and the table of a disk whose bytes come from front to back.

    Args:
        table: Where to write the table of ranges.
        hashers: Get all bytes of the disk too.
        advanced: Told the number of bytes of each step.

    Attributes:
        position: Bytes so far.

    Raises:
        OSError: The table cannot be written; so do all methods.
    """

    def __init__(self, table: Path, *hashers: Hasher, advanced: Callable[[int], None] = lambda _: None) -> None:
        self.position = 0
        self._whole, self._table_hash = hashlib.sha256(), hashlib.sha256()
        self._hashers = (self._whole, *hashers)
        self._advanced = advanced
        self._seal = Seal.fresh()
        self._pieces = self._data_bytes = 0
        self._out = table.open("wb")
        os.fchmod(self._out.fileno(), 0o600)
        self._write(_HEADER.pack(_MAGIC, self._seal.key))

    def zeros(self, until: int) -> None:
        """Take zeros up to an offset; they are only hashed (about 1.5 GiB/s where the CPU has SHA instructions)."""
        while self.position < until:
            step = min(MIB, until - self.position)
            self._feed(_ZEROS if step == MIB else _ZEROS[:step])

    def page(self, data: bytes) -> None:
        """Take the next bytes: at most ``PAGE_BYTES``, from a multiple of that."""
        start_of_page = self.position
        for start, end in runs(data):
            self._add(start_of_page + start, data[start:end])
            self._data_bytes += end - start
        self._feed(data)

    def finish(self) -> Survey:
        """End the disk here, a multiple of 1 MiB, and make the table durable."""
        size, data_bytes = self.position, self._data_bytes
        footer = build_footer(size, self._whole.digest())
        self._add(size, footer)
        self._whole.update(footer)
        self._out.flush()
        os.fsync(self._out.fileno())
        return Survey(size, data_bytes, self._whole.hexdigest(), footer, self._pieces, self._table_hash.hexdigest())

    def close(self) -> None:
        """Close the table."""
        self._out.close()

    def _feed(self, data: bytes) -> None:
        for each in self._hashers:
            each.update(data)
        self.position += len(data)
        self._advanced(len(data))

    def _add(self, offset: int, data: bytes) -> None:
        self._write(_RECORD.pack(offset, len(data), self._seal.tag(data, offset)))
        self._pieces += 1

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._table_hash.update(data)


class _First:
    """Passes the first bytes on: the padding of a disk is not its source's."""

    def __init__(self, hasher: Hasher, length: int) -> None:
        self._hasher, self._left = hasher, length

    def update(self, data: bytes, /) -> None:
        if self._left > 0:
            self._hasher.update(data[: self._left])
            self._left -= len(data)


def survey(disk: Disk, table: Path, tracker: Tracker, source_hash: Hasher | None = None) -> Survey:
    """Read a disk once. Holes are not read.

    Args:
        disk: The disk.
        table: Where to write the table of ranges.
        tracker: Shows how far it is.
        source_hash: Also gets the disk's bytes without padding: the checksum of a file read in place.

    Returns:
        The digest and the size of the table.

    Raises:
        OSError: The disk cannot be read, or the table not be written.
    """
    tracker.start("Hashing", disk.size)
    also = () if source_hash is None else (_First(source_hash, disk.data_size),)
    with contextlib.closing(Surveyor(table, *also, advanced=tracker.advance)) as surveyor:
        for page in pages_with_data(disk.extents(), disk.size):
            surveyor.zeros(page.start)
            surveyor.page(disk.pread(page.end - page.start, page.start))
        surveyor.zeros(disk.size)
        return surveyor.finish()


class PieceTable:
    """The table of ranges, read from its file; it may be larger than memory should be.

    Args:
        path: The file that ``survey`` wrote.
        sha256: Its digest (hex).

    Attributes:
        seal: Makes the pieces' tags.

    Raises:
        WorkerError: ``VerificationFailed``: the table is not the one that was written.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
            size = path.stat().st_size - _HEADER.size
            if found != sha256 or size < 0 or size % _RECORD.size:
                raise _damaged()
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._count = size // _RECORD.size
        magic, key = _HEADER.unpack_from(self._data)
        if magic != _MAGIC:
            raise _damaged()
        self.seal = Seal(key)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Piece:
        return Piece(*_RECORD.unpack_from(self._data, _HEADER.size + index * _RECORD.size))

    def __iter__(self) -> Iterator[Piece]:
        for index in range(self._count):
            yield self[index]

    def close(self) -> None:
        """Let the file go."""
        self._data.close()


def _damaged() -> WorkerError:
    message = "The table of ranges on the scratch volume is damaged; the import must be prepared again."
    return WorkerError(FailureCode.VERIFICATION_FAILED, message, retry=False)
