"""Work queue with the semantics of client-go's, for one asyncio loop.

A key is never in two workers at once; adding a key that is being processed marks it dirty, so that it runs once
more afterwards; ``add_after`` keeps the earliest wake; ``retry`` backs off exponentially per key, with jitter.
"""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Key(NamedTuple):
    """What is reconciled."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return ``Kind namespace/name``."""
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Backoff:
    """Exponential backoff with jitter.

    Attributes:
        base: First delay in seconds.
        cap: Longest delay in seconds.
        jitter: Fraction by which a delay is lengthened or shortened at random.
    """

    base: float = 1.0
    cap: float = 300.0
    jitter: float = 0.3

    def delay(self, failures: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
        """Return the delay in seconds before attempt ``failures + 1``.

        Args:
            failures: Consecutive failures so far, at least 1.
            uniform: Source of randomness.
        """
        plain = min(self.cap, self.base * 2.0 ** min(failures - 1, 30))
        return plain * uniform(1 - self.jitter, 1 + self.jitter)


class ShutDown(Exception):  # noqa: N818 - it is a signal, as in client-go, not an error
    """The queue was shut down."""


class WorkQueue:
    """De-duplicating, delaying, backing-off queue of keys."""

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff()
        self._ready: deque[Key] = deque()
        self._since: dict[Key, float] = {}
        self._processing: dict[Key, float] = {}
        self._dirty: set[Key] = set()
        self._delayed: list[tuple[float, int, Key]] = []
        self._wake_at: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self._sequence = 0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._available = asyncio.Condition()
        self._signal_tasks: set[asyncio.Task[None]] = set()

    def add(self, key: Key) -> None:
        """Ask for a reconcile as soon as a worker is free. Adding a key twice is adding it once."""
        if self._closed:
            return
        self._wake_at.pop(key, None)
        if key in self._processing:
            self._dirty.add(key)
        elif key not in self._since:
            self._since[key] = self._now()
            self._ready.append(key)
            self._signal()

    def add_after(self, key: Key, delay: float) -> None:
        """Ask for a reconcile in ``delay`` seconds, or earlier if one is planned earlier."""
        if delay <= 0:
            self.add(key)
            return
        if self._closed or key in self._since or key in self._dirty:
            return
        at = self._now() + delay
        if self._wake_at.get(key, float("inf")) <= at:
            return
        self._wake_at[key] = at
        self._sequence += 1
        heapq.heappush(self._delayed, (at, self._sequence, key))
        self._arm()

    def retry(self, key: Key, at_least: float = 0.0) -> float:
        """Ask for a reconcile after a failure.

        Args:
            key: What failed.
            at_least: Lower bound of the delay in seconds (a server's ``Retry-After``).

        Returns:
            The delay in seconds.
        """
        self._failures[key] = self._failures.get(key, 0) + 1
        delay = max(at_least, self._backoff.delay(self._failures[key]))
        self.add_after(key, delay)
        return delay

    def forget(self, key: Key) -> None:
        """Reset the backoff of a key: it succeeded, or it is gone."""
        self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """Return how often the key failed in a row."""
        return self._failures.get(key, 0)

    async def get(self) -> Key:
        """Take the next key; ``done`` must be called for it.

        Raises:
            ShutDown: The queue was shut down.
        """
        async with self._available:
            await self._available.wait_for(lambda: self._ready or self._closed)
            if self._closed:
                raise ShutDown
            key = self._ready.popleft()
            self._since.pop(key)
            self._processing[key] = self._now()
            return key

    def done(self, key: Key) -> None:
        """Give a key back; if it was added meanwhile, it becomes ready again."""
        self._processing.pop(key, None)
        if key in self._dirty:
            self._dirty.discard(key)
            self.add(key)

    def shut_down(self) -> None:
        """Wake all workers with ``ShutDown`` and take no more keys."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._signal()

    def depth(self) -> dict[str, int]:
        """Return the number of ready keys by kind."""
        counts: dict[str, int] = {}
        for key in self._ready:
            counts[key.kind] = counts.get(key.kind, 0) + 1
        return counts

    def oldest_seconds(self) -> float:
        """Return for how many seconds the oldest ready key has waited."""
        return self._now() - min(self._since.values()) if self._since else 0.0

    def longest_running_seconds(self) -> float:
        """Return for how many seconds the slowest worker has been busy with one key."""
        return self._now() - min(self._processing.values()) if self._processing else 0.0

    def is_scheduled(self, key: Key) -> bool:
        """Whether the key will wake: it is ready, being processed, or planned for later."""
        return key in self._wake_at or key in self._since or key in self._processing

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _signal(self) -> None:
        async def notify() -> None:
            async with self._available:
                self._available.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._signal_tasks.add(task)
        task.add_done_callback(self._signal_tasks.discard)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delayed:
            self._timer = asyncio.get_running_loop().call_at(self._delayed[0][0], self._due)

    def _due(self) -> None:
        now = self._now()
        while self._delayed and self._delayed[0][0] <= now:
            at, _, key = heapq.heappop(self._delayed)
            # An entry that was overtaken by an earlier wake, or by add(), is stale.
            if self._wake_at.get(key) == at:
                self.add(key)
        self._arm()
