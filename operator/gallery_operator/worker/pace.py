"""Pure: how many requests are in flight at a time, and how many bytes a second are sent."""

from dataclasses import dataclass, field

START = 4
"""Requests in flight at first: enough for 60 MiB/s at 250 ms a request of 4 MiB."""

_EPOCH_SECONDS = 0.25
_EPOCH_PIECES = 2
_REST_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
_BETTER = 1.08
_WORSE = 0.97


@dataclass
class Pace:
    """Finds the least number of requests in flight that sends as fast as any more would.

    It measures bytes a second over epochs. While more requests bring more, it takes more, half as many again each
    time; when they bring nothing, it goes back, rests, and then tries one less (less memory, less waiting at the
    service) and some more in turn, in case the service or the network has changed. Where the service says that it is
    busy, the number is halved, and what was too much is not tried again before a rest.

    The clock is the caller's: ``now`` are seconds that never go back.

    Attributes:
        most: Never more than this.
        allowed: Requests that may be in flight now, from 1.
    """

    most: int
    allowed: int = START
    _before: int | None = field(default=None, init=False)  # What to go back to when a trial brings nothing.
    _best: float = field(default=0.0, init=False)  # Bytes a second before the trial.
    _since: float | None = field(default=None, init=False)
    _settling: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    _rest_until: float = field(default=0.0, init=False)
    _cut_at: float | None = field(default=None, init=False)
    _upwards: bool = field(default=True, init=False)

    def __post_init__(self) -> None:
        """Keep the start within the bounds."""
        self.allowed = max(1, min(self.allowed, self.most))

    def done(self, now: float, length: int) -> None:
        """Take note of a request that worked.

        Args:
            now: When.
            length: Its bytes.
        """
        if self._settling > 0:
            # It was in flight already when the number changed, and says nothing about the new one.
            self._settling -= 1
            return
        if self._since is None:
            self._since = now
            return
        self._done += 1
        self._bytes += length
        passed = now - self._since
        if passed < _EPOCH_SECONDS or self._done < _EPOCH_PIECES * self.allowed:
            return
        self._decide(now, self._bytes / passed)

    def throttled(self, now: float) -> None:
        """Take note of an answer that asked for less; many within a second count once."""
        if self._cut_at is not None and now - self._cut_at < _AGAIN_SECONDS:
            return
        self._cut_at = now
        self._before = None
        self._rest_until = now + _REST_SECONDS
        self._set(max(1, self.allowed // 2))

    def _decide(self, now: float, rate: float) -> None:
        before, self._before = self._before, None
        if before is not None and before < self.allowed and rate < self._best * _BETTER:
            self._upwards = False
            self._rest(now, before)
        elif before is not None and before > self.allowed and rate < self._best * _WORSE:
            self._upwards = True
            self._rest(now, before)
        elif now < self._rest_until:
            self._set(self.allowed)
        else:
            self._try(now, rate)

    def _try(self, now: float, rate: float) -> None:
        upwards = self.allowed == 1 or (self._upwards and self.allowed < self.most)
        self._before, self._best = self.allowed, rate
        self._set(min(self.most, self.allowed + max(1, self.allowed // 2)) if upwards else self.allowed - 1)
        if self._before == self.allowed:
            self._rest(now, self.allowed)

    def _rest(self, now: float, number: int) -> None:
        self._before, self._rest_until = None, now + _REST_SECONDS
        self._set(number)

    def _set(self, number: int) -> None:
        number = max(1, min(number, self.most))
        self._settling = self.allowed if number != self.allowed else 0
        self.allowed, self._since, self._done, self._bytes = number, None, 0, 0


@dataclass
class Allowance:
    """Bytes a second that may be sent.

    Attributes:
        rate: Bytes a second; None: as many as go.
    """

    rate: int | None
    _free_at: float = field(default=0.0, init=False)

    def take(self, now: float, length: int) -> float:
        """Return the seconds to wait before sending so many bytes; they are counted as sent.

        What was not used before is lost: after a pause there is no burst.
        """
        if self.rate is None:
            return 0.0
        start = max(now, self._free_at)
        self._free_at = start + length / self.rate
        return start - now
