"""What of a disk is in the target already."""

import logging
from dataclasses import dataclass, field

from azure.core.exceptions import HttpResponseError

from gallery_operator.worker.journal import Bitmap, Journal
from gallery_operator.worker.layout import PAGE_BYTES, Range, covers, subtract
from gallery_operator.worker.survey import Piece, PieceTable
from gallery_operator.worker.target import Target, describe

log = logging.getLogger(__name__)

CANNOT_READ = frozenset({400, 403, 405, 409, 501})
"""The SAS lacks the permission to read, or the endpoint (a managed disk's) does not know the request."""

WINDOW_BYTES = 1024 * PAGE_BYTES
"""So much of the target is listed by one request (4 GiB): its answer stays below a few MB."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Which pieces are there.

    Attributes:
        present: For certain, with the right bytes.
        doubtful: Written, but from what is not known.
        stale: Ranges that are written although the disk is zero there.
        listed: The target has said so; else only the journal has.
    """

    present: Bitmap
    doubtful: Bitmap
    stale: list[Range] = field(default_factory=list)
    listed: bool = True


def compare(target: Target, table: PieceTable, total: int, *, trusted: bool, journal: Journal) -> Presence:
    """List the target's pages and compare them with the pieces.

    Args:
        target: The blob.
        table: The pieces, in order.
        total: Length of the VHD.
        trusted: Everything in the target is known to come from this very disk; else only what the journal
            has as acknowledged. What was found damaged before is trusted in no case.
        journal: Of earlier attempts. Where the target may not be listed, it alone decides.

    Returns:
        The comparison.

    Raises:
        WorkerError: The target cannot be reached.
        HttpResponseError: The target is gone, or another answer that has nothing to do with listing.
    """
    result = Presence(Bitmap(len(table)), Bitmap(len(table)))
    index = 0
    for start in range(0, total, WINDOW_BYTES):
        end = min(start + WINDOW_BYTES, total)
        try:
            written = target.page_ranges(start, end - start)
        except HttpResponseError as error:
            if error.status_code not in CANNOT_READ:
                raise
            log.warning("the target's pages cannot be listed (%s); the journal alone decides", describe(error))
            return Presence(journal.acknowledged, Bitmap(len(table)), listed=False)
        pieces: list[Piece] = []
        # No piece crosses a window, as none crosses a multiple of 4 MiB.
        while index < len(table) and table[index].offset < end:
            piece = table[index]
            pieces.append(piece)
            if covers(written, piece.range):
                certain = (trusted and index not in journal.doubted) or index in journal.acknowledged
                (result.present if certain else result.doubtful).add(index)
            index += 1
        result.stale.extend(subtract(written, [piece.range for piece in pieces]))
    return result
