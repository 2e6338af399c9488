"""Image definitions (`galleries/images`)."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from ..errors import ArmError, bad_parameter, conflict_in_progress, property_change
from ..ids import ResourceId
from ..operations import Call, Reply
from ..store import Resource, Timer
from .base import GALLERY_API, Kind, as_object
from .lag import mark_lag, nested_refusal
from .softdelete import is_enabled

__all__ = ["Definitions", "future_date", "normal_features"]

_NAME_RULE = r"^[^_\W][\w-._]{0,79}(?<![-.])$"
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]{0,78}[A-Za-z0-9])?", re.ASCII)
_ASSET = re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9_-]", re.ASCII)
_LIMITS = {"publisher": 128, "offer": 64, "sku": 64}
_IMMUTABLE = ("osType", "osState", "hyperVGeneration", "architecture", "identifier", "eula", "purchasePlan")
_FREE = ("description", "eula", "privacyStatementUri", "releaseNoteUri", "purchasePlan")
_NEW_DEFAULTS = "2025-03-03"


class Definitions(Kind):
    """Microsoft.Compute/galleries/images."""

    types = ("galleries", "images")
    api_versions = GALLERY_API

    def __init__(self, engine: Any) -> None:
        """Work on an engine's state."""
        super().__init__(engine)
        engine.on("definition.written", self._written)
        engine.on("definition.deleted", self._deleted)

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Create or replace a definition."""
        self.require_parents(rid)
        existing = self.store.get(rid.key)
        location = self.location(rid, body, existing)
        if existing is None and not _NAME.fullmatch(rid.name):
            raise ArmError(
                400,
                "InvalidParameter",
                f'The entity name {rid.name} is invalid according to its validation rule: {_NAME_RULE}"',
                target="galleryImageName",
            )
        wanted = as_object(body.get("properties"), "properties")
        return self._write(call, rid, body, wanted, existing, location)

    async def patch(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Change some properties of a definition."""
        existing = self.require(rid)
        merged = deepcopy(existing.properties)
        merged.pop("provisioningState", None)
        merged.update(as_object(body.get("properties"), "properties"))
        body = {"tags": existing.body.get("tags"), **body}
        return self._write(call, rid, body, merged, existing, str(existing.body["location"]))

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove a definition that has no versions, and had none 10 to 20 seconds ago."""
        existing = self.store.get(rid.key)
        if existing is None:
            self.engine.require_group(rid.subscription, rid.group)
            return Reply(204)
        children = self.store.children(rid.key)
        if not is_enabled(self.store.get(existing.parent)):
            # Documented: without soft delete, what was soft-deleted before does not hold a definition.
            children = [child for child in children if child.type.endswith("/images/versions")]
        refusal = nested_refusal(self, existing, children)
        if refusal:
            raise refusal
        operation, headers = self._begin(call, existing, "definition.deleted", both=True)
        existing.properties["provisioningState"] = "Deleting"
        existing.internal["operation"] = operation
        self.store.put(existing)
        return Reply(202, None, headers)

    def _write(
        self,
        call: Call,
        rid: ResourceId,
        body: dict[str, Any],
        wanted: dict[str, Any],
        existing: Resource | None,
        location: str,
    ) -> Reply:
        if existing is not None and existing.state == "Deleting":
            raise conflict_in_progress(rid.name)
        properties = self._properties(call, wanted, existing)
        if existing is None:
            self._check_unique(rid, properties["identifier"])
        else:
            _check_changes(existing.properties, properties, allow=bool(wanted.get("allowUpdateImage")))
        definition = existing or self.fresh(rid, location, None)
        definition.body.pop("tags", None)
        if body.get("tags") is not None:
            definition.body["tags"] = as_object(body["tags"], "tags")
        properties["provisioningState"] = "Creating" if existing is None else "Updating"
        definition.body["properties"] = properties
        operation, headers = self._begin(call, definition, "definition.written", both=False)
        definition.internal["operation"] = operation
        self.store.put(definition)
        return Reply(201 if existing is None else 200, deepcopy(definition.body), headers)

    def _properties(self, call: Call, wanted: dict[str, Any], existing: Resource | None) -> dict[str, Any]:
        before = existing.properties if existing else {}
        for name in ("osType", "osState", "identifier"):
            if not wanted.get(name):
                path = f"galleryImage.properties.{name}"
                raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)
        features = normal_features(wanted.get("features"))
        secure = any(item["name"].lower() == "securitytype" for item in features)
        generation = wanted.get("hyperVGeneration") or before.get("hyperVGeneration")
        if existing is None and call.api_version >= _NEW_DEFAULTS and not secure:
            # From 2025-03-03 on, a definition that says nothing about security gets Trusted Launch, and so V2.
            generation = generation or "V2"
            if generation == "V2":
                features.append({"name": "SecurityType", "value": "TrustedLaunchSupported"})
        if existing is not None and not secure and "features" not in wanted:
            features = before.get("features", [])
        prefix = "galleryImage.properties"
        result: dict[str, Any] = {
            "hyperVGeneration": self.choice(generation or "V1", ("V1", "V2"), f"{prefix}.hyperVGeneration"),
            "architecture": self.choice(
                wanted.get("architecture") or before.get("architecture") or "x64",
                ("x64", "Arm64"),
                f"{prefix}.architecture",
            ),
            "osType": self.choice(wanted["osType"], ("Linux", "Windows"), f"{prefix}.osType"),
            "osState": self.choice(wanted["osState"], ("Generalized", "Specialized"), f"{prefix}.osState"),
            "identifier": _identifier(wanted["identifier"]),
        }
        for name in _FREE:
            if wanted.get(name) is not None:
                result[name] = wanted[name]
        if features:
            result["features"] = features
        if wanted.get("recommended"):
            result["recommended"] = _recommended(wanted["recommended"])
        if as_object(wanted.get("disallowed"), f"{prefix}.disallowed").get("diskTypes"):
            result["disallowed"] = {"diskTypes": list(wanted["disallowed"]["diskTypes"])}
        if wanted.get("endOfLifeDate"):
            changed = wanted["endOfLifeDate"] != before.get("endOfLifeDate")
            result["endOfLifeDate"] = future_date(wanted["endOfLifeDate"], self.engine.clock.wall(), check=changed)
        if wanted.get("allowUpdateImage") is not None:
            result["allowUpdateImage"] = bool(wanted["allowUpdateImage"])
        return result

    def _check_unique(self, rid: ResourceId, identifier: dict[str, str]) -> None:
        assert rid.parent is not None
        triple = {name: value.lower() for name, value in identifier.items()}
        for other in self.store.children(rid.parent.key, self.type):
            if {name: value.lower() for name, value in other.properties["identifier"].items()} == triple:
                raise ArmError(
                    409,
                    "Conflict",
                    f"Gallery image: {other.name} identified by (publisher:{identifier['publisher']}, "
                    f"offer:{identifier['offer']}, sku:{identifier['sku']}) already exists. Choose a different "
                    "publisher, offer, sku combination.",
                )

    def _begin(self, call: Call, definition: Resource, kind: str, *, both: bool) -> tuple[str, dict[str, str]]:
        return self.operations.begin(
            call,
            "capsOperations",
            subscription=definition.id.split("/")[2],
            location=str(definition.body["location"]),
            seconds=self.engine.config.timings.definition,
            kind=kind,
            payload={"key": definition.key},
            both=both,
        )

    def _written(self, timer: Timer) -> None:
        definition = self.store.get(timer.payload["key"])
        if definition is not None and definition.internal.get("operation") == timer.payload["operation"]:
            definition.properties["provisioningState"] = "Succeeded"
            self.store.put(definition)
        self.operations.finish(timer.payload["operation"], timer.due)

    def _deleted(self, timer: Timer) -> None:
        definition = self.store.get(timer.payload["key"])
        if definition is not None:
            for kept in self.store.children(definition.key):
                self.store.delete(kept.key)
                for row in kept.internal["disks"]:
                    self.engine.discard(row["container"])
            self.store.delete(definition.key)
            mark_lag(self, definition, timer.due)
        self.operations.finish(timer.payload["operation"], timer.due)


def normal_features(value: object) -> list[dict[str, Any]]:
    """Return features in the form the service stores.

    Seen: `"true"` comes back as `"True"`; `NVMe, SCSI` as `SCSI, NVMe`.

    Raises:
        ArmError: 400, a feature has no name.
    """
    result = []
    items = value if isinstance(value, list) else []
    for number, item in enumerate(items):
        feature = as_object(item, f"properties.features[{number}]")
        name, text = feature.get("name"), str(feature.get("value", ""))
        if not name:
            path = f"galleryImage.properties.features[{number}].name"
            raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)
        if text.lower() in ("true", "false"):
            text = text.capitalize()
        if str(name).lower() == "diskcontrollertypes":
            kinds = {part.strip().lower() for part in text.split(",")}
            text = ", ".join(label for label in ("SCSI", "NVMe") if label.lower() in kinds)
        normal = {"name": str(name), "value": text}
        if feature.get("startsAtVersion"):
            normal["startsAtVersion"] = str(feature["startsAtVersion"])
        result.append(normal)
    return result


def future_date(value: object, now: float, *, check: bool = True) -> str:
    """Return an end-of-life date as stored.

    Args:
        value: what was sent.
        now: wall time in Unix seconds.
        check: whether it must be in the future.

    Raises:
        ArmError: 400, it is no date or not in the future.
    """
    path = "properties.endOfLifeDate"
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise ArmError(
            400, "InvalidParameter", f"Could not convert string to DateTimeOffset: {value}. Path '{path}'", target=path
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if check and moment.timestamp() <= now:
        raise bad_parameter("EndOfLifeDate must be set to a future date.", path)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _identifier(value: object) -> dict[str, str]:
    given = as_object(value, "properties.identifier")
    result = {}
    for name, limit in _LIMITS.items():
        text = str(given.get(name) or "")
        if not _ASSET.fullmatch(text) or len(text) > limit:
            path = f"galleryImage.properties.identifier.{name}"
            raise bad_parameter(
                f"Asset name {path} is not valid. It cannot be empty. Allowed characters are uppercase or lowercase "
                "letters, digits, hyphen(-), period (.), underscore (_). Names are not allowed to end with "
                f"period(.). The length of the name cannot exceed {limit} characters.",
                path,
            )
        result[name] = text
    return result


def _recommended(value: object) -> dict[str, Any]:
    given = as_object(value, "properties.recommended")
    for name in ("vCPUs", "memory"):
        bounds = as_object(given.get(name), f"properties.recommended.{name}")
        if "min" in bounds and "max" in bounds and bounds["min"] > bounds["max"]:
            raise bad_parameter(
                f"The minimum value of {name} must not be greater than the maximum value of {name}.",
                f"galleryImage.properties.recommended.{name}",
            )
    return given


def _check_changes(before: dict[str, Any], after: dict[str, Any], *, allow: bool) -> None:
    """Refuse the change of what cannot change; features change only with `allowUpdateImage`."""
    for name in _IMMUTABLE:
        if name == "identifier":
            for part in _LIMITS:
                if before["identifier"][part] != after["identifier"][part]:
                    raise property_change(f"galleryImage.properties.identifier.{part}")
        elif before.get(name) != after.get(name):
            raise property_change(f"galleryImage.properties.{name}")
    if before.get("features", []) != after.get("features", []) and not allow:
        raise property_change("galleryImage.properties.features")
