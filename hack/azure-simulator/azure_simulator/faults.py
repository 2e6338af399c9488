"""Faults that tests inject: answers that are errors, waits, dropped connections, regions that fail."""

from __future__ import annotations

import random
import re
from dataclasses import asdict, dataclass
from typing import Any

from .regions import find, normalise

__all__ = ["Fault", "Faults", "RegionFault", "SharingFault", "parse_fault"]

_DROPS = ("before", "after")


@dataclass(slots=True)
class Fault:
    """What happens to requests that match.

    Attributes:
        id: number, given by `Faults`.
        method: HTTP method, or `*`.
        path: regular expression searched in the path (without the query), case-insensitive.
        remaining: how many more requests it hits; None for all.
        probability: chance that a matching request is hit, 0 to 1.
        status: status of the answer instead of the real one; None to let the request through.
        code: Azure's error code in the answer's body; None for an empty body.
        message: Azure's sentence.
        retry_after: value of the `Retry-After` header in seconds, or None.
        delay: wall seconds to wait before anything else.
        drop: close the connection `before` the request is carried out, or `after`; None to answer.
        hits: how many requests it hit.
    """

    id: int = 0
    method: str = "*"
    path: str = ".*"
    remaining: int | None = 1
    probability: float = 1.0
    status: int | None = None
    code: str | None = None
    message: str = ""
    retry_after: int | None = None
    delay: float = 0.0
    drop: str | None = None
    hits: int = 0

    def matches(self, method: str, path: str) -> bool:
        """Whether a request is meant, chance aside."""
        if self.remaining is not None and self.remaining <= 0:
            return False
        if self.method not in ("*", method.upper()):
            return False
        return re.search(self.path, path, re.IGNORECASE) is not None


@dataclass(slots=True)
class RegionFault:
    """The next `remaining` replications to a region fail.

    Attributes:
        id: number, given by `Faults`.
        region: display name of the region.
        remaining: how many replications fail; None for all.
        details: what the region's status and the operation's error say.
        sticky: if true, asking again does not help until the region was taken out and added back.
        hits: how many replications it hit.
    """

    id: int
    region: str
    remaining: int | None = 1
    details: str = "Failed with internal server error."
    sticky: bool = False
    hits: int = 0


@dataclass(slots=True)
class SharingFault:
    """The next `remaining` share calls fail in a region.

    Attributes:
        id: number, given by `Faults`.
        sharing: display name of the region.
        remaining: how many calls fail there; None for all.
        details: what the region's sharing status says.
        hits: how many calls it hit.
    """

    id: int
    sharing: str
    remaining: int | None = 1
    details: str = "Sharing failed with internal server error."
    hits: int = 0


def parse_fault(document: dict[str, Any]) -> Fault | RegionFault | SharingFault:
    """Read a fault from JSON; `count` gives how often it happens (null: always), 1 if left out.

    Raises:
        ValueError: a field is unknown or has a value that means nothing.
    """
    fields = dict(document)
    remaining = fields.pop("count", 1)
    if "region" in fields:
        region = find(str(fields.pop("region")))
        if region is None:
            raise ValueError("unknown region")
        return RegionFault(0, region.display, remaining, **_known(fields, {"details", "sticky"}))
    if "sharing" in fields:
        region = find(str(fields.pop("sharing")))
        if region is None:
            raise ValueError("unknown region")
        return SharingFault(0, region.display, remaining, **_known(fields, {"details"}))
    known = {"method", "path", "probability", "status", "code", "message", "retry_after", "delay", "drop"}
    request = Fault(remaining=remaining, **_known(fields, known))
    request.method = request.method.upper()
    try:
        re.compile(request.path)
    except re.error as error:
        raise ValueError(f"path is no regular expression: {error}") from error
    if request.drop not in (None, *_DROPS):
        raise ValueError(f"drop is one of {', '.join(_DROPS)}")
    if not 0 <= request.probability <= 1:
        raise ValueError("probability is between 0 and 1")
    if request.status is None and request.drop is None and not request.delay:
        raise ValueError("a fault needs a status, a drop, a delay or a region")
    return request


def _known(fields: dict[str, Any], known: set[str]) -> dict[str, Any]:
    unknown = set(fields) - known
    if unknown:
        raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
    return fields


class Faults:
    """The faults in force. They live in memory: a restart of the simulator clears them."""

    def __init__(self, seed: int | None = None) -> None:
        """Start without faults; `seed` makes chances repeatable."""
        self._random = random.Random(seed)
        self._requests: list[Fault] = []
        self._sharing: list[SharingFault] = []
        self._regions: list[RegionFault] = []
        self._next = 1

    def add(self, fault: Fault | RegionFault | SharingFault) -> int:
        """Put a fault in force and return its number."""
        fault.id, self._next = self._next, self._next + 1
        if isinstance(fault, Fault):
            self._requests.append(fault)
        elif isinstance(fault, SharingFault):
            self._sharing.append(fault)
        else:
            self._regions.append(fault)
        return fault.id

    def remove(self, number: int) -> bool:
        """Take a fault out of force; whether there was one."""
        before = len(self.listing())
        self._requests = [fault for fault in self._requests if fault.id != number]
        self._regions = [fault for fault in self._regions if fault.id != number]
        self._sharing = [fault for fault in self._sharing if fault.id != number]
        return len(self.listing()) < before

    def clear(self) -> None:
        """Take all faults out of force."""
        self._requests.clear()
        self._regions.clear()
        self._sharing.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first fault that hits this request, and count it."""
        for fault in self._requests:
            if fault.matches(method, path) and self._random.random() < fault.probability:
                fault.hits += 1
                if fault.remaining is not None:
                    fault.remaining -= 1
                return fault
        return None

    def take_region(self, region: str) -> RegionFault | None:
        """Return the fault that makes a replication to `region` fail, and count it."""
        for fault in self._regions:
            left = fault.remaining is None or fault.remaining > 0
            if left and normalise(fault.region) == normalise(region):
                fault.hits += 1
                if fault.remaining is not None:
                    fault.remaining -= 1
                return fault
        return None

    def take_sharing(self, region: str) -> str | None:
        """Return why the sharing in `region` fails, and count it; None if it does not."""
        for fault in self._sharing:
            left = fault.remaining is None or fault.remaining > 0
            if left and normalise(fault.sharing) == normalise(region):
                fault.hits += 1
                if fault.remaining is not None:
                    fault.remaining -= 1
                return fault.details
        return None

    def listing(self) -> list[dict[str, Any]]:
        """Return all faults as JSON."""
        return [*map(asdict, self._requests), *map(asdict, self._regions), *map(asdict, self._sharing)]
