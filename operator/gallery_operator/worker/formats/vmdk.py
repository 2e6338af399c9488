"""Header and descriptor of a self-contained VMDK (VMware Virtual Disk Format 5.0)."""

import re
import struct

from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly, unsafe, unsupported

MAGIC = b"KDMV"

SECTOR = 512
_MAX_DESCRIPTOR_BYTES = 64 * 1024
_GRAIN_DIRECTORY_AT_END = 0xFFFFFFFFFFFFFFFF
_SELF_CONTAINED = ("monolithicsparse", "streamoptimized")
_NO_PARENT = "ffffffff"
_EXTENT = re.compile(r'^(RW|RDONLY|NOACCESS)\s+(\d+)\s+(\w+)(?:\s+"([^"]*)")?', re.IGNORECASE)


def virtual_size(source: ByteSource) -> int:
    """Check a VMDK's header, footer and descriptor, and return the disk's size.

    Returns:
        Bytes of the disk.

    Raises:
        WorkerError: ``UnsafeImage`` (parent, other extents), ``UnsupportedFormat`` or ``CorruptImage``.
    """
    header = read_exactly(source, SECTOR, 0, "VMDK header")
    capacity, descriptor_offset, descriptor_sectors, directory = _fields(header)
    if directory == _GRAIN_DIRECTORY_AT_END:
        footer = filled_header(source)
        if footer[:4] != MAGIC:
            raise corrupt("The stream-optimised VMDK has no footer; it is probably cut off.")
        again, other_offset, other_sectors, directory = _fields(footer)
        if again != capacity or directory == _GRAIN_DIRECTORY_AT_END or other_offset not in (0, descriptor_offset):
            raise corrupt("Header and footer of the VMDK contradict each other.")
        if other_sectors not in (0, descriptor_sectors):
            raise corrupt("Header and footer of the VMDK contradict each other.")
    if capacity == 0:
        # QEMU would take the descriptor for the disk and open whatever files it lists.
        raise unsafe("The VMDK has no disk of its own (capacity 0); export it as one monolithic sparse file.")
    if not descriptor_offset or not 0 < descriptor_sectors * SECTOR <= _MAX_DESCRIPTOR_BYTES:
        raise unsupported(
            "The VMDK has no embedded descriptor of a sane size; export it as one monolithic sparse file."
        )
    text = read_exactly(source, descriptor_sectors * SECTOR, descriptor_offset * SECTOR, "VMDK descriptor")
    _check_descriptor(text.split(b"\0", 1)[0].decode("utf-8", "replace"), capacity)
    return capacity * SECTOR


def filled_header(source: ByteSource) -> bytes:
    """Return the header that says where the grain directory is.

    Raises:
        WorkerError: ``CorruptImage``: the file is cut off.
    """
    header = read_exactly(source, SECTOR, 0, "VMDK header")
    if struct.unpack_from("<Q", header, 56)[0] != _GRAIN_DIRECTORY_AT_END:
        return header
    # A stream: the header is repeated, filled in, before the end-of-stream marker.
    return read_exactly(source, SECTOR, source.size - 2 * SECTOR, "VMDK footer")


def _fields(header: bytes) -> tuple[int, int, int, int]:
    version, _flags, capacity, grain, descriptor_offset, descriptor_sectors = struct.unpack_from("<IIQQQQ", header, 4)
    (directory,) = struct.unpack_from("<Q", header, 56)
    if version not in (1, 2, 3):
        raise unsupported(f"This is VMDK version {version}; versions 1 to 3 are read.")
    if not 1 <= grain <= 128 * 1024 or grain & (grain - 1):
        raise corrupt(f"The VMDK header names grains of {grain} sectors.")
    if capacity > 1 << 44:
        raise corrupt(f"The VMDK header names a disk of {capacity} sectors.")
    return capacity, descriptor_offset, descriptor_sectors, directory


def _check_descriptor(text: str, capacity: int) -> None:
    values: dict[str, str] = {}
    extents: list[re.Match[str]] = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        extent = _EXTENT.match(line)
        if extent:
            extents.append(extent)
        elif "=" in line:
            key, _, value = line.partition("=")
            values[key.strip().lower()] = value.strip().strip('"')
    kind = values.get("createtype", "").lower()
    if kind not in _SELF_CONTAINED:
        raise unsafe(
            f"The VMDK is of type {kind[:40]!r}, which keeps its data in other files; "
            "export it as monolithicSparse or streamOptimized."
        )
    if values.get("parentcid", _NO_PARENT).lower() != _NO_PARENT or "parentfilenamehint" in values:
        raise unsafe("The VMDK is a snapshot with a parent disk; consolidate it first.")
    if len(extents) != 1:
        raise unsafe(f"The VMDK's descriptor lists {len(extents)} extents; only its own one is allowed.")
    _, sectors, extent_kind, name = extents[0].groups()
    if extent_kind.upper() != "SPARSE" or "/" in (name or "") or (name or "").startswith("json:"):
        raise unsafe("The VMDK's extent is not the file itself; export it as one monolithic sparse file.")
    if int(sectors) != capacity:
        raise corrupt(f"The VMDK's descriptor names {sectors} sectors, its header {capacity}.")
