"""Sends the pieces of a disk and reads them back, many at a time, in bounded memory."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from azure.core.exceptions import HttpResponseError

from gallery_operator.contract import FailureCode
from gallery_operator.worker.copying import Copier
from gallery_operator.worker.disk import Disk
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.gate import Gate
from gallery_operator.worker.journal import Bitmap, Journal
from gallery_operator.worker.layout import Range, is_zero
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
        disk: Disk,
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
        self._lock = threading.Lock()
        self._gate = Gate(Pace(concurrency), Allowance(bandwidth), target.stopping)
        target.on_throttled = self._gate.throttled
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
        self._result.resumed = sum(self._table[index].length for index in present)
        self._tracker.start("Uploading", sum(piece.length for piece in self._table), self._result.resumed)

        def bring(index: int) -> int | None:
            return self._bring(index, doubtful=index in doubtful)

        self._in_threads(self._concurrency, (index for index in range(last) if index not in present), bring)
        self._in_threads(1, (index for index in (last,) if index not in present), bring)
        return self._result

    def repair(self, indexes: Iterable[int]) -> None:
        """Send pieces again.

        Raises:
            WorkerError: As for ``run``.
        """

        def again(index: int) -> int:
            self._send(index, self._table[index])
            return self._table[index].length

        self._in_threads(self._concurrency, indexes, again)

    def read_back(self, indexes: Iterable[int], right: Bitmap) -> None:
        """Read pieces back from the target.

        Args:
            indexes: Which ones.
            right: Gets those that are what they should be.

        Raises:
            HttpResponseError: The target does not let them be read.
            WorkerError: The target failed.
        """

        def look(index: int) -> int:
            piece = self._table[index]
            fits = self._is_there(piece)
            with self._lock:
                if fits:
                    right.add(index)
            self._tracker.advance(piece.length)
            return piece.length

        self._in_threads(self._concurrency, indexes, look)

    def is_zero(self, found: Range) -> bool:
        """Read a range of at most 4 MiB back and see whether it is zero.

        Raises:
            HttpResponseError: The target does not let it be read.
            WorkerError: The target failed.
        """
        with self._buffer(found.end - found.start) as data:
            self._get(found.start, data)
            return is_zero(bytes(data))

    def _in_threads(self, most: int, indexes: Iterable[int], action: Callable[[int], int | None]) -> None:
        """Do something with each piece, as many at a time as the gate lets in.

        Args:
            most: Threads.
            indexes: The pieces; taken one by one as threads become free.
            action: Returns the bytes that went over the wire, None when none did.
        """
        work, left = iter(indexes), threading.Semaphore(0)

        def loop() -> None:
            try:
                while self._next(work, action):
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
        threads = [threading.Thread(target=loop, name=f"upload-{n}", daemon=True) for n in range(most)]
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

    def _next(self, work: Iterator[int], action: Callable[[int], int | None]) -> bool:
        """Take one piece; False when there are no more."""
        self._gate.enter()
        moved: int | None = None
        try:
            with self._lock:
                index = next(work, None)
            if index is None:
                return False
            moved = action(index)
            return True
        finally:
            self._gate.leave(moved)

    def _bring(self, index: int, *, doubtful: bool) -> int | None:
        """Have a piece copied, or send it, unless it is there already; None when it was."""
        piece = self._table[index]
        if doubtful and self._is_there_for_certain(piece):
            self._journal.add(index)
            self._count(piece, "resumed")
            return None
        self._count(piece, self._send(index, piece))
        return piece.length

    def _count(self, piece: Piece, way: Way) -> None:
        with self._lock:
            setattr(self._result, way, getattr(self._result, way) + piece.length)
        self._tracker.advance(piece.length)

    def _send(self, index: int, piece: Piece) -> Way:
        with self._buffer(piece.length) as data:
            self._read(piece, data)
            way = self._write(piece, data)
        self._journal.add(index)
        self._tracker.advance(**{way: piece.length})
        return way

    @contextlib.contextmanager
    def _buffer(self, length: int) -> Iterator[memoryview]:
        buffer = self._gate.take_buffer(length)
        try:
            with memoryview(buffer)[:length] as data:
                yield data
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
        with self._buffer(piece.length) as data:
            self._get(piece.offset, data)
            return self._table.seal.fits(data, piece.offset, piece.tag)

    def _is_there_for_certain(self, piece: Piece) -> bool:
        try:
            return self._is_there(piece)
        except HttpResponseError as error:
            log.info("a piece cannot be read back, it is sent again: %s", describe(error))
            return False

    def _get(self, offset: int, data: memoryview) -> None:
        what = f"reading back {len(data)} bytes at {offset}"
        self._target.get_page(what, offset, data, lambda: self._gate.hold_back(len(data)))

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
