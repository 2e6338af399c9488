"""A Btrfs put together byte by byte, so that any part of it can lie: one chunk, logical addresses are physical ones.

Structures: https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html. The tests in tests/integration read what
mkfs.btrfs and the kernel write; this one is for what they never would.
"""

import struct
from collections.abc import Iterable

from tests.unit.prerequisites.machine import MemoryDisk

from gallery_operator.prerequisites.readers.btrfs import BtrfsFileSystem
from gallery_operator.prerequisites.readers.btrfs_extents import name_hash
from gallery_operator.prerequisites.readers.region import Region

SIZE = 64 << 20
NODE = 16384
FSID = bytes(range(16))
INODE, DIR_ITEM, DIR_INDEX, EXTENT, ROOT, CHUNK = 1, 84, 96, 108, 132, 228
ROOT_INODE, FILE = 256, 257

Key = tuple[int, int, int]
Item = tuple[Key, bytes]


def chunk(length: int = SIZE, kind: int = 2) -> bytes:
    return struct.pack("<QQQQIIIHH", length, 2, 65536, kind, 4096, 4096, 4096, 1, 0) + struct.pack("<QQ16x", 1, 0)


def inode(mode: int, size: int = 0) -> bytes:
    raw = bytearray(160)
    struct.pack_into("<Q", raw, 16, size)
    struct.pack_into("<I", raw, 52, mode)
    return bytes(raw)


def entry(name: bytes, number: int) -> bytes:
    return struct.pack("<QBQQHHB", number, INODE, 0, 1, 0, len(name), 1) + name


def extent(unpacked: int, compression: int, inline: bytes | None = None, place: tuple[int, int] = (0, 0)) -> bytes:
    """An extent item; ``place`` is address and bytes on the disk."""
    head = struct.pack("<QQBBHB", 1, unpacked, compression, 0, 0, 0 if inline is not None else 1)
    return head + (inline if inline is not None else struct.pack("<QQQQ", *place, 0, unpacked))


class Btrfs:
    """The file system: write nodes, then open it. Trees that a test does not write are small and right."""

    def __init__(self) -> None:
        self.disk = MemoryDisk(SIZE)
        self._next = 1 << 20
        self.system_chunk = chunk()

    def place(self) -> int:
        """Where the next node goes."""
        self._next += NODE
        return self._next - NODE

    def write(self, address: int, level: int, body: bytes, count: int) -> int:
        head = bytes(32) + FSID + struct.pack("<QQ16xQQIB", address, 1, 1, 5, count, level)
        self.disk.write(address, (head + body).ljust(NODE, b"\0")[:NODE])
        return address

    def leaf(self, items: Iterable[Item], address: int | None = None, *, count: int | None = None) -> int:
        table, data, end = b"", b"", NODE - 101
        listed = list(items)
        for key, body in listed:
            end -= len(body)
            table += struct.pack("<QBQII", *key, end, len(body))
            data = body + data
        gap = NODE - 101 - len(table) - len(data)
        assert gap >= 0
        count = len(listed) if count is None else count
        return self.write(self.place() if address is None else address, 0, table + bytes(gap) + data, count)

    def inner(self, level: int, children: Iterable[tuple[Key, int]], address: int | None = None) -> int:
        table = [struct.pack("<QBQQQ", *key, child, 1) for key, child in children]
        return self.write(self.place() if address is None else address, level, b"".join(table), len(table))

    def extent(self, data: bytes) -> tuple[int, int]:
        """Write data of a file."""
        address = (self._next + 4095) & ~4095
        self._next = address + ((len(data) + NODE - 1) // NODE + 1) * NODE
        self.disk.write(address, data)
        return address, len(data)

    def files(self, *items: Item, size: int = 0) -> list[Item]:
        """The root directory with one file, ``f``, and what is given."""
        own: list[Item] = [
            ((ROOT_INODE, INODE, 0), inode(0o40755)),
            ((ROOT_INODE, DIR_ITEM, name_hash(b"f")), entry(b"f", FILE)),
            ((ROOT_INODE, DIR_INDEX, 2), entry(b"f", FILE)),
            ((FILE, INODE, 0), inode(0o100644, size)),
        ]
        return sorted([*own, *items])

    def open(self, tree: int, level: int = 0) -> BtrfsFileSystem:
        """Write root tree, chunk tree and superblock; ``tree`` is the root node of the files."""
        root = bytearray(439)
        struct.pack_into("<Q", root, 176, tree)
        root[238] = level
        roots = self.leaf([((5, ROOT, 0), bytes(root))])
        chunks = self.leaf([((256, CHUNK, 0), chunk())])
        head = bytearray(4096)
        head[0x20:0x30] = FSID
        head[0x40:0x48] = b"_BHRfS_M"
        struct.pack_into("<QQ", head, 0x50, roots, chunks)
        struct.pack_into("<Q", head, 0x88, 1)
        struct.pack_into("<II", head, 0x90, 4096, NODE)
        array = struct.pack("<QBQ", 256, CHUNK, 0) + self.system_chunk
        struct.pack_into("<I", head, 0xA0, len(array))
        struct.pack_into("<Q", head, 0xC9, 1)
        head[0x32B : 0x32B + len(array)] = array
        self.disk.write(0x10000, bytes(head))
        return BtrfsFileSystem.open(Region.of_disk(self.disk))
