"""Whether a sparse image holds all that its tables speak of.

QEMU reads what lies beyond the end of a qcow2 or VMDK file as zeros (measured with qemu-img 7.2), so a copy that broke
off would become a disk with holes, and nobody would hear of it. VHDX and dynamic VHD are refused by their own readers.

A last cluster (VMDK: grain) of which only the end is missing is taken, as ``qemu-img check`` takes it: such files are
made ("the last cluster may be semi-allocated", block/qcow2-refcount.c). Only a checksum tells these from a loss.
"""

import struct
import sys
from array import array
from collections.abc import Iterable, Sequence

from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import vmdk
from gallery_operator.worker.formats.inspect import ImageInfo
from gallery_operator.worker.formats.source import ByteSource, corrupt, read_exactly

_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_ZEROS = 1
_EXTENDED_L2 = 1 << 4
_ALLOCATED_PARTS = 0xFFFF_FFFF
_MAX_DIRECTORY_BYTES = 64 * 1024 * 1024
_MAX_TABLE_ENTRIES = 512  # of a VMDK; QEMU reads no larger ones


def require_whole(source: ByteSource, info: ImageInfo) -> None:
    """Refuse an image whose tables name data beyond the end of the file.

    Args:
        source: The whole file.
        info: What ``inspect_image`` found; formats without such tables pass.

    Raises:
        WorkerError: ``CorruptImage``.
    """
    if info.format == "qcow2":
        _require_qcow2(source, info.virtual_size)
    elif info.format == "vmdk":
        _require_vmdk(source)


def _require_qcow2(source: ByteSource, virtual_size: int) -> None:
    header = read_exactly(source, 72, 0, "qcow2 header")
    (version,) = struct.unpack_from(">I", header, 4)
    (bits,) = struct.unpack_from(">I", header, 20)
    (l1_offset,) = struct.unpack_from(">Q", header, 40)
    features = struct.unpack(">Q", read_exactly(source, 8, 72, "qcow2 header"))[0] if version >= 3 else 0
    cluster, extended = 1 << bits, bool(features & _EXTENDED_L2)
    entries = cluster // (16 if extended else 8)
    clusters = -(-virtual_size // cluster)
    tables = _numbers(read_exactly(source, -(-clusters // entries) * 8, l1_offset, "L1 table"), "Q", big=True)
    for index, entry in enumerate(tables):
        if not entry & _OFFSET:
            continue
        words = _numbers(read_exactly(source, cluster, entry & _OFFSET, "L2 table"), "Q", big=True)
        inside = min(entries, clusters - index * entries)
        if extended:
            # The second word of an entry says which parts of the cluster are there at all.
            pairs = zip(words[0 : 2 * inside : 2], words[1 : 2 * inside : 2], strict=True)
            descriptors = [word for word, parts in pairs if word & _COMPRESSED or parts & _ALLOCATED_PARTS]
        else:
            descriptors = [word for word in words[:inside] if word & _COMPRESSED or not word & _ZEROS]
        _require_inside(source, (_start(word, bits) for word in descriptors))


def _start(descriptor: int, cluster_bits: int) -> int:
    """Return where in the file a cluster begins; 0: it is not there."""
    if descriptor & _COMPRESSED:
        return descriptor & ((1 << (62 - (cluster_bits - 8))) - 1)
    return descriptor & _OFFSET


def _require_vmdk(source: ByteSource) -> None:
    header = read_exactly(source, vmdk.SECTOR, 0, "VMDK header")
    if struct.unpack_from("<Q", header, 56)[0] == vmdk.GRAIN_DIRECTORY_AT_END:
        header = read_exactly(source, vmdk.SECTOR, source.size - 2 * vmdk.SECTOR, "VMDK footer")
    capacity, grain = struct.unpack_from("<QQ", header, 12)
    (entries,) = struct.unpack_from("<I", header, 44)
    (directory,) = struct.unpack_from("<Q", header, 56)
    if not 0 < entries <= _MAX_TABLE_ENTRIES:
        raise corrupt(f"The VMDK header names grain tables of {entries} entries.")
    grains = -(-capacity // grain)
    length = -(-grains // entries) * 4
    if length > _MAX_DIRECTORY_BYTES:
        raise corrupt(f"The VMDK header names a grain directory of {length} bytes.")
    tables = _numbers(read_exactly(source, length, directory * vmdk.SECTOR, "grain directory"), "I", big=False)
    for index, table in enumerate(tables):
        if not table:
            continue
        inside = min(entries, grains - index * entries)
        raw = read_exactly(source, inside * 4, table * vmdk.SECTOR, "grain table")
        # 1 stands for a grain of zeros.
        starts = (each * vmdk.SECTOR for each in _numbers(raw, "I", big=False) if each > 1)
        _require_inside(source, starts)


def _require_inside(source: ByteSource, starts: Iterable[int]) -> None:
    last = max(starts, default=0)
    if last >= source.size:
        raise _cut_off(last, source.size)


def _cut_off(start: int, size: int) -> WorkerError:
    return corrupt(
        f"The image is cut off: it has data at byte {start}, but the file has only {size} bytes. Copy it again; a "
        "checksum in the source tells at once whether a copy is whole."
    )


def _numbers(raw: bytes, code: str, *, big: bool) -> Sequence[int]:
    found = array(code)
    found.frombytes(raw)
    if big != (sys.byteorder == "big"):
        found.byteswap()
    return found
