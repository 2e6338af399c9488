"""What the tables of a sparse image speak of must be in the file."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.contract import FailureCode
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import BytesSource, inspect_image
from gallery_operator.worker.formats.extents import require_whole

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
    require_whole(source, inspect_image(source))


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


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "vhdx"])
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
