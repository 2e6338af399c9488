"""Surveys a disk while it is written, so that it need not be read again."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gallery_operator.worker.layout import MIB, PAGE_BYTES
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
        self._held: list[bytes | int] = []  # a number stands for so many zeros
        self._held_bytes = self._passed_on = 0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="survey")
        self._room = threading.Semaphore(_AHEAD)
        self._failure: BaseException | None = None

    def take(self, data: bytes) -> None:
        """Take the next bytes."""
        self._hold(data)

    def skip(self, length: int) -> None:
        """Take zeros; most of many disks."""
        self._hold(length)

    def finish(self, data_size: int) -> Survey | None:
        """Return what the pass found.

        Args:
            data_size: How many of the bytes are the disk's.

        Returns:
            What it found; None when the disk ends before what was held back, so that it must be read after all (a
            footer across two pages, which only a file of an odd size can have).
        """
        length = data_size - self._passed_on
        if not 0 <= length <= self._held_bytes:
            return None
        if length:
            self._pass_on([*self._cut(length), -length % MIB])
        self._pool.shutdown()
        if self._failure is not None:
            raise self._failure
        return self._surveyor.finish()

    def close(self) -> None:
        """Let go of everything, whether or not all has come."""
        self._pool.shutdown(cancel_futures=True)
        self._surveyor.close()

    def _hold(self, piece: bytes | int) -> None:
        self._held.append(piece)
        self._held_bytes += _length(piece)
        while self._held_bytes > PAGE_BYTES:
            self._pass_on(self._cut(PAGE_BYTES))

    def _cut(self, length: int) -> list[bytes | int]:
        """Take the first bytes out of those that are held; only what lies across their end is copied."""
        found: list[bytes | int] = []
        while length:
            first = self._held.pop(0)
            if _length(first) > length:
                rest = first - length if isinstance(first, int) else first[length:]
                self._held.insert(0, rest)
                first = length if isinstance(first, int) else first[:length]
            found.append(first)
            self._held_bytes -= _length(first)
            length -= _length(first)
        return found

    def _pass_on(self, page: list[bytes | int]) -> None:
        self._room.acquire()
        if self._failure is not None:
            raise self._failure
        self._passed_on += sum(map(_length, page))
        self._pool.submit(self._survey, page)

    def _survey(self, page: list[bytes | int]) -> None:
        try:
            if self._failure is not None:
                return
            if all(isinstance(piece, int) for piece in page):
                self._surveyor.zeros(self._surveyor.position + sum(map(_length, page)))
            else:
                self._surveyor.page(b"".join(bytes(piece) for piece in page))
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits for it
            self._failure = error
        finally:
            self._room.release()


def _length(piece: bytes | int) -> int:
    return piece if isinstance(piece, int) else len(piece)
