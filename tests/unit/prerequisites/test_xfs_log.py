"""The end of an XFS log: records written round and round a ring, as fs/xfs/xfs_log.c does."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.prerequisites.readers.region import Region
from gallery_operator.prerequisites.readers.xfs_log import is_dirty

BLOCK, START, UNMOUNTED, COMMIT = 512, 4096, 0x20, 0x02


class Log:
    """A file system with nothing but its superblock and a log of ``count`` blocks."""

    def __init__(self, count: int, *, version: int = 2, record_bytes: int = 32768) -> None:
        self.count, self.version, self.record_bytes = count, version, record_bytes
        self.image = bytearray(START + count * BLOCK + 4096)
        self.image[:4] = b"XFSB"
        struct.pack_into(">I", self.image, 4, 4096)
        struct.pack_into(">Q", self.image, 48, START // 4096)
        struct.pack_into(">IIII", self.image, 84, 1 << 20, 1, 0, count * BLOCK // 4096)
        self.image[124] = 20
        self.head = 0

    def _put(self, data: bytes, *, header: bool = False) -> None:
        at = START + self.head % self.count * BLOCK
        cycle = struct.pack(">I", 1 + self.head // self.count)
        self.image[at : at + BLOCK] = data[:4] + cycle + data[8:] if header else cycle + data[4:]
        self.head += 1

    def record(self, blocks: int, flags: int, operations: int = 1) -> None:
        headers = max(1, -(-self.record_bytes // 32768)) if self.version == 2 else 1
        raw = bytearray(BLOCK)
        raw[:4] = b"\xfe\xed\xba\xbe"
        struct.pack_into(">II", raw, 8, self.version, blocks * BLOCK)
        struct.pack_into(">I", raw, 40, operations)
        struct.pack_into(">I", raw, 320, self.record_bytes)
        self._put(bytes(raw), header=True)
        for _ in range(headers - 1):
            self._put(bytes(BLOCK))
        for _ in range(blocks):
            self._put(struct.pack(">IIBB", 0, 0, 0xAA, flags).ljust(BLOCK, b"\0"))

    def is_dirty(self) -> bool | None:
        data = bytes(self.image)
        return is_dirty(Region(len(data), lambda length, offset: data[offset : offset + length]))


@settings(max_examples=150, deadline=None)
@given(
    count=st.sampled_from([600, 1024, 2048]),
    lengths=st.lists(st.integers(1, 64), max_size=120),
    unmounted=st.booleans(),
    version=st.sampled_from([1, 2]),
    record_bytes=st.sampled_from([32768, 262144]),
)
def test_the_last_record_decides(
    count: int, lengths: list[int], unmounted: bool, version: int, record_bytes: int
) -> None:
    log = Log(count, version=version, record_bytes=record_bytes)
    # mkfs writes "unmounted" first.
    log.record(1, UNMOUNTED)
    for length in lengths:
        log.record(length, COMMIT, operations=2)
    if unmounted:
        log.record(1, UNMOUNTED)
    assert log.is_dirty() is not (unmounted or not lengths)


def test_an_unmount_with_more_in_its_record_is_dirty() -> None:
    log = Log(600)
    log.record(1, UNMOUNTED, operations=2)
    assert log.is_dirty() is True


def test_something_after_the_unmount_is_dirty() -> None:
    log = Log(600)
    log.record(1, UNMOUNTED)
    log.record(1, COMMIT)
    assert log.is_dirty() is True


@pytest.mark.parametrize("spoil", ["never written", "outside", "another device", "no records", "sizes"])
def test_what_cannot_be_told(spoil: str) -> None:
    log = Log(600)
    if spoil != "never written":
        log.record(1, UNMOUNTED)
    if spoil == "outside":
        struct.pack_into(">I", log.image, 96, 1 << 20)
    if spoil == "another device":
        struct.pack_into(">Q", log.image, 48, 0)
    if spoil == "no records":
        log.image[START : START + 8] = struct.pack(">II", 1, 0)
    if spoil == "sizes":
        struct.pack_into(">I", log.image, 4, 0xFFFFFFFF)
    assert log.is_dirty() is None


@settings(max_examples=200, deadline=None)
@given(noise=st.lists(st.tuples(st.integers(0, START + 64 * BLOCK), st.binary(min_size=1, max_size=16)), max_size=8))
def test_damage_ends_in_an_answer(noise: list[tuple[int, bytes]]) -> None:
    log = Log(600)
    for _ in range(30):
        log.record(30, COMMIT)
    for at, data in noise:
        log.image[at : at + len(data)] = data
    assert log.is_dirty() in (True, False, None)
