"""Compares what the service holds with the disk after an upload, and mends what it has lost or damaged.

The service's list of written pages is always compared. By option the bytes are read back, and each piece's tag is
compared with the table that was made when the disk was checked; where list and bytes contradict, the bytes decide.
"""

import itertools
import logging
import random
from collections.abc import Iterator

from azure.core.exceptions import HttpResponseError

from gallery_operator.contract import FailureCode, ReadBack, VerificationFacts
from gallery_operator.prerequisites.container import FOOTER_BYTES
from gallery_operator.worker.engine import Engine
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.journal import Bitmap, Journal
from gallery_operator.worker.layout import PAGE_BYTES, Range
from gallery_operator.worker.presence import CANNOT_READ, Presence, compare
from gallery_operator.worker.survey import PieceTable
from gallery_operator.worker.target import Target, describe
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

SAMPLE_PIECES = 64
"""So many pieces are read back as a sample (and three more), at most 264 MiB: four seconds at 60 MiB/s."""

REPAIRS = 3
"""So often a piece is sent again before the service is given up."""


def refusal_to_read(target: Target, total: int) -> str | None:
    """Find out whether the target lets itself be read, with the SAS at hand.

    Args:
        target: The blob.
        total: Its length in bytes.

    Returns:
        Why not, without secrets; None when it does.

    Raises:
        WorkerError: The target cannot be reached.
        HttpResponseError: The target is gone, or another answer that has nothing to do with reading.
    """
    with memoryview(bytearray(FOOTER_BYTES)) as data:
        try:
            target.get_page("reading the target's last page", total - FOOTER_BYTES, data)
        except HttpResponseError as error:
            if error.status_code not in CANNOT_READ:
                raise
            return describe(error)
    return None


def sample(count: int, seed: str, most: int = SAMPLE_PIECES) -> set[int]:
    """Choose the pieces to read back: spread over the disk, the same ones whenever the seed is the same.

    The first, the last two (the end of the disk, and the footer) and one of each of ``most`` equal parts.

    Args:
        count: Number of pieces.
        seed: Decides.
        most: Number of parts.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    bounds = [count * part // most for part in range(most + 1)]
    spread = {chance.randrange(start, end) for start, end in itertools.pairwise(bounds) if start < end}
    return spread | {index for index in (0, count - 2, count - 1) if index >= 0}


class Verification:
    """One comparison of a finished upload.

    Args:
        engine: Reads, sends again, clears.
        target: The blob.
        table: The pieces.
        total: Length of the VHD in bytes.
        journal: Remembers what was found damaged, for the next attempt if this one is killed.
        tracker: Shows how far it is.
        read_back: How much to read; ``None`` where the target does not let itself be read.
        seed: Decides on the sample.
    """

    def __init__(
        self,
        engine: Engine,
        target: Target,
        table: PieceTable,
        total: int,
        journal: Journal,
        tracker: Tracker,
        *,
        read_back: ReadBack,
        seed: str,
    ) -> None:
        self._engine = engine
        self._target = target
        self._table = table
        self._total = total
        self._journal = journal
        self._tracker = tracker
        self._mode: ReadBack = read_back
        self._wanted = Bitmap(len(table))
        self._right = Bitmap(len(table))
        self._facts = VerificationFacts()
        for index in sample(len(table), seed) if read_back == "Sample" else ():
            self._wanted.add(index)
        if len(journal.doubted):
            self._distrust()

    def run(self) -> VerificationFacts:
        """Compare, mend, and compare again, until nothing is wrong.

        Raises:
            WorkerError: ``VerificationFailed`` when the service does not keep what it is sent, ``SourceChanged`` when
                what is to be sent again is not what ``prepare`` saw, or the target failed.
        """
        for repairs in range(REPAIRS + 1):
            self._tracker.start("Verifying")
            there = compare(self._target, self._table, self._total, trusted=True, journal=self._journal)
            wrong = self._wrong(there)
            stale = self._stale(there)
            if not len(wrong) and not stale:
                return self._facts.model_copy(update={"read_back": self._mode, "listed": there.listed})
            if repairs < REPAIRS:
                self._mend(wrong, stale)
        first = self._table[next(iter(wrong))].range if len(wrong) else stale[0]
        message = (
            f"{self._target.name} does not hold what it has acknowledged: {len(wrong)} of {len(self._table)} pieces "
            f"are lost or damaged and {len(stale)} ranges written that are zero in the disk, the first at byte "
            f"{first.start}. Sending them {REPAIRS} times more did not help."
        )
        raise WorkerError(FailureCode.VERIFICATION_FAILED, message)

    def _wrong(self, there: Presence) -> Bitmap:
        """Return the pieces to send again: those whose bytes are others, or that are missing and cannot be read."""
        wrong = Bitmap(len(self._table))
        if self._mode == "None":
            for index in range(len(self._table)):
                if index not in there.present:
                    wrong.add(index)
            return wrong
        length = sum(self._table[index].length for index in self._unread(there))
        self._tracker.start("Verifying", length)
        looked = Bitmap(len(self._table))
        for index in self._unread(there):
            looked.add(index)
        self._engine.read_back(looked, self._right)
        self._add(read_back_bytes=length)
        for index in looked:
            if index not in self._right:
                wrong.add(index)
        return wrong

    def _unread(self, there: Presence) -> Iterator[int]:
        for index in range(len(self._table)):
            wanted = self._mode == "Full" or index in self._wanted or index not in there.present
            if wanted and index not in self._right:
                yield index

    def _stale(self, there: Presence) -> list[Range]:
        """Return the ranges to clear; what is listed even after that may be a way to list, and its bytes decide."""
        if not self._facts.cleared_bytes:
            return there.stale
        if self._mode == "None":
            return []
        pages = [page for each in there.stale for page in _pages(each)]
        most = len(pages) if self._mode == "Full" else SAMPLE_PIECES
        self._add(read_back_bytes=sum(page.end - page.start for page in pages[:most]))
        return [page for page in pages[:most] if not self._engine.is_zero(page)]

    def _mend(self, wrong: Bitmap, stale: list[Range]) -> None:
        length = sum(self._table[index].length for index in wrong)
        log.warning(
            "%s lacks %d pieces that it has acknowledged and has %d ranges too many; mending",
            self._target.name, len(wrong), len(stale), extra={"bytes": length},
        )  # fmt: skip
        for index in wrong:
            self._journal.doubt(index)
            self._wanted.add(index)
        if len(wrong):
            self._distrust()
        self._engine.repair(wrong)
        for each in stale:
            self._engine.clear(each.start, each.end - each.start)
        cleared = sum(each.end - each.start for each in stale)
        self._add(repaired_pieces=len(wrong), repaired_bytes=length, cleared_bytes=cleared)

    def _distrust(self) -> None:
        """Read everything back from now on: a service that has damaged something may have damaged more."""
        if self._mode == "Sample":
            self._mode = "Full"

    def _add(self, **counts: int) -> None:
        self._facts = self._facts.model_copy(
            update={name: getattr(self._facts, name) + count for name, count in counts.items()}
        )


def _pages(found: Range) -> Iterator[Range]:
    for start in range(found.start, found.end, PAGE_BYTES):
        yield Range(start, min(start + PAGE_BYTES, found.end))
