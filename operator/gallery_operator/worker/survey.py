"""One pass over a disk: its digest as a fixed VHD, and the table of ranges that must be sent."""

import hashlib
import mmap
import os
import struct
from collections.abc import Iterator
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


def survey(disk: Disk, table: Path, tracker: Tracker, source_hash: Hasher | None = None) -> Survey:
    """Read a disk once.

    Holes are not read; their zeros are only hashed (about 1.5 GiB/s where the CPU has SHA instructions).

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
    whole, table_hash = hashlib.sha256(), hashlib.sha256()
    seal = Seal.fresh()
    pieces = data_bytes = at = 0

    def feed(data: bytes) -> None:
        whole.update(data)
        if source_hash is not None and at < disk.data_size:
            source_hash.update(data[: disk.data_size - at])

    def zeros(until: int) -> None:
        nonlocal at
        while at < until:
            step = min(MIB, until - at)
            feed(_ZEROS if step == MIB else _ZEROS[:step])
            at += step
            tracker.advance(step)

    with table.open("wb") as out:
        os.fchmod(out.fileno(), 0o600)
        header = _HEADER.pack(_MAGIC, seal.key)
        out.write(header)
        table_hash.update(header)

        def add(offset: int, data: bytes) -> None:
            nonlocal pieces
            record = _RECORD.pack(offset, len(data), seal.tag(data, offset))
            out.write(record)
            table_hash.update(record)
            pieces += 1

        for page in pages_with_data(disk.extents(), disk.size):
            zeros(page.start)
            data = disk.pread(page.end - page.start, page.start)
            feed(data)
            for start, end in runs(data):
                add(page.start + start, data[start:end])
                data_bytes += end - start
            at = page.end
            tracker.advance(len(data))
        zeros(disk.size)
        footer = build_footer(disk.size, whole.digest())
        whole.update(footer)
        add(disk.size, footer)
        out.flush()
        os.fsync(out.fileno())
    return Survey(disk.size, data_bytes, whole.hexdigest(), footer, pieces, table_hash.hexdigest())


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
