"""What is known about the file a disk came in: its format and, for a VHD, its footer.

The checks VHD001-VHD015 judge this. gallery-operator writes the footer of what it uploads itself, so a
format that it converts is no finding, unless the caller asks for the file to be judged as it is.
"""

import struct
from dataclasses import dataclass
from typing import Literal

SECTOR = 512
MIB = 1024 * 1024
GIB = 1024 * MIB

FOOTER_BYTES = 512
"""Length of a VHD footer (Virtual Hard Disk Image Format Specification 1.0)."""

VHD_COOKIE = b"conectix"

Format = Literal["raw", "vhd", "vhdx", "qcow2", "vmdk", "iso", "gzip", "xz", "zstd", "bzip2"]

# (offset, magic, format); the order matters only for files made to look like two formats.
_MAGICS: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"vhdxfile", "vhdx"),
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\x28\xb5\x2f\xfd", "zstd"),
    (0, b"BZh", "bzip2"),
    (0, VHD_COOKIE, "vhd"),  # a dynamic VHD repeats its footer at the start
)

_ISO_OFFSET = 32769
_ISO_MAGIC = b"CD001"

HEAD_BYTES = _ISO_OFFSET + len(_ISO_MAGIC)
"""How many bytes of the start ``recognise`` wants to see."""


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """The file that a disk came in.

    Attributes:
        format: Format of the file after decompression.
        virtual_size: Bytes of the disk in it, without footer, before any padding.
        file_size: Length of the file in bytes (of the decompressed one); None when not known.
        footer: The last 512 bytes of a VHD (``vhd`` only).
        name: Name under which the file would be uploaded, judged only with ``as_is``.
        compression: ``gzip``, ``xz``, ``zstd``, ``bzip2`` or None.
        as_is: Judge the file as if it went to Azure unchanged, without gallery-operator's conversion.
        replication_mode: ``Full`` or ``Shallow`` (ARM ``replicationMode`` of the gallery image version).
    """

    format: Format
    virtual_size: int
    file_size: int | None = None
    footer: bytes | None = None
    name: str | None = None
    compression: str | None = None
    as_is: bool = False
    replication_mode: Literal["Full", "Shallow"] = "Full"


@dataclass(frozen=True, slots=True)
class VhdFooter:
    """The fields of a VHD footer that matter (specification 1.0, "Hard Disk Footer Format").

    Attributes:
        version: File format version, ``0x00010000``.
        data_offset: Offset of the dynamic header; all ones for a fixed disk.
        creator: Creator application, four characters.
        original_size: Bytes of the disk when it was made.
        current_size: Bytes of the disk.
        disk_type: 2 fixed, 3 dynamic, 4 differencing.
        checksum: As stored.
        computed_checksum: As it should be.
    """

    version: int
    data_offset: int
    creator: str
    original_size: int
    current_size: int
    disk_type: int
    checksum: int
    computed_checksum: int


def recognise(head: bytes, tail: bytes = b"") -> Format:
    """Name the format of a file from its ends.

    Args:
        head: The first ``HEAD_BYTES`` bytes (or all there are).
        tail: The last 512 bytes.

    Returns:
        The format; ``raw`` when nothing is recognised.
    """
    for offset, magic, name in _MAGICS:
        if head[offset : offset + len(magic)] == magic:
            return name
    # A fixed VHD shows itself only at its end; an ISO hybrid has a partition table too, so it comes last.
    if tail[-FOOTER_BYTES:][:8] == VHD_COOKIE:
        return "vhd"
    if head[_ISO_OFFSET : _ISO_OFFSET + len(_ISO_MAGIC)] == _ISO_MAGIC:
        return "iso"
    return "raw"


def footer_checksum(footer: bytes) -> int:
    """One's complement of the sum of all bytes, the checksum field itself left out."""
    return ~(sum(footer[:64]) + sum(footer[68:FOOTER_BYTES])) & 0xFFFFFFFF


def parse_footer(footer: bytes | None) -> VhdFooter | None:
    """Read a VHD footer.

    Returns:
        Its fields; None when the bytes do not start with ``conectix`` or are too short. A wrong checksum is
        no reason to return None.
    """
    if footer is None or len(footer) < FOOTER_BYTES or footer[:8] != VHD_COOKIE:
        return None
    version, data_offset = struct.unpack_from(">IQ", footer, 12)
    original_size, current_size = struct.unpack_from(">QQ", footer, 40)
    disk_type, checksum = struct.unpack_from(">II", footer, 60)
    return VhdFooter(
        version=version,
        data_offset=data_offset,
        creator=footer[28:32].decode("ascii", "replace"),
        original_size=original_size,
        current_size=current_size,
        disk_type=disk_type,
        checksum=checksum,
        computed_checksum=footer_checksum(footer),
    )
