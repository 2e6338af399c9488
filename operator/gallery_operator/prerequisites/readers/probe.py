"""Names what a partition holds from its superblock, and takes its UUID and label."""

import struct
import uuid
from dataclasses import dataclass, replace
from typing import Final

from gallery_operator.prerequisites.readers import xfs_log
from gallery_operator.prerequisites.readers.region import Region

READABLE: Final = frozenset({"ext4", "xfs", "vfat", "btrfs"})
"""Types that some reader can open."""

_PAGE_SIZES: Final = (4096, 8192, 16384, 65536)
_HEAD_BYTES: Final = 0x10000 + 0x1000
_EXT_RECOVER: Final = 0x0004
_EXT_JOURNAL_DEVICE: Final = 0x0008


@dataclass(frozen=True, slots=True)
class Probe:
    """What a region holds.

    Attributes:
        type: ``ext4`` (any of ext2, ext3, ext4), ``xfs``, ``vfat``, ``btrfs``, ``swap``, ``luks``, ``lvm``,
            ``mdraid``, ``ntfs``, … or None when nothing is recognised.
        uuid: As ``blkid`` prints it, lower case; FAT's as ``abcd-1234``.
        label: Without padding.
        dirty: The journal must be replayed, or the volume was not unmounted; None where that cannot be told.
        devices: Number of devices the file system is spread over (Btrfs).
    """

    type: str | None
    uuid: str | None = None
    label: str | None = None
    dirty: bool | None = False
    devices: int = 1


NOTHING: Final = Probe(None)


def probe(region: Region) -> Probe:
    """Recognise a region by its magic numbers. Reads at most 70 KiB, of an XFS some 300 KiB more (its log)."""
    head = region.pread(_HEAD_BYTES, 0)
    for recognise in (_luks, _ext, _xfs, _btrfs, _swap, _lvm, _fat, _others):
        found = recognise(head)
        if found is not None:
            return replace(found, dirty=xfs_log.is_dirty(region)) if found.type == "xfs" else found
    return _mdraid(region, head) or NOTHING


def _text(raw: bytes) -> str | None:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None


def _ext(head: bytes) -> Probe | None:
    if head[0x438:0x43A] != b"\x53\xef":
        return None
    (incompatible,) = struct.unpack_from("<I", head, 0x460)
    if incompatible & _EXT_JOURNAL_DEVICE:
        return Probe("ext-journal")
    return Probe(
        "ext4",
        str(uuid.UUID(bytes=head[0x468:0x478])),
        _text(head[0x478:0x488]),
        dirty=bool(incompatible & _EXT_RECOVER),
    )


def _xfs(head: bytes) -> Probe | None:
    if head[:4] != b"XFSB":
        return None
    return Probe("xfs", str(uuid.UUID(bytes=head[32:48])), _text(head[108:120]))


def _btrfs(head: bytes) -> Probe | None:
    if head[0x10040:0x10048] != b"_BHRfS_M":
        return None
    (devices,) = struct.unpack_from("<Q", head, 0x10088)
    (log_tree,) = struct.unpack_from("<Q", head, 0x10060)
    return Probe(
        "btrfs",
        str(uuid.UUID(bytes=head[0x10020:0x10030])),
        _text(head[0x1012B : 0x1012B + 256]),
        dirty=log_tree != 0,
        devices=min(devices, 1 << 16),
    )


def _swap(head: bytes) -> Probe | None:
    for page in _PAGE_SIZES:
        if head[page - 10 : page] in (b"SWAPSPACE2", b"SWAP-SPACE"):
            return Probe("swap", str(uuid.UUID(bytes=head[1036:1052])), _text(head[1052:1068]))
    return None


def _lvm(head: bytes) -> Probe | None:
    # The label is in one of the first four sectors.
    for sector in range(4):
        if head[sector * 512 : sector * 512 + 8] == b"LABELONE":
            return Probe("lvm", _text(head[sector * 512 + 32 : sector * 512 + 64]))
    return None


def _luks(head: bytes) -> Probe | None:
    if head[:6] != b"LUKS\xba\xbe":
        return None
    return Probe("luks", (_text(head[168:208]) or "").lower() or None)


def _fat(head: bytes) -> Probe | None:
    if head[510:512] != b"\x55\xaa":
        return None
    if head[82:87] == b"FAT32":
        serial, label, dirty = head[67:71], head[71:82], head[65]
    elif head[54:57] == b"FAT":
        serial, label, dirty = head[39:43], head[43:54], head[37]
    else:
        return None
    (number,) = struct.unpack("<I", serial)
    name = label.decode("ascii", "replace").strip()
    return Probe(
        "vfat",
        f"{number >> 16:04x}-{number & 0xFFFF:04x}",
        None if name in ("", "NO NAME") else name,
        dirty=bool(dirty & 1),
    )


# (offset, magic, type): recognised by name only.
_MAGICS: Final = (
    (3, b"NTFS    ", "ntfs"),
    (3, b"EXFAT   ", "exfat"),
    (3, b"-FVE-FS-", "bitlocker"),
    (0, b"hsqs", "squashfs"),
    (1024, b"\xe2\xe1\xf5\xe0", "erofs"),
    (1024, b"\x10\x20\xf5\xf2", "f2fs"),
    (4096 + 24, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81"), "bcachefs"),
    (4096 + 24, bytes.fromhex("c68573f666ce90a96ac06ae0b4f4e1a9"), "bcachefs"),
    (0, b"JFS1", "jfs"),
    (32768, b"JFS1", "jfs"),
    (0x10034, b"ReIsErFs", "reiserfs"),
    (0x10034, b"ReIsEr2Fs", "reiserfs"),
    (32769, b"CD001", "iso9660"),
)


def _others(head: bytes) -> Probe | None:
    for offset, magic, name in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return Probe(name)
    return None


def _mdraid(region: Region, head: bytes) -> Probe | None:
    magic = b"\xfc\x4e\x2b\xa9"
    # Versions 1.1 and 1.2 are at the start; 1.0 and 0.90 near the end (md(4)).
    at_end = ((region.size & ~0xFFF) - 8192, (region.size & ~0xFFFF) - 65536)
    if magic in (head[:4], head[4096:4100]) or any(region.pread(4, offset) == magic for offset in at_end if offset > 0):
        return Probe("mdraid")
    return None
