"""Sends the pieces of a disk, many at a time, in bounded memory."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient

from gallery_operator.contract import FailureCode
from gallery_operator.worker.copying import Copier
from gallery_operator.worker.disk import RawDisk
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.gate import Gate
from gallery_operator.worker.journal import Bitmap, Journal
from gallery_operator.worker.pace import Allowance, Pace
from gallery_operator.worker.pageblob import Lease
from gallery_operator.worker.survey import Piece, PieceTable
from gallery_operator.worker.target import ResultT, Stopping, Target, describe, error_code
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

_LEASE_LOST = frozenset({"LeaseLost", "LeaseNotPresentWithBlobOperation", "LeaseIdMissing",
                         "LeaseIdMismatchWithBlobOperation"})  # fmt: skip


@dataclass
class Sent:
    """What was done with the pieces, in bytes.

    Attributes:
        sent: Sent with Put Page.
        copied: Copied by the service.
        resumed: Found in the target, from an earlier attempt.
    """

    sent: int = 0
    copied: int = 0
    resumed: int = 0


Way = Literal["sent", "copied", "resumed"]
"""How a piece came into the target."""


class Engine:
    """Brings every piece into the target.

    Args:
        target: The blob.
        disk: Where the bytes are.
        footer: The VHD's footer, which is not in the disk.
        table: The pieces, the footer last.
        journal: Takes down what was acknowledged.
        tracker: Shows how far it is.
        concurrency: Most requests in flight.
        bandwidth: Most bytes a second; None: no limit.
        lease: Held on the blob, if any.
        copier: Has pieces copied from where the disk came from, if that is possible.
    """

    def __init__(
        self,
        *,
        target: Target,
        disk: RawDisk,
        footer: bytes,
        table: PieceTable,
        journal: Journal,
        tracker: Tracker,
        concurrency: int,
        lease: Lease | None = None,
        bandwidth: int | None = None,
        copier: Copier | None = None,
    ) -> None:
        self._target = target
        self._disk = disk
        self._footer = footer
        self._table = table
        self._journal = journal
        self._tracker = tracker
        self._concurrency = concurrency
        self._lease = lease
        self._copier = copier
        self._lock = threading.RLock()  # counting happens inside and outside of handing out work
        self._gate = Gate(Pace(concurrency), Allowance(bandwidth), target.stopping)
        self._failure: BaseException | None = None
        self._result = Sent()

    def run(self, present: Bitmap, doubtful: Bitmap) -> Sent:
        """Send what is missing; the footer last, so that a half-sent disk is never a VHD.

        Args:
            present: Pieces known to be in the target.
            doubtful: Pieces that may be there with the right bytes; they are read back, and sent only if they
                differ or cannot be read.

        Returns:
            What was sent and copied, and what was there.

        Raises:
            WorkerError: ``SourceChanged`` when a piece is not what ``prepare`` saw, or the target failed.
        """
        last = len(self._table) - 1
        work = self._work(range(last), present)
        self._target.on_throttled = self._gate.throttled
        count = max(1, min(self._concurrency, last))
        self._in_threads(count, work, doubtful)
        self._in_threads(1, self._work(range(last, last + 1), present), doubtful)
        return self._result

    def _work(self, indexes: range, present: Bitmap) -> Iterator[tuple[int, Piece]]:
        for index in indexes:
            piece = self._table[index]
            if index in present:
                self._done(piece, "resumed")
            else:
                yield index, piece

    def _in_threads(self, count: int, work: Iterator[tuple[int, Piece]], doubtful: Bitmap) -> None:
        left = threading.Semaphore(0)

        def loop() -> None:
            try:
                while self._next(work, doubtful):
                    pass
            except Stopping:
                pass
            except BaseException as error:  # noqa: BLE001 - handed to the main thread
                if self._failure is None:
                    self._failure = error
                self._target.stopping.set()
            finally:
                left.release()

        # Daemons: when the pod is asked to stop, the process must not wait for requests in flight.
        threads = [threading.Thread(target=loop, name=f"upload-{n}", daemon=True) for n in range(count)]
        for thread in threads:
            thread.start()
        try:
            for _ in threads:
                left.acquire()
        except BaseException:
            self._target.stopping.set()
            raise
        if self._failure is not None:
            raise self._failure

    def _next(self, work: Iterator[tuple[int, Piece]], doubtful: Bitmap) -> bool:
        """Bring one piece into the target; False when there are no more."""
        self._gate.enter()
        brought: int | None = None
        try:
            with self._lock:
                job = next(work, None)
            if job is None:
                return False
            index, piece = job
            way = self._bring(piece, index in doubtful)
            if way != "resumed":
                brought = piece.length
            self._journal.add(index)
            self._done(piece, way)
            return True
        finally:
            self._gate.leave(brought)

    def _bring(self, piece: Piece, doubtful: bool) -> Way:
        """Have a piece copied, or send it, unless it is there already."""
        buffer = self._gate.take_buffer(piece.length)
        try:
            if doubtful and self._is_there(piece):
                return "resumed"
            with memoryview(buffer)[: piece.length] as data:
                self._read(piece, data)
                return self._write(piece, data)
        finally:
            self._gate.give_buffer(buffer)

    def _read(self, piece: Piece, data: memoryview) -> None:
        if piece.offset >= self._disk.size:
            data[:] = self._footer
        else:
            self._disk.pread_into(data, piece.offset)
        if not self._table.seal.fits(data, piece.offset, piece.tag):
            message = (
                f"The disk changed after it was checked (bytes {piece.offset} to {piece.range.end}); "
                "nothing may write to the source during an import."
            )
            raise WorkerError(FailureCode.SOURCE_CHANGED, message, retry=False)

    def _is_there(self, piece: Piece) -> bool:
        def request(client: BlobClient) -> bytes:
            return client.download_blob(piece.offset, piece.length, max_concurrency=1).readall()

        try:
            found = self._target.call(f"reading back {piece.length} bytes at {piece.offset}", request)
        except HttpResponseError as error:
            log.info("a piece cannot be read back, it is sent again: %s", describe(error))
            return False
        return self._table.seal.fits(found, piece.offset, piece.tag)

    def _write(self, piece: Piece, data: memoryview) -> Way:
        def lease() -> str | None:
            self._gate.hold_back(piece.length)
            return None if self._lease is None else self._lease.id

        copier = self._copier
        if copier is not None and copier.covers(piece.offset, piece.length):
            what = f"copying {piece.length} bytes at {piece.offset}"
            if self._insist(what, lambda: copier.copy(what, piece.offset, data, lease)):
                return "copied"
        what = f"writing {piece.length} bytes at {piece.offset}"
        self._insist(what, lambda: self._target.put_page(what, piece.offset, data, lease))
        return "sent"

    def clear(self, offset: int, length: int) -> None:
        """Set bytes of the target to zero that an earlier disk left there."""
        what = f"clearing {length} bytes at {offset}"
        self._insist(what, lambda: self._target.call(what, lambda client: client.clear_page(offset, length)))

    def _insist(self, what: str, request: Callable[[], ResultT]) -> ResultT:
        """Send a request; once more when the lease had run out and could be taken again."""
        try:
            try:
                return request()
            except HttpResponseError as error:
                if error_code(error) not in _LEASE_LOST or self._lease is None or not self._lease.retake():
                    raise
                return request()
        except HttpResponseError as error:
            raise refused(self._target.name, what, error) from None

    def _done(self, piece: Piece, way: Way) -> None:
        length = piece.length
        with self._lock:
            setattr(self._result, way, getattr(self._result, way) + length)
        self._tracker.advance(length, sent=length if way == "sent" else 0, copied=length if way == "copied" else 0)


def refused(name: str, what: str, error: HttpResponseError) -> WorkerError:
    """Make the error for an answer of the service that no repetition changes."""
    text = f"{name} refuses {what}: {describe(error)}."
    if error.status_code in (401, 403):
        return WorkerError(FailureCode.TARGET_FORBIDDEN, text)
    if error.status_code in (409, 412):
        return WorkerError(FailureCode.TARGET_CONFLICT, text, retry=error_code(error).startswith("Lease"))
    if error.status_code == 404:
        return WorkerError(FailureCode.TARGET_UNREACHABLE, f"{text} It was deleted while it was written.")
    return WorkerError(FailureCode.INTERNAL, text, retry=False)
