"""Surveys a disk while it is written, so that it need not be read again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gallery_operator.worker.layout import MIB, PAGE_BYTES, round_up
from gallery_operator.worker.survey import Survey, Surveyor

_AHEAD = 3
"""Pages that wait for the digest or are in it; memory for them is all that this costs."""


class Onlooker:
    """Takes the bytes of a raw disk or fixed VHD as they come, in pieces of any size.

    The digest has a thread of its own, beside that which decompresses. What of the last bytes belongs to the disk is
    known only when all have come (a fixed VHD ends with a footer), so the last page is held back until then.

    Args:
        table: Where to write the table of ranges.

    Raises:
        OSError: The table cannot be written; so do all methods.
    """

    def __init__(self, table: Path) -> None:
        self._surveyor = Surveyor(table)
        self._held = bytearray()
        self._passed_on = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="survey")
        self._room = threading.Semaphore(_AHEAD)
        self._failure: BaseException | None = None

    def take(self, data: bytes) -> None:
        """Take the next bytes."""
        self._held += data
        while len(self._held) > PAGE_BYTES:
            self._pass_on(bytes(memoryview(self._held)[:PAGE_BYTES]))
            del self._held[:PAGE_BYTES]

    def finish(self, data_size: int) -> Survey | None:
        """Return what the pass found.

        Args:
            data_size: How many of the bytes are the disk's.

        Returns:
            What it found; None when the disk ends before what was held back, so that it must be read after all (a
            footer across two pages, which only a file of an odd size can have).
        """
        length = data_size - self._passed_on
        if not 0 <= length <= len(self._held):
            return None
        if length:
            self._pass_on(bytes(self._held[:length]).ljust(round_up(length, MIB), b"\0"))
        self._pool.shutdown()
        if self._failure is not None:
            raise self._failure
        return self._surveyor.finish()

    def close(self) -> None:
        """Let go of everything, whether or not all has come."""
        self._pool.shutdown(cancel_futures=True)
        self._surveyor.close()

    def _pass_on(self, page: bytes) -> None:
        self._room.acquire()
        if self._failure is not None:
            raise self._failure
        self._passed_on += len(page)
        self._pool.submit(self._survey, page)

    def _survey(self, page: bytes) -> None:
        try:
            if self._failure is None:
                self._surveyor.page(page)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            self._failure = error
        finally:
            self._room.release()
