"""Any layout of data and holes, any size, any moment of death, any order of completions: the same bytes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.worker.fakeblob import Blob, Killed, Way

from gallery_operator.contract import FailureCode
from gallery_operator.worker.disk import RawDisk
from gallery_operator.worker.engine import Engine, Sent
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.formats.vhd import build_footer
from gallery_operator.worker.journal import Journal
from gallery_operator.worker.layout import MIB, PAGE_BYTES
from gallery_operator.worker.presence import compare
from gallery_operator.worker.survey import PieceTable, survey
from gallery_operator.worker.target import Target
from gallery_operator.worker.tracking import Tracker

URL = "https://account.example/container/disk.vhd"


def attempt(folder: Path, disk: RawDisk, table: PieceTable, footer: bytes, way: Way, *, trusted: bool) -> Sent:
    journal = Journal(folder / "journal", URL, "d", len(table))
    try:
        engine = Engine(
            target=cast("Target", way), disk=disk, footer=footer, table=table, journal=journal,
            tracker=Tracker("upload"), concurrency=5,
        )  # fmt: skip
        there = compare(cast("Target", way), table, len(way.blob.content), trusted=trusted, journal=journal)
        for stale in there.stale:
            engine.clear(stale.start, stale.end - stale.start)
        return engine.run(there.present, there.doubtful)
    finally:
        journal.close()


layouts = st.lists(st.tuples(st.integers(0, 9 * MIB), st.integers(1, 5 * MIB), st.integers(1, 255)), max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 10 * MIB),
    spots=layouts,
    kills=st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["before", "after", "half"])), max_size=4),
    delays=st.lists(st.integers(0, 20), min_size=1, max_size=7),
    managed=st.booleans(),
    keeps_journal=st.booleans(),
    before=layouts,
)
def test_the_same_bytes_come_out(
    size: int,
    spots: list[tuple[int, int, int]],
    kills: list[tuple[int, str]],
    delays: list[int],
    managed: bool,
    keeps_journal: bool,
    before: list[tuple[int, int, int]],
) -> None:
    data = bytearray(size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "disk").open("wb") as file:
            for start, length, value in spots:
                end = min(size, start + length)
                if end > start:
                    data[start:end] = bytes([value]) * (end - start)
                    file.seek(start)
                    file.write(data[start:end])
            file.truncate(size)
        disk = RawDisk(os.open(folder / "disk", os.O_RDONLY), size)
        found = survey(disk, folder / "pieces", Tracker("prepare"))
        table = PieceTable(folder / "pieces", found.table_sha256)
        blob = Blob(found.virtual_size + 512)
        if managed:
            # What an earlier upload of something else left in the disk.
            for start, length, value in before:
                start, end = start // 512 * 512, min(len(blob.content), (start + length) // 512 * 512)
                if end > start:
                    blob.write(start, bytes([value]) * (end - start))
        blob.sent = 0
        try:
            for die_at, how in kills:
                way = Way(blob, die_at, how, delays)
                with contextlib.suppress(Killed):
                    attempt(folder, disk, table, found.footer, way, trusted=not managed)
                if not keeps_journal:
                    (folder / "journal").unlink(missing_ok=True)
            attempt(folder, disk, table, found.footer, Way(blob, None, "", delays), trusted=not managed)
        finally:
            table.close()
            disk.close()
        padded = bytes(data) + bytes(-size % MIB)
        assert bytes(blob.content) == padded + found.footer
        assert blob.content[-512:-504] == b"conectix"
        # What died in flight, at most, goes twice.
        assert blob.sent <= found.data_bytes + 512 + len(kills) * 5 * PAGE_BYTES


def test_a_disk_that_changes_under_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"\x01" * 6 * MIB)
    disk = RawDisk(os.open(tmp_path / "disk", os.O_RDONLY), 6 * MIB)
    found = survey(disk, tmp_path / "pieces", Tracker("prepare"))
    table = PieceTable(tmp_path / "pieces", found.table_sha256)
    with (tmp_path / "disk").open("r+b") as file:
        file.seek(5 * MIB)
        file.write(b"\x02")
    blob = Blob(found.virtual_size + 512)
    with pytest.raises(WorkerError) as caught:
        attempt(tmp_path, disk, table, found.footer, Way(blob, None, "", [0]), trusted=True)
    assert (caught.value.code, caught.value.retry) == (FailureCode.SOURCE_CHANGED, False)
    # The footer was not sent: nothing takes this for a disk.
    assert bytes(blob.content[-512:]) == bytes(512)
    assert build_footer(found.virtual_size, bytes(32)) != found.footer
    table.close()
    disk.close()
