"""Header of qcow2 (QEMU, docs/interop/qcow2.txt)."""

import struct

from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly, unsafe, unsupported

MAGIC = b"QFI\xfb"

_DIRTY, _CORRUPT, _EXTERNAL_DATA, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_KNOWN_FEATURES = _DIRTY | _CORRUPT | _EXTERNAL_DATA | _COMPRESSION | _EXTENDED_L2

_EXT_END = 0x00000000
_EXT_DATA_FILE = 0x44415441
_EXT_ENCRYPTION = 0x0537BE77

_MAX_EXTENSIONS = 64
_MAX_L1_BYTES = 32 * 1024 * 1024
_MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024
_MAX_SNAPSHOTS = 65536


def virtual_size(source: ByteSource) -> int:
    """Check a qcow2 header and return the disk's size.

    Args:
        source: The file; the first cluster is enough.

    Returns:
        Bytes of the disk.

    Raises:
        WorkerError: ``UnsafeImage`` (backing file, external data file, encryption), ``UnsupportedFormat``
            (version, unknown features) or ``CorruptImage``.
    """
    header = read_exactly(source, 72, 0, "qcow2 header")
    (_, version, backing_offset, backing_length, cluster_bits, size, encryption, l1_entries, l1_offset,
     refcount_offset, refcount_clusters, snapshots, _) = struct.unpack(">4sIQIIQIIQQIIQ", header)  # fmt: skip
    if version not in (2, 3):
        raise unsupported(f"This is qcow version {version}; versions 2 and 3 are read.")
    if backing_offset or backing_length:
        raise unsafe(
            "The qcow2 image has a backing file, so it is only a part of a disk. "
            "Flatten it first: qemu-img convert -O qcow2 IMAGE FLAT."
        )
    if encryption:
        raise unsafe("The qcow2 image is encrypted; convert it to an unencrypted image first.")
    if not 9 <= cluster_bits <= 21:
        raise corrupt(f"The qcow2 header names clusters of 2^{cluster_bits} bytes; 2^9 to 2^21 exist.")
    header_length = 72
    if version == 3:
        more = read_exactly(source, 32, 72, "qcow2 header")
        incompatible, _, _, _, header_length = struct.unpack(">QQQII", more)
        _check_features(incompatible)
        if not 104 <= header_length <= (1 << cluster_bits):
            raise corrupt(f"The qcow2 header claims a length of {header_length} bytes.")
    _check_extensions(source, header_length, 1 << cluster_bits)
    if l1_entries * 8 > _MAX_L1_BYTES or (refcount_clusters << cluster_bits) > _MAX_REFCOUNT_TABLE_BYTES:
        raise corrupt("The qcow2 header names tables larger than QEMU itself reads.")
    if snapshots > _MAX_SNAPSHOTS:
        raise corrupt(f"The qcow2 header names {snapshots} snapshots.")
    cluster = 1 << cluster_bits
    if l1_offset % cluster or refcount_offset % cluster:
        raise corrupt("A table of the qcow2 image does not start at a cluster.")
    # An L2 table is one cluster of 8-byte entries (16 with extended L2): the L1 table must span the disk.
    if size and l1_entries * (cluster // 8) * cluster < size:
        raise corrupt(f"The L1 table of the qcow2 image is too short for a disk of {size} bytes.")
    return int(size)


def _check_features(incompatible: int) -> None:
    if incompatible & _EXTERNAL_DATA:
        raise unsafe(
            "The qcow2 image keeps its data in another file (data-file). "
            "Make it whole first: qemu-img convert -O qcow2 IMAGE WHOLE."
        )
    if incompatible & _CORRUPT:
        raise corrupt("The qcow2 image is marked as corrupt; repair it first: qemu-img check -r all IMAGE.")
    if incompatible & ~_KNOWN_FEATURES:
        raise unsupported(f"The qcow2 image uses features that are not known here (0x{incompatible:x}).")


def _check_extensions(source: ByteSource, start: int, end: int) -> None:
    # Version 2 may have extensions too. A file smaller than a cluster simply ends sooner.
    offset = start
    for _ in range(_MAX_EXTENSIONS):
        head = source.pread(8, offset)
        if len(head) < 8 or offset + 8 > end:
            return
        kind, length = struct.unpack(">II", head)
        if kind == _EXT_END:
            return
        if kind == _EXT_DATA_FILE:
            raise unsafe("The qcow2 image names an external data file; make it whole first: qemu-img convert -O qcow2.")
        if kind == _EXT_ENCRYPTION:
            raise unsafe("The qcow2 image is encrypted (LUKS); convert it to an unencrypted image first.")
        offset += 8 + (length + 7) // 8 * 8
        if offset > end:
            raise corrupt("A header extension of the qcow2 image reaches beyond its first cluster.")
    raise corrupt(f"The qcow2 image has more than {_MAX_EXTENSIONS} header extensions.")
