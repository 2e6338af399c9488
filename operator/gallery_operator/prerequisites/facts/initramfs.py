"""Names of the files in an initramfs, read as a stream in bounded memory and time.

An initramfs is a row of cpio archives ("newc"), each plain or compressed, with zeros between them
(Documentation/driver-api/early-userspace/buffer-format.rst of Linux).
"""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from gallery_operator.prerequisites.facts import lz4
from gallery_operator.prerequisites.readers.base import UnreadableError

MAX_UNPACKED_BYTES: Final = 1024 * 1024 * 1024
"""More than this is not unpacked: the largest generic initramfs of a distribution has some 300 MB."""

_MAX_ENTRIES: Final = 200_000
# Archives and compressed parts; distributions have up to four.
_MAX_PARTS: Final = 256
_MAX_NAME_BYTES: Final = 4096
_PIECE: Final = 256 * 1024
# A piece of this size can unpack to 32 MiB at most where the decoder knows no limit of its output (zstd:
# 128 KiB from each 4-byte block).
_ZSTD_PIECE: Final = 1024
_OUTPUT: Final = 1024 * 1024
_MEMORY: Final = 128 * 1024 * 1024
_TRAILER: Final = b"TRAILER!!!"
_HEADER_BYTES: Final = 110
_CPIO: Final = (b"070701", b"070702")

ReadAt = Callable[[int, int], bytes]


class Budget:
    """What may be unpacked in all; one for all files that a boot entry names."""

    def __init__(self) -> None:
        self.bytes = MAX_UNPACKED_BYTES
        self.entries = _MAX_ENTRIES
        self.parts = _MAX_PARTS

    def spend(self, count: int) -> None:
        """Unpack some bytes; raises ``UnreadableError`` when that is too much."""
        self.bytes -= count
        if self.bytes < 0:
            raise UnreadableError(f"the initramfs unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")

    def entry(self) -> None:
        """Read an entry or a trailer; raises ``UnreadableError`` when there are too many."""
        self.entries -= 1
        if self.entries < 0:
            raise UnreadableError(f"the initramfs has more than {_MAX_ENTRIES} entries")

    def part(self) -> None:
        """Begin an archive or a compressed part; raises ``UnreadableError`` when there are too many."""
        self.parts -= 1
        if self.parts < 0:
            raise UnreadableError(f"the initramfs has more than {_MAX_PARTS} parts")


def names(read_at: ReadAt, size: int, budget: Budget | None = None) -> set[str]:
    """All names in an initramfs, without leading ``./`` or ``/``.

    Args:
        read_at: Reads (length, offset) of the file.
        size: Its length in bytes.
        budget: What may be unpacked; None takes one of its own.

    Raises:
        UnreadableError: It is damaged, compressed in a way that is not supported, or too large.
    """
    found: set[str] = set()
    budget = budget or Budget()
    outer = _Stream(_pieces(read_at, size))
    while outer.skip_zeros():
        budget.part()
        magic = outer.peek(6)
        if magic in _CPIO:
            _archive(outer, found, budget)
            continue
        decoder = _decoder(magic)
        inner = _Stream(_unpacked(outer, decoder, budget))
        while inner.skip_zeros():
            if inner.peek(6) not in _CPIO:
                raise UnreadableError("the initramfs unpacks to something that is no cpio archive")
            _archive(inner, found, budget)
    if not found:
        raise UnreadableError("the initramfs is empty")
    return found


def _pieces(read_at: ReadAt, size: int) -> Iterator[bytes]:
    offset = 0
    while offset < size:
        piece = read_at(min(_PIECE, size - offset), offset)
        if not piece:
            raise UnreadableError(f"the initramfs ends after {offset} of {size} bytes")
        offset += len(piece)
        yield piece


class _Stream:
    """Bytes of an iterator on demand. What was taken is cut off in large pieces only: cutting copies the rest."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = b""
        self._at = 0

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0
        return True

    def peek(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count and self._more():
            pass
        return self._buffer[self._at : self._at + count]

    def take(self, count: int) -> bytes:
        data = self.peek(count)
        if len(data) < count:
            raise UnreadableError("the initramfs ends in the middle of an archive")
        self._at += count
        return data

    def skip(self, count: int) -> None:
        while count > (there := len(self._buffer) - self._at):
            count -= there
            self._at = len(self._buffer)
            if not self._more():
                raise UnreadableError("the initramfs ends in the middle of an archive")
        self._at += count

    def skip_zeros(self) -> bool:
        """Go to the next byte that is not zero; False at the end."""
        while True:
            rest = self._buffer[self._at :].lstrip(b"\0")
            if rest:
                self._buffer, self._at = rest, 0
                return True
            self._buffer, self._at = b"", 0
            if not self._more():
                return False

    def piece(self, count: int) -> bytes:
        """Up to ``count`` bytes; empty at the end."""
        if self._at == len(self._buffer) and not self._more():
            return b""
        data = self._buffer[self._at : self._at + count]
        self._at += len(data)
        return data

    def push_back(self, data: bytes) -> None:
        self._buffer, self._at = data + self._buffer[self._at :], 0


def _archive(stream: _Stream, found: set[str], budget: Budget) -> None:
    """Read one archive up to its trailer."""
    while True:
        header = stream.take(_HEADER_BYTES)
        if header[:6] not in _CPIO:
            raise UnreadableError("an entry of the initramfs has no cpio header")
        try:
            size, name_size = int(header[54:62], 16), int(header[94:102], 16)
        except ValueError as error:
            raise UnreadableError("an entry of the initramfs has a damaged cpio header") from error
        if not 0 < name_size <= _MAX_NAME_BYTES:
            raise UnreadableError("an entry of the initramfs has a name that is too long")
        # Name and content are filled up to four bytes, the header counted in.
        name = stream.take(name_size + -(_HEADER_BYTES + name_size) % 4)[: name_size - 1]
        budget.entry()
        stream.skip(size + -size % 4 if name != _TRAILER else 0)
        if name == _TRAILER:
            return
        text = name.decode("utf-8", "replace").removeprefix("./").lstrip("/")
        found.add(text)


class _Decoder(Protocol):
    """What zlib, lzma and bz2 objects have in common, evened out."""

    piece: int

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    @property
    def done(self) -> bool: ...

    @property
    def rest(self) -> bytes: ...


class _Bounded:
    """lzma and bz2: ``decompress(data, max_length)`` with ``eof`` and ``needs_input``."""

    piece = _PIECE

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._decoder.decompress(data, _OUTPUT)
        while not self._decoder.eof and not self._decoder.needs_input:
            yield self._decoder.decompress(b"", _OUTPUT)

    @property
    def done(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._decoder.unused_data)


class _Gzip:
    piece = _PIECE

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._decoder.decompress(data, _OUTPUT)
        while not self._decoder.eof and self._decoder.unconsumed_tail:
            yield self._decoder.decompress(self._decoder.unconsumed_tail, _OUTPUT)

    @property
    def done(self) -> bool:
        return self._decoder.eof

    @property
    def rest(self) -> bytes:
        return self._decoder.unused_data


class _Zstd:
    piece = _ZSTD_PIECE

    def __init__(self) -> None:
        # Imported here: the operator loads the catalogue without any reader.
        import zstandard

        self._decoder = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._decoder.decompress(data)

    @property
    def done(self) -> bool:
        return bool(self._decoder.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._decoder.unused_data)


def _decoder(magic: bytes) -> _Decoder:
    if magic[:2] == b"\x1f\x8b":
        return _Gzip()
    if magic == b"\xfd7zXZ\x00":
        return _Bounded(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY))
    if magic[:3] == b"\x5d\x00\x00":
        return _Bounded(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY))
    if magic[:3] == b"BZh":
        return _Bounded(bz2.BZ2Decompressor())
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        return _Zstd()
    if magic[:4] == lz4.LEGACY_MAGIC:
        return lz4.LegacyDecoder()
    known = {b"\x04\x22\x4d\x18": "lz4 (frame format)", b"\x89\x4c\x5a\x4f": "lzo"}
    name = known.get(magic[:4])
    raise UnreadableError(
        f"the initramfs is compressed with {name}, which is not supported"
        if name
        else f"the initramfs starts with unknown bytes {magic.hex()}"
    )


def _unpacked(stream: _Stream, decoder: _Decoder, budget: Budget) -> Iterator[bytes]:
    """Unpack one compressed part; what follows it goes back into the stream."""
    while not decoder.done:
        data = stream.piece(decoder.piece)
        if not data:
            _finish(decoder)
            break
        for output in _fed(decoder, data):
            budget.spend(len(output))
            if output:
                yield output
    stream.push_back(decoder.rest)


def _finish(decoder: _Decoder) -> None:
    """The input is at its end: only a format without an end mark may end here."""
    if not isinstance(decoder, lz4.LegacyDecoder):
        raise UnreadableError("the compressed initramfs ends too early")
    try:
        decoder.finish()
    except ValueError as error:
        raise UnreadableError(f"the initramfs cannot be unpacked: {error}") from error


def _fed(decoder: _Decoder, data: bytes) -> Iterator[bytes]:
    try:
        yield from decoder.feed(data)
    except (zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, MemoryError) as error:
        raise UnreadableError(f"the initramfs cannot be unpacked: {error}") from error
    except Exception as error:
        # zstandard is imported late, so its error cannot be named here.
        if type(error).__module__.partition(".")[0] == "zstandard":
            raise UnreadableError(f"the initramfs cannot be unpacked: {error}") from error
        raise
