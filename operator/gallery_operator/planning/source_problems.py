"""What may be wrong with a version's source: the rules' common vocabulary. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from gallery_operator.api import GalleryImageDefinition
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.regions import normal

MAX_FULL_GIB = 2048
"""Largest disk that Azure replicates in full."""
MAX_SHALLOW_GIB = 32 * 1024
"""Largest disk of a version with replicationMode Shallow."""
_BUSY = frozenset({"Creating", "Updating", "Deleting", "Migrating"})
_WAIT_SECONDS = 30.0


def plan_of(plan: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return a purchase plan in the form that compares equal; empty for none."""
    return tuple(str(plan.get(name) or "").lower() for name in ("name", "publisher", "product")) if plan else ()


@dataclass(frozen=True)
class Wanted:
    """What a source must fit.

    Attributes:
        location: Region of the gallery.
        definition: Name of the definition, for messages.
        os_type: Of the definition.
        os_state: Of the definition.
        hyper_v_generation: Of the definition.
        architecture: Of the definition.
        replication_mode: Of the version.
        plan: Name, publisher and product of the definition's purchase plan, in lower case; empty without one.
        subscription_id: Of the gallery.
    """

    location: str
    definition: str
    os_type: str
    os_state: str
    hyper_v_generation: str
    architecture: str
    replication_mode: str
    plan: tuple[str, ...] = ()
    subscription_id: str = ""

    @classmethod
    def of(
        cls, definition: GalleryImageDefinition, location: str, replication_mode: str, subscription_id: str
    ) -> "Wanted":
        """Return what a definition asks for."""
        spec = definition.spec
        plan = spec.purchase_plan
        return cls(
            location,
            definition.metadata.name,
            spec.os_type,
            spec.os_state,
            spec.hyper_v_generation,
            spec.architecture,
            replication_mode,
            plan_of(plan.to_wire() if plan is not None else None),
            subscription_id,
        )


@dataclass(frozen=True)
class Problem:
    """A rule that a source breaks.

    Attributes:
        reason: CamelCase reason for the condition.
        message: What is wrong with which field, and what to do next.
        passing: Something outside this object mends it: it is waited for.
    """

    reason: str
    message: str
    passing: bool = False


def conclude(problems: Sequence[Problem]) -> Stalled | Waiting | None:
    """Return how a reconcile ends with problems; None when there is none."""
    for each in problems:
        if not each.passing:
            return Stalled(each.reason, " ".join(other.message for other in problems if not other.passing))
    if problems:
        return Waiting(problems[0].reason, " ".join(each.message for each in problems), _WAIT_SECONDS)
    return None


def absent(field: str, resource_id: str) -> Problem:
    """Return the problem of a source that is not there."""
    return Problem(
        "SourceNotFound",
        f"{field}: {resource_id} does not exist. Create it, or make a new ImageVersion that names another.",
        passing=True,
    )


def elsewhere(wanted: Wanted, field: str, found: Mapping[str, Any]) -> Iterator[Problem]:
    """Check that a resource is in the gallery's region; one that does not tell is let pass."""
    location = str(found.get("location") or "")
    if location and wanted.location and normal(location) != normal(wanted.location):
        yield Problem(
            "SourceElsewhere",
            f"{field}: it is in {normal(location)}, and the gallery in {normal(wanted.location)}. A version is made in "
            "the region of its source: copy the source there and make a new ImageVersion.",
        )


def differs(wanted: Wanted, field: str, told: Mapping[str, Any]) -> Iterator[Problem]:
    """Check what a source declares against the definition; what it does not declare is let pass.

    Args:
        wanted: What it must fit.
        field: The field that names it, for messages.
        told: ``osType``, ``osState``, ``hyperVGeneration`` and ``architecture``, as far as they are known.
    """
    asked = {
        "osType": wanted.os_type,
        "osState": wanted.os_state,
        "hyperVGeneration": wanted.hyper_v_generation,
        "architecture": wanted.architecture,
    }
    differing = [name for name, value in asked.items() if told.get(name) and str(told[name]).lower() != value.lower()]
    if differing:
        has = ", ".join(f"{name} {told[name]}" for name in differing)
        wants = ", ".join(f"{name} {asked[name]}" for name in differing)
        yield Problem(
            "SourceMismatch",
            f"{field}: it has {has}, and definition {wanted.definition} has {wants}. Azure never changes either: make "
            "a new ImageVersion, of another source or another definition.",
        )


def too_large(wanted: Wanted, field: str, sizes: Iterable[float | None]) -> Iterator[Problem]:
    """Check the sizes of disks, in GiB, as far as they are known, against the limit of the replication mode."""
    limit = MAX_SHALLOW_GIB if wanted.replication_mode == "Shallow" else MAX_FULL_GIB
    largest = max((each for each in sizes if each is not None), default=0)
    if largest > limit:
        more = (
            f" replicationMode Shallow takes up to {MAX_SHALLOW_GIB} GiB, in one region."
            if limit < largest <= MAX_SHALLOW_GIB
            else ""
        )
        yield Problem(
            "DiskTooLarge",
            f"{field}: a disk has {ceil(largest)} GiB, and a version with replicationMode {wanted.replication_mode} "
            f"takes at most {limit} GiB. Make a new ImageVersion of a smaller disk.{more}",
        )


def not_settled(field: str, properties: Mapping[str, Any]) -> Iterator[Problem]:
    """Check that Azure has finished its last operation on a resource."""
    state = str(properties.get("provisioningState") or "Succeeded")
    if state in _BUSY:
        yield Problem("SourceNotReady", f"{field}: Azure is still at work on it ({state}).", passing=True)
