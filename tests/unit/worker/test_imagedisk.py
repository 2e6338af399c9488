"""A disk reads the same out of every format as qemu-img put it in; only allocated blocks of the file are read."""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.worker.disk import Disk
from gallery_operator.worker.formats import FdSource, inspect_image
from gallery_operator.worker.imagedisk import ImageDisk, open_disk
from gallery_operator.worker.layout import Range, merge
from gallery_operator.worker.survey import survey
from gallery_operator.worker.tracking import Tracker

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

VARIANTS = {
    "qcow2": ["-O", "qcow2"],
    "qcow2 version 2": ["-O", "qcow2", "-o", "compat=0.10"],
    "qcow2 small clusters": ["-O", "qcow2", "-o", "cluster_size=512"],
    "qcow2 large clusters": ["-O", "qcow2", "-o", "cluster_size=2M"],
    "qcow2 extended": ["-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"],
    "qcow2 extended zlib": ["-c", "-O", "qcow2", "-o", "extended_l2=on,cluster_size=64k"],
    "qcow2 zlib": ["-c", "-O", "qcow2"],
    "qcow2 zstd": ["-c", "-O", "qcow2", "-o", "compression_type=zstd"],
    "qcow2 large zstd": ["-c", "-O", "qcow2", "-o", "compression_type=zstd,cluster_size=2M"],
    "qcow2 metadata": ["-O", "qcow2", "-o", "preallocation=metadata"],
    "vmdk": ["-O", "vmdk"],
    "vmdk zeroed grains": ["-O", "vmdk", "-o", "zeroed_grain=on"],
    "vmdk stream": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
    "vhdx": ["-O", "vhdx"],
    "vhdx 1 MiB": ["-O", "vhdx", "-o", "block_size=1M"],
    "vhdx fixed": ["-O", "vhdx", "-o", "subformat=fixed"],
    "vhd": ["-O", "vpc", "-o", "subformat=dynamic,force_size"],
}
_ALL = list(VARIANTS)

# Bytes of a disk: what lies there, in pieces of 512 bytes.
Layout = list[tuple[int, int, int]]


def convert(raw: Path, options: list[str], target: Path) -> Path:
    subprocess.run(["qemu-img", "convert", "-f", "raw", *options, str(raw), str(target)], check=True)
    return target


@contextmanager
def opened(path: Path) -> Iterator[ImageDisk]:
    fd = os.open(path, os.O_RDONLY)
    disk = open_disk(fd, inspect_image(FdSource(fd)))
    assert isinstance(disk, ImageDisk)
    try:
        yield disk
    finally:
        disk.close()


def whole(disk: Disk) -> bytes:
    return disk.pread(disk.size, 0)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, Layout]:
    """A size in sectors and (first sector, sectors, seed of the content; 0: zeros that are written)."""
    sectors = draw(st.integers(1, 20_000))
    pieces = st.tuples(
        st.integers(0, sectors - 1), st.sampled_from((1, 7, 64, 128, 129, 4096, 5000)), st.integers(0, 3)
    )
    return sectors, draw(st.lists(pieces, max_size=12))


def written(size: int, layout: Layout) -> bytes:
    data = bytearray(size)
    for first, count, seed in layout:
        start, end = first * 512, min((first + count) * 512, size)
        # Seed 3 can be compressed, the others not.
        noise = bytes(end - start) if seed == 0 else random.Random(seed).randbytes(end - start)
        data[start:end] = noise if seed < 3 else (b"text " * (1 + (end - start) // 5))[: end - start]
    return bytes(data)


@pytest.mark.parametrize("variant", _ALL)
@settings(max_examples=12, deadline=None)
@given(layouts(), st.data())
def test_any_layout_reads_back_equal(variant: str, layout: tuple[int, Layout], data: st.DataObject) -> None:
    size = layout[0] * 512
    content = written(size, layout[1])
    with tempfile.TemporaryDirectory() as name:
        raw = Path(name) / "raw"
        raw.write_bytes(content)
        with opened(convert(raw, VARIANTS[variant], Path(name) / "image")) as disk:
            assert (disk.data_size, disk.size) == (size, -(-size // MIB) * MIB)
            disk.require_whole()
            padded = content + bytes(disk.size - size)
            assert whole(disk) == padded
            extents = list(disk.extents())
            rest = bytearray(padded)
            for before, after in zip([Range(0, 0), *extents], [*extents, Range(disk.size, disk.size)], strict=True):
                assert before.end <= after.start
                assert after.start < after.end or after.start == disk.size
                rest[after.start : after.end] = bytes(after.end - after.start)
            assert not any(rest), "data outside of the extents"
            for _ in range(5):
                start = data.draw(st.integers(0, disk.size - 1))
                length = data.draw(st.integers(1, min(70_000, disk.size - start)))
                assert disk.pread(length, start) == padded[start : start + length]
                buffer = bytearray(b"\xaa" * length)
                disk.pread_into(memoryview(buffer), start)
                assert buffer == padded[start : start + length]
            assert disk.pread(10, disk.size) == b""
            assert disk.pread(10, disk.size - 3) == padded[-3:]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A disk of 40 MiB with data at 0, 9.25 and 33 MiB, in every format."""
    folder = tmp_path_factory.mktemp("images")
    raw = folder / "raw"
    raw.write_bytes(CONTENT)
    return {name: convert(raw, options, folder / name) for name, options in VARIANTS.items()}


DATA = {0: 300 * KIB, 9 * MIB + 256 * KIB: MIB + 512, 33 * MIB: 3 * MIB}
CONTENT = bytes(
    written(
        40 * MIB, [(start // 512, length // 512, 1 + at % 2 * 2) for at, (start, length) in enumerate(DATA.items())]
    )
)


@pytest.mark.parametrize("variant", _ALL)
def test_many_threads_read_the_same(variant: str, made: dict[str, Path]) -> None:
    chance = random.Random(4)
    spots = [(start, chance.randrange(1, 300_000)) for start in (chance.randrange(len(CONTENT)) for _ in range(400))]

    def right(spot: tuple[int, int]) -> bool:
        return disk.pread(spot[1], spot[0]) == CONTENT[spot[0] : spot[0] + spot[1]]

    with opened(made[variant]) as disk, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(right, spots))


@pytest.mark.parametrize(
    "variant", ["qcow2", "qcow2 extended", "qcow2 zlib", "vmdk", "vmdk stream", "vhdx", "vhdx 1 MiB", "vhd"]
)
def test_a_disk_of_many_tables(variant: str, tmp_path: Path) -> None:
    """40 GiB: beyond the first chunk of a VHDX (4 GiB) and the first slice of every table that is read in slices."""
    size, spots = 40 * GIB, (0, 3 * GIB + 5, 4 * GIB + 512, 8 * GIB + MIB, 33 * GIB + 7, 40 * GIB - 5000)
    raw = tmp_path / "raw"
    with raw.open("wb") as file:
        file.truncate(size)
        for at in spots:
            file.seek(at)
            file.write((at + 1).to_bytes(8, "big") * 600)
    with opened(convert(raw, VARIANTS[variant], tmp_path / "image")) as disk:
        disk.require_whole()
        assert disk.size == size
        for at in spots:
            assert disk.pread(4800, at) == (at + 1).to_bytes(8, "big") * 600
            assert disk.pread(512, min(at + 300 * MIB, size - 600 * MIB)) == bytes(512)
        extents = list(disk.extents())
        assert all(any(one.start <= at and at + 4800 <= one.end for one in extents) for at in spots)
        assert length_of(extents) <= len(spots) * 32 * MIB


def mapped(path: Path, driver: str) -> list[Range]:
    """Where qemu-img says that data lies in the file."""
    command = ["qemu-img", "map", "-f", driver, "--output=json", str(path)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return merge(
        Range(each["offset"], each["offset"] + each["length"])
        for each in found
        if each["present"] and not each["zero"] and "offset" in each
    )


@pytest.mark.parametrize(
    ("variant", "driver"),
    [
        (name, "vpc" if name == "vhd" else name.split()[0])
        for name in _ALL
        if not name.endswith(("zlib", "zstd", "metadata"))
    ],
)
def test_only_allocated_blocks_are_read(
    variant: str, driver: str, made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass of ``prepare`` reads of the file its tables and what is allocated for data, every byte once."""
    read: list[Range] = []
    preadv, pread = os.preadv, os.pread

    def into(fd: int, buffers: list[memoryview], offset: int) -> int:
        got = preadv(fd, buffers, offset)
        read.append(Range(offset, offset + got))
        return got

    def out_of(fd: int, length: int, offset: int) -> bytes:
        data = pread(fd, length, offset)
        read.append(Range(offset, offset + len(data)))
        return data

    monkeypatch.setattr(os, "preadv", into)
    monkeypatch.setattr(os, "pread", out_of)
    with opened(made[variant]) as disk:
        survey(disk, tmp_path / "table", Tracker("prepare"))
    monkeypatch.undo()
    assert length_of(read) < len(CONTENT) // 2
    if driver == "vhdx" or variant == "vmdk stream":
        return  # QEMU knows nothing of the blocks of the one, and tells no places in the other.
    data = mapped(made[variant], driver)
    inside = [
        Range(max(each.start, one.start), min(each.end, one.end))
        for each in read
        for one in data
        if max(each.start, one.start) < min(each.end, one.end)
    ]
    assert length_of(inside) == length_of(merge(inside)), "something was read twice"
    assert length_of(inside) >= sum(DATA.values())
    tables = length_of(read) - length_of(inside)
    assert tables < (2.5 * MIB if "large" in variant else 0.5 * MIB)


def length_of(ranges: list[Range]) -> int:
    return sum(each.end - each.start for each in ranges)


def test_what_is_allocated_but_a_hole_of_the_file_is_not_read(made: dict[str, Path]) -> None:
    """As virt-manager makes images: every cluster is allocated beforehand."""
    with opened(made["qcow2 metadata"]) as disk:
        extents = list(disk.extents())
        assert whole(disk)[: len(CONTENT)] == CONTENT
    assert length_of(extents) < len(CONTENT) // 2


def test_a_file_that_is_cut_off_while_it_is_read(made: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(made["qcow2"].read_bytes())
    with opened(path) as disk:
        before = disk.identity()
        os.truncate(path, path.stat().st_size - 2 * MIB)
        with pytest.raises(OSError, match="the image ended"):
            whole(disk)
        assert disk.identity() != before
