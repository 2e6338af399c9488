"""Decompression of a file in bounded memory and to a bounded size."""

import bz2
import contextlib
import io
import lzma
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import zstandard

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats.inspect import Compression
from gallery_operator.worker.formats.source import FdSource, corrupt, unsupported
from gallery_operator.worker.xzblocks import Plan, decompress_blocks, plan

_IN = 256 * 1024
_OUT = 1024 * 1024

XZ_MEMORY_BYTES = 100 * 1024 * 1024
"""Most memory for an xz dictionary; ``xz -9`` needs 65 MiB."""

ZSTD_WINDOW_BYTES = 1 << 27
"""Largest zstd window, 128 MiB: what ``zstd --long`` makes (and the zstd tool accepts by itself)."""

_ZSTD_MAGIC = 0xFD2FB528
_ZSTD_SKIPPABLE = range(0x184D2A50, 0x184D2A60)


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...

    @property
    def needs_input(self) -> bool: ...


class _Gzip:
    """zlib's object with the interface that lzma and bz2 share."""

    def __init__(self) -> None:
        self._object = zlib.decompressobj(wbits=31)
        self._last_full = False

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._object.unconsumed_tail and not self._last_full

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._object.decompress(self._object.unconsumed_tail + data, max_length)
        # Output that filled the buffer may have more behind it inside zlib, with all input taken.
        self._last_full = len(out) == max_length
        return out


def decompress(kind: Compression, file: BinaryIO, consumed: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """Yield the content of a compressed file, at most 1 MiB at a time.

    Several streams one after another are one content, as for the tools themselves.

    Args:
        kind: The method.
        file: The file, at its start; for zstd it must be a real, seekable one. xz blocks of a real one are
            decompressed in parallel.
        consumed: Told the number of compressed bytes that were read.

    Raises:
        WorkerError: ``CorruptImage`` when the data is damaged or ends early, ``UnsupportedFormat`` when
            it needs more memory than is allowed.
    """
    if kind == "zstd":
        return _zstd(file, consumed)
    factories: dict[str, Callable[[], _Decompressor]] = {
        "gzip": _Gzip,
        "bzip2": bz2.BZ2Decompressor,
        "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES),
    }
    if kind == "xz":
        with contextlib.suppress(io.UnsupportedOperation):
            # With a size of its own it leaves the file's offset alone, which matters when there is no plan.
            source = FdSource(file.fileno(), os.fstat(file.fileno()).st_size)
            found = plan(source)
            if found is not None:
                return _blocks(source, found, consumed)
    return _streams(kind, factories[kind], file, consumed)


def first_bytes(kind: Compression, head: bytes, length: int) -> bytes:
    """Decompress the start of a file as far as its first bytes reach; never raises for damaged data."""
    out = b""
    try:
        if kind == "zstd":
            reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).stream_reader(head)
            while len(out) < length and (data := reader.read(length - len(out))):
                out += data
            return out
        decompressor: _Decompressor
        if kind == "gzip":
            decompressor = _Gzip()
        elif kind == "bzip2":
            decompressor = bz2.BZ2Decompressor()
        else:
            decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES)
        return decompressor.decompress(head, length)
    except (zlib.error, lzma.LZMAError, OSError, EOFError, zstandard.ZstdError):
        return out


def _streams(
    kind: str, factory: Callable[[], _Decompressor], file: BinaryIO, consumed: Callable[[int], None]
) -> Iterator[bytes]:
    rest = b""
    while True:
        decompressor = factory()
        data = rest
        try:
            while not decompressor.eof:
                if not data and decompressor.needs_input:
                    data = file.read(_IN)
                    consumed(len(data))
                    if not data:
                        raise corrupt(f"The {kind} data ends early; the file is cut off.")
                out = decompressor.decompress(data, _OUT)
                data = b""
                if out:
                    yield out
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise _damaged(kind, error) from error
        rest = _next_stream(kind, decompressor.unused_data, file, consumed)
        if not rest:
            return


def _blocks(source: FdSource, found: Plan, consumed: Callable[[int], None]) -> Iterator[bytes]:
    try:
        yield from decompress_blocks(source, found, XZ_MEMORY_BYTES, consumed)
    except (lzma.LZMAError, EOFError) as error:
        raise _damaged("xz", error) from error


def _damaged(kind: str, error: Exception) -> WorkerError:
    if "emory" in str(error):
        message = f"The {kind} data needs more than {XZ_MEMORY_BYTES >> 20} MiB of memory; use a lower preset."
        return WorkerError(FailureCode.UNSUPPORTED_FORMAT, message)
    return corrupt(f"The {kind} data is damaged: {error}.")


def _next_stream(kind: str, rest: bytes, file: BinaryIO, consumed: Callable[[int], None]) -> bytes:
    """Skip padding (xz has it by design, gzip files often) and return the next stream's first bytes."""
    while True:
        rest = rest.lstrip(b"\0")
        if rest:
            if len(rest) < 16:
                more = file.read(_IN)
                consumed(len(more))
                rest += more
            starts = {"gzip": b"\x1f\x8b", "xz": b"\xfd7zXZ\0", "bzip2": b"BZh"}[kind]
            if not rest.startswith(starts):
                raise corrupt(f"There is something else behind the {kind} data.")
            return rest
        rest = file.read(_IN)
        consumed(len(rest))
        if not rest:
            return b""


def _zstd(file: BinaryIO, consumed: Callable[[int], None]) -> Iterator[bytes]:
    # The library takes the end of the input for the end of the content, even in the middle of a frame.
    _require_whole_frames(FdSource(file.fileno()))
    file.seek(0)
    reader = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES).stream_reader(
        file, read_size=_IN, read_across_frames=True, closefd=False
    )
    at = 0
    try:
        while data := reader.read(_OUT):
            now = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            consumed(max(0, now - at))
            at = max(at, now)
            yield data
    except zstandard.ZstdError as error:
        raise corrupt(f"The zstd data is damaged: {error}.") from error
    except MemoryError as error:
        raise unsupported(
            "The zstd data needs a window too large for this pod; compress it without --ultra."
        ) from error


def _require_whole_frames(source: FdSource) -> None:
    """Walk frames and blocks (RFC 8878, 3.1) without decompressing them.

    Raises:
        WorkerError: A frame that is cut off, needs too large a window, or is no frame.
    """
    at = 0
    while at < source.size:
        head = source.pread(18, at)
        if len(head) < 8:
            raise corrupt("The zstd data ends early; the file is cut off.")
        magic, length = struct.unpack_from("<II", head)
        if magic in _ZSTD_SKIPPABLE:
            at += 8 + length
            continue
        if magic != _ZSTD_MAGIC:
            raise corrupt("There is something else behind the zstd data.")
        try:
            parameters = zstandard.get_frame_parameters(head)
            header = zstandard.frame_header_size(head)
        except zstandard.ZstdError as error:
            raise corrupt(f"A zstd frame is damaged: {error}.") from error
        if parameters.window_size > ZSTD_WINDOW_BYTES:
            raise unsupported(
                f"The zstd data needs a window of {parameters.window_size >> 20} MiB; "
                f"at most {ZSTD_WINDOW_BYTES >> 20} MiB are given. Compress it with --long=27 or less."
            )
        at = _skip_blocks(source, at + header) + (4 if parameters.has_checksum else 0)
    if at > source.size:
        raise corrupt("The zstd data ends early; the file is cut off.")


def _skip_blocks(source: FdSource, at: int) -> int:
    while True:
        raw = source.pread(3, at)
        if len(raw) < 3:
            raise corrupt("The zstd data ends early; the file is cut off.")
        header = int.from_bytes(raw, "little")
        kind, length = (header >> 1) & 3, header >> 3
        if kind == 3:
            raise corrupt("A zstd block is of a reserved type.")
        at += 3 + (1 if kind == 1 else length)
        if header & 1:
            return at
