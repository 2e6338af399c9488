"""A Btrfs that lies: about sizes of compressed extents, about its trees, about its chunks."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import zstandard
from tests.unit.prerequisites.btrfs_by_hand import (
    EXTENT,
    FILE,
    INODE,
    NODE,
    ROOT_INODE,
    Btrfs,
    Item,
    chunk,
    extent,
    inode,
)

from gallery_operator.prerequisites.readers import btrfs_extents, btrfs_trees
from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.readers.btrfs import BtrfsFileSystem
from gallery_operator.prerequisites.tree import Tree

KIB = 1024
BOMB = 256 << 20


@contextmanager
def at_most(mebibytes: float) -> Iterator[None]:
    """Python's own memory; what zstd allocates itself is bounded by its window (see below)."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * (1 << 20)
    finally:
        tracemalloc.stop()


def of_file(btrfs: Btrfs, size: int, *extents: tuple[int, bytes]) -> Tree:
    items: list[Item] = [((FILE, EXTENT, offset), body) for offset, body in extents]
    return Tree(btrfs.open(btrfs.leaf(btrfs.files(*items, size=size))))


def lzo_zeros(sector: int = 4096) -> bytes:
    """A sector of zeros: four literals, a match of all but them at distance one, the end mark."""
    match = sector - 4
    length, extra = match - 33, b""
    while length > 255:
        extra, length = extra + b"\0", length - 255
    return bytes([17 + 4]) + bytes(4) + bytes([32]) + extra + bytes([length]) + b"\0\0" + b"\x11\0\0"


def lzo(sectors: int) -> bytes:
    block = lzo_zeros()
    out = bytearray(4)
    for _ in range(sectors):
        out += struct.pack("<I", len(block)) + block
        if 4096 - len(out) % 4096 < 4:
            out += bytes(4096 - len(out) % 4096)
    struct.pack_into("<I", out, 0, len(out))
    return bytes(out)


PACKERS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "zlib": (1, lambda size: zlib.compress(bytes(size))),
    "lzo": (2, lambda size: lzo(-(-size // 4096))),
    "zstd": (3, lambda size: zstandard.compress(bytes(size))),
}


def test_the_file_system_made_by_hand_is_one() -> None:
    btrfs = Btrfs()
    tree = of_file(btrfs, 5, (0, extent(5, 0, b"hello")))
    assert tree.names("/") == ["f"]
    assert tree.text("/f") == "hello"


@pytest.mark.parametrize("method", PACKERS)
@pytest.mark.parametrize("inline", [False, True])
def test_an_extent_that_tells_the_truth(method: str, inline: bool) -> None:
    number, pack = PACKERS[method]
    size = 4096 if inline else 128 * KIB
    btrfs, data = Btrfs(), pack(size)
    item = extent(size, number, data) if inline else extent(size, number, place=btrfs.extent(data))
    assert of_file(btrfs, size, (0, item)).read("/f") == bytes(size)


@pytest.mark.parametrize("method", PACKERS)
@pytest.mark.parametrize("inline", [False, True])
def test_an_extent_that_unpacks_to_more_than_it_says(method: str, inline: bool) -> None:
    number, pack = PACKERS[method]
    data = pack((8 << 20) if inline or method == "lzo" else BOMB)
    said = 4096 if inline else 128 * KIB
    data = data[: 12 * KIB] if inline else data[: 1 << 20]
    btrfs = Btrfs()
    item = extent(said, number, data) if inline else extent(said, number, place=btrfs.extent(data))
    tree = of_file(btrfs, said, (0, item))
    with at_most(4):
        assert tree.read("/f") == bytes(said)


@pytest.mark.parametrize("method", PACKERS)
def test_an_extent_that_unpacks_to_less_than_it_says(method: str) -> None:
    """As after damage: what is missing reads as zeros, as in the kernel's own reader of inline extents."""
    number, pack = PACKERS[method]
    btrfs = Btrfs()
    tree = of_file(btrfs, 64 * KIB, (0, extent(64 * KIB, number, place=btrfs.extent(pack(4096)))))
    assert tree.read("/f") == bytes(64 * KIB)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (extent(64 << 20, 3, b"x"), "unpacks to 67108864 bytes"),
        (extent(64 << 20, 3, place=(1 << 22, 4096)), "unpacks to 67108864 bytes"),
        (extent(4096, 1, place=(1 << 22, 32 << 20)), "has 33554432 bytes"),
        (extent(4096, 9, b"x"), "compression 9"),
        (extent(4096, 1, b"no zlib"), "damaged"),
        (extent(4096, 2, b"\xff\xff\xff\xff\xff\xff\xff\xff"), "damaged"),
        (extent(4096, 3, b"no zstd"), "damaged"),
        (extent(4096, 0, place=(1 << 61, 4096)), "in no chunk"),
        (extent(4096, 0, place=(1 << 63, 4096)), "damaged"),
        (b"short", "damaged"),
    ],
)
def test_an_extent_that_cannot_be(item: bytes, says: str) -> None:
    with at_most(4), pytest.raises(UnreadableError, match=says):
        of_file(Btrfs(), 4096, (0, item)).read("/f")


def test_a_zstd_frame_may_not_ask_for_a_large_window() -> None:
    packer = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    )
    frame = packer.compressobj()
    data = frame.compress(bytes(1 << 20)) + frame.flush()
    btrfs = Btrfs()
    with pytest.raises(UnreadableError, match="damaged"):
        of_file(btrfs, 4096, (0, extent(4096, 3, place=btrfs.extent(data)))).read("/f")


def test_pieces_of_many_extents_cost_what_they_unpack_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte of each of many extents: every one is unpacked for it, and none is kept until it is needed again."""
    monkeypatch.setattr(btrfs_extents, "MAX_COST", 8 << 20)
    btrfs = Btrfs()
    data = zlib.compress(bytes(128 * KIB))
    places = [btrfs.extent(data) for _ in range(40)]
    items = [(offset, extent(128 * KIB, 1, place=place)) for offset, place in enumerate(places)]
    tree = of_file(btrfs, 40, *items)
    with pytest.raises(UnreadableError, match="unpack to too much"):
        for _ in range(10):
            tree.read("/f")


# Trees.


def files_of(btrfs: Btrfs, tree: int, level: int) -> list[str]:
    return Tree(btrfs.open(tree, level)).names("/")


def test_a_tree_of_two_levels() -> None:
    btrfs = Btrfs()
    items = btrfs.files()
    leaves = [(items[0][0], btrfs.leaf(items[:2])), (items[2][0], btrfs.leaf(items[2:]))]
    assert files_of(btrfs, btrfs.inner(1, leaves), 1) == ["f"]


def test_a_node_below_itself() -> None:
    btrfs = Btrfs()
    address = btrfs.place()
    btrfs.inner(1, [((ROOT_INODE, INODE, 0), address)], address)
    with pytest.raises(UnreadableError, match="has level 1 instead of 0"):
        files_of(btrfs, address, 1)


def test_a_leaf_that_is_there_many_times() -> None:
    """Seven levels, each with as many pointers to one and the same node as fit: 490^7 leaves to go through."""
    btrfs = Btrfs()
    node = btrfs.leaf([((ROOT_INODE, INODE, 0), inode(0o40755)), ((ROOT_INODE, 96, 1 << 40), b"x" * 40)])
    for level in range(1, 8):
        node = btrfs.inner(level, [((ROOT_INODE, INODE, number), node) for number in range(490)])
    with pytest.raises(UnreadableError, match=r"does not begin where the one above says|ends behind the one"):
        files_of(btrfs, node, 7)


def test_a_node_that_begins_before_its_place() -> None:
    btrfs = Btrfs()
    items = btrfs.files()
    leaves = [(items[0][0], btrfs.leaf(items[:2])), (items[2][0], btrfs.leaf(items[1:]))]
    with pytest.raises(UnreadableError, match="does not begin where the one above says"):
        files_of(btrfs, btrfs.inner(1, leaves), 1)


def test_a_node_that_overlaps_the_next() -> None:
    btrfs = Btrfs()
    items = btrfs.files()
    leaves = [(items[0][0], btrfs.leaf(items)), (items[1][0], btrfs.leaf(items[1:]))]
    with pytest.raises(UnreadableError, match="ends behind the one that follows"):
        files_of(btrfs, btrfs.inner(1, leaves), 1)


@pytest.mark.parametrize(("count", "says"), [(100_000, "has 100000 items"), (0xFFFFFFFF, "has 4294967295 items")])
def test_a_leaf_with_a_huge_count(count: int, says: str) -> None:
    btrfs = Btrfs()
    with at_most(4), pytest.raises(UnreadableError, match=says):
        files_of(btrfs, btrfs.leaf(btrfs.files(), count=count), 0)


def test_an_item_outside_its_leaf() -> None:
    btrfs = Btrfs()
    body = struct.pack("<QBQII", ROOT_INODE, INODE, 0, NODE, NODE)
    with pytest.raises(UnreadableError, match="not inside it"):
        files_of(btrfs, btrfs.write(btrfs.place(), 0, body, 1), 0)


def test_keys_that_are_not_in_order() -> None:
    btrfs = Btrfs()
    with pytest.raises(UnreadableError, match="not in order"):
        files_of(btrfs, btrfs.leaf(list(reversed(btrfs.files()))), 0)


def test_a_level_that_cannot_be() -> None:
    btrfs = Btrfs()
    with pytest.raises(UnreadableError, match="damaged"):
        files_of(btrfs, btrfs.write(btrfs.place(), 200, b"", 0), 200)


def test_a_directory_that_is_below_itself() -> None:
    """A path through it is as long as it is written, and ends; walking ends at the bound of entries."""
    btrfs = Btrfs()
    items = btrfs.files()
    own = struct.pack("<QBQ", ROOT_INODE, INODE, 0)
    loop = [(key, own + body[17:] if key[1] in (84, 96) else body) for key, body in items]
    tree = Tree(btrfs.open(btrfs.leaf(loop)))
    assert tree.is_dir("/f/f/f/f/f/f")
    with pytest.raises(UnreadableError, match="more than 500 entries"):
        list(tree.walk("/", 500))


@pytest.mark.parametrize(
    ("name", "bound", "says"),
    [("MAX_STEPS", 50, "too many steps"), ("MAX_NODE_BYTES", 3 * NODE, "more than 0 MiB")],
)
def test_all_reading_has_an_end(name: str, bound: int, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btrfs_trees, name, bound)
    btrfs = Btrfs()
    items = btrfs.files()
    leaves = [(items[0][0], btrfs.leaf(items[:2])), (items[2][0], btrfs.leaf(items[2:]))]
    with pytest.raises(UnreadableError, match=says):
        for _ in range(50):
            files_of(btrfs, btrfs.inner(1, leaves), 1)
            tree = Tree(BtrfsFileSystem(btrfs.open(btrfs.inner(1, leaves), 1).volume))
            for _ in range(20):
                tree.names("/")


@pytest.mark.parametrize("bad", [chunk(1), chunk(4095), chunk(0), chunk(4096 + 512)])
def test_a_chunk_of_a_few_bytes(bad: bytes) -> None:
    """Sixteen thousand chunks to read one node of."""
    btrfs = Btrfs()
    btrfs.system_chunk = bad
    with pytest.raises(UnreadableError, match="chunk is damaged"):
        btrfs.open(btrfs.leaf(btrfs.files()))
