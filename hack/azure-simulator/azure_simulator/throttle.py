"""Request budgets: the `x-ms-ratelimit-remaining-resource` header and Compute's own 429.

Group names and sizes of the budgets are those seen in recorded traffic; a group marked "inferred" was not seen.
Windows are measured in Azure time.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict, deque
from dataclasses import dataclass

from .clock import Clock, timestamp
from .errors import ArmError

__all__ = ["Budget", "Throttle", "budgets_for"]


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `limit` requests in any `seconds` of Azure time, counted under `name`."""

    name: str
    limit: int
    seconds: float


def _pair(name: str, short: int, long: int) -> tuple[Budget, ...]:
    return (Budget(f"{name}3Min", short, 180.0), Budget(f"{name}30Min", long, 1800.0))


def _single(name: str, limit: int) -> tuple[Budget, ...]:
    return (Budget(f"{name}SubscriptionMaximum", limit, 180.0),)


_GALLERY = "galleries"
_DEFINITION = "galleries/images"
_VERSION = "galleries/images/versions"

_BUDGETS: dict[tuple[str, str], tuple[Budget, ...]] = {
    (_GALLERY, "write"): _pair("CreateUpdateGallery", 50, 300),
    (_GALLERY, "read"): _pair("GetGallery", 350, 2500),
    (_GALLERY, "delete"): _pair("DeleteGallery", 50, 300),
    (_GALLERY, "list"): _pair("ListGalleryInResourceGroup", 100, 1000),
    (_GALLERY, "listall"): _pair("ListGalleryInSubscription", 100, 1000),
    (_GALLERY, "share"): _pair("PostShareGallery", 10, 60),
    (_DEFINITION, "write"): _pair("CreateUpdateGalleryImage", 150, 750),
    (_DEFINITION, "read"): _pair("GetGalleryImage", 600, 3000),
    (_DEFINITION, "delete"): _pair("DeleteGalleryImage", 50, 300),
    (_DEFINITION, "list"): _pair("ListGalleryImagesInGallery", 1500, 10000),
    (_VERSION, "write"): _pair("CreateUpdateGalleryImageVersion", 375, 1200),
    (_VERSION, "read"): _pair("GetGalleryImageVersion", 2000, 10000),
    (_VERSION, "delete"): _pair("DeleteGalleryImageVersion", 150, 1000),
    (_VERSION, "list"): _pair("ListGalleryImageVersionsInGalleryImage", 1500, 10000),
    **{
        (f"{way}{rest}", verb): budget
        for way in ("sharedgalleries", "communitygalleries")
        for rest, verb, budget in (
            ("", "list", _pair("ListGallery", 150, 1000)),
            ("", "read", _pair("GetGallery", 350, 2500)),
            ("/images", "list", _pair("ListGalleryArtifact", 200, 200)),
            ("/images", "read", _pair("GetGalleryArtifact", 600, 3000)),
            ("/images/versions", "list", _pair("ListGalleryArtifactVersion", 800, 4000)),
            ("/images/versions", "read", _pair("GetGalleryArtifactVersion", 2000, 10000)),
        )
    },
    ("capsoperations", "read"): _pair("GetOperationStatus", 5000, 15000),
    ("diskoperations", "read"): _pair("GetOperation", 50000, 400000),
    ("operations", "read"): (
        Budget("GetOperationResource", 45, 60.0),
        Budget("GetOperationSubscriptionMaximum", 15000, 180.0),
    ),
    ("disks", "write"): _pair("CreateUpdateDisks", 3000, 25000),
    ("disks", "read"): _pair("LowCostGet", 15000, 120000),
    ("disks", "list"): _pair("HighCostGet", 240, 1920),
    ("disks", "delete"): _pair("DeleteDisks", 3000, 25000),  # inferred
    ("disks", "access"): _pair("HighCostDiskHydrate", 1000, 8000),
    ("snapshots", "write"): _pair("HighCostSnapshotCreateHydrate", 1000, 8000),
    ("snapshots", "read"): _pair("LowCostGet", 15000, 120000),
    ("snapshots", "list"): _pair("HighCostGet", 240, 1920),
    ("snapshots", "delete"): _pair("DeleteSnapshots", 3000, 25000),  # inferred
    ("snapshots", "access"): _pair("HighCostSnapshotCreateHydrate", 1000, 8000),
    ("images", "write"): _single("CreateImages", 60),
    ("images", "read"): _single("GetImages", 360),
    ("images", "list"): _single("ListImages", 360),  # inferred
    ("images", "delete"): _single("DeleteImages", 60),  # inferred
}

_VERBS = {"put": "write", "patch": "write", "get": "read", "head": "read", "delete": "delete"}


def budgets_for(
    method: str, types: str, *, is_list: bool, action: str | None, whole: bool = False
) -> tuple[Budget, ...]:
    """Return the budgets that a request to a Microsoft.Compute resource type draws from; `whole`: of a subscription."""
    verb = "list" if is_list else _VERBS.get(method.lower(), "")
    if action is not None:
        verb = "share" if action.lower() == "share" else "access"
    if whole and is_list and (types.lower(), "listall") in _BUDGETS:
        verb = "listall"
    return _BUDGETS.get((types.lower(), verb), ())


class Throttle:
    """Counts requests by subscription and budget."""

    def __init__(self, clock: Clock, *, enforce: bool = True) -> None:
        """Start with full budgets; `enforce=False` counts but never refuses."""
        self._clock = clock
        self._enforce = enforce
        self._used: dict[tuple[str, str], deque[float]] = defaultdict(deque)

    def charge(self, subscription: str, budgets: tuple[Budget, ...]) -> str | None:
        """Count one request and return the header's value, or None if nothing is budgeted.

        Raises:
            ArmError: 429 with Compute's body and `Retry-After`, when a budget is used up.
        """
        if not budgets:
            return None
        now = self._clock.now()
        left = []
        for budget in budgets:
            used = self._used[subscription.lower(), budget.name]
            while used and used[0] <= now - budget.seconds:
                used.popleft()
            if self._enforce and len(used) >= budget.limit:
                raise self._refusal(budget, used, now)
            left.append((budget, used))
        for _, used in left:
            used.append(now)
        return ",".join(f"Microsoft.Compute/{budget.name};{budget.limit - len(used)}" for budget, used in left)

    def reset(self) -> None:
        """Fill every budget again."""
        self._used.clear()

    def _refusal(self, budget: Budget, used: deque[float], now: float) -> ArmError:
        start, end = used[0], used[0] + budget.seconds
        wait = max(1, math.ceil(self._clock.real_seconds(end - now)))
        measured = {
            "operationGroup": budget.name,
            "startTime": timestamp(self._clock.wall_at(start)),
            "endTime": timestamp(self._clock.wall_at(end)),
            "allowedRequestCount": budget.limit,
            "measuredRequestCount": len(used) + 1,
        }
        return ArmError(
            429,
            "OperationNotAllowed",
            "The server rejected the request because too many requests have been received for this subscription.",
            details=[
                {"code": "TooManyRequests", "message": json.dumps(measured), "target": budget.name},
            ],
            inner={"internalErrorCode": "TooManyRequestsReceived"},
            headers={"Retry-After": str(wait)},
        )
