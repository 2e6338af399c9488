"""Replication of an image version to its regions over time. Pure: time is an argument, in Azure seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..config import Timings
from ..faults import RegionFault
from ..regions import normalise

__all__ = ["RegionState", "aggregate", "completed_in", "ends_at", "failure_text", "plan", "restore", "store", "summary"]

_MAX_GIB = 2048


@dataclass(frozen=True, slots=True)
class RegionState:
    """One region of a version.

    Attributes:
        region: programmatic name.
        display: display name.
        replicas: how many copies are wanted.
        start: when replication to it begins.
        end: when it is over, for better or worse.
        failure: why it fails at `end`, or None.
        sticky: whether asking again does not help until the region is taken out and added back.
    """

    region: str
    display: str
    replicas: int
    start: float
    end: float
    failure: str | None = None
    sticky: bool = False

    def state(self, now: float) -> str:
        """Return Azure's word for where replication is."""
        if now < self.end:
            return "Replicating"
        return "Failed" if self.failure else "Completed"

    def progress(self, now: float) -> int:
        """Return per cent; 100 only when completed."""
        if now >= self.end and not self.failure:
            return 100
        if self.end <= self.start or now <= self.start:
            return 0
        return min(99, int(100 * (min(now, self.end) - self.start) / (self.end - self.start)))


def store(states: Sequence[RegionState]) -> list[dict[str, Any]]:
    """Return the states as JSON."""
    return [asdict(state) for state in states]


def restore(document: Sequence[Mapping[str, Any]]) -> list[RegionState]:
    """Read the states from JSON."""
    return [RegionState(**item) for item in document]


def plan(
    before: Sequence[RegionState],
    wanted: Sequence[tuple[str, str, int]],
    *,
    home: str,
    now: float,
    timings: Timings,
    shallow: bool,
    largest_gib: int,
    fault: Callable[[str], RegionFault | None],
) -> list[RegionState]:
    """Return the states after a create or update.

    The home region is filled first, the others follow together. A region that is complete stays as it is; one
    that failed is tried again.

    Args:
        before: states so far, empty for a new version.
        wanted: programmatic name, display name and replicas of every target region.
        home: programmatic name of the version's own region.
        now: Azure time in seconds.
        timings: how long things take.
        shallow: whether the version is replicated without copying (`replicationMode` Shallow).
        largest_gib: size of the largest disk in GiB; above 2048 a full replication fails.
        fault: returns what makes the next replication to a region (display name) fail.
    """
    known = {state.region: state for state in before}
    planned: dict[str, RegionState] = {}
    ready = now
    for name, display, replicas in sorted(wanted, key=lambda item: item[0] != home):
        old = known.get(name)
        if old is not None and old.state(now) == "Completed":
            end = old.end if replicas == old.replicas else now + timings.version_rescale
            start = old.start if replicas == old.replicas else now
            planned[name] = RegionState(name, display, replicas, start, end)
            continue
        start = now if name == home else ready
        length = timings.version_home if name == home else timings.version_region
        if shallow:
            length = timings.version_shallow
        failure, sticky = None, False
        if old is not None and old.failure and old.sticky:
            failure, sticky = old.failure, True
        elif not shallow and largest_gib > _MAX_GIB:
            failure = (
                f"Replication failed in this region due to 'The GalleryImageVersion source resource size "
                f"{largest_gib} exceeds the max size {_MAX_GIB} supported'"
            )
        elif (injected := fault(display)) is not None:
            failure, sticky = injected.details, injected.sticky
        planned[name] = RegionState(name, display, replicas, start, start + length, failure, sticky)
        if name == home:
            ready = start + length
    return [planned[name] for name, _, _ in wanted]


def ends_at(states: Sequence[RegionState], now: float, at_least: float) -> float:
    """Return when all regions are over, but not before `now + at_least`."""
    return max([now + at_least, *(state.end for state in states)])


def completed_in(document: Sequence[Mapping[str, Any]], region: str, now: float) -> bool:
    """Whether a version (its states as JSON) is complete in a region, by its programmatic name."""
    return any(state.region == region and state.state(now) == "Completed" for state in restore(document))


def aggregate(states: Sequence[RegionState], now: float) -> str:
    """Return `aggregatedState`."""
    found = {state.state(now) for state in states}
    if "Replicating" in found:
        return "InProgress"
    return "Failed" if "Failed" in found else "Completed"


def summary(states: Sequence[RegionState], now: float) -> list[dict[str, Any]]:
    """Return the list of regions that `$expand=ReplicationStatus` shows."""
    rows = []
    for state in states:
        word = state.state(now)
        details = (state.failure or "") if word == "Failed" else ""
        rows.append({"region": state.display, "state": word, "details": details, "progress": state.progress(now)})
    return rows


def failure_text(states: Sequence[RegionState], now: float) -> str | None:
    """Return the operation's error text if a region failed (words of azure-cli issue 15539), else None."""
    failed = [state for state in states if state.state(now) == "Failed"]
    if not failed:
        return None
    details = ", ".join(f"{{region:{normalise(state.display)}, detail:{state.failure}}}" for state in failed)
    return (
        "Gallery replication jobs failed in one or more regions. The failing regions' details are as follows: "
        f"'{details}'. If retry does not work, then please do an update by removing the failed regions and update "
        "again by adding them back."
    )
