"""Extents of Btrfs files: their description, decompression in bounded memory, and the hash of names."""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from gallery_operator.prerequisites.readers import lzo
from gallery_operator.prerequisites.readers.base import UnreadableError

_NONE, _ZLIB, _LZO, _ZSTD = range(4)
_INLINE, _PREALLOCATED = 0, 2
_MAX_UNPACKED: Final = 1024 * 1024
"""Btrfs itself never compresses more than 128 KiB into one extent."""

_MAX_ADDRESS: Final = 1 << 62

# What decompression may cost in all, in bytes of zstd (some 500 MB/s). Our LZO decoder is plain Python (some 5 MB/s).
MAX_COST: Final = 4 * 1024 * 1024 * 1024
_COST: Final = {_ZLIB: 2, _LZO: 64, _ZSTD: 1}


class Extent(NamedTuple):
    """Where a piece of a file is.

    Attributes:
        length: Bytes of the file that it holds.
        address: Logical address; 0 for a hole.
        disk_bytes: Bytes on the disk, compressed.
        offset: Where the piece begins in the (unpacked) extent.
        unpacked: Bytes of the extent when unpacked.
        compression: 0 none, 1 zlib, 2 LZO, 3 zstd.
        hole: Whether it reads as zeros.
        inline: The bytes themselves, where they are in the tree.
    """

    length: int
    address: int
    disk_bytes: int
    offset: int
    unpacked: int
    compression: int
    hole: bool
    inline: bytes | None


def parse(item: bytes) -> Extent:
    """Read a file extent item; raises ``UnreadableError``."""
    if len(item) < 21:
        raise UnreadableError("a Btrfs extent is damaged")
    unpacked, compression, encryption, encoding, kind = struct.unpack_from("<QBBHB", item, 8)
    if compression > _ZSTD or encryption or encoding:
        raise UnreadableError(f"Btrfs compression {compression} (encryption {encryption}) is not known")
    if compression and unpacked > _MAX_UNPACKED:
        raise UnreadableError(f"a compressed Btrfs extent says it unpacks to {unpacked} bytes")
    if kind == _INLINE:
        data = item[21:]
        length = unpacked if compression else min(unpacked, len(data))
        return Extent(length, 0, len(data), 0, unpacked, compression, hole=False, inline=data)
    if len(item) < 53:
        raise UnreadableError("a Btrfs extent is damaged")
    address, disk_bytes, offset, length = struct.unpack_from("<QQQQ", item, 21)
    if max(address, disk_bytes, offset, length) > _MAX_ADDRESS:
        raise UnreadableError("a Btrfs extent is damaged")
    if compression and disk_bytes > _MAX_UNPACKED:
        raise UnreadableError(f"a compressed Btrfs extent has {disk_bytes} bytes")
    hole = address == 0 or kind == _PREALLOCATED
    return Extent(length, address, disk_bytes, offset, unpacked, compression, hole, None)


def cost(extent: Extent) -> int:
    """What unpacking an extent costs, in the unit of ``MAX_COST``."""
    return max(extent.unpacked, extent.disk_bytes) * _COST.get(extent.compression, 0)


def unpack(raw: bytes, extent: Extent, sector_bytes: int) -> bytes:
    """Decompress an extent to at most ``extent.unpacked`` bytes; raises ``UnreadableError``."""
    size = extent.unpacked
    try:
        if extent.compression == _ZLIB:
            return zlib.decompressobj().decompress(raw, size) if size else b""
        if extent.compression == _ZSTD:
            return _unpack_zstd(raw, size)
        if extent.compression == _LZO:
            return _unpack_lzo(raw, size, sector_bytes)
    except (zlib.error, lzo.LzoError, MemoryError) as error:
        raise UnreadableError(f"a compressed Btrfs extent is damaged: {error}") from error
    return raw[:size]


def _unpack_zstd(raw: bytes, size: int) -> bytes:
    # Late: the operator loads the catalogue, and with it this module, but never reads a disk.
    import zstandard

    try:
        # A frame may be followed by padding, and need not say how long it is.
        with zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(raw) as reader:
            return reader.read(size)
    except zstandard.ZstdError as error:
        raise UnreadableError(f"a compressed Btrfs extent is damaged: {error}") from error


def _unpack_lzo(raw: bytes, size: int, sector_bytes: int) -> bytes:
    """Segments of one sector each; a segment's length is never split over two sectors (fs/btrfs/lzo.c)."""
    if len(raw) < 4:
        raise lzo.LzoError("too short")
    total = min(struct.unpack_from("<I", raw)[0], len(raw))
    at, out = 4, bytearray()
    while at + 4 <= total and len(out) < size:
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        out += lzo.decompress(raw[at : at + length], min(sector_bytes, size - len(out)))
        at += length
        left = sector_bytes - at % sector_bytes
        if left < 4:
            at += left
    return bytes(out)


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return tuple(table)


_TABLE: Final = _crc_table()


def name_hash(name: bytes) -> int:
    """Hash of a name in a directory: CRC-32C that begins with ~1 (fs/btrfs/dir-item.c)."""
    value = 0xFFFFFFFE
    for each in name:
        value = _TABLE[(value ^ each) & 0xFF] ^ (value >> 8)
    return value
