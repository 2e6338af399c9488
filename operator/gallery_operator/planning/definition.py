"""Image definition: what to send to Azure, and whether what is there differs, in normal form.

Azure normalises (``"true"`` becomes ``"True"``, ``NVMe, SCSI`` becomes ``SCSI, NVMe``) and then refuses the form it
was given (PropertyChangeNotAllowed), so features are compared without case and order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gallery_operator.api import GalleryImageDefinition
from gallery_operator.planning.ownership import desired_tags, tags_differ

SECURITY_TYPE = "SecurityType"
_UPDATABLE = ("description", "privacyStatementUri", "releaseNoteUri")


@dataclass(frozen=True)
class Differences:
    """How Azure differs from the spec.

    Attributes:
        updatable: Fields that an update corrects.
        immutable: Fields that Azure never changes: (field, in Azure, wanted).
    """

    updatable: tuple[str, ...] = ()
    immutable: tuple[tuple[str, str, str], ...] = ()


def features(definition: GalleryImageDefinition) -> dict[str, str]:
    """Return the features to send; ``SecurityType`` is always among them.

    Without it Azure's default depends on the API version: since 2025-03-03 it is TrustedLaunchSupported.
    """
    wanted = {each.name: each.value for each in definition.spec.features}
    if not any(name.lower() == SECURITY_TYPE.lower() for name in wanted):
        wanted[SECURITY_TYPE] = "Standard"
    return wanted


def body(
    definition: GalleryImageDefinition, location: str, owner: Mapping[str, str], existing: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the PUT body, in REST form.

    Args:
        definition: What is wanted.
        location: Region of the gallery.
        owner: Ownership tags.
        existing: What Azure has, or None.
    """
    spec = definition.spec
    wire = spec.to_wire()
    properties: dict[str, Any] = {
        name: wire[name]
        for name in (
            "osType",
            "osState",
            "hyperVGeneration",
            "architecture",
            "identifier",
            "description",
            "eula",
            "privacyStatementUri",
            "releaseNoteUri",
            "recommended",
            "disallowed",
            "purchasePlan",
        )
        if name in wire
    }
    wanted = features(definition)
    properties["features"] = [{"name": name, "value": value} for name, value in wanted.items()]
    if spec.end_of_life_date is not None:
        properties["endOfLifeDate"] = _moment(spec.end_of_life_date)
    if existing is not None:
        before = existing.get("properties") or {}
        if _features_differ(before.get("features"), wanted):
            properties["allowUpdateImage"] = True
        elif before.get("features"):
            properties["features"] = before["features"]
    return {
        "location": (existing or {}).get("location") or location,
        "tags": desired_tags((existing or {}).get("tags"), spec.tags, owner),
        "properties": properties,
    }


def differences(
    definition: GalleryImageDefinition, owner: Mapping[str, str], existing: Mapping[str, Any]
) -> Differences:
    """Compare what Azure has with the spec."""
    spec = definition.spec
    wire = spec.to_wire()
    have = existing.get("properties") or {}
    immutable: list[tuple[str, str, str]] = []
    for name in ("osType", "osState", "hyperVGeneration", "architecture"):
        # Azure answers x64 for a definition that was made without an architecture.
        there = str(have.get(name) or ("x64" if name == "architecture" else ""))
        if there.lower() != str(wire[name]).lower():
            immutable.append((name, there, str(wire[name])))
    identifier = have.get("identifier") or {}
    for name, wanted in wire["identifier"].items():
        if str(identifier.get(name, "")).lower() != wanted.lower():
            immutable.append((f"identifier.{name}", str(identifier.get(name, "")), wanted))
    updatable = [name for name in _UPDATABLE if name in wire and have.get(name) != wire[name]]
    updatable += [
        name
        for name in ("recommended", "disallowed")
        if name in wire and not _contains(have.get(name) or {}, wire[name])
    ]
    if spec.end_of_life_date is not None and not same_moment(have.get("endOfLifeDate"), spec.end_of_life_date):
        updatable.append("endOfLifeDate")
    if _features_differ(have.get("features"), features(definition)):
        updatable.append("features")
    if tags_differ(existing.get("tags"), spec.tags, owner):
        updatable.append("tags")
    return Differences(tuple(updatable), tuple(immutable))


def same_moment(wire: object, wanted: datetime) -> bool:
    """Whether a date of Azure's is the wanted one; Azure writes fractions of a second, and ``Z`` or ``+00:00``."""
    if not isinstance(wire, str):
        return False
    try:
        there = datetime.fromisoformat(wire)
    except ValueError:
        return False
    if there.tzinfo is None:
        there = there.replace(tzinfo=UTC)
    return abs((there - _aware(wanted)).total_seconds()) < 1.0


def latest(versions: Iterable[Mapping[str, Any]]) -> str | None:
    """Return what ``latest`` resolves to: the highest version that succeeded and is not excluded.

    Args:
        versions: Versions as Azure lists them.
    """
    candidates = [
        str(each.get("name"))
        for each in versions
        if (each.get("properties") or {}).get("provisioningState") == "Succeeded"
        and not ((each.get("properties") or {}).get("publishingProfile") or {}).get("excludeFromLatest")
    ]
    return max(candidates, key=_numbers, default=None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _moment(moment: datetime) -> str:
    return _aware(moment).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _normal_feature(value: str) -> tuple[str, ...]:
    return tuple(sorted(part.strip().lower() for part in value.split(",")))


def _features_differ(have: object, wanted: Mapping[str, str]) -> bool:
    there = {
        str(each.get("name", "")).lower(): _normal_feature(str(each.get("value", "")))
        for each in (have if isinstance(have, list) else [])
        if isinstance(each, Mapping)
    }
    return any(there.get(name.lower()) != _normal_feature(value) for name, value in wanted.items())


def _contains(have: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(have, Mapping) and all(_contains(have.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(have, list) and sorted(map(str, have)) == sorted(map(str, wanted))
    return bool(have == wanted)
