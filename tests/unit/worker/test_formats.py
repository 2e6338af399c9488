"""Hostile and damaged headers; each is refused before any other program sees the file."""

from __future__ import annotations

import contextlib
import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.contract import FailureCode
from gallery_operator.prerequisites.container import footer_checksum, parse_footer
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import BytesSource, detect_compression, inspect_image, require_bootable_disk, vhd
from gallery_operator.worker.formats.inspect import refuse_early
from gallery_operator.worker.formats.maps import block_map

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
Change = Callable[[bytearray], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One small image of each kind, empty, made by qemu-img."""
    folder = tmp_path_factory.mktemp("images")
    options = {
        "qcow2": ["-f", "qcow2"],
        "qcow2v2": ["-f", "qcow2", "-o", "compat=0.10"],
        "vmdk": ["-f", "vmdk", "-o", "subformat=monolithicSparse"],
        "stream": ["-f", "vmdk", "-o", "subformat=streamOptimized"],
        "vhdx": ["-f", "vhdx"],
        "dynamic": ["-f", "vpc", "-o", "subformat=dynamic,force_size"],
    }
    result = {}
    for name, option in options.items():
        path = folder / name
        subprocess.run(["qemu-img", "create", "-q", *option, str(path), "8M"], check=True)
        result[name] = path.read_bytes()
    # A stream-optimised file gets its footer only when something is written.
    raw = folder / "raw"
    raw.write_bytes(b"\x01" * MIB + bytes(7 * MIB))
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, folder / "s"]
    subprocess.run(command, check=True)
    result["stream"] = (folder / "s").read_bytes()
    return result


def put(layout: str, offset: int, *values: object) -> Change:
    return lambda data: struct.pack_into(layout, data, offset, *values)


def replace(old: bytes, new: bytes) -> Change:
    def change(data: bytearray) -> None:
        assert len(new) == len(old)
        at = data.index(old)
        data[at : at + len(old)] = new

    return change


def extension_too_long(data: bytearray) -> None:
    (length,) = struct.unpack_from(">I", data, 100)
    struct.pack_into(">II", data, length, 1, 0x7FFFFFF0)


def extension(kind: int, payload: bytes) -> Change:
    def change(data: bytearray) -> None:
        (length,) = struct.unpack_from(">I", data, 100)
        block = struct.pack(">II", kind, len(payload)) + payload + bytes(-len(payload) % 8)
        data[length : length + len(block) + 8] = block + bytes(8)

    return change


def cut(length: int) -> Change:
    return lambda data: data.__delitem__(slice(length, None))


UNSAFE, CORRUPT, UNSUPPORTED = FailureCode.UNSAFE_IMAGE, FailureCode.CORRUPT_IMAGE, FailureCode.UNSUPPORTED_FORMAT
NOT_A_DISK = FailureCode.NOT_A_DISK

VHDX_ITEM_FLAGS = 0x4  # low bits of "file parameters", behind the block size


def vhdx_metadata(data: bytearray) -> int:
    return data.index(b"metadata")


def vhdx_parent(data: bytearray) -> None:
    start = vhdx_metadata(data)
    key = bytes.fromhex("3767a1ca36fa434db3b633f0aa44e76b")
    at = data.index(key, start)
    (offset,) = struct.unpack_from("<I", data, at + 16)
    struct.pack_into("<I", data, start + offset + 4, 0x2)


def vhdx_sector(data: bytearray) -> None:
    start = vhdx_metadata(data)
    at = data.index(bytes.fromhex("1dbf41816fa90947ba47f233a8faab5f"), start)
    (offset,) = struct.unpack_from("<I", data, at + 16)
    struct.pack_into("<I", data, start + offset, 4096)


def seal(data: bytearray, offset: int, length: int) -> None:
    """Correct the CRC-32C of a structure; one that is wrong is not believed."""
    struct.pack_into("<I", data, offset + 4, 0)
    value = 0xFFFFFFFF
    for byte in data[offset : offset + length]:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    struct.pack_into("<I", data, offset + 4, value ^ 0xFFFFFFFF)


def vhdx_log(data: bytearray) -> None:
    for offset in (64 * KIB, 128 * KIB):
        data[offset + 48 : offset + 64] = b"\x01" * 16
        seal(data, offset, 4 * KIB)


def vhdx_many(data: bytearray) -> None:
    for offset in (192 * KIB, 256 * KIB):
        struct.pack_into("<I", data, offset + 8, 0xFFFFFFFF)
        seal(data, offset, 64 * KIB)


def vhdx_unsealed(offset: int) -> Change:
    return lambda data: data.__setitem__(slice(offset + 100, offset + 101), bytes([data[offset + 100] ^ 1]))


def both(one: Change, other: Change) -> Change:
    def change(data: bytearray) -> None:
        one(data)
        other(data)

    return change


HOSTILE = [
    ("qcow2", "backing file", put(">QI", 8, 0x200, 11), UNSAFE),
    ("qcow2v2", "backing file", put(">QI", 8, 0x48, 11), UNSAFE),
    ("qcow2", "length without offset", put(">I", 16, 11), UNSAFE),
    ("qcow2", "encrypted", put(">I", 32, 1), UNSAFE),
    ("qcow2", "luks", put(">I", 32, 2), UNSAFE),
    ("qcow2", "external data bit", put(">Q", 72, 4), UNSAFE),
    ("qcow2", "external data name", extension(0x44415441, b"/etc/passwd"), UNSAFE),
    ("qcow2", "luks extension", extension(0x0537BE77, bytes(16)), UNSAFE),
    ("qcow2", "json name", extension(0x44415441, b'json:{"driver":"file"}'), UNSAFE),
    ("qcow2", "endless extensions", extension(0x12345678, b"x" * 0), None),
    ("qcow2", "extension beyond the cluster", extension_too_long, CORRUPT),
    ("qcow2", "corrupt bit", put(">Q", 72, 2), CORRUPT),
    ("qcow2", "unknown bit", put(">Q", 72, 1 << 40), UNSUPPORTED),
    ("qcow2", "dirty bit", put(">Q", 72, 1), None),
    ("qcow2", "version 4", put(">I", 4, 4), UNSUPPORTED),
    ("qcow2", "version 1", put(">I", 4, 1), UNSUPPORTED),
    ("qcow2", "tiny clusters", put(">I", 20, 3), CORRUPT),
    ("qcow2", "huge clusters", put(">I", 20, 63), CORRUPT),
    ("qcow2", "L1 table too large", put(">I", 36, 0x7FFFFFFF), CORRUPT),
    ("qcow2", "L1 table too short", put(">Q", 24, 1 << 60), CORRUPT),
    ("qcow2", "L1 table crooked", put(">Q", 40, 12345), CORRUPT),
    ("qcow2", "refcounts too large", put(">I", 56, 0x7FFFFFFF), CORRUPT),
    ("qcow2", "snapshots without end", put(">I", 60, 0x7FFFFFFF), CORRUPT),
    ("qcow2", "header too long", put(">I", 100, 1 << 30), CORRUPT),
    ("qcow2", "cut", cut(60), CORRUPT),
    ("qcow2", "empty disk", put(">Q", 24, 0), NOT_A_DISK),
    ("vmdk", "capacity 0", put("<Q", 12, 0), UNSAFE),
    ("vmdk", "no descriptor", put("<QQ", 28, 0, 0), UNSUPPORTED),
    ("vmdk", "descriptor too large", put("<Q", 36, 1 << 20), UNSUPPORTED),
    ("vmdk", "flat extent", replace(b"SPARSE", b"FLAT  "), UNSAFE),
    ("vmdk", "other type", replace(b"monolithicSparse", b"twoGbMaxExtentFl"), UNSAFE),
    ("vmdk", "parent", replace(b"parentCID=ffffffff", b"parentCID=12345678"), UNSAFE),
    ("vmdk", "capacity differs", put("<Q", 12, 4096), CORRUPT),
    ("vmdk", "grain 0", put("<Q", 20, 0), CORRUPT),
    ("vmdk", "version 9", put("<I", 4, 9), UNSUPPORTED),
    ("vmdk", "cut", cut(700), CORRUPT),
    ("stream", "no footer", put("<Q", 56, 0xFFFFFFFFFFFFFFFF), CORRUPT),
    ("vhdx", "parent flag", vhdx_parent, UNSAFE),
    ("vhdx", "4096-byte sectors", vhdx_sector, UNSUPPORTED),
    ("vhdx", "log not replayed", vhdx_log, UNSUPPORTED),
    ("vhdx", "regions without end", vhdx_many, CORRUPT),
    ("vhdx", "one header torn", vhdx_unsealed(64 * KIB), None),
    ("vhdx", "both headers torn", both(vhdx_unsealed(64 * KIB), vhdx_unsealed(128 * KIB)), CORRUPT),
    ("vhdx", "one region table torn", vhdx_unsealed(192 * KIB), None),
    ("vhdx", "both region tables torn", both(vhdx_unsealed(192 * KIB), vhdx_unsealed(256 * KIB)), CORRUPT),
    ("vhdx", "cut", cut(200 * KIB), CORRUPT),
    ("dynamic", "cut", lambda d: d.__delitem__(slice(-600, None)), CORRUPT),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "change", "code"), HOSTILE, ids=[f"{h[0]}-{h[1]}" for h in HOSTILE])
def test_hostile_headers(
    kind: str, name: str, change: Change, code: FailureCode | None, made: dict[str, bytes]
) -> None:
    data = bytearray(made[kind])
    change(data)
    if code is None:
        inspect_image(BytesSource(bytes(data)))
        return
    with pytest.raises(WorkerError) as caught:
        inspect_image(BytesSource(bytes(data)))
    assert caught.value.code == code, caught.value.message
    assert not caught.value.retry


def test_sizes_are_read_by_our_own_code(made: dict[str, bytes]) -> None:
    for name, data in made.items():
        info = inspect_image(BytesSource(data))
        assert info.virtual_size == 8 * MIB, name
        assert not info.is_plain


def test_the_footer_of_a_streamed_vmdk(made: dict[str, bytes]) -> None:
    """VMware writes the true header at the end: header, data, footer, end-of-stream marker."""
    data = bytearray(made["stream"])
    footer = bytes(data[:512])
    struct.pack_into("<Q", data, 56, 0xFFFFFFFFFFFFFFFF)
    assert inspect_image(BytesSource(bytes(data) + footer + bytes(512))).virtual_size == 8 * MIB
    for offset, value in ((12, 0), (28, 7), (36, 9), (56, 0xFFFFFFFFFFFFFFFF)):
        other = bytearray(footer)
        struct.pack_into("<Q", other, offset, value)
        with pytest.raises(WorkerError):
            inspect_image(BytesSource(bytes(data) + bytes(other) + bytes(512)))


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_random_damage_never_escapes_as_another_error(made: dict[str, bytes], data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(made)))
    image = bytearray(made[kind])
    spots = st.integers(0, 255) if kind == "qcow2" else st.integers(0, len(image) - 1)
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(spots)] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WorkerError):
        inspect_image(BytesSource(bytes(image)))


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"", NOT_A_DISK),
        (b"<!DOCTYPE html><html>", NOT_A_DISK),
        (b"\n  <?xml version='1.0'?><Error><Code>AuthenticationFailed", NOT_A_DISK),
        (b"# Disk DescriptorFile\nversion=1\n", UNSUPPORTED),
        (b"COWD", UNSUPPORTED),
        (bytes(64) + b"\x7f\x10\xda\xbe", UNSUPPORTED),
        (bytes(32769) + b"CD001", UNSUPPORTED),
        (bytes(257) + b"ustar", UNSUPPORTED),
        (b"PK\x03\x04", UNSUPPORTED),
        (b"\x1f\x8b\x08" + bytes(100), UNSUPPORTED),
        (b"conectix" + bytes(1024), CORRUPT),
    ],
)
def test_files_that_are_something_else(head: bytes, code: FailureCode) -> None:
    with pytest.raises(WorkerError) as caught:
        inspect_image(BytesSource(head + bytes(4096) if head else b""))
    assert caught.value.code == code


def test_a_luks_data_disk_is_raw() -> None:
    assert inspect_image(BytesSource(b"LUKS\xba\xbe" + bytes(4096))).format == "raw"


def test_only_an_os_disk_needs_a_table() -> None:
    empty = BytesSource(bytes(8192))
    require_bootable_disk(empty, "data")
    for head, code in ((bytes(8192), NOT_A_DISK), (bytes(4096) + b"EFI PART" + bytes(4096), UNSUPPORTED)):
        with pytest.raises(WorkerError) as caught:
            require_bootable_disk(BytesSource(head), "os")
        assert caught.value.code == code
    require_bootable_disk(BytesSource(bytes(510) + b"\x55\xaa" + bytes(4096)), "os")
    require_bootable_disk(BytesSource(bytes(512) + b"EFI PART" + bytes(4096)), "os")


def test_compressions_are_told_apart() -> None:
    assert detect_compression(b"BZh9") == "bzip2"
    assert detect_compression(b"BZhX") is None
    assert detect_compression(b"\xfd7zXZ\x00") == "xz"


def test_early_refusal_needs_no_more_than_the_head(made: dict[str, bytes]) -> None:
    data = bytearray(made["qcow2"][: 64 * KIB])
    refuse_early(bytes(data))
    struct.pack_into(">QI", data, 8, 0x200, 11)
    with pytest.raises(WorkerError):
        refuse_early(bytes(data))
    refuse_early(bytes(data), "raw")


# VHD.


@pytest.mark.parametrize("size", [MIB, 20 * MIB, 1 * GIB, 127 * GIB, 128 * GIB, 2040 * GIB])
def test_footer_and_geometry_are_those_of_qemu(size: int, tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    # Without force_size qemu rounds up to its geometry; a size that already is one stays.
    cylinders, heads, sectors = vhd.geometry(size)
    exact = min(cylinders * heads * sectors * 512, size)
    command = ["qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed,force_size", str(path), str(size)]
    subprocess.run(command, check=True)
    with path.open("rb") as file:
        file.seek(-512, 2)
        theirs = parse_footer(file.read())
    ours = parse_footer(vhd.build_footer(size, bytes(32)))
    assert ours is not None
    assert theirs is not None
    assert exact <= size
    fields = ("version", "data_offset", "current_size", "original_size", "disk_type")
    assert [getattr(ours, name) for name in fields] == [getattr(theirs, name) for name in fields]
    assert ours.checksum == ours.computed_checksum


def test_footer_is_the_same_for_the_same_disk_and_qemu_reads_it(tmp_path: Path) -> None:
    one = vhd.build_footer(3 * MIB, b"a" * 32)
    assert one == vhd.build_footer(3 * MIB, b"a" * 32) != vhd.build_footer(3 * MIB, b"b" * 32)
    assert struct.unpack_from(">I", one, 64)[0] == footer_checksum(one)
    path = tmp_path / "disk.vhd"
    path.write_bytes(bytes(3 * MIB) + one)
    command = ["qemu-img", "info", "-f", "vpc", "--output=json", str(path)]
    shown = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert shown["virtual-size"] == 3 * MIB


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (put(">I", 60, 4), UNSAFE),
        (put(">I", 60, 9), UNSUPPORTED),
        (put(">Q", 48, 2 * MIB), CORRUPT),
        (put(">Q", 48, 3 * MIB + 1), CORRUPT),
    ],
)
def test_footers_that_do_not_fit(change: Change, code: FailureCode) -> None:
    footer = bytearray(vhd.build_footer(3 * MIB, bytes(32)))
    change(footer)
    with pytest.raises(WorkerError) as caught:
        inspect_image(BytesSource(bytes(3 * MIB) + bytes(footer)))
    assert caught.value.code == code


def test_sectors_outside_the_bitmap_of_a_dynamic_vhd_read_as_zero(made: dict[str, bytes], tmp_path: Path) -> None:
    raw, path = tmp_path / "raw", tmp_path / "vhd"
    raw.write_bytes(b"\x07" * 4 * MIB)
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size", raw, path]
    subprocess.run(command, check=True)
    data = bytearray(path.read_bytes())
    source = BytesSource(bytes(data))
    info = inspect_image(source)
    assert info.vhd is not None
    (table,) = struct.unpack_from(">Q", data, 512 + 16)
    (sector,) = struct.unpack_from(">I", data, table)
    data[sector * 512] &= 0x7F  # The first sector of the first block was never written.
    found = block_map(BytesSource(bytes(data)), info)
    data_at = (sector + 1) * 512
    assert list(found.segments(0, 2 * MIB)) == [(512, 2 * MIB - 512, data_at + 512, 0)]
    assert list(found.segments(0, 512)) == []
    assert list(found.segments(0, 513)) == [(512, 512, data_at + 512, 0)]
    # A block that lies outside the file.
    struct.pack_into(">I", data, table, 0x7FFFFFFF)
    with pytest.raises(WorkerError):
        list(block_map(BytesSource(bytes(data)), info).segments(0, 1))
