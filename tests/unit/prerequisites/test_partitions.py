"""Partition tables, good and hostile."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.prerequisites.machine import (
    ESP_TYPE,
    LINUX_TYPE,
    SECTOR,
    MemoryDisk,
    ext4_superblock,
    fat_sector,
    gpt,
    mbr,
)

from gallery_operator.prerequisites.container import MIB
from gallery_operator.prerequisites.readers.layout import read_layout
from gallery_operator.prerequisites.readers.partitions import read_table
from gallery_operator.prerequisites.readers.probe import probe
from gallery_operator.prerequisites.readers.region import Region

SIZE = 512 * MIB
PARTS = [(ESP_TYPE, 1, 64), (LINUX_TYPE, 65, 400)]


def disk_with_gpt() -> MemoryDisk:
    disk = MemoryDisk(SIZE)
    gpt(disk, PARTS)
    return disk


def test_gpt() -> None:
    table = read_table(disk_with_gpt())
    assert (table.scheme, table.faults) == ("gpt", ())
    first, second = table.partitions
    assert (first.number, first.start, first.size, first.type, first.name) == (1, MIB, 64 * MIB, ESP_TYPE, "part1")
    assert (second.number, second.end) == (2, 465 * MIB)
    assert table.esp() is first
    assert table.gpt is not None
    assert (table.gpt.primary_fault, table.gpt.backup_fault) == (None, None)


def test_the_backup_serves_when_the_first_header_is_damaged() -> None:
    disk = disk_with_gpt()
    disk.write(SECTOR, bytes(SECTOR))
    table = read_table(disk)
    assert [each.number for each in table.partitions] == [1, 2]
    assert table.gpt is not None
    assert table.gpt.used_backup
    assert table.gpt.primary_fault == "there is no GPT header"


def test_the_backup_serves_when_the_first_entries_are_damaged() -> None:
    disk = disk_with_gpt()
    disk.write(2 * SECTOR + 40, b"\xff\xff")
    table = read_table(disk)
    assert [each.start for each in table.partitions] == [MIB, 65 * MIB]
    assert table.gpt is not None
    assert table.gpt.primary_fault == "the CRC of its entries is wrong"


def test_no_usable_header_at_all() -> None:
    disk = disk_with_gpt()
    disk.write(SECTOR, bytes(SECTOR))
    disk.write(SIZE - SECTOR, bytes(SECTOR))
    table = read_table(disk)
    assert (table.scheme, table.partitions) == (None, ())
    assert "cannot be used" in table.faults[0]


@pytest.mark.parametrize(
    ("offset", "value", "says"),
    [(12, 4096, "bytes long"), (80, 0, "entries"), (80, 0xFFFFFFFF, "entries"), (84, 8, "entries"), (24, 5, "LBA 5")],
)
def test_headers_that_lie(offset: int, value: int, says: str) -> None:
    import zlib

    disk = disk_with_gpt()
    raw = bytearray(disk.pread(SECTOR, SECTOR))
    struct.pack_into("<I", raw, offset, value)
    struct.pack_into("<I", raw, 16, 0)
    struct.pack_into("<I", raw, 16, zlib.crc32(raw[:92]))
    disk.write(SECTOR, bytes(raw))
    table = read_table(disk)
    assert table.gpt is not None
    assert says in (table.gpt.primary_fault or "")


def test_mbr_with_logical_partitions() -> None:
    disk = MemoryDisk(SIZE)
    mbr(disk, [(0x83, 1, 50, True), (0x05, 100, 300, False)])
    for record, following in ((100, 50), (150, 0)):
        disk.write(record * MIB + 446, struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 20480))
        if following:
            entry = struct.pack("<B3sB3sII", 0, bytes(3), 0x05, bytes(3), following * MIB // SECTOR, 20480)
            disk.write(record * MIB + 462, entry)
        disk.write(record * MIB + 510, b"\x55\xaa")
    table = read_table(disk)
    assert [(each.number, each.start // MIB) for each in table.partitions] == [(1, 1), (2, 100), (5, 101), (6, 151)]
    assert table.faults == ()
    assert table.partitions[0].active


def test_a_chain_of_logical_partitions_without_end() -> None:
    disk = MemoryDisk(SIZE)
    mbr(disk, [(0x05, 100, 300, False)])
    disk.write(100 * MIB + 446, struct.pack("<B3sB3sII", 0, bytes(3), 0x83, bytes(3), 2048, 20480))
    disk.write(100 * MIB + 462, struct.pack("<B3sB3sII", 0, bytes(3), 0x05, bytes(3), 4096, 20480))
    disk.write(102 * MIB + 462, struct.pack("<B3sB3sII", 0, bytes(3), 0x05, bytes(3), 4096, 20480))
    for offset in (100, 102):
        disk.write(offset * MIB + 510, b"\x55\xaa")
    assert "the chain of extended boot records has no end" in read_table(disk).faults


def test_a_bare_file_system_is_no_table() -> None:
    disk = MemoryDisk(SIZE)
    disk.write(0, fat_sector())
    assert read_table(disk).scheme is None
    layout = read_layout(disk, read_table(disk))
    assert [(each.name, each.probe.type, each.probe.uuid) for each in layout.volumes] == [
        ("the whole disk", "vfat", "6a5e-12d3")
    ]


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_make_the_reader_raise(data: st.DataObject) -> None:
    disk = disk_with_gpt() if data.draw(st.booleans()) else MemoryDisk(SIZE)
    if data.draw(st.booleans()):
        mbr(disk, [(data.draw(st.integers(0, 255)), 1, 100, True), (5, 200, 100, False)])
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.sampled_from([0, 440, SECTOR, 2 * SECTOR, SIZE - SECTOR, 200 * MIB, 65 * MIB + 1024]))
        disk.write(place + data.draw(st.integers(0, 127)), data.draw(st.binary(min_size=1, max_size=64)))
    table = read_table(disk)
    layout = read_layout(disk, table)
    assert len(layout.volumes) <= max(1, len(table.partitions))


PROBES = {
    "ext4": (1024, ext4_superblock()),
    "xfs": (0, b"XFSB".ljust(512, b"\1")),
    "vfat": (0, fat_sector()),
    "btrfs": (0x10040, b"_BHRfS_M".ljust(512, b"\0")),
    "swap": (4086, b"SWAPSPACE2"),
    "luks": (0, b"LUKS\xba\xbe\0\2".ljust(512, b"\0")),
    "lvm": (512, b"LABELONE".ljust(64, b"\0")),
    "mdraid": (4096, b"\xfc\x4e\x2b\xa9"),
    "ntfs": (3, b"NTFS    "),
    "bitlocker": (3, b"-FVE-FS-"),
    "squashfs": (0, b"hsqs"),
    "erofs": (1024, b"\xe2\xe1\xf5\xe0"),
    "f2fs": (1024, b"\x10\x20\xf5\xf2"),
    "iso9660": (32769, b"CD001"),
    None: (0, b"nothing"),
}


@pytest.mark.parametrize("kind", PROBES)
def test_what_a_partition_holds(kind: str | None) -> None:
    disk = MemoryDisk(64 * MIB)
    disk.write(*PROBES[kind])
    assert probe(Region.of_disk(disk)).type == kind


def test_mdraid_at_the_end() -> None:
    disk = MemoryDisk(64 * MIB + 512)
    disk.write(64 * MIB - 8192, b"\xfc\x4e\x2b\xa9")
    assert probe(Region.of_disk(disk)).type == "mdraid"
