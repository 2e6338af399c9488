"""A disk that is surveyed while it comes is found to be what it is found to be when it is read."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.worker.disk import RawDisk
from gallery_operator.worker.layout import MIB, PAGE_BYTES
from gallery_operator.worker.onlooker import Onlooker
from gallery_operator.worker.survey import PieceTable, survey
from gallery_operator.worker.tracking import Tracker

FOOTER_BYTES = 512
LENGTHS = st.one_of(
    st.integers(1, 10 * MIB),
    st.integers(1, 3).map(lambda pages: pages * PAGE_BYTES),
    st.integers(1, 12).map(lambda mib: mib * MIB),
)


@settings(deadline=None, max_examples=40)
@given(
    length=LENGTHS,
    footer=st.booleans(),
    spots=st.lists(st.tuples(st.integers(0, 12 * MIB), st.integers(1, 300_000)), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_it_finds_what_a_reading_finds(length: int, footer: bool, spots: list[tuple[int, int]], seed: int) -> None:
    chance = random.Random(seed)
    if footer:
        length = -(-length // FOOTER_BYTES) * FOOTER_BYTES
    data = bytearray(length)
    for start, size in spots:
        end = min(length, start + size)
        data[start:end] = chance.randbytes(max(0, end - start))
    stream = bytes(data) + (os.urandom(FOOTER_BYTES) if footer else b"")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onlooker = Onlooker(folder / "seen")
        at = 0
        while at < len(stream):
            step = chance.choice([511, 65_536, MIB, PAGE_BYTES, PAGE_BYTES + 1, 3 * PAGE_BYTES])
            piece = stream[at : at + step]
            onlooker.take(piece) if any(piece) else onlooker.skip(len(piece))
            at += step
        seen = onlooker.finish(length)
        onlooker.close()
        assert seen is not None
        (folder / "disk").write_bytes(stream)
        disk = RawDisk(os.open(folder / "disk", os.O_RDONLY), length)
        read = survey(disk, folder / "read", Tracker("prepare"))
        disk.close()
        # The keys of the tags differ, and nothing else does.
        assert (seen.sha256, seen.footer, seen.virtual_size) == (read.sha256, read.footer, read.virtual_size)
        assert (seen.data_bytes, seen.pieces) == (read.data_bytes, read.pieces)
        one, other = PieceTable(folder / "seen", seen.table_sha256), PieceTable(folder / "read", read.table_sha256)
        assert [each[:2] for each in one] == [each[:2] for each in other]
        padded = bytes(data) + bytes(-length % MIB) + seen.footer
        for offset, size, tag in one:
            assert one.seal.fits(padded[offset : offset + size], offset, tag)
        one.close()
        other.close()


def test_a_disk_that_ends_in_what_was_passed_on_must_be_read(tmp_path: Path) -> None:
    onlooker = Onlooker(tmp_path / "seen")
    onlooker.take(bytes(PAGE_BYTES + 100))
    assert onlooker.finish(PAGE_BYTES - 412) is None
    onlooker.close()


def test_a_failure_of_the_digest_reaches_who_decompresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    onlooker = Onlooker(tmp_path / "seen")
    monkeypatch.setattr("gallery_operator.worker.survey.Surveyor.page", full)
    with pytest.raises(OSError, match="No space left"):
        # Far more than waits: it must neither hang nor go on for ever.
        for _ in range(100):
            onlooker.take(b"\1" * PAGE_BYTES)
    with pytest.raises(OSError, match="No space left"):
        onlooker.finish(onlooker._passed_on)  # nothing of the disk is left over
    onlooker.close()
