"""Sends the pieces of a disk, many at a time, in bounded memory."""

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient

from gallery_operator.contract import FailureCode
from gallery_operator.worker.disk import RawDisk
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.journal import Bitmap, Journal
from gallery_operator.worker.layout import PAGE_BYTES
from gallery_operator.worker.pageblob import Lease
from gallery_operator.worker.survey import Piece, PieceTable
from gallery_operator.worker.target import Stopping, Target, describe, error_code
from gallery_operator.worker.tracking import Tracker

log = logging.getLogger(__name__)

BUFFER_BYTES = 16 * PAGE_BYTES
"""Most bytes of pieces in memory, whatever the concurrency: 64 MiB.

16 requests of 4 MiB in flight fill a page blob's 60 MiB/s at up to a second of latency; more requests than
that are in flight only when pieces are smaller.
"""

_LEASE_LOST = frozenset({"LeaseLost", "LeaseNotPresentWithBlobOperation", "LeaseIdMissing",
                         "LeaseIdMismatchWithBlobOperation"})  # fmt: skip


class Budget:
    """Hands out bytes of memory to threads; who asks waits until there are enough.

    Args:
        most: Bytes in all.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._changed = threading.Condition()

    def take(self, amount: int, stopping: threading.Event) -> None:
        """Wait for bytes.

        Raises:
            Stopping: The upload ends.
        """
        with self._changed:
            while self._free < amount:
                if stopping.is_set():
                    raise Stopping
                self._changed.wait(0.5)
            self._free -= amount

    def give(self, amount: int) -> None:
        """Return bytes."""
        with self._changed:
            self._free += amount
            self._changed.notify_all()


@dataclass
class Sent:
    """What was done with the pieces, in bytes.

    Attributes:
        sent: Sent with Put Page.
        resumed: Found in the target, from an earlier attempt.
    """

    sent: int = 0
    resumed: int = 0


class Engine:
    """Brings every piece into the target.

    Args:
        target: The blob.
        disk: Where the bytes are.
        footer: The VHD's footer, which is not in the disk.
        table: The pieces, the footer last.
        journal: Takes down what was acknowledged.
        tracker: Shows how far it is.
        concurrency: Requests in flight.
        lease: Held on the blob, if any.
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
    ) -> None:
        self._target = target
        self._disk = disk
        self._footer = footer
        self._table = table
        self._journal = journal
        self._tracker = tracker
        self._concurrency = concurrency
        self._lease = lease
        self._lock = threading.RLock()  # counting happens inside and outside of handing out work
        self._budget = Budget(BUFFER_BYTES)
        self._failure: BaseException | None = None
        self._result = Sent()

    def run(self, present: Bitmap, doubtful: Bitmap) -> Sent:
        """Send what is missing; the footer last, so that a half-sent disk is never a VHD.

        Args:
            present: Pieces known to be in the target.
            doubtful: Pieces that may be there with the right bytes; they are read back, and sent only if they
                differ or cannot be read.

        Returns:
            What was sent and what was there.

        Raises:
            WorkerError: ``SourceChanged`` when a piece is not what ``prepare`` saw, or the target failed.
        """
        last = len(self._table) - 1
        work = self._work(range(last), present)
        count = max(1, min(self._concurrency, last))
        self._in_threads(count, work, doubtful)
        self._in_threads(1, self._work(range(last, last + 1), present), doubtful)
        return self._result

    def _work(self, indexes: range, present: Bitmap) -> Iterator[tuple[int, Piece]]:
        for index in indexes:
            piece = self._table[index]
            if index in present:
                self._done(piece, resumed=True)
            else:
                yield index, piece

    def _in_threads(self, count: int, work: Iterator[tuple[int, Piece]], doubtful: Bitmap) -> None:
        left = threading.Semaphore(0)

        def loop() -> None:
            try:
                while not self._target.stopping.is_set():
                    with self._lock:
                        job = next(work, None)
                    if job is None:
                        return
                    self._bring(*job, job[0] in doubtful)
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

    def _bring(self, index: int, piece: Piece, doubtful: bool) -> None:
        self._budget.take(piece.length, self._target.stopping)
        try:
            if doubtful and self._is_there(piece):
                self._journal.add(index)
                self._done(piece, resumed=True)
                return
            data = self._read(piece)
            self._write(piece, data)
            self._journal.add(index)
            self._done(piece, resumed=False)
        finally:
            self._budget.give(piece.length)

    def _read(self, piece: Piece) -> bytes:
        if piece.offset >= self._disk.size:
            data = self._footer
        else:
            data = self._disk.pread(piece.length, piece.offset)
        if hashlib.sha256(data).digest() != piece.sha256:
            message = (
                f"The disk changed after it was checked (bytes {piece.offset} to {piece.range.end}); "
                "nothing may write to the source during an import."
            )
            raise WorkerError(FailureCode.SOURCE_CHANGED, message, retry=False)
        return data

    def _is_there(self, piece: Piece) -> bool:
        def request(client: BlobClient) -> bytes:
            return client.download_blob(piece.offset, piece.length, max_concurrency=1).readall()

        try:
            found = self._target.call(f"reading back {piece.length} bytes at {piece.offset}", request)
        except HttpResponseError as error:
            log.info("a piece cannot be read back, it is sent again: %s", describe(error))
            return False
        return hashlib.sha256(found).digest() == piece.sha256

    def _write(self, piece: Piece, data: bytes) -> None:
        what = f"writing {piece.length} bytes at {piece.offset}"

        def request(client: BlobClient) -> object:
            options: dict[str, Any] = {} if self._lease is None or self._lease.id is None else {"lease": self._lease.id}
            return client.upload_page(data, piece.offset, piece.length, validate_content=True, **options)

        self._call(what, request)

    def clear(self, offset: int, length: int) -> None:
        """Set bytes of the target to zero that an earlier disk left there."""
        what = f"clearing {length} bytes at {offset}"
        self._call(what, lambda client: client.clear_page(offset, length))

    def _call(self, what: str, request: Callable[[BlobClient], object]) -> None:
        try:
            self._target.call(what, request)
        except HttpResponseError as error:
            if error_code(error) in _LEASE_LOST and self._lease is not None and self._lease.retake():
                self._target.call(what, request)
                return
            raise refused(self._target.name, what, error) from None

    def _done(self, piece: Piece, *, resumed: bool) -> None:
        with self._lock:
            if resumed:
                self._result.resumed += piece.length
            else:
                self._result.sent += piece.length
        self._tracker.advance(piece.length, sent=0 if resumed else piece.length)


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
