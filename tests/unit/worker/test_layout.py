"""Which bytes are sent: properties of the pure plan, and of the pass that applies it to a sparse file."""

from __future__ import annotations

import hashlib
import itertools
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gallery_operator.worker.disk import RawDisk
from gallery_operator.worker.formats.vhd import build_footer
from gallery_operator.worker.layout import (
    GRAIN_BYTES,
    MERGE_GAP_BYTES,
    MIB,
    PAGE_BYTES,
    Range,
    covers,
    is_zero,
    merge,
    pages_with_data,
    runs,
    subtract,
)
from gallery_operator.worker.survey import PieceTable, survey
from gallery_operator.worker.tracking import Tracker

SPOTS = st.lists(
    st.tuples(st.integers(0, PAGE_BYTES - 1), st.integers(1, 100_000)), max_size=8
)  # where something is written, and how much


def page_of(spots: list[tuple[int, int]], length: int) -> bytes:
    page = bytearray(length)
    for start, size in spots:
        end = min(length, start + size)
        page[start:end] = b"\xa5" * max(0, end - start)
    return bytes(page)


@settings(deadline=None)
@given(spots=SPOTS, sectors=st.integers(1, PAGE_BYTES // 512))
def test_runs_hold_every_byte_that_is_not_zero(spots: list[tuple[int, int]], sectors: int) -> None:
    page = page_of(spots, sectors * 512)
    found = runs(page)
    rest = bytearray(page)
    for start, end in found:
        rest[start:end] = bytes(end - start)
        assert start % GRAIN_BYTES == 0
        assert start % 512 == 0 == end % 512
        assert 0 < end - start <= PAGE_BYTES
        assert not is_zero(page[start:end])
    assert is_zero(bytes(rest))
    for before, after in itertools.pairwise(found):
        assert after.start - before.end >= MERGE_GAP_BYTES
    assert (found == []) == is_zero(page)


def test_a_gap_is_sent_only_while_it_is_cheaper_than_a_request() -> None:
    first, gap = GRAIN_BYTES, MERGE_GAP_BYTES
    page = b"\1" * first + bytes(gap) + b"\1" * first + bytes(gap - GRAIN_BYTES) + b"\1" * first
    start = first + gap
    assert runs(page) == [Range(0, first), Range(start, len(page))]


EXTENTS = st.lists(st.tuples(st.integers(0, 40 * MIB), st.integers(1, 9 * MIB)), max_size=10).map(
    lambda pairs: merge(Range(start, start + length) for start, length in pairs)
)


@given(extents=EXTENTS, size=st.integers(1, 50).map(lambda mib: mib * MIB))
def test_pages_cover_every_extent_once(extents: list[Range], size: int) -> None:
    pages = list(pages_with_data(extents, size))
    assert pages == sorted(set(pages))
    for page in pages:
        assert page.start % PAGE_BYTES == 0
        assert page.end == min(page.start + PAGE_BYTES, size)
        assert any(each.start < page.end and each.end > page.start for each in extents)
    merged = merge(pages)
    for each in extents:
        assert covers(merged, Range(min(each.start, size), min(each.end, size)))


SMALL = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=8).map(
    lambda pairs: merge(Range(start, start + length) for start, length in pairs)
)


def members(ranges: list[Range]) -> set[int]:
    return {byte for each in ranges for byte in range(each.start, each.end)}


@given(one=SMALL, other=SMALL, wanted=st.tuples(st.integers(0, 70), st.integers(0, 10)))
def test_arithmetic_of_ranges_agrees_with_sets(one: list[Range], other: list[Range], wanted: tuple[int, int]) -> None:
    assert members(list(subtract(one, other))) == members(one) - members(other)
    assert members(merge(one + other)) == members(one) | members(other)
    piece = Range(wanted[0], sum(wanted))
    assert covers(one, piece) == (set(range(*piece)) <= members(one))


@settings(deadline=None, max_examples=40)
@given(
    spots=st.lists(st.tuples(st.integers(0, 20 * MIB), st.integers(1, 300_000)), max_size=6),
    length=st.integers(1, 40_000).map(lambda sectors: sectors * 512),
    holes=st.booleans(),
)
def test_pieces_and_zeros_are_the_whole_vhd(spots: list[tuple[int, int]], length: int, holes: bool) -> None:
    data = bytearray(length)
    for start, size in spots:
        end = min(length, start + size)
        data[start:end] = os.urandom(max(0, end - start))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk"
        with path.open("wb") as file:
            if holes:
                # Only what is there is written; the rest of the file is one of its holes.
                for start, size in spots:
                    end = min(length, start + size)
                    if end > start:
                        file.seek(start)
                        file.write(data[start:end])
                file.truncate(length)
            else:
                file.write(data)
        disk = RawDisk(os.open(path, os.O_RDONLY), length)
        read = hashlib.sha256()
        try:
            found = survey(disk, Path(folder) / "pieces", Tracker("prepare"), read)
        finally:
            disk.close()
        padded = bytes(data) + bytes(-length % MIB)
        vhd = padded + build_footer(len(padded), hashlib.sha256(padded).digest())
        table = PieceTable(Path(folder) / "pieces", found.table_sha256)
        rebuilt = bytearray(len(vhd))
        for piece in table:
            sent = vhd[piece.offset : piece.offset + piece.length]
            assert table.seal.fits(sent, piece.offset, piece.tag)
            assert piece.length <= PAGE_BYTES
            # No Put Page may cross a multiple of 4 MiB: windows of the listing end there.
            assert piece.offset // PAGE_BYTES == (piece.range.end - 1) // PAGE_BYTES
            rebuilt[piece.offset : piece.offset + piece.length] = sent
        assert bytes(rebuilt) == vhd
        assert table[len(table) - 1].offset == len(padded)
        assert found.sha256 == hashlib.sha256(vhd).hexdigest()
        assert found.data_bytes == sum(piece.length for piece in table) - 512
        assert read.digest() == hashlib.sha256(data).digest()
        table.close()
