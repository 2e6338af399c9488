"""Keep under Azure's limits, and stop asking when it says so. Pure but for the clock and the sleep it is given.

Three guards for each subscription, asked before every request:

* token buckets: one for all reads or all writes, and a tighter one for operations with a small budget of their own;
* a closed door: after a 429, nothing is asked before Azure's ``Retry-After`` is over;
* a circuit breaker: after five requests in a row with a 5xx or no answer at all, 30 seconds of silence, then one probe.

A short wait is waited here; a long one is an error with ``retry_after``, because a worker that sleeps is a worker that
does nothing for other subscriptions.
"""

import asyncio
import logging
import math
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from gallery_operator.azure.error_kinds import AzureError, ErrorKind
from gallery_operator.metrics import AZURE_THROTTLE_SECONDS

_log = logging.getLogger(__name__)


class OperationClass(StrEnum):
    """Operations that share one of Azure's budgets."""

    READ = "read"
    WRITE = "write"
    GALLERY_WRITE = "gallery-write"
    GALLERY_DELETE = "gallery-delete"
    DEFINITION_WRITE = "definition-write"
    DEFINITION_DELETE = "definition-delete"
    VERSION_WRITE = "version-write"
    VERSION_DELETE = "version-delete"
    SHARE = "share"


@dataclass(frozen=True)
class Limit:
    """A token bucket's size (requests) and refill (requests a second)."""

    burst: float
    rate: float


# Azure's own budgets, in requests per 3 and per 30 minutes, read from recorded answers: versions 375/1200 written and
# 150/1000 deleted, definitions 150/750 and 50/300, galleries 50/300, share 10/60; reads of versions 2000/10000. The
# subscription as a whole: 200 writes and 10 a second. Others use the same subscription, so we take a part of it.
LIMITS: dict[OperationClass, Limit] = {
    OperationClass.READ: Limit(50, 4.0),
    OperationClass.WRITE: Limit(20, 2.0),
    OperationClass.VERSION_WRITE: Limit(50, 0.5),
    OperationClass.VERSION_DELETE: Limit(50, 0.4),
    OperationClass.DEFINITION_WRITE: Limit(50, 0.3),
    OperationClass.DEFINITION_DELETE: Limit(20, 0.12),
    OperationClass.GALLERY_WRITE: Limit(20, 0.12),
    OperationClass.GALLERY_DELETE: Limit(20, 0.12),
    OperationClass.SHARE: Limit(5, 0.025),
}

MAX_SLEEP = 5.0
"""Longest wait inside a call, in seconds."""
_MIN_CLOSED, _MAX_CLOSED = 5.0, 1800.0
_BREAKER_FAILURES, _BREAKER_SECONDS = 5, 30.0
_SCARCE = 0.1
_MAX_SUBSCRIPTIONS, _MAX_PRINCIPALS = 1024, 256


@dataclass
class _Bucket:
    limit: Limit
    tokens: float
    updated: float
    slow: bool = False
    tail: float = 0.0
    """Until when callers were already told to stay away: spreads a thousand waiting keys over the time they need."""

    @property
    def rate(self) -> float:
        return self.limit.rate / (2.0 if self.slow else 1.0)

    def refill(self, now: float) -> None:
        self.tokens = min(self.limit.burst, self.tokens + max(now - self.updated, 0.0) * self.rate)
        self.updated = now

    def wait(self) -> float:
        """Seconds until one token is there; negative tokens are promised ones."""
        return max((1.0 - self.tokens) / self.rate, 0.0)


@dataclass
class _Subscription:
    buckets: dict[OperationClass, _Bucket] = field(default_factory=dict)
    closed_principal: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Resource Manager counts by who asks; one that asks too much must not close the door for the others."""
    closed_class: dict[OperationClass, float] = field(default_factory=dict)
    """Compute counts by subscription and group of operations."""
    failures: int = 0
    open_until: float = 0.0
    probing_until: float = 0.0
    budgets: dict[str, int] = field(default_factory=dict)


class Throttle:
    """All guards of a process; one event loop, no locks.

    Args:
        factor: Multiplies every rate and burst.
        clock: Monotonic seconds.
        sleep: Waits that many seconds.
        jitter: A number from 0 to 1, drawn anew at each call.
    """

    def __init__(
        self,
        factor: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._limits = {
            name: Limit(max(limit.burst * factor, 1.0), limit.rate * factor) for name, limit in LIMITS.items()
        }
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._subscriptions: OrderedDict[str, _Subscription] = OrderedDict()

    async def acquire(
        self, subscription_id: str, operation_class: OperationClass, operation: str, principal: str = ""
    ) -> None:
        """Take the right to send one request; wait for it up to :data:`MAX_SLEEP`.

        Args:
            subscription_id: Whose budget it is.
            operation_class: Which budget.
            operation: Name for errors and metrics.
            principal: Who asks: the fingerprint of the credential.

        Raises:
            AzureError: THROTTLED or (circuit breaker) UNREACHABLE, with ``retry_after`` in seconds; nothing was sent.
        """
        state = self._state(subscription_id)
        now = self._clock()
        until = max(state.closed_principal.get(principal, 0.0), state.closed_class.get(operation_class, 0.0))
        if until > now:
            AZURE_THROTTLE_SECONDS.labels(operation).inc(until - now)
            message = "Azure asked to wait before the next request"
            raise _throttled(operation, "ClosedAfterThrottling", message, until - now)
        self._check_breaker(state, operation, now)
        buckets = [self._bucket(state, name, now) for name in _classes(operation_class)]
        wait = max(bucket.wait() for bucket in buckets)
        if wait > MAX_SLEEP:
            slowest = max(buckets, key=_Bucket.wait)
            slowest.tail = max(slowest.tail, now + wait) + 1.0 / slowest.rate
            after = min(slowest.tail - now, _MAX_CLOSED)
            AZURE_THROTTLE_SECONDS.labels(operation).inc(after)
            raise _throttled(
                operation, "LocalRateLimit", "the operator's own limit for this operation is reached", after
            )
        for bucket in buckets:
            bucket.tokens -= 1.0
        if wait > 0:
            AZURE_THROTTLE_SECONDS.labels(operation).inc(wait)
            await self._sleep(wait)

    def record(
        self,
        subscription_id: str,
        operation_class: OperationClass,
        principal: str = "",
        *,
        error: AzureError | None = None,
        remaining: str | None = None,
    ) -> None:
        """Learn from an answer.

        Args:
            subscription_id: Whose budget it was.
            operation_class: Which budget.
            principal: Who asked.
            error: The classified error, or None after a success.
            remaining: Header ``x-ms-ratelimit-remaining-resource``, such as
                ``Microsoft.Compute/GetGallery3Min;349,Microsoft.Compute/GetGallery30Min;2499``.
        """
        state = self._state(subscription_id)
        now = self._clock()
        if error is not None and error.kind in (ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN):
            # Refused at the door: it cost the subscription nothing, so somebody without rights cannot use it up.
            for name in _classes(operation_class):
                bucket = self._bucket(state, name, now)
                bucket.tokens = min(bucket.tokens + 1.0, bucket.limit.burst)
        if remaining:
            self._bucket(state, operation_class, now).slow = _scarce(state, remaining)
        if error is not None and error.kind is ErrorKind.THROTTLED:
            seconds = min(max(error.retry_after or 0.0, _MIN_CLOSED), _MAX_CLOSED) * (1.0 + 0.2 * self._jitter())
            AZURE_THROTTLE_SECONDS.labels(error.operation).inc(seconds)
            _log.warning(
                "Azure throttles %s in subscription %s (%s): no request for %.0f s",
                error.operation,
                subscription_id,
                error.code,
                seconds,
            )
            if error.code in {"TooManyRequests", "OperationNotAllowed"} and operation_class is not OperationClass.READ:
                # Compute's own form names one operation group; the others may go on.
                state.closed_class[operation_class] = now + seconds
            else:
                state.closed_principal[principal] = now + seconds
                state.closed_principal.move_to_end(principal)
                if len(state.closed_principal) > _MAX_PRINCIPALS:
                    state.closed_principal.popitem(last=False)
            return
        broken = error is not None and (
            error.kind is ErrorKind.UNREACHABLE or (error.status is not None and error.status >= 500)
        )
        state.probing_until = 0.0
        if not broken:
            state.failures, state.open_until = 0, 0.0
            return
        state.failures += 1
        if state.failures >= _BREAKER_FAILURES:
            _log.warning(
                "%d requests in a row failed in subscription %s, the last one with: %s; no request for %.0f s",
                state.failures,
                subscription_id,
                error,
                _BREAKER_SECONDS,
            )
            state.open_until = now + _BREAKER_SECONDS

    def _bucket(self, state: _Subscription, name: OperationClass, now: float) -> _Bucket:
        bucket = state.buckets.get(name)
        if bucket is None:
            limit = self._limits[name]
            bucket = state.buckets[name] = _Bucket(limit, limit.burst, now)
        bucket.refill(now)
        return bucket

    def _state(self, subscription_id: str) -> _Subscription:
        key = subscription_id.lower()
        state = self._subscriptions.get(key)
        if state is None:
            state = self._subscriptions[key] = _Subscription()
            if len(self._subscriptions) > _MAX_SUBSCRIPTIONS:  # ids come from users
                self._subscriptions.popitem(last=False)
        self._subscriptions.move_to_end(key)
        return state

    def _check_breaker(self, state: _Subscription, operation: str, now: float) -> None:
        if state.failures < _BREAKER_FAILURES:
            return
        until = max(state.open_until, state.probing_until)
        if until > now:
            raise AzureError(
                ErrorKind.UNREACHABLE,
                "CircuitOpen",
                f"{_BREAKER_FAILURES} requests in a row got no or a failing answer; the operator pauses",
                "Nothing to do, unless the earlier errors in the log name a cause: the operator tries again.",
                operation,
                retry_after=math.ceil(until - now) * (1.0 + 0.2 * self._jitter()),
            )
        # Half open: this caller is the probe; if it never reports, another may try after the same pause.
        state.probing_until = now + _BREAKER_SECONDS


def _classes(name: OperationClass) -> tuple[OperationClass, ...]:
    if name in (OperationClass.READ, OperationClass.WRITE):
        return (name,)
    return (OperationClass.WRITE, name)


def _throttled(operation: str, code: str, message: str, after: float) -> AzureError:
    return AzureError(
        ErrorKind.THROTTLED,
        code,
        message,
        "Nothing to do: the operator waits and tries again.",
        operation,
        retry_after=after,
    )


def _scarce(state: _Subscription, header: str) -> bool:
    """Whether less than a tenth of the largest budget seen is left for any of the named groups."""
    scarce = False
    for part in header.split(",")[:8]:
        name, _, number = part.strip().rpartition(";")
        if name and number.isdecimal() and len(number) < 12 and (name in state.budgets or len(state.budgets) < 128):
            largest = state.budgets[name] = max(state.budgets.get(name, 0), int(number))
            scarce = scarce or int(number) < largest * _SCARCE
    return scarce
