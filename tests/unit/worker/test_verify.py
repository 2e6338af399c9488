"""Whatever a service loses, damages or says of its pages: the right disk, or a refusal."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.worker.fakeblob import Blob, Way

from gallery_operator.contract import FailureCode, ReadBack, VerificationFacts
from gallery_operator.worker.disk import RawDisk
from gallery_operator.worker.engine import Engine
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.journal import Bitmap, Journal
from gallery_operator.worker.layout import MIB, PAGE_BYTES, Range, merge, subtract
from gallery_operator.worker.survey import PieceTable, survey
from gallery_operator.worker.target import Target
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.verify import REPAIRS, SAMPLE_PIECES, Verification, sample

URL = "https://account.example/container/disk.vhd"

# What becomes of one write: kept, or acknowledged and ...
FATES = ("kept", "lost", "damaged")


class BadBlob(Blob):
    """Acknowledges every write and keeps those that fate lets it; then has a past of its own."""

    def __init__(self, size: int, fates: Callable[[], str]) -> None:
        super().__init__(size)
        self.fates = fates
        self.lies: Callable[[list[Range]], list[Range]] = lambda written: written

    def write(self, offset: int, data: bytes) -> None:
        fate = self.fates()
        if fate == "lost":
            self.sent += len(data)
        else:
            super().write(offset, data if fate == "kept" else data[:-1] + bytes([data[-1] ^ 1]))


class BadWay(Way):
    def page_ranges(self, start: int, length: int) -> list[Range]:
        true = self.blob.written
        try:
            self.blob.written = cast("BadBlob", self.blob).lies(true)
            return super().page_ranges(start, length)
        finally:
            self.blob.written = true


class Scene:
    """A disk of some pieces, and a blob that it has been sent to."""

    def __init__(self, folder: Path, spots: list[tuple[int, int]], size: int) -> None:
        self.data = bytearray(size)
        for at, (start, length) in enumerate(spots):
            self.data[start : start + length] = bytes([at % 255 + 1]) * len(self.data[start : start + length])
        (folder / "disk").write_bytes(self.data)
        self.disk = RawDisk(os.open(folder / "disk", os.O_RDONLY), size)
        found = survey(self.disk, folder / "pieces", Tracker("prepare"))
        self.footer = found.footer
        self.table = PieceTable(folder / "pieces", found.table_sha256)
        self.total = found.virtual_size + 512
        self.folder = folder

    @property
    def vhd(self) -> bytes:
        return bytes(self.data) + bytes(-len(self.data) % MIB) + self.footer

    def verify(self, blob: BadBlob, mode: ReadBack, sent: Callable[[], None] = lambda: None) -> VerificationFacts:
        """Send everything, let something happen, and verify."""
        way, tracker = cast("Target", BadWay(blob, None, "", [0])), Tracker("upload")
        journal = Journal(self.folder / "journal", URL, "d", len(self.table))
        try:
            engine = Engine(
                target=way, disk=self.disk, footer=self.footer, table=self.table, journal=journal, tracker=tracker,
                concurrency=3,
            )  # fmt: skip
            present = Bitmap(len(self.table))
            for index in journal.acknowledged:
                present.add(index)
            engine.run(present, Bitmap(len(self.table)))
            sent()
            return Verification(
                engine, way, self.table, self.total, journal, tracker, read_back=mode, seed="s"
            ).run()  # fmt: skip
        finally:
            journal.close()

    def close(self) -> None:
        self.table.close()
        self.disk.close()


@contextmanager
def scene(spots: list[tuple[int, int]], size: int) -> Iterator[Scene]:
    with tempfile.TemporaryDirectory() as name:
        found = Scene(Path(name), spots, size)
        try:
            yield found
        finally:
            found.close()


SPOTS = [(0, MIB), (3 * MIB, 3 * MIB), (9 * MIB, 100), (12 * MIB - 512, 512)]
SIZE = 12 * MIB


@pytest.fixture(scope="module")
def shared() -> Iterator[Scene]:
    with scene(SPOTS, SIZE) as found:
        yield found


@settings(max_examples=60, deadline=None)
@given(
    fates=st.lists(st.sampled_from(FATES), max_size=40),
    stale=st.lists(st.integers(0, SIZE // 4096 - 1), max_size=3),
    hidden=st.lists(st.integers(0, 6), max_size=3),
    keeps_lying=st.booleans(),
)
def test_the_right_disk_or_a_refusal(
    shared: Scene, fates: list[str], stale: list[int], hidden: list[int], keeps_lying: bool
) -> None:
    found = shared
    (found.folder / "journal").unlink(missing_ok=True)
    left = iter(fates)
    blob = BadBlob(found.total, lambda: next(left, "kept"))
    lying = [True]

    def lies(written: list[Range]) -> list[Range]:
        if not lying[0]:
            return written
        lying[0] = keeps_lying
        gone = merge(found.table[index % len(found.table)].range for index in hidden)
        return list(subtract(written, gone))

    def scribble() -> None:
        for page in stale:
            end = min((page + 1) * 4096, SIZE)
            # Only where the disk is zero: elsewhere it would be damage, which has its own fate.
            if not any(found.data[page * 4096 : end]) and not _in_a_piece(found.table, page * 4096, end):
                Blob.write(blob, page * 4096, b"\7" * (end - page * 4096))

    blob.lies = lies
    try:
        facts = found.verify(blob, "Full", scribble)
    except WorkerError as error:
        assert error.code == FailureCode.VERIFICATION_FAILED
        assert error.retry
        # A service that keeps what it is sent at the fourth try is not given up.
        assert sum(fate != "kept" for fate in fates) > REPAIRS
    else:
        assert bytes(blob.content) == found.vhd
        assert facts.read_back_bytes >= sum(piece.length for piece in found.table)


def _in_a_piece(table: PieceTable, start: int, end: int) -> bool:
    return any(piece.offset < end and start < piece.range.end for piece in table)


@pytest.mark.parametrize("mode", ["None", "Sample", "Full"])
def test_what_is_not_listed_is_sent_again(mode: ReadBack) -> None:
    with scene(SPOTS, SIZE) as found:
        fates = iter(["kept", "lost"])
        blob = BadBlob(found.total, lambda: next(fates, "kept"))
        facts = found.verify(blob, mode)
        assert bytes(blob.content) == found.vhd
        assert (facts.repaired_pieces, facts.listed) == (1, True)
        # What has lost something is not trusted: from a sample everything is read.
        assert facts.read_back == ("None" if mode == "None" else "Full")


def test_a_list_that_forgets_costs_nothing_where_the_bytes_are_there() -> None:
    with scene(SPOTS, SIZE) as found:
        blob = BadBlob(found.total, lambda: "kept")
        blob.lies = lambda written: []
        facts = found.verify(blob, "Sample")
        assert (facts.repaired_pieces, bytes(blob.content)) == (0, found.vhd)
        sent = blob.sent
        # Without reading there is only the list to go by.
        with pytest.raises(WorkerError, match="lost or damaged"):
            found.verify(blob, "None")
        assert blob.sent == sent + REPAIRS * sum(piece.length for piece in found.table)


def test_pages_too_many_are_cleared_and_a_list_that_stays_is_read() -> None:
    with scene(SPOTS, SIZE) as found:
        blob = BadBlob(found.total, lambda: "kept")
        facts = found.verify(blob, "Sample", lambda: Blob.write(blob, 7 * MIB, b"\7" * 4096))
        assert (facts.cleared_bytes, bytes(blob.content)) == (4096, found.vhd)
        # A service that lists in larger units than it was written in.
        blob.lies = lambda written: merge([*written, Range(7 * MIB, 8 * MIB)])
        facts = found.verify(blob, "Sample")
        assert (facts.cleared_bytes, bytes(blob.content)) == (MIB, found.vhd)


def test_one_that_damages_for_ever_is_given_up_and_not_trusted_by_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scene([(n * PAGE_BYTES, PAGE_BYTES) for n in range(3)], SIZE) as found:
        blob = BadBlob(found.total, lambda: "damaged")
        with pytest.raises(WorkerError) as caught:
            found.verify(blob, "Sample")
        assert (caught.value.code, caught.value.retry) == (FailureCode.VERIFICATION_FAILED, True)
        blob.fates = lambda: "kept"
        # All are acknowledged by now, and by itself the next attempt would look at none of them.
        monkeypatch.setattr("gallery_operator.worker.verify.sample", lambda count, seed: set())
        facts = found.verify(blob, "Sample")
        assert (facts.read_back, facts.repaired_pieces) == ("Full", 4)
        assert bytes(blob.content) == found.vhd


@given(count=st.integers(1, 5000), seed=st.text(max_size=5))
def test_a_sample(count: int, seed: str) -> None:
    found = sample(count, seed)
    assert found == sample(count, seed)
    assert {0, max(0, count - 2), count - 1} <= found <= set(range(count))
    assert len(found) <= SAMPLE_PIECES + 3
    # Spread: no gap is longer than two parts.
    places = sorted(found)
    assert all(b - a <= 2 * (count // SAMPLE_PIECES + 1) for a, b in itertools.pairwise(places))


def test_another_seed_is_another_sample() -> None:
    assert len({frozenset(sample(100_000, f"{n}")) for n in range(20)}) == 20
