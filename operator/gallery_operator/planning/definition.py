"""Image definition: what to send to Azure, and whether what is there differs, in normal form.

Azure normalises (``"true"`` becomes ``"True"``, ``NVMe, SCSI`` becomes ``SCSI, NVMe``) and then refuses the form it
was given (PropertyChangeNotAllowed), so features are compared without case and order.

A field that the spec has set and no longer does is taken out in Azure; one that the spec never set, and somebody else
has, stays. Which were set is in ``status.managedFields``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import GalleryImageDefinition
from gallery_operator.planning.moments import parsed, same_moment, to_azure
from gallery_operator.planning.ownership import desired_tags, tags_differ

SECURITY_TYPE = "SecurityType"
_STANDARD = "Standard"
_FIXED = ("osType", "osState", "hyperVGeneration", "architecture")
# Left alone when the spec is silent: Azure changes neither.
_FIXED_OPTIONAL = ("eula", "purchasePlan")
_OPTIONAL = ("description", "privacyStatementUri", "releaseNoteUri", "recommended", "disallowed", "endOfLifeDate")


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
        wanted[SECURITY_TYPE] = _STANDARD
    return wanted


def security_type(definition: GalleryImageDefinition) -> str:
    """Return the ``SecurityType`` that the definition has or gets."""
    return next(value for name, value in features(definition).items() if name.lower() == SECURITY_TYPE.lower())


def managed_fields(definition: GalleryImageDefinition) -> list[str]:
    """Return the optional fields that the spec sets, for ``status.managedFields``."""
    return sorted(
        [
            *_leaves(_wanted(definition)),
            *(f"features/{each.name}" for each in definition.spec.features),
            *(f"features/{each.name}/startsAtVersion" for each in definition.spec.features if each.starts_at_version),
            *(f"tags/{name}" for name in definition.spec.tags),
        ]
    )


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
    before = (existing or {}).get("properties") or {}
    wire = _wanted(definition)
    properties = {name: wire[name] for name in (*_FIXED, "identifier")}
    for name in _FIXED_OPTIONAL:
        if wire.get(name) or before.get(name):
            properties[name] = wire.get(name) or before[name]
    kept = {name: value for name, value in _leaves(before).items() if not _dropped(definition, name)}
    properties |= _tree({**kept, **_leaves(wire)})
    if existing is not None and not _features_differ(definition, before.get("features")):
        # Sent as Azure writes them: it refuses its own features in another order.
        if before.get("features"):
            properties["features"] = before["features"]
    else:
        properties["features"] = _merged_features(definition, before.get("features"))
        if existing is not None:
            properties["allowUpdateImage"] = True
    return {
        "location": (existing or {}).get("location") or location,
        "tags": desired_tags(_kept_tags(definition, existing), definition.spec.tags, owner),
        "properties": properties,
    }


def differences(
    definition: GalleryImageDefinition, owner: Mapping[str, str], existing: Mapping[str, Any]
) -> Differences:
    """Compare what Azure has with the spec."""
    wire = _wanted(definition)
    have = existing.get("properties") or {}
    immutable: list[tuple[str, str, str]] = []
    for name in _FIXED:
        # Azure answers x64 for a definition that was made without an architecture.
        there = str(have.get(name) or ("x64" if name == "architecture" else ""))
        if there.lower() != str(wire[name]).lower():
            immutable.append((name, there, str(wire[name])))
    for name in ("identifier", "purchasePlan"):
        parts = have.get(name) or {}
        immutable += [
            (f"{name}.{part}", str(parts.get(part, "")), wanted)
            for part, wanted in (wire.get(name) or {}).items()
            if str(parts.get(part, "")).lower() != wanted.lower()
        ]
    if "eula" in wire and have.get("eula") != wire["eula"]:
        immutable.append(("eula", str(have.get("eula") or ""), wire["eula"]))
    updatable = _optional_differences(definition, have)
    if _features_differ(definition, have.get("features")):
        updatable.append("features")
    tags = existing.get("tags")
    if tags_differ(tags, definition.spec.tags, owner) or _kept_tags(definition, existing) != (tags or {}):
        updatable.append("tags")
    return Differences(tuple(updatable), tuple(immutable))


def _wanted(definition: GalleryImageDefinition) -> dict[str, Any]:
    wire = definition.spec.to_wire()
    if definition.spec.end_of_life_date is not None:
        wire["endOfLifeDate"] = to_azure(definition.spec.end_of_life_date)
    return wire


def _dropped(definition: GalleryImageDefinition, field: str) -> bool:
    """Whether the spec has set a field, and no longer does."""
    return field in definition.status.managed_fields and field not in managed_fields(definition)


def _optional_differences(definition: GalleryImageDefinition, have: Mapping[str, Any]) -> list[str]:
    wanted, there = _leaves(_wanted(definition)), _leaves(have)
    differ = {name for name, value in wanted.items() if not _same(name, value, there.get(name))}
    differ |= {name for name in there if _dropped(definition, name)}
    first = {name.partition("/")[0] for name in differ}
    return [name for name in _OPTIONAL if name in first]


def _same(name: str, wanted: Any, there: Any) -> bool:
    if name == "endOfLifeDate":
        moment = parsed(wanted)
        return moment is not None and same_moment(there, moment)
    if isinstance(wanted, list) and isinstance(there, list):
        return sorted(map(str, wanted)) == sorted(map(str, there))
    return bool(wanted == there)


def _leaves(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the optional fields by path (``recommended/memory/min``); what is empty is not there."""
    return dict(_walk("", {name: properties.get(name) for name in _OPTIONAL}))


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _walk(f"{path}/{name}" if path else name, each)
    elif value not in (None, "", []):
        yield path, value


def _tree(leaves: Mapping[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path, value in leaves.items():
        *parents, last = path.split("/")
        target = root
        for parent in parents:
            target = target.setdefault(parent, {})
        target[last] = value
    return root


def _kept_tags(definition: GalleryImageDefinition, existing: Mapping[str, Any] | None) -> dict[str, str]:
    tags: Mapping[str, str] = (existing or {}).get("tags") or {}
    return {name: value for name, value in tags.items() if not _dropped(definition, f"tags/{name}")}


def _normal_feature(value: object) -> tuple[str, ...]:
    return tuple(sorted(part.strip().lower() for part in str(value or "").split(",")))


def _features_there(have: object) -> dict[str, Mapping[str, Any]]:
    """Return Azure's features by name in lower case; one without SecurityType is Standard."""
    listed = [each for each in (have if isinstance(have, list) else []) if isinstance(each, Mapping)]
    there: dict[str, Mapping[str, Any]] = {SECURITY_TYPE.lower(): {"name": SECURITY_TYPE, "value": _STANDARD}}
    return there | {str(each.get("name", "")).lower(): each for each in listed}


def _dropped_features(definition: GalleryImageDefinition) -> set[str]:
    wanted = {name.lower() for name in features(definition)}
    managed = {
        name.removeprefix("features/").lower()
        for name in definition.status.managed_fields
        if name.startswith("features/") and not name.endswith("/startsAtVersion")
    }
    return managed - wanted


def _features_differ(definition: GalleryImageDefinition, have: object) -> bool:
    there = _features_there(have)
    if any(name in there for name in _dropped_features(definition)):
        return True
    for name, value in features(definition).items():
        if _normal_feature(there.get(name.lower(), {}).get("value")) != _normal_feature(value):
            return True
    for each in definition.spec.features:
        starts = there.get(each.name.lower(), {}).get("startsAtVersion")
        dropped = starts is not None and _dropped(definition, f"features/{each.name}/startsAtVersion")
        if dropped or (each.starts_at_version is not None and starts != each.starts_at_version):
            return True
    return False


def _merged_features(definition: GalleryImageDefinition, have: object) -> list[dict[str, Any]]:
    """Return the features to send: those of the spec, and what others have set in Azure."""
    there = _features_there(have)
    starts = {each.name: each.starts_at_version for each in definition.spec.features}
    result: list[dict[str, Any]] = []
    for name, value in features(definition).items():
        feature: dict[str, Any] = {"name": name, "value": value}
        kept = there.get(name.lower(), {}).get("startsAtVersion")
        if _dropped(definition, f"features/{name}/startsAtVersion"):
            kept = None
        if starts.get(name) or kept:
            feature["startsAtVersion"] = starts.get(name) or kept
        result.append(feature)
    gone = _dropped_features(definition) | {name.lower() for name in features(definition)}
    return result + [dict(each) for name, each in there.items() if name not in gone]
