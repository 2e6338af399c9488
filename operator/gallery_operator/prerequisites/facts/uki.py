"""Unified kernel images: kernel, initramfs and command line in one EFI program (UAPI.5)."""

import struct
from typing import Final

from gallery_operator.prerequisites.tree import Tree

FOLDERS: Final = ("/boot/efi/EFI/Linux", "/efi/EFI/Linux", "/boot/EFI/Linux")

_MAX_SECTIONS: Final = 96
_MAX_TEXT: Final = 64 * 1024


def sections(tree: Tree, path: str) -> dict[str, tuple[int, int]]:
    """(offset, length) in bytes by section name; empty when it is no EFI program."""
    head = tree.pread(path, 8192)
    if head[:2] != b"MZ" or len(head) < 64:
        return {}
    (offset,) = struct.unpack_from("<I", head, 60)
    if head[offset : offset + 4] != b"PE\0\0" or offset + 24 > len(head):
        return {}
    count, optional = struct.unpack_from("<2xH12xH", head, offset + 4)
    table = offset + 24 + optional
    found: dict[str, tuple[int, int]] = {}
    for index in range(min(count, _MAX_SECTIONS)):
        entry = head[table + 40 * index : table + 40 * index + 40]
        if len(entry) < 40:
            break
        # Name, VirtualSize, VirtualAddress, SizeOfRawData, PointerToRawData
        name, size, _, raw_size, pointer = struct.unpack_from("<8sIIII", entry)
        found.setdefault(name.rstrip(b"\0").decode("ascii", "replace"), (pointer, min(size, raw_size)))
    return found


def text(tree: Tree, path: str, place: tuple[int, int] | None) -> str:
    """A section as text, in one line."""
    if place is None:
        return ""
    raw = tree.pread(path, min(place[1], _MAX_TEXT), place[0])
    return " ".join(raw.split(b"\0", 1)[0].decode("utf-8", "replace").split())
