"""Lets a changing number of threads send at a time, with buffers out of a bounded memory."""

import threading
import time

from gallery_operator.worker.layout import MIB, PAGE_BYTES
from gallery_operator.worker.pace import Allowance, Pace
from gallery_operator.worker.target import Stopping

BUFFER_BYTES = 10 * PAGE_BYTES
"""Most bytes of pieces in memory, whatever the concurrency: 40 MiB.

10 requests of 4 MiB in flight fill a page blob's 60 MiB/s at up to two thirds of a second a request; more requests
than that are in flight only when pieces are smaller.
"""

_SMALL_BYTES = MIB
_LOOK_SECONDS = 0.5


class Gate:
    """What a thread passes before it reads and sends a piece.

    Args:
        pace: How many at a time.
        allowance: How many bytes a second.
        stopping: Set when the upload ends.
        most_bytes: Of all buffers together.
    """

    def __init__(
        self, pace: Pace, allowance: Allowance, stopping: threading.Event, most_bytes: int = BUFFER_BYTES
    ) -> None:
        self._pace = pace
        self._allowance = allowance
        self._stopping = stopping
        self._lock = threading.Lock()
        # One thread is woken for what it waits for: waking all costs more than sending.
        self._turn, self._memory = threading.Condition(self._lock), threading.Condition(self._lock)
        self._inside = 0
        self._free = most_bytes
        self._pool: list[bytearray] = []

    def enter(self) -> None:
        """Wait until one more request may be in flight.

        Raises:
            Stopping: The upload ends.
        """
        with self._lock:
            while self._inside >= self._pace.allowed:
                self._wait(self._turn)
            self._inside += 1

    def leave(self, sent: int | None) -> None:
        """Make room for another request.

        Args:
            sent: Bytes of the request that worked; None: there was none.
        """
        with self._lock:
            self._inside -= 1
            if sent is not None:
                self._pace.done(time.monotonic(), sent)
            if self._inside < self._pace.allowed:
                self._turn.notify(self._pace.allowed - self._inside)

    def throttled(self) -> None:
        """The service asked for less."""
        with self._lock:
            self._pace.throttled(time.monotonic())

    def hold_back(self, length: int) -> None:
        """Wait until so many bytes may be sent under the bandwidth limit.

        Raises:
            Stopping: The upload ends.
        """
        with self._lock:
            delay = self._allowance.take(time.monotonic(), length)
        if delay > 0 and self._stopping.wait(delay):
            raise Stopping

    def take_buffer(self, length: int) -> bytearray:
        """Get memory for a piece, of at least its length; wait until there is some.

        Raises:
            Stopping: The upload ends.
        """
        cost = _cost(length)
        with self._lock:
            while self._free < cost:
                self._wait(self._memory)
            self._free -= cost
            if cost == PAGE_BYTES and self._pool:
                return self._pool.pop()
        return bytearray(cost)

    def give_buffer(self, buffer: bytearray) -> None:
        """Return memory; large buffers are used again, as the kernel takes a while to hand out fresh ones."""
        with self._lock:
            if len(buffer) == PAGE_BYTES:
                self._pool.append(buffer)
            self._free += len(buffer)
            # A large buffer may be what several small pieces wait for.
            self._memory.notify_all()

    def _wait(self, condition: threading.Condition) -> None:
        if self._stopping.is_set():
            raise Stopping
        condition.wait(_LOOK_SECONDS)


def _cost(length: int) -> int:
    return length if length < _SMALL_BYTES else PAGE_BYTES
