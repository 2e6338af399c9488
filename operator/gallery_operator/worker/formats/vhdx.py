"""Headers and metadata of a VHDX (Microsoft, [MS-VHDX])."""

import struct
import uuid

from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly, unsafe, unsupported

MAGIC = b"vhdxfile"

_KIB = 1024
_MIB = 1024 * 1024
_HEADERS = (64 * _KIB, 128 * _KIB)
_REGION_TABLES = (192 * _KIB, 256 * _KIB)
_TABLE_BYTES = 64 * _KIB
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
    items, start, length = _metadata(source)
    if _PARENT_LOCATOR in items:
        raise unsafe("The VHDX is a differencing disk with a parent; merge it first (Merge-VHD).")

    def item(key: uuid.UUID, layout: str, what: str) -> int:
        if key not in items:
            raise corrupt(f"The VHDX names no {what}.")
        offset, size = items[key]
        wanted = struct.calcsize(layout)
        if size < wanted or offset + size > length:
            raise corrupt(f"The {what} of the VHDX lies outside its metadata.")
        return int(struct.unpack(layout, read_exactly(source, wanted, start + offset, what))[0])

    parameters = item(_FILE_PARAMETERS, "<Q", "file parameters")
    if (parameters >> 32) & _HAS_PARENT:
        raise unsafe("The VHDX is a differencing disk with a parent; merge it first (Merge-VHD).")
    block = parameters & 0xFFFFFFFF
    if not _MIB <= block <= 256 * _MIB or block & (block - 1):
        raise corrupt(f"The VHDX names blocks of {block} bytes.")
    sector = item(_LOGICAL_SECTOR_SIZE, "<I", "logical sector size")
    if sector != 512:
        raise unsupported(f"The VHDX has logical sectors of {sector} bytes; Azure's VHDs have 512.")
    size = item(_VIRTUAL_DISK_SIZE, "<Q", "virtual disk size")
    if size % 512:
        raise corrupt(f"The VHDX names a disk of {size} bytes, which is not whole sectors.")
    return size


def _check_headers(source: ByteSource) -> None:
    best: tuple[int, bytes] | None = None
    for offset in _HEADERS:
        header = read_exactly(source, 4096, offset, "VHDX header")
        if header[:4] != b"head":
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


def _metadata(source: ByteSource) -> tuple[dict[uuid.UUID, tuple[int, int]], int, int]:
    """Return the metadata items (offset, length by id) and the region's offset and length."""
    for table_offset in _REGION_TABLES:
        table = read_exactly(source, _TABLE_BYTES, table_offset, "VHDX region table")
        if table[:4] != b"regi":
            continue
        (count,) = struct.unpack_from("<I", table, 8)
        if count > _MAX_REGIONS:
            raise corrupt(f"The VHDX names {count} regions.")
        for index in range(count):
            raw, offset, length, _ = struct.unpack_from("<16sQII", table, 16 + 32 * index)
            if uuid.UUID(bytes_le=raw) == _METADATA_REGION:
                return _items(source, offset, length), offset, length
    raise corrupt("The VHDX has no metadata region.")


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
