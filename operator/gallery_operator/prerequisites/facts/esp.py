"""The EFI system partition and the boot loader at the path that firmware falls back to."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.model import Architecture
from gallery_operator.prerequisites.readers.base import FileSystem, NotFoundError, UnreadableError
from gallery_operator.prerequisites.readers.layout import Layout, Volume
from gallery_operator.prerequisites.readers.partitions import PartitionTable
from gallery_operator.prerequisites.tree import Tree

LOADERS: Final[dict[Architecture, str]] = {
    "x64": "/EFI/BOOT/BOOTX64.EFI",
    "Arm64": "/EFI/BOOT/BOOTAA64.EFI",
}
_MACHINES: Final[dict[int, str]] = {0x8664: "x64", 0xAA64: "Arm64", 0x014C: "x86"}
_PE32_PLUS: Final = 0x20B
_CERTIFICATE_TABLE: Final = 4


@dataclass(frozen=True, slots=True)
class Esp:
    """The EFI system partition.

    Attributes:
        volume: Where it is.
        tree: Its files; letter case does not matter.
    """

    volume: Volume
    tree: Tree

    def loader(self, architecture: Architecture) -> str | None:
        """Path of the fallback boot loader, or None."""
        path = LOADERS[architecture]
        return path if self.tree.is_file(path) else None


@dataclass(frozen=True, slots=True)
class PortableExecutable:
    """Header of an EFI program (PE/COFF).

    Attributes:
        machine: ``x64``, ``Arm64``, ``x86`` or the number.
        is_64: Optional header is PE32+.
        signed: It has a certificate table (Authenticode).
    """

    machine: str
    is_64: bool
    signed: bool


def read_esp(table: PartitionTable, layout: Layout, open_volume: Callable[[Volume], FileSystem]) -> Esp:
    """Open the EFI system partition.

    Raises:
        NotFoundError: The table has none.
        UnreadableError: It is no FAT, or damaged.
    """
    partition = table.esp()
    volume = next((each for each in layout.volumes if each.partition is partition and partition), None)
    if partition is None or volume is None:
        raise NotFoundError("there is no EFI system partition")
    if volume.probe.type != "vfat":
        raise UnreadableError(
            f"the EFI system partition ({volume.name}) holds {volume.probe.type or 'no file system'}, not FAT"
        )
    return Esp(volume, Tree(open_volume(volume)))


def read_pe(tree: Tree, path: str) -> PortableExecutable | None:
    """Header of an EFI program; None when it is none."""
    head = tree.pread(path, 4096)
    if head[:2] != b"MZ" or len(head) < 64:
        return None
    (offset,) = struct.unpack_from("<I", head, 60)
    if head[offset : offset + 4] != b"PE\0\0" or offset + 24 + 168 > len(head):
        return None
    machine, _, _, _, _, _, _ = struct.unpack_from("<HHIIIHH", head, offset + 4)
    (magic,) = struct.unpack_from("<H", head, offset + 24)
    # Data directories start at 112 of a PE32+ optional header, at 96 of a PE32 one; 8 bytes each.
    directories = offset + 24 + (112 if magic == _PE32_PLUS else 96)
    _, certificates = struct.unpack_from("<II", head, directories + 8 * _CERTIFICATE_TABLE)
    return PortableExecutable(_MACHINES.get(machine, f"machine {machine:#06x}"), magic == _PE32_PLUS, certificates > 0)
