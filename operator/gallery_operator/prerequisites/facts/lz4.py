"""LZ4's legacy format, in which Ubuntu up to 21.04 compresses its initramfs.

The kernel reads no other (lib/decompress_unlz4.c): a magic number, then blocks of at most 8 MiB, each with its packed
length. The block format is that of doc/lz4_Block_format.md of LZ4. Python has no decoder of its own, and the packages
that have one would be a dependency for this alone.
"""

import struct
from collections.abc import Iterator
from typing import Final

LEGACY_MAGIC: Final = b"\x02\x21\x4c\x18"

_BLOCK: Final = 8 * 1024 * 1024
# LZ4_compressBound(8 MiB)
_MAX_PACKED: Final = _BLOCK + _BLOCK // 255 + 16
_MIN_MATCH: Final = 4

MAX_SEQUENCES: Final = 32_000_000
"""Literals with a match, in all; plain Python takes a microsecond for each. Ubuntu's initramfs has some 8 million."""


class LegacyDecoder:
    """Unpacks a stream piece by piece. The format has no end mark: the end is what is no block."""

    piece = 256 * 1024

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False
        self._sequences_left = MAX_SEQUENCES
        self._rest = b""
        self.done = False

    @property
    def rest(self) -> bytes:
        """What follows the last block."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Unpack every block that is complete.

        Raises:
            ValueError: A block is damaged.
        """
        self._buffer += data
        if not self._started and len(self._buffer) >= len(LEGACY_MAGIC):
            self._buffer, self._started = self._buffer[len(LEGACY_MAGIC) :], True
        while self._started and len(self._buffer) >= 4 and not self.done:
            (size,) = struct.unpack_from("<I", self._buffer)
            if self._buffer[:4] == LEGACY_MAGIC:
                # lz4 -l of several files writes the magic again.
                self._buffer = self._buffer[4:]
                continue
            if not 0 < size <= _MAX_PACKED:
                self._rest, self._buffer, self.done = self._buffer, b"", True
                return
            if len(self._buffer) < 4 + size:
                return
            block, self._buffer = self._buffer[4 : 4 + size], self._buffer[4 + size :]
            data, sequences = unpack_block(block, self._sequences_left)
            self._sequences_left -= sequences
            yield data

    def finish(self) -> None:
        """The input is at its end.

        Raises:
            ValueError: In the middle of a block.
        """
        if self._buffer.strip(b"\0"):
            raise ValueError("an LZ4 block ends too early")
        self.done = True


def unpack_block(block: bytes, sequences: int) -> tuple[bytes, int]:
    """Unpack one block.

    Args:
        block: The block.
        sequences: How many sequences it may have.

    Returns:
        The bytes, and how many sequences it had.

    Raises:
        ValueError: It is damaged, unpacks to more than 8 MiB, or has too many sequences.
    """
    output = bytearray()
    count_down = sequences
    at, end = 0, len(block)
    try:
        while at < end:
            count_down -= 1
            if count_down < 0:
                raise ValueError("an LZ4 archive has too many sequences")
            token = block[at]
            at += 1
            count = token >> 4
            if count == 15:
                count, at = _more(block, at, count)
            if count > end - at:
                raise ValueError("an LZ4 block ends too early")
            output += block[at : at + count]
            at += count
            if at >= end:
                break
            distance = block[at] | block[at + 1] << 8
            at += 2
            count = token & 15
            if count == 15:
                count, at = _more(block, at, count)
            count += _MIN_MATCH
            start = len(output) - distance
            if distance == 0 or start < 0 or len(output) + count > _BLOCK:
                raise ValueError("an LZ4 block is damaged")
            if distance >= count:
                output += output[start : start + count]
            else:
                # The match overlaps what it writes: its bytes repeat.
                pattern = output[start:]
                output += (pattern * (count // distance + 1))[:count]
    except IndexError as error:
        raise ValueError("an LZ4 block ends too early") from error
    if len(output) > _BLOCK:
        raise ValueError("an LZ4 block is damaged")
    return bytes(output), sequences - count_down


def _more(block: bytes, at: int, count: int) -> tuple[int, int]:
    while True:
        value = block[at]
        at += 1
        count += value
        if value != 255:
            return count, at
