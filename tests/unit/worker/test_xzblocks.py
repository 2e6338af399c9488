"""xz files of several blocks: the same bytes as from the front, the same refusals."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.contract import FailureCode
from gallery_operator.worker import decompress as module
from gallery_operator.worker.decompress import XZ_MEMORY_BYTES, decompress
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats import FdSource
from gallery_operator.worker.xzblocks import MEMORY_BYTES, decompress_blocks, plan

pytestmark = pytest.mark.skipif(shutil.which("xz") is None, reason="xz makes the files")

KIB = 1024
CONTENT = b"".join(random.Random(n).randbytes(900) * (n % 7 + 1) for n in range(400))


def compress(folder: Path, content: bytes, *options: str, name: str = "disk.xz") -> Path:
    path = folder / name
    path.write_bytes(subprocess.run(["xz", "-c", *options], input=content, stdout=subprocess.PIPE, check=True).stdout)
    return path


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compress(tmp_path_factory.mktemp("xz"), CONTENT, "-T2", f"--block-size={64 * KIB}", "--check=sha256")


def unpack(path: Path, processors: int | None = 2) -> bytes:
    with path.open("rb") as file:
        source = FdSource(file.fileno(), path.stat().st_size)
        found = plan(source, processors)
        assert found is not None
        return b"".join(decompress_blocks(source, found, XZ_MEMORY_BYTES, lambda _: None))


def planned(path: Path, processors: int = 2) -> bool:
    with path.open("rb") as file:
        return plan(FdSource(file.fileno(), path.stat().st_size), processors) is not None


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(0, len(CONTENT)),
    block=st.sampled_from([4 * KIB, 10_001, 64 * KIB, 1024 * KIB]),
    check=st.sampled_from(["none", "crc32", "crc64", "sha256"]),
    processors=st.integers(1, 8),
)
def test_the_same_bytes_as_from_the_front(
    tmp_path_factory: pytest.TempPathFactory, length: int, block: int, check: str, processors: int
) -> None:
    path = compress(
        tmp_path_factory.mktemp("x"), CONTENT[:length], "-0", "-T2", f"--block-size={block}", f"--check={check}"
    )
    several = processors > 1 and length > block
    assert planned(path, processors) == several
    if several:
        assert unpack(path, processors) == CONTENT[:length]


def test_what_was_read_is_told(several: Path) -> None:
    told: list[int] = []
    with several.open("rb") as file:
        source = FdSource(file.fileno(), several.stat().st_size)
        found = plan(source, 2)
        assert found is not None
        assert b"".join(decompress_blocks(source, found, XZ_MEMORY_BYTES, told.append)) == CONTENT
    assert sum(told) == found.blocks[-1].offset + found.blocks[-1].padded - 12


def test_other_shapes_are_read_from_the_front(tmp_path: Path, several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single = compress(tmp_path, CONTENT, "-T1", name="single")
    data = several.read_bytes()
    (tmp_path / "two").write_bytes(data + data)
    (tmp_path / "padded").write_bytes(data + bytes(8))
    assert not any(planned(path) for path in (single, tmp_path / "two", tmp_path / "padded"))
    for name, times in (("single", 1), ("two", 2), ("padded", 1)):
        with (tmp_path / name).open("rb") as file:
            # As its caller does: the file's own buffer is ahead of what was taken from it.
            file.read(16)
            file.seek(0)
            assert b"".join(decompress("xz", file)) == CONTENT * times
    assert b"".join(decompress("xz", io.BytesIO(data))) == CONTENT  # type: ignore[arg-type]
    used: list[str] = []
    monkeypatch.setattr(module, "decompress_blocks", lambda *_: used.append("blocks") or iter(()))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    with several.open("rb") as file:
        list(decompress("xz", file))
    assert used == ["blocks"]


def test_blocks_too_large_for_the_memory_are_read_from_the_front(
    several: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MEMORY_BYTES >= 5 * (24 << 20)  # xz -6 on four processors
    monkeypatch.setattr("gallery_operator.worker.xzblocks.MEMORY_BYTES", 2 * 64 * KIB)
    assert not planned(several)


@settings(max_examples=150, deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_damage_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, several: Path, at: float, bit: int, cut: bool
) -> None:
    data = bytearray(several.read_bytes())
    where = int(at * len(data))
    if cut:
        del data[where:]
    else:
        data[where] ^= 1 << bit
    path = tmp_path_factory.mktemp("d") / "disk.xz"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(WorkerError) as caught:
        list(decompress("xz", file))
    assert caught.value.code in (FailureCode.CORRUPT_IMAGE, FailureCode.UNSUPPORTED_FORMAT)


def test_an_end_in_between_leaves_no_thread_behind(several: Path) -> None:

    with several.open("rb") as file:
        source = FdSource(file.fileno(), several.stat().st_size)
        found = plan(source, 4)
        assert found is not None
        content = decompress_blocks(source, found, XZ_MEMORY_BYTES, lambda _: None)
        next(content)
        content.close()  # type: ignore[attr-defined]
    assert not [each for each in threading.enumerate() if each.name.startswith("xz")]
