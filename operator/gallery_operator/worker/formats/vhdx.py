"""Headers and metadata of a VHDX (Microsoft, [MS-VHDX])."""

import struct
import uuid

from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly, unsafe, unsupported

MAGIC = b"vhdxfile"
SECTOR = 512

_KIB = 1024
_MIB = 1024 * 1024
_HEADERS = (64 * _KIB, 128 * _KIB)
_REGION_TABLES = (192 * _KIB, 256 * _KIB)
_TABLE_BYTES = 64 * _KIB
_BLOCK_TABLE_REGION = uuid.UUID("2DC27766-F623-4200-9D64-115E9BFD4A08")
_METADATA_REGION = uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E")
_FILE_PARAMETERS = uuid.UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B")
_VIRTUAL_DISK_SIZE = uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8")
_LOGICAL_SECTOR_SIZE = uuid.UUID("8141BF1D-A96F-4709-BA47-F233A8FAAB5F")
_PARENT_LOCATOR = uuid.UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C")
_HAS_PARENT = 0x2
_MAX_REGIONS = 2047
_MAX_ITEMS = 1023


def virtual_size(source: ByteSource) -> int:
    """Check a VHDX and return the disk's size.

    Returns:
        Bytes of the disk.

    Raises:
        WorkerError: ``UnsafeImage`` (parent), ``UnsupportedFormat`` (log not replayed, 4096-byte sectors) or
            ``CorruptImage``.
    """
    _check_headers(source)
    metadata = _Metadata(source)
    if _PARENT_LOCATOR in metadata.items:
        raise unsafe("The VHDX is a differencing disk with a parent; merge it first (Merge-VHD).")
    parameters = metadata.number(_FILE_PARAMETERS, "<Q", "file parameters")
    if (parameters >> 32) & _HAS_PARENT:
        raise unsafe("The VHDX is a differencing disk with a parent; merge it first (Merge-VHD).")
    block = parameters & 0xFFFFFFFF
    if not _MIB <= block <= 256 * _MIB or block & (block - 1):
        raise corrupt(f"The VHDX names blocks of {block} bytes.")
    sector = metadata.number(_LOGICAL_SECTOR_SIZE, "<I", "logical sector size")
    if sector != SECTOR:
        raise unsupported(f"The VHDX has logical sectors of {sector} bytes; Azure's VHDs have 512.")
    size = metadata.number(_VIRTUAL_DISK_SIZE, "<Q", "virtual disk size")
    if size % SECTOR:
        raise corrupt(f"The VHDX names a disk of {size} bytes, which is not whole sectors.")
    return size


def block_size(source: ByteSource) -> int:
    """Return the bytes of a payload block of a VHDX that was checked."""
    return _Metadata(source).number(_FILE_PARAMETERS, "<Q", "file parameters") & 0xFFFFFFFF


def block_table(source: ByteSource) -> tuple[int, int]:
    """Return where the block allocation table is, and how long: offset and bytes.

    Raises:
        WorkerError: ``CorruptImage``: there is none.
    """
    return _region(source, _BLOCK_TABLE_REGION, "block table")


def _check_headers(source: ByteSource) -> None:
    best: tuple[int, bytes] | None = None
    for offset in _HEADERS:
        header = read_exactly(source, 4096, offset, "VHDX header")
        if header[:4] != b"head" or not _is_sound(header):
            continue
        (sequence,) = struct.unpack_from("<Q", header, 8)
        if best is None or sequence > best[0]:
            best = (sequence, header)
    if best is None:
        raise corrupt("The VHDX has no header.")
    log_guid = best[1][48:64]
    if log_guid != bytes(16):
        raise unsupported(
            "The VHDX was not closed cleanly: its log must be replayed first. "
            "Mount it once on Windows, or convert it (Convert-VHD)."
        )


def _is_sound(structure: bytes) -> bool:
    """Whether the CRC-32C in bytes 4 to 7 of a header or region table is right."""
    stored = int.from_bytes(structure[4:8], "little")
    value = 0xFFFFFFFF
    for byte in structure[:4] + bytes(4) + structure[8:]:
        value = _CRC_32C[(value ^ byte) & 0xFF] ^ (value >> 8)
    return stored == value ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_32C = tuple(_crc_entry(byte) for byte in range(256))


class _Metadata:
    """The metadata of a VHDX.

    Attributes:
        items: Offset in the region and length of each item, by its id.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._start, self._length = _region(source, _METADATA_REGION, "metadata")
        self.items = _items(source, self._start, self._length)

    def number(self, key: uuid.UUID, layout: str, what: str) -> int:
        """Return an item that is a number."""
        if key not in self.items:
            raise corrupt(f"The VHDX names no {what}.")
        offset, size = self.items[key]
        wanted = struct.calcsize(layout)
        if size < wanted or offset + size > self._length:
            raise corrupt(f"The {what} of the VHDX lies outside its metadata.")
        return int(struct.unpack(layout, read_exactly(self._source, wanted, self._start + offset, what))[0])


def _region(source: ByteSource, wanted: uuid.UUID, what: str) -> tuple[int, int]:
    """Return a region's offset and length, by the first region table that is sound."""
    for table_offset in _REGION_TABLES:
        table = read_exactly(source, _TABLE_BYTES, table_offset, "VHDX region table")
        if table[:4] != b"regi" or not _is_sound(table):
            continue
        (count,) = struct.unpack_from("<I", table, 8)
        if count > _MAX_REGIONS:
            raise corrupt(f"The VHDX names {count} regions.")
        for index in range(count):
            raw, offset, length, _ = struct.unpack_from("<16sQII", table, 16 + 32 * index)
            if uuid.UUID(bytes_le=raw) == wanted:
                return offset, length
    raise corrupt(f"The VHDX has no {what}.")


def _items(source: ByteSource, start: int, length: int) -> dict[uuid.UUID, tuple[int, int]]:
    table = read_exactly(source, _TABLE_BYTES, start, "VHDX metadata table")
    if table[:8] != b"metadata" or length < _TABLE_BYTES:
        raise corrupt("The VHDX metadata table is damaged.")
    (count,) = struct.unpack_from("<H", table, 10)
    if count > _MAX_ITEMS:
        raise corrupt(f"The VHDX names {count} metadata items.")
    items: dict[uuid.UUID, tuple[int, int]] = {}
    for index in range(count):
        raw, offset, size = struct.unpack_from("<16sII", table, 32 + 32 * index)
        items[uuid.UUID(bytes_le=raw)] = (offset, size)
    return items
