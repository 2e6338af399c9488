"""Btrfs on one device: subvolumes, the default subvolume, links, modes, owners; zlib, LZO and zstd.

A reader of our own, because no library that may be distributed with this project reads Btrfs, and GRUB's reader
(a program) knows neither modes nor owners, cannot follow an absolute link inside a subvolume, and does not know the
default subvolume, which is what openSUSE and SLES boot from. GRUB is the second witness in the tests.
Structures: https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html; trees are in ``btrfs_trees``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from gallery_operator.prerequisites.readers import btrfs_extents
from gallery_operator.prerequisites.readers.base import MAX_DIRECTORY_ENTRIES, Kind, Stat, UnreadableError
from gallery_operator.prerequisites.readers.btrfs_trees import Key, TreeRoot, Trees
from gallery_operator.prerequisites.readers.region import Region

TOP_LEVEL: Final = 5
"""Id of the tree that every Btrfs has: the top-level subvolume."""

_FIRST_INODE: Final = 256
_MAX_SUBVOLUMES: Final = 4096
_MAX_LINK_BYTES: Final = 4096
_INODE_ITEM: Final = 1
_DIR_ITEM: Final = 84
_DIR_INDEX: Final = 96
_EXTENT_DATA: Final = 108
_ROOT_ITEM: Final = 132
_ROOT_BACKREF: Final = 144
_ROOT_TREE_DIR: Final = 6
_TYPE_XATTR: Final = 8


class BtrfsVolume:
    """The file system as a whole, shared by the views of its subvolumes.

    Args:
        region: Where it is.

    Raises:
        UnreadableError: It is damaged, or on more than one device.
    """

    def __init__(self, region: Region) -> None:
        self.trees = Trees(region)
        self._roots: dict[int, TreeRoot] = {}
        self._cost_left = btrfs_extents.MAX_COST
        # Decompressed extents of at most 128 KiB each (BTRFS_MAX_COMPRESSED)
        self.extent = lru_cache(maxsize=32)(self._extent)

    def tree(self, subvolume: int) -> TreeRoot:
        """The tree of a subvolume; raises ``UnreadableError``."""
        known = self._roots.get(subvolume)
        if known is None:
            for key, item in self.trees.items(self.trees.root, Key(subvolume, _ROOT_ITEM, 0)):
                if (key.objectid, key.type) != (subvolume, _ROOT_ITEM):
                    break
                if len(item) < 239:
                    raise UnreadableError(f"the root of Btrfs subvolume {subvolume} is damaged")
                (address,) = struct.unpack_from("<Q", item, 176)
                known = self._roots[subvolume] = TreeRoot(address, item[238])
            if known is None:
                raise UnreadableError(f"there is no Btrfs subvolume {subvolume}")
        return known

    def default(self) -> int:
        """Id of the subvolume that is mounted when none is named."""
        for kind, _, location in self.entries(self.trees.root, _ROOT_TREE_DIR, b"default"):
            if kind != _TYPE_XATTR and location.type == _ROOT_ITEM:
                return location.objectid
        return TOP_LEVEL

    def subvolumes(self) -> list[int]:
        """Ids of all subvolumes but the top level, in the order they were made."""
        found: list[int] = []
        for key, _ in self.trees.items(self.trees.root, Key(_FIRST_INODE, 0, 0)):
            # Ids near 2^64 are the file system's own trees.
            if key.objectid >= 1 << 48:
                break
            if key.type == _ROOT_ITEM and key.objectid not in found[-1:]:
                found.append(key.objectid)
                if len(found) > _MAX_SUBVOLUMES:
                    raise UnreadableError(f"Btrfs has more than {_MAX_SUBVOLUMES} subvolumes")
        return found

    def is_mounted_in(self, child: int, parent: int) -> bool:
        """Whether a subvolume is linked in another; in a snapshot of the other it is an empty directory instead."""
        return any(
            key == Key(child, _ROOT_BACKREF, parent)
            for key, _ in self._first(self.trees.root, Key(child, _ROOT_BACKREF, parent))
        )

    def _first(self, root: TreeRoot, start: Key) -> Iterator[tuple[Key, bytes]]:
        for each in self.trees.items(root, start):
            yield each
            return

    def entries(self, root: TreeRoot, inode: int, name: bytes | None) -> Iterator[tuple[int, bytes, Key]]:
        """Entries of a directory as (type, name, location): all, or those with one name."""
        if name is None:
            start = Key(inode, _DIR_INDEX, 0)
        else:
            start = Key(inode, _DIR_ITEM, btrfs_extents.name_hash(name))
        for key, item in self.trees.items(root, start):
            if (key.objectid, key.type) != (inode, start.type) or (name is not None and key.offset != start.offset):
                return
            at = 0
            # Names of one hash share an item.
            while at + 30 <= len(item):
                data_bytes, name_bytes, kind = struct.unpack_from("<HHB", item, at + 25)
                found = item[at + 30 : at + 30 + name_bytes]
                if name is None or found == name:
                    yield kind, found, Key(*struct.unpack_from("<QBQ", item, at))
                at += 30 + name_bytes + data_bytes

    def stat(self, root: TreeRoot, inode: int) -> Stat:
        """Metadata of an inode; raises ``UnreadableError``."""
        key = Key(inode, _INODE_ITEM, 0)
        for found, item in self._first(root, key):
            if found == key and len(item) >= 56:
                (size,) = struct.unpack_from("<Q", item, 16)
                uid, gid, mode = struct.unpack_from("<III", item, 44)
                return Stat(Kind.of_mode(mode), size, mode & 0o7777, uid, gid)
        raise UnreadableError(f"Btrfs inode {inode} is missing")

    def read(self, root: TreeRoot, inode: int, length: int, offset: int) -> bytes:
        """Bytes of a file; holes are zeros. ``offset + length`` is at most the file's size."""
        out = bytearray(length)
        end = offset + length
        for start, item in self._extents(root, inode, offset):
            if start >= end:
                break
            extent = btrfs_extents.parse(item)
            low, high = max(start, offset), min(start + extent.length, end)
            if low >= high or extent.hole:
                continue
            if extent.inline is None and not extent.compression:
                data = self.trees.read(extent.address + extent.offset + low - start, high - low)
            else:
                unpacked = self.extent(extent)
                data = unpacked[extent.offset + low - start : extent.offset + high - start]
            out[low - offset : low - offset + len(data)] = data
        return bytes(out)

    def _extents(self, root: TreeRoot, inode: int, offset: int) -> Iterator[tuple[int, bytes]]:
        """Extents of a file from the one that holds ``offset`` (or begins after it)."""
        before = self.trees.last_before(root, Key(inode, _EXTENT_DATA, offset))
        start = before if before is not None and before.objectid == inode and before.type == _EXTENT_DATA else None
        for key, item in self.trees.items(root, start or Key(inode, _EXTENT_DATA, 0)):
            if (key.objectid, key.type) != (inode, _EXTENT_DATA):
                return
            yield key.offset, item

    def _extent(self, extent: btrfs_extents.Extent) -> bytes:
        # Thousands of pieces of files may lie in one extent each, and drive each other out of the cache.
        self._cost_left -= btrfs_extents.cost(extent)
        if self._cost_left < 0:
            raise UnreadableError("the compressed extents of the Btrfs unpack to too much")
        raw = extent.inline if extent.inline is not None else self.trees.read(extent.address, extent.disk_bytes)
        return btrfs_extents.unpack(raw, extent, self.trees.sector_bytes)


class BtrfsFileSystem:
    """One subvolume as a file system.

    Args:
        volume: The whole.
        subvolume: Id of the subvolume; None takes the default one.
        directory: Inode that is the root (a directory may be mounted as well).
    """

    type = "btrfs"
    reader = "btrfs"

    def __init__(self, volume: BtrfsVolume, subvolume: int | None = None, directory: int = _FIRST_INODE) -> None:
        self.volume = volume
        self.id = volume.default() if subvolume is None else subvolume
        self._directory = directory

    @staticmethod
    def open(region: Region) -> BtrfsFileSystem:
        """Open the default subvolume; raises ``UnreadableError``."""
        return BtrfsFileSystem(BtrfsVolume(region))

    def subvolume(self, path: str) -> BtrfsFileSystem:
        """What ``subvol=PATH`` mounts: a path from the top level; raises ``UnreadableError``."""
        node: BtrfsNode | None = BtrfsFileSystem(self.volume, TOP_LEVEL).root()
        for part in path.split("/"):
            if part not in ("", "."):
                node = node.child(part) if node is not None and node.stat.kind is Kind.DIRECTORY else None
        if node is None:
            raise UnreadableError(f"Btrfs has no subvolume {path}")
        return BtrfsFileSystem(self.volume, node.subvolume, node.inode)

    def subvolume_by_id(self, subvolume: int) -> BtrfsFileSystem:
        """What ``subvolid=ID`` mounts (0 is the top level); raises ``UnreadableError``."""
        self.volume.tree(subvolume or TOP_LEVEL)
        return BtrfsFileSystem(self.volume, subvolume or TOP_LEVEL)

    def root(self) -> BtrfsNode:
        """The root directory."""
        return BtrfsNode(self.volume, self.id, self._directory)

    def close(self) -> None:
        """Let go of what was kept."""
        self.volume.extent.cache_clear()


class BtrfsNode:
    """An inode of a subvolume."""

    def __init__(self, volume: BtrfsVolume, subvolume: int, inode: int, *, empty: bool = False) -> None:
        self._volume = volume
        self.subvolume = subvolume
        self.inode = inode
        self._empty = empty
        self._stat = Stat(Kind.DIRECTORY, 0, 0o755, 0, 0) if empty else None

    @property
    def stat(self) -> Stat:
        """Kind, size, mode and owner."""
        if self._stat is None:
            self._stat = self._volume.stat(self._tree(), self.inode)
        return self._stat

    def _tree(self) -> TreeRoot:
        return self._volume.tree(self.subvolume)

    def child(self, name: str) -> BtrfsNode | None:
        """The entry of this directory with that name."""
        if self._empty or self.stat.kind is not Kind.DIRECTORY:
            return None
        wanted = name.encode("utf-8", "surrogateescape")
        for kind, _, location in self._volume.entries(self._tree(), self.inode, wanted):
            if kind == _TYPE_XATTR:
                continue
            if location.type == _ROOT_ITEM:
                linked = self._volume.is_mounted_in(location.objectid, self.subvolume)
                return BtrfsNode(self._volume, location.objectid, _FIRST_INODE, empty=not linked)
            return BtrfsNode(self._volume, self.subvolume, location.objectid)
        return None

    def names(self) -> Iterator[str]:
        """Names in this directory."""
        if self._empty:
            return
        for count, (kind, name, _) in enumerate(self._volume.entries(self._tree(), self.inode, None), start=1):
            if count > MAX_DIRECTORY_ENTRIES:
                raise UnreadableError(f"a Btrfs directory has more than {MAX_DIRECTORY_ENTRIES} entries")
            if kind != _TYPE_XATTR:
                yield name.decode("utf-8", "surrogateescape")

    def pread(self, length: int, offset: int) -> bytes:
        """Bytes of this file."""
        length = min(length, self.stat.size - offset)
        if length <= 0:
            return b""
        return self._volume.read(self._tree(), self.inode, length, offset)

    def link(self) -> str:
        """Target of this link."""
        if not 0 < self.stat.size <= _MAX_LINK_BYTES:
            raise UnreadableError(f"Btrfs inode {self.inode} is a link of {self.stat.size} bytes")
        return self.pread(self.stat.size, 0).decode("utf-8", "surrogateescape")
