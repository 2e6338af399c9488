"""The blocks of an xz file, each of which can be decompressed by itself (xz-file-format.txt 1.2.1).

``xz -T0`` makes them, as does xz since 5.6 by default. Each block is given to liblzma as a stream of its own, with
the index that such a stream would have, so that liblzma checks as much as it does of the whole.
"""

import collections
import lzma
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from gallery_operator.worker.formats.source import FdSource, corrupt

_IN = 256 * 1024
_OUT = 1024 * 1024
_HEADER, _FOOTER = 12, 12
_MAGIC, _FOOTER_MAGIC = b"\xfd7zXZ\0", b"YZ"
_MOST_INDEX_BYTES = 4 << 20
_MOST_WORKERS = 4

MEMORY_BYTES = 128 << 20
"""Most memory for blocks that are decompressed or wait for an earlier one; a block of ``xz -6`` has 24 MiB."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the file.

    Attributes:
        offset: Where it begins.
        unpadded: Its bytes without the padding to a multiple of four.
        size: Bytes of its content.
    """

    offset: int
    unpadded: int
    size: int

    @property
    def padded(self) -> int:
        """Its bytes in the file."""
        return (self.unpadded + 3) // 4 * 4


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file can be decompressed in parallel.

    Attributes:
        header: The stream's header, 12 bytes.
        blocks: The blocks, in order.
        workers: How many at once.
    """

    header: bytes
    blocks: tuple[Block, ...]
    workers: int


def plan(source: FdSource, processors: int | None = None) -> Plan | None:
    """Read the index of a file that is one stream of several blocks.

    Args:
        source: The file.
        processors: How many there are; None asks the system.

    Returns:
        The plan; None when the file is of another shape, not worth it, or damaged, which a decompression from the
        front will find.
    """
    if source.size < _HEADER + 8 + _FOOTER:
        return None
    header, footer = source.pread(_HEADER, 0), source.pread(_FOOTER, source.size - _FOOTER)
    if len(header) != _HEADER or len(footer) != _FOOTER or not header.startswith(_MAGIC):
        return None
    checksum, backward = struct.unpack_from("<II", footer)
    index_bytes = (backward + 1) * 4
    index_offset = source.size - _FOOTER - index_bytes
    if (
        footer[10:] != _FOOTER_MAGIC
        or checksum != zlib.crc32(footer[4:10])
        or footer[8:10] != header[6:8]
        or zlib.crc32(header[6:8]) != struct.unpack_from("<I", header, 8)[0]
        or index_bytes > _MOST_INDEX_BYTES
        or index_offset < _HEADER
    ):
        return None
    try:
        blocks = _read_index(source.pread(index_bytes, index_offset))
    except (ValueError, IndexError):
        return None
    if len(blocks) < 2 or blocks[-1].offset + blocks[-1].padded != index_offset:
        return None
    largest = max(block.size for block in blocks)
    available = len(os.sched_getaffinity(0)) if processors is None else processors
    # One block more than workers is held: it waits for its turn to be written.
    workers = min(_MOST_WORKERS, available, len(blocks), MEMORY_BYTES // max(largest, 1) - 1)
    return Plan(header, tuple(blocks), workers) if workers > 1 else None


def decompress_blocks(
    source: FdSource, found: Plan, memory_limit: int, consumed: Callable[[int], None]
) -> Iterator[bytes]:
    """Yield the content of the file, at most 1 MiB at a time.

    Args:
        source: The file.
        found: Its plan.
        memory_limit: Bytes that liblzma may need for one block.
        consumed: Told the number of compressed bytes of each block that is done.

    Raises:
        WorkerError: ``CorruptImage``: a block is damaged, or not what the index says.
        LZMAError: liblzma refuses a block.
    """
    pool = ThreadPoolExecutor(found.workers, thread_name_prefix="xz")
    waiting: collections.deque[tuple[Block, Future[list[bytes]]]] = collections.deque()
    try:
        todo = iter(found.blocks)
        while True:
            while len(waiting) <= found.workers and (block := next(todo, None)) is not None:
                waiting.append((block, pool.submit(_decompress, source, found.header, block, memory_limit)))
            if not waiting:
                return
            done, future = waiting.popleft()
            yield from future.result()
            consumed(done.padded)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decompress(source: FdSource, header: bytes, block: Block, memory_limit: int) -> list[bytes]:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=memory_limit)
    content: list[bytes] = []
    size = 0
    for data in _as_stream(source, header, block):
        given = data
        while not decompressor.eof:
            out = decompressor.decompress(given, _OUT)
            given = b""
            size += len(out)
            if size > block.size:
                raise corrupt("A block of the xz data is larger than its index says.")
            if out:
                content.append(out)
            if decompressor.needs_input:
                break
    if not decompressor.eof or size != block.size:
        raise corrupt("A block of the xz data is shorter than its index says.")
    return content


def _as_stream(source: FdSource, header: bytes, block: Block) -> Iterator[bytes]:
    """Yield a block with the header before it and the index and footer behind it that make it a stream."""
    yield header
    at, end = block.offset, block.offset + block.padded
    while at < end:
        data = source.pread(min(_IN, end - at), at)
        if not data:
            raise corrupt("The xz data ends early; the file is cut off.")
        yield data
        at += len(data)
    index = b"\0" + _number(1) + _number(block.unpadded) + _number(block.size)
    index += bytes(-len(index) % 4)
    index += struct.pack("<I", zlib.crc32(index))
    backward = struct.pack("<I", len(index) // 4 - 1) + header[6:8]
    yield index + struct.pack("<I", zlib.crc32(backward)) + backward + _FOOTER_MAGIC


def _read_index(data: bytes) -> list[Block]:
    """Read the records.

    Raises:
        ValueError, IndexError: It is damaged.
    """
    if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0] or data[0] != 0:
        raise ValueError
    at = 1
    count, at = _read_number(data, at)
    blocks: list[Block] = []
    offset = _HEADER
    for _ in range(count):
        unpadded, at = _read_number(data, at)
        size, at = _read_number(data, at)
        if unpadded < 5:
            raise ValueError
        blocks.append(Block(offset, unpadded, size))
        offset += blocks[-1].padded
    if len(data) - 4 - at not in range(4):
        raise ValueError
    return blocks


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 63, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
