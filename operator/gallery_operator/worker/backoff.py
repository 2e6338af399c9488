"""How long to wait before another try."""

import email.utils
import random
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with jitter.

    Attributes:
        first: Seconds before the first repetition.
        most: Longest wait in seconds.
        tries: Failures in a row, without progress between them, before giving up.
        patience: Longest ``Retry-After`` in seconds that is waited for; a longer one ends the attempt, and the
            Job's own retry comes later.
    """

    first: float = 1.0
    most: float = 60.0
    tries: int = 8
    patience: float = 300.0

    def delay(self, failures: int, retry_after: float | None = None) -> float:
        """Return the seconds to wait after the n-th failure in a row (from 1)."""
        wait: float = min(self.most, self.first * 2.0 ** min(failures - 1, 30))
        wait *= 0.5 + random.random() / 2  # noqa: S311 - jitter, no secret
        return max(wait, retry_after or 0.0)


def parse_retry_after(value: str | None, now: float | None = None) -> float | None:
    """Read a ``Retry-After`` header.

    Args:
        value: Seconds or an HTTP date.
        now: Time in seconds since the epoch; None asks the clock.

    Returns:
        Seconds from now, not negative; None when absent or not understood.
    """
    if value is None:
        return None
    try:
        return max(0.0, float(int(value)))
    except ValueError:
        pass
    try:
        then = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, then.timestamp() - (time.time() if now is None else now))
