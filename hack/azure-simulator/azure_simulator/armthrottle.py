"""Resource Manager's own request limits: a bucket of tokens for each subscription and kind of request.

Sizes and refill are Microsoft's (Resource Manager's throttling since 2024): reads 250 and 25 a second, writes 200 and
10, deletes 200 and 10. Seconds are Azure's, so that a fast clock refills fast. The body is that of recorded traffic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .clock import Clock
from .errors import ArmError

__all__ = ["ArmThrottle"]


@dataclass(frozen=True, slots=True)
class _Bucket:
    size: int
    refill: float  # tokens a second


_BUCKETS = {"reads": _Bucket(250, 25.0), "writes": _Bucket(200, 10.0), "deletes": _Bucket(200, 10.0)}


class ArmThrottle:
    """Counts requests by subscription and kind."""

    def __init__(self, clock: Clock, *, enforce: bool = True) -> None:
        """Start with full buckets; `enforce=False` counts but never refuses."""
        self._clock = clock
        self._enforce = enforce
        self._levels: dict[tuple[str, str], tuple[float, float]] = {}

    def charge(self, subscription: str, method: str) -> dict[str, str]:
        """Take one token and return the headers that tell what is left.

        Raises:
            ArmError: 429 with `Retry-After`, when the bucket is empty.
        """
        kind = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}.get(method, "writes")
        bucket, key, now = _BUCKETS[kind], (subscription.lower(), kind), self._clock.now()
        level, at = self._levels.get(key, (float(bucket.size), now))
        level = min(float(bucket.size), level + (now - at) * bucket.refill)
        if self._enforce and level < 1:
            self._levels[key] = (level, now)
            wait = max(1, math.ceil(self._clock.real_seconds((1 - level) / bucket.refill)))
            raise ArmError(
                429,
                "SubscriptionRequestsThrottled",
                f"Number of requests for subscription '{subscription}' and operation '{method}' exceeded the backend "
                f"storage limit. Please try again after '{wait}' seconds.",
                gateway=True,
                headers={"Retry-After": str(wait), f"x-ms-ratelimit-remaining-subscription-{kind}": "0"},
            )
        level = max(0.0, level - 1)
        self._levels[key] = (level, now)
        return {
            f"x-ms-ratelimit-remaining-subscription-{kind}": str(int(level)),
            f"x-ms-ratelimit-remaining-subscription-global-{kind}": str(15 * bucket.size - bucket.size + int(level)),
        }

    def reset(self) -> None:
        """Fill every bucket again."""
        self._levels.clear()
