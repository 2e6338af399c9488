"""Galleries and how they are shared."""

from __future__ import annotations

import re
import uuid
from copy import deepcopy
from typing import Any

from ..errors import ArmError, bad_parameter, conflict_in_progress, property_change
from ..ids import ResourceId
from ..operations import Call, Reply
from ..store import Resource, Timer
from .base import GALLERY_API, Kind, as_object
from .lag import nested_refusal
from .sharing import STATUS_FROM, begin_status, groups_after, regions_of, status
from .softdelete import is_enabled, normal_policy

__all__ = ["Galleries"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.]{0,78}[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(r"[A-Za-z0-9]{5,16}", re.ASCII)
_PERMISSIONS = ("Private", "Groups", "Community")


class Galleries(Kind):
    """Microsoft.Compute/galleries."""

    types = ("galleries",)
    api_versions = GALLERY_API

    def __init__(self, engine: Any) -> None:
        """Work on an engine's state."""
        super().__init__(engine)
        engine.on("gallery.written", self._written)
        engine.on("gallery.deleted", self._deleted)
        engine.on("gallery.shared", self._shared)

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Create or replace a gallery."""
        self.engine.require_group(rid.subscription, rid.group)
        existing = self.store.get(rid.key)
        location = self.location(rid, body, existing)
        if existing is None:
            self._check_name(rid)
        return self._write(call, rid, body, existing, location, replace=True)

    async def patch(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Change some properties of a gallery."""
        existing = self.require(rid)
        return self._write(call, rid, body, existing, str(existing.body["location"]), replace=False)

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove a gallery that has no definitions."""
        existing = self.store.get(rid.key)
        if existing is None:
            self.engine.require_group(rid.subscription, rid.group)
            return Reply(204)
        refusal = nested_refusal(self, existing, self.store.children(rid.key))
        if refusal:
            raise refusal
        operation, headers = self._begin(call, existing, "gallery.deleted", self.engine.config.timings.gallery)
        existing.properties["provisioningState"] = "Deleting"
        existing.internal["operation"] = operation
        self.store.put(existing)
        return Reply(202, None, headers)

    async def get(self, call: Call, rid: ResourceId) -> Reply:
        """Show a gallery; groups it is shared with only if asked for."""
        resource = self.require(rid)
        body = deepcopy(resource.body)
        asked = (
            call.query.get("$select", "").lower() == "permissions"
            or call.query.get("$expand", "").lower() == "sharingprofile/groups"
        )
        if asked:
            profile = body["properties"].setdefault("sharingProfile", {"permissions": "Private"})
            groups = resource.internal.get("groups") or []
            if groups:
                profile["groups"] = groups
            if resource.internal.get("sharing") and call.api_version >= STATUS_FROM:
                body["properties"]["sharingStatus"] = status(resource.internal["sharing"], self.engine.clock.now())
        return Reply(200, body)

    async def act(self, call: Call, rid: ResourceId, action: str, body: dict[str, Any]) -> Reply:
        """Share a gallery."""
        if action.lower() != "share":
            raise self._no_method(f"POST {action}")
        gallery = self.require(rid)
        if gallery.state != "Succeeded":
            raise conflict_in_progress(rid.name)
        kind = self.choice(body.get("operationType"), ("Add", "Remove", "EnableCommunity", "Reset"), "operationType")
        groups = body.get("groups") or []
        groups_after(gallery, kind, groups)  # refuse now what would be refused then
        payload = {"key": rid.key, "change": kind, "groups": groups}
        _, headers = self._begin(
            call, gallery, "gallery.shared", self.engine.config.timings.share, payload=payload, poll=30.0
        )
        return Reply(202, None, headers)

    def _write(
        self,
        call: Call,
        rid: ResourceId,
        body: dict[str, Any],
        existing: Resource | None,
        location: str,
        *,
        replace: bool,
    ) -> Reply:
        wanted = as_object(body.get("properties"), "properties")
        if existing is not None and existing.state == "Deleting":
            raise conflict_in_progress(rid.name)
        gallery = existing or self.fresh(rid, location, body.get("tags"))
        if existing is not None and (replace or "tags" in body):
            gallery.body.pop("tags", None)
            if body.get("tags") is not None:
                gallery.body["tags"] = dict(as_object(body["tags"], "tags"))
        if "identity" in body:
            gallery.body["identity"] = _identity(body["identity"], self.engine.config.tenant)
        shown = gallery.properties
        properties: dict[str, Any] = {}
        description = wanted.get("description") if replace or "description" in wanted else shown.get("description")
        if description is not None:
            properties["description"] = description
        unique = f"{rid.subscription}-{rid.name.upper()}"
        properties["identifier"] = shown.get("identifier") or {"uniqueName": unique}
        sharing = self._sharing(shown.get("sharingProfile"), wanted.get("sharingProfile"), existing is not None)
        if sharing is not None:
            properties["sharingProfile"] = sharing
        policy = normal_policy(call, wanted.get("softDeletePolicy"), shown.get("softDeletePolicy"))
        if policy is not None:
            properties["softDeletePolicy"] = policy
            self._check_places(gallery, policy)
        properties["provisioningState"] = "Creating" if existing is None else "Updating"
        gallery.body["properties"] = properties
        seconds = self.engine.config.timings.gallery
        operation, headers = self._begin(call, gallery, "gallery.written", seconds, both=False)
        gallery.internal["operation"] = operation
        self.store.put(gallery)
        return Reply(201 if existing is None else 200, deepcopy(gallery.body), headers)

    def _check_places(self, gallery: Resource, policy: dict[str, Any]) -> None:
        """Refuse soft delete where definitions or versions are in other locations (documented; the words inferred)."""
        if not policy["isSoftDeleteEnabled"] or is_enabled(gallery):
            return
        definitions = self.store.children(gallery.key)
        versions = [version for one in definitions for version in self.store.children(one.key)]
        for other in (*definitions, *versions):
            if other.body["location"] != gallery.body["location"]:
                raise bad_parameter(
                    f"Soft delete cannot be enabled: '{other.name}' is in location '{other.body['location']}', the "
                    f"gallery in '{gallery.body['location']}'.",
                    "gallery.properties.softDeletePolicy.isSoftDeleteEnabled",
                )

    def _check_name(self, rid: ResourceId) -> None:
        if not _NAME.fullmatch(rid.name):
            raise bad_parameter(
                "Gallery name is invalid. Allowed characters are English alphanumeric characters, with underscores, "
                "and periods allowed in the middle, up to 80 characters total. All other special characters, "
                "including dashes, are disallowed.",
                "galleryName",
            )
        for other in self.store.by_type(rid.subscription, self.type):
            if other.name.lower() == rid.name.lower():
                raise ArmError(
                    409,
                    "Conflict",
                    f"The gallery name {rid.name} is not unique within the subscription {rid.subscription}. "
                    "Please pick another gallery name",
                )

    def _sharing(self, old: Any, new: Any, exists: bool) -> dict[str, Any] | None:
        """Return the sharing profile to store; direct sharing can be chosen at creation only."""
        wanted = as_object(new, "properties.sharingProfile")
        if not wanted.get("permissions"):
            return old if isinstance(old, dict) else None
        path = "gallery.properties.sharingProfile.permissions"
        permissions = self.choice(wanted["permissions"], _PERMISSIONS, path)
        before = old.get("permissions", "Private") if isinstance(old, dict) else "Private"
        if exists and permissions != before and permissions != "Community":
            raise property_change(path)
        if permissions != "Community":
            return {"permissions": permissions}
        return {"permissions": permissions, "communityGalleryInfo": _community(wanted, old)}

    def _begin(
        self,
        call: Call,
        gallery: Resource,
        kind: str,
        seconds: float,
        *,
        payload: dict[str, Any] | None = None,
        poll: float | None = None,
        both: bool = True,
    ) -> tuple[str, dict[str, str]]:
        return self.operations.begin(
            call,
            "capsOperations",
            subscription=gallery.id.split("/")[2],
            location=str(gallery.body["location"]),
            seconds=seconds,
            kind=kind,
            payload=payload or {"key": gallery.key},
            poll=poll,
            both=both,
        )

    def _written(self, timer: Timer) -> None:
        gallery = self.store.get(timer.payload["key"])
        if gallery is not None and gallery.internal.get("operation") == timer.payload["operation"]:
            gallery.properties["provisioningState"] = "Succeeded"
            self.store.put(gallery)
        self.operations.finish(timer.payload["operation"], timer.due)

    def _deleted(self, timer: Timer) -> None:
        self.store.delete(timer.payload["key"])
        self.operations.finish(timer.payload["operation"], timer.due)

    def _shared(self, timer: Timer) -> None:
        gallery = self.store.get(timer.payload["key"])
        if gallery is not None:
            change = timer.payload["change"]
            gallery.internal["groups"] = groups_after(gallery, change, timer.payload["groups"])
            if change == "Reset":
                gallery.properties["sharingProfile"] = {"permissions": "Private"}
            if change == "EnableCommunity":
                info = gallery.properties["sharingProfile"]["communityGalleryInfo"]
                info["communityGalleryEnabled"] = True
            self._spread(gallery, change, timer.due)
            self.store.put(gallery)
        self.operations.finish(timer.payload["operation"], timer.due)

    def _spread(self, gallery: Resource, change: str, due: float) -> None:
        """Let the sharing reach region after region; a reset takes the status away."""
        gallery.internal.pop("sharing", None)
        if change == "Reset":
            return
        definitions = self.store.children(gallery.key, f"{self.type}/images")
        versions = [
            one for each in definitions for one in self.store.children(each.key, f"{self.type}/images/versions")
        ]
        seconds = self.engine.config.timings.share_region
        rows = begin_status(regions_of(gallery, versions), due, seconds, self.engine.faults.take_sharing)
        gallery.internal["sharing"] = rows


def _identity(value: Any, tenant: str) -> dict[str, Any]:
    identity = as_object(value, "identity")
    if "SystemAssigned" in str(identity.get("type", "")):
        identity.setdefault("principalId", str(uuid.uuid4()))
        identity.setdefault("tenantId", tenant)
    return identity


def _community(wanted: dict[str, Any], old: Any) -> dict[str, Any]:
    info = as_object(wanted.get("communityGalleryInfo"), "properties.sharingProfile.communityGalleryInfo")
    before = old.get("communityGalleryInfo", {}) if isinstance(old, dict) else {}
    path = "gallery.properties.sharingProfile.communityGalleryInfo"
    for name in ("publisherUri", "publisherContact", "eula", "publicNamePrefix"):
        info.setdefault(name, before.get(name))
        if not info[name]:
            raise bad_parameter(f"Required parameter '{path}.{name}' is missing (null).", f"{path}.{name}")
    prefix = str(info["publicNamePrefix"])
    if not _PREFIX.fullmatch(prefix):
        raise bad_parameter(f"The value of parameter {path}.publicNamePrefix is invalid.", f"{path}.publicNamePrefix")
    if before and before.get("publicNamePrefix") != prefix:
        raise property_change(f"{path}.publicNamePrefix")
    return {
        "communityGalleryEnabled": bool(before.get("communityGalleryEnabled", False)),
        "publisherUri": info["publisherUri"],
        "publisherContact": info["publisherContact"],
        "eula": info["eula"],
        "publicNamePrefix": prefix,
        "publicNames": before.get("publicNames") or [f"{prefix}-{uuid.uuid4()}"],
    }
