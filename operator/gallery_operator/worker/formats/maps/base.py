"""What every format's map has in common."""

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats.source import corrupt

TABLE_CACHE_BYTES = 4 * 1024 * 1024
"""How much of an image's tables is held in memory, besides a directory of them."""


class Segment(NamedTuple):
    """Bytes of the disk that the file holds.

    Attributes:
        start: In the disk.
        length: Bytes of the disk.
        offset: In the file.
        packed: 0: the bytes are in the file as they are; else they are compressed, in at most so many bytes.
    """

    start: int
    length: int
    offset: int
    packed: int = 0

    @property
    def end(self) -> int:
        """First byte of the disk after it."""
        return self.start + self.length


class BlockMap(Protocol):
    """Where in an image file the bytes of its disk are. May be used by several threads at once."""

    @property
    def block(self) -> int:
        """Bytes of the disk in a block."""
        ...

    def segments(self, start: int, end: int) -> Iterator[Segment]:
        """Yield what the file holds of a range of the disk; all else of the range is zero.

        Args:
            start: First byte.
            end: First byte after the range.

        Yields:
            Segments in order, not overlapping. The first and the last may reach beyond the range, to whole blocks.

        Raises:
            WorkerError: ``CorruptImage``: a table breaks the format's rules, or names data beyond the end of the file.
        """
        ...

    def unpack(self, segment: Segment) -> bytes:
        """Return the bytes of a compressed segment.

        Raises:
            WorkerError: ``CorruptImage``.
        """
        ...


def joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Make one of neighbours that are neighbours in the file too."""
    last: Segment | None = None
    for each in segments:
        if last is None:
            last = each
        elif (each.start, each.offset, each.packed, last.packed) == (last.end, last.offset + last.length, 0, 0):
            last = Segment(last.start, last.length + each.length, last.offset)
        else:
            yield last
            last = each
    if last is not None:
        yield last


def numbers(raw: bytes, code: str, *, big: bool) -> Sequence[int]:
    """Return the numbers of a table.

    Args:
        raw: Its bytes.
        code: ``I`` for 4 bytes each, ``Q`` for 8.
        big: Whether the most significant byte is the first.
    """
    found = array(code)
    found.frombytes(raw)
    if big != (sys.byteorder == "big"):
        found.byteswap()
    return found


def cut_off(start: int, size: int) -> WorkerError:
    """Make the error for a table that names data beyond the end of the file."""
    return corrupt(
        f"The image is cut off: it has data at byte {start}, but the file has only {size} bytes. Copy it again; a "
        "checksum in the source tells at once whether a copy is whole."
    )
