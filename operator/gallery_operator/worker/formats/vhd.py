"""VHD: the footer we write, fixed and dynamic VHDs we read (Virtual Hard Disk Image Format 1.0)."""

import hashlib
import struct
from dataclasses import dataclass

from gallery_operator.prerequisites.container import FOOTER_BYTES, VHD_COOKIE, footer_checksum, parse_footer
from gallery_operator.worker.formats.source import ByteSource, corrupt, unsafe, unsupported

MAGIC = VHD_COOKIE

FIXED, DYNAMIC, DIFFERENCING = 2, 3, 4

SECTOR = 512
_MAX_CHS_SECTORS = 65535 * 16 * 255


def build_footer(size: int, data_digest: bytes) -> bytes:
    """Make the footer of a fixed VHD, the same for the same disk every time.

    The creator is written as ``win `` because QEMU takes the size from the size field only for creators it
    knows, and from the rounded geometry otherwise. Time stamp and unique id come from no clock: the id is
    derived from the content, so a second run gives the same file, byte for byte.

    Args:
        size: Bytes of the disk, a multiple of 1 MiB.
        data_digest: SHA-256 of the disk's bytes.

    Returns:
        512 bytes.
    """
    unique = bytearray(hashlib.sha256(b"gallery-operator vhd\0" + data_digest).digest()[:16])
    unique[6] = (unique[6] & 0x0F) | 0x80  # RFC 9562: version 8, a vendor's own derivation
    unique[8] = (unique[8] & 0x3F) | 0x80
    cylinders, heads, sectors = geometry(size)
    footer = bytearray(FOOTER_BYTES)
    struct.pack_into(">8sIIQI4sI4sQQHBBI", footer, 0, VHD_COOKIE, 2, 0x00010000, 0xFFFFFFFFFFFFFFFF, 0, b"win ",
                     0x000A0000, b"Wi2k", size, size, cylinders, heads, sectors, FIXED)  # fmt: skip
    footer[68:84] = unique
    struct.pack_into(">I", footer, 64, footer_checksum(bytes(footer)))
    return bytes(footer)


def geometry(size: int) -> tuple[int, int, int]:
    """Return cylinders, heads and sectors for a size in bytes, by the specification's appendix."""
    total = min(size // SECTOR, _MAX_CHS_SECTORS)
    if total >= 65535 * 16 * 63:
        sectors, heads = 255, 16
        rows = total // sectors
    else:
        sectors = 17
        rows = total // sectors
        heads = max(4, (rows + 1023) // 1024)
        if rows >= heads * 1024 or heads > 16:
            sectors, heads = 31, 16
            rows = total // sectors
        if rows >= heads * 1024:
            sectors, heads = 63, 16
            rows = total // sectors
    return rows // heads, heads, sectors


@dataclass(frozen=True, slots=True)
class Vhd:
    """A VHD that was recognised.

    Attributes:
        disk_type: ``FIXED`` or ``DYNAMIC``.
        size: Bytes of the disk.
        footer: The file's last 512 bytes.
    """

    disk_type: int
    size: int
    footer: bytes


def read_vhd(source: ByteSource) -> Vhd | None:
    """Recognise a VHD by its footer.

    Args:
        source: The whole file.

    Returns:
        None when the file does not end in a VHD footer.

    Raises:
        WorkerError: A differencing disk (``UnsafeImage``), an unknown type, or sizes that contradict.
    """
    if source.size < FOOTER_BYTES:
        return None
    raw = source.pread(FOOTER_BYTES, source.size - FOOTER_BYTES)
    footer = parse_footer(raw)
    if footer is None:
        return None
    if footer.disk_type == DIFFERENCING:
        raise unsafe("The VHD is a differencing disk with a parent; merge it first (Merge-VHD).")
    if footer.disk_type not in (FIXED, DYNAMIC):
        raise unsupported(f"The VHD's footer names disk type {footer.disk_type}; 2 (fixed) and 3 (dynamic) are read.")
    if footer.current_size % SECTOR:
        raise corrupt(f"The VHD's footer names {footer.current_size} bytes, which is not whole sectors.")
    if footer.disk_type == FIXED and footer.current_size != source.size - FOOTER_BYTES:
        raise corrupt(
            f"The fixed VHD's footer names {footer.current_size} bytes, but the file holds "
            f"{source.size - FOOTER_BYTES} before the footer; it is cut off or was resized wrongly."
        )
    return Vhd(footer.disk_type, footer.current_size, raw)
