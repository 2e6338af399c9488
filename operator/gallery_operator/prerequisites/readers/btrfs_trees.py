"""The trees of a Btrfs: superblock, chunk map, nodes, and walking keys in order.

Nothing is trusted: every address must be in a chunk, every node must say that it is where it was looked for, depth
and steps are bounded, and a damaged structure is ``UnreadableError``.
"""

from __future__ import annotations

import bisect
import itertools
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.readers.region import Region

_SUPERBLOCK: Final = 0x10000
_HEADER_BYTES: Final = 101
_ITEM: Final = struct.Struct("<QBQII")
_POINTER: Final = struct.Struct("<QBQQQ")
_KEY: Final = struct.Struct("<QBQ")
_CHUNK_TREE: Final = 3
_CHUNK_ITEM: Final = 228
_CHUNK_BYTES: Final = 48
_STRIPE_BYTES: Final = 32
# RAID0, RAID10, RAID5, RAID6: bytes alternate between stripes.
_STRIPED: Final = 0x8 | 0x40 | 0x80 | 0x100
_MAX_LEVEL: Final = 7
_MAX_CHUNKS: Final = 100_000
_MAX_READ: Final = 1 << 30
_CACHED_NODES: Final = 256
MAX_STEPS: Final = 10_000_000
"""Nodes and items that may be looked at in all: every check of a file system ends, however it is made."""

MAX_NODE_BYTES: Final = 1024 * 1024 * 1024
"""Bytes of nodes that may be read in all; those of an installed Debian are 20 MiB."""

# Flags of features that change the format in a way that is not read: RAID56 is told by its chunks; the extent tree
# v2 (0x2000), RAID stripe tree (0x4000) and whatever came later are not known.
_KNOWN_INCOMPATIBLE: Final = 0x1FFF | 0x10000


class Key(NamedTuple):
    """What items are sorted by."""

    objectid: int
    type: int
    offset: int


class TreeRoot(NamedTuple):
    """Where a tree begins: logical address and level of its root node."""

    address: int
    level: int


class _Chunk(NamedTuple):
    start: int
    length: int
    physical: int
    fault: str


class _Node(NamedTuple):
    level: int
    keys: list[Key]
    # A leaf's (offset, size) in the node, an inner node's (address, 0)
    places: list[tuple[int, int]]
    raw: bytes


class Trees:
    """All trees of a file system.

    Args:
        region: Where it is.

    Raises:
        UnreadableError: The superblock or the chunk map is damaged or not supported.
    """

    def __init__(self, region: Region) -> None:
        self._region = region
        self._steps = 0
        self._node_bytes_left = MAX_NODE_BYTES
        self._starts: list[int] = []
        self._chunks: list[_Chunk] = []
        head = region.pread(0x1000, _SUPERBLOCK)
        if len(head) < 0x1000 or head[0x40:0x48] != b"_BHRfS_M":
            raise UnreadableError("there is no Btrfs superblock")
        self._fsid = head[0x20:0x30]
        root, chunk_root = struct.unpack_from("<QQ", head, 0x50)
        (devices,) = struct.unpack_from("<Q", head, 0x88)
        self.sector_bytes, self._node_bytes = struct.unpack_from("<II", head, 0x90)
        (array_bytes,) = struct.unpack_from("<I", head, 0xA0)
        (incompatible,) = struct.unpack_from("<Q", head, 0xBC)
        root_level, chunk_level = head[0xC6], head[0xC7]
        (self._device,) = struct.unpack_from("<Q", head, 0xC9)
        if devices != 1:
            raise UnreadableError(f"Btrfs over {devices} devices is recognised, but not read")
        if incompatible & ~_KNOWN_INCOMPATIBLE:
            raise UnreadableError(f"Btrfs has features that are not known (incompat {incompatible:#x})")
        if self.sector_bytes not in (4096, 8192, 16384, 32768, 65536) or not 4096 <= self._node_bytes <= 65536:
            raise UnreadableError("the Btrfs superblock is damaged: sizes of sectors and nodes")
        # With the metadata_uuid feature, nodes carry another id than the superblock shows.
        if incompatible & 0x400:
            self._fsid = head[0x23B:0x24B]
        self.node = lru_cache(maxsize=_CACHED_NODES)(self._read_node)
        self._system_chunks(head[0x32B : 0x32B + min(array_bytes, 2048)])
        self._all_chunks(TreeRoot(chunk_root, chunk_level))
        self.root = TreeRoot(root, root_level)

    def read(self, address: int, length: int) -> bytes:
        """Bytes at a logical address; raises ``UnreadableError``."""
        if length > _MAX_READ:
            raise UnreadableError(f"a Btrfs extent of {length} bytes is not read")
        pieces: list[bytes] = []
        at, end = address, address + length
        while at < end:
            index = bisect.bisect_right(self._starts, at) - 1
            chunk = self._chunks[index] if index >= 0 else None
            if chunk is None or at >= chunk.start + chunk.length:
                raise UnreadableError(f"Btrfs address {at} is in no chunk")
            if chunk.fault:
                raise UnreadableError(chunk.fault)
            inside = at - chunk.start
            count = min(end - at, chunk.length - inside)
            piece = self._region.pread(count, chunk.physical + inside)
            if len(piece) != count:
                raise UnreadableError("the Btrfs is larger than its partition")
            pieces.append(piece)
            at += count
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def items(self, root: TreeRoot, start: Key) -> Iterator[tuple[Key, bytes]]:
        """Items of a tree from a key on, in order."""
        yield from self._walk(root.address, root.level, start, None, None)

    def _walk(
        self, address: int, level: int, start: Key, first: Key | None, end: Key | None
    ) -> Iterator[tuple[Key, bytes]]:
        """Items of a node from a key on; its keys are from ``first`` up to ``end``, as the node above it says."""
        node = self._visit(address, level, first, end)
        if level == 0:
            for index in range(bisect.bisect_left(node.keys, start), len(node.keys)):
                self._step()
                offset, size = node.places[index]
                yield node.keys[index], node.raw[offset : offset + size]
            return
        for index in range(max(0, bisect.bisect_right(node.keys, start) - 1), len(node.keys)):
            after = node.keys[index + 1] if index + 1 < len(node.keys) else end
            yield from self._walk(node.places[index][0], level - 1, start, node.keys[index], after)

    def last_before(self, root: TreeRoot, key: Key) -> Key | None:
        """The greatest key that is not greater than ``key``."""
        address, level = root
        first: Key | None = None
        end: Key | None = None
        while True:
            node = self._visit(address, level, first, end)
            index = bisect.bisect_right(node.keys, key) - 1
            if index < 0:
                return None
            if level == 0:
                return node.keys[index]
            first, end = node.keys[index], node.keys[index + 1] if index + 1 < len(node.keys) else end
            address, level = node.places[index][0], level - 1

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise UnreadableError("reading the Btrfs takes too many steps")

    def _visit(self, address: int, level: int, first: Key | None, end: Key | None) -> _Node:
        self._step()
        node: _Node = self.node(address)
        if node.level != level:
            raise UnreadableError(f"the Btrfs node at {address} has level {node.level} instead of {level}")
        # A node that is below two others, or below itself, would be gone through again and again.
        if first is not None and (not node.keys or node.keys[0] != first):
            raise UnreadableError(f"the Btrfs node at {address} does not begin where the one above says")
        if end is not None and node.keys and node.keys[-1] >= end:
            raise UnreadableError(f"the Btrfs node at {address} ends behind the one that follows")
        return node

    def _read_node(self, address: int) -> _Node:
        self._node_bytes_left -= self._node_bytes
        if self._node_bytes_left < 0:
            raise UnreadableError(f"the trees of the Btrfs have more than {MAX_NODE_BYTES >> 20} MiB")
        raw = self.read(address, self._node_bytes)
        (own,) = struct.unpack_from("<Q", raw, 0x30)
        count, level = struct.unpack_from("<IB", raw, 0x60)
        size = _ITEM.size if level == 0 else _POINTER.size
        if own != address or raw[0x20:0x30] != self._fsid or level > _MAX_LEVEL:
            raise UnreadableError(f"the Btrfs node at {address} is damaged")
        if _HEADER_BYTES + count * size > len(raw):
            raise UnreadableError(f"the Btrfs node at {address} has {count} items")
        keys: list[Key] = []
        places: list[tuple[int, int]] = []
        area = raw[_HEADER_BYTES : _HEADER_BYTES + count * size]
        if level == 0:
            for objectid, kind, key_offset, offset, length in _ITEM.iter_unpack(area):
                if _HEADER_BYTES + offset + length > len(raw):
                    raise UnreadableError(f"an item of the Btrfs node at {address} is not inside it")
                keys.append(Key(objectid, kind, key_offset))
                places.append((_HEADER_BYTES + offset, length))
        else:
            for objectid, kind, key_offset, child, _ in _POINTER.iter_unpack(area):
                keys.append(Key(objectid, kind, key_offset))
                places.append((child, 0))
        if any(one >= other for one, other in itertools.pairwise(keys)):
            raise UnreadableError(f"the keys of the Btrfs node at {address} are not in order")
        return _Node(level, keys, places, raw)

    def _system_chunks(self, array: bytes) -> None:
        at = 0
        while at + _KEY.size + _CHUNK_BYTES <= len(array):
            _, kind, start = _KEY.unpack_from(array, at)
            if kind != _CHUNK_ITEM:
                break
            body = array[at + _KEY.size :]
            (stripes,) = struct.unpack_from("<H", body, 44)
            self._add_chunk(start, body)
            at += _KEY.size + _CHUNK_BYTES + stripes * _STRIPE_BYTES
        if not self._chunks:
            raise UnreadableError("the Btrfs superblock has no chunks")

    def _all_chunks(self, root: TreeRoot) -> None:
        found = []
        for key, item in self.items(root, Key(256, _CHUNK_ITEM, 0)):
            if key.type == _CHUNK_ITEM:
                found.append((key.offset, item))
            if len(found) > _MAX_CHUNKS:
                raise UnreadableError(f"the Btrfs has more than {_MAX_CHUNKS} chunks")
        for start, item in found:
            self._add_chunk(start, item)

    def _add_chunk(self, start: int, body: bytes) -> None:
        if start in self._starts:
            return
        if len(body) < _CHUNK_BYTES + _STRIPE_BYTES:
            raise UnreadableError("a Btrfs chunk is damaged")
        length, _, _, kind = struct.unpack_from("<QQQQ", body, 0)
        (stripes,) = struct.unpack_from("<H", body, 44)
        # As the kernel demands (fs/btrfs/tree-checker.c): without it a short read would go through many chunks.
        if length < self.sector_bytes or length % self.sector_bytes or start % self.sector_bytes:
            raise UnreadableError("a Btrfs chunk is damaged")
        fault = "a striped Btrfs is recognised, but not read" if kind & _STRIPED and stripes > 1 else ""
        device, physical = struct.unpack_from("<QQ", body, _CHUNK_BYTES)
        if device != self._device:
            fault = fault or "a part of the Btrfs is on another device"
        index = bisect.bisect_left(self._starts, start)
        self._starts.insert(index, start)
        self._chunks.insert(index, _Chunk(start, length, physical, fault))
