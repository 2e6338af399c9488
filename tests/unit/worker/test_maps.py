"""What the tables of a sparse image speak of must be in the file."""

from __future__ import annotations

import random
import struct
import subprocess
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import BytesSource, inspect_image
from gallery_operator.worker.formats.maps import Segment, block_map

KIB = 1 << 10
MIB = 1 << 20
VARIANTS = {
    "qcow2": ["-O", "qcow2"],
    "v2": ["-O", "qcow2", "-o", "compat=0.10"],
    "small clusters": ["-O", "qcow2", "-o", "cluster_size=512"],
    "large clusters": ["-O", "qcow2", "-o", "cluster_size=2M"],
    "extended": ["-O", "qcow2", "-o", "extended_l2=on,cluster_size=128k"],
    "zlib": ["-c", "-O", "qcow2"],
    "zstd": ["-c", "-O", "qcow2", "-o", "compression_type=zstd"],
    "metadata": ["-O", "qcow2", "-o", "preallocation=metadata"],
    "vmdk": ["-O", "vmdk"],
    "stream": ["-O", "vmdk", "-o", "subformat=streamOptimized"],
    "vhdx": ["-O", "vhdx"],
    "vhd": ["-O", "vpc", "-o", "subformat=dynamic,force_size"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("images")
    # The size is no multiple of any cluster, and data is at both ends.
    disk = bytearray(5 * MIB + 7 * 512)
    chance = random.Random(2)
    for start, length in ((0, 70_000), (2 * MIB, 3 * 65_536), (len(disk) - 5000, 5000)):
        disk[start : start + length] = chance.randbytes(length)
    raw = folder / "raw"
    raw.write_bytes(disk)
    return {name: _converted(raw, folder / name, options) for name, options in VARIANTS.items()}


def _converted(raw: Path, target: Path, options: list[str]) -> bytes:
    subprocess.run(["qemu-img", "convert", "-f", "raw", *options, str(raw), str(target)], check=True)
    return target.read_bytes()


def look(data: bytes) -> None:
    source = BytesSource(data)
    info = inspect_image(source)
    if info.is_plain:
        return  # Its magic number is gone.
    found = block_map(source, info)
    for segment in found.segments(0, info.virtual_size):
        if segment.packed:
            found.unpack(segment)


@pytest.mark.parametrize("name", VARIANTS)
def test_whole_files_pass(name: str, made: dict[str, bytes]) -> None:
    look(made[name])


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in ("metadata", "vhdx")])
@pytest.mark.parametrize("part", [0.6, 0.4, 0.2])
def test_files_that_broke_off_do_not(name: str, part: float, made: dict[str, bytes]) -> None:
    data = made[name]
    with pytest.raises(WorkerError) as caught:
        look(data[: int(len(data) * part)])
    assert (caught.value.code, caught.value.retry) == (FailureCode.CORRUPT_IMAGE, False)


@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_never_escapes_as_another_error(name: str, made: dict[str, bytes], data: st.DataObject) -> None:
    body = bytearray(made[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.one_of(st.integers(0, 128), st.integers(0, len(body) - 16)))
        body[at : at + 8] = data.draw(st.binary(min_size=8, max_size=8))
    try:
        look(bytes(body))
    except WorkerError as error:
        assert not error.retry


def test_a_compressed_cluster_that_is_a_bomb(made: dict[str, bytes]) -> None:
    """At most a cluster (grain) comes out of it, and no more memory than that is taken."""
    zeros = bytes(120 * MIB)
    for name, level in (("zlib", -12), ("stream", 15)):
        packer = zlib.compressobj(9, zlib.DEFLATED, level)
        bomb = packer.compress(zeros) + packer.flush()
        info = inspect_image(BytesSource(made[name]))
        # Somewhere in the middle, for a stream ends in its header.
        body = bytearray(made[name] + bytes(MIB) + made[name][-1024:])
        at = len(made[name])
        marked = bomb if name == "zlib" else struct.pack("<QI", 0, len(bomb)) + bomb
        body[at : at + len(marked)] = marked
        found = block_map(BytesSource(bytes(body)), info)
        segment = Segment(0, 64 * KIB, at, len(marked))
        tracemalloc.start()
        try:
            assert found.unpack(segment) == bytes(64 * KIB)
            assert tracemalloc.get_traced_memory()[1] < MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("qcow2", 0x1234_0000_0000),  # beyond the end
        ("qcow2", 0x5_0200),  # where no cluster begins
        ("v2", 1),  # zeros, which version 2 does not know
        ("zlib", 1 << 62),  # the header as compressed data
    ],
)
def test_hostile_entries(name: str, word: int, made: dict[str, bytes]) -> None:
    data = bytearray(made[name])
    (l1,) = struct.unpack_from(">Q", data, 40)
    (l2,) = struct.unpack_from(">Q", data, l1)
    struct.pack_into(">Q", data, (l2 & 0x00FF_FFFF_FFFF_FE00), word)
    with pytest.raises(WorkerError) as caught:
        look(bytes(data))
    assert caught.value.code == FailureCode.CORRUPT_IMAGE
