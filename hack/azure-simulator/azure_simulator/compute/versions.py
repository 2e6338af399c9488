"""Image versions (`galleries/images/versions`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from ..clock import timestamp
from ..errors import ArmError, bad_parameter, conflict_in_progress
from ..ids import ResourceId
from ..operations import Call, Reply
from ..store import Resource, Timer
from . import replication
from .base import GALLERY_API, Kind, as_object
from .definitions import future_date
from .encryption import check_encryption, encryption_sets, is_confidential
from .fit import check_fit
from .lag import mark_lag
from .profile import Profile, build_profile
from .security import metadata_profiles, normal_security
from .softdelete import is_enabled, keep, kept_key, refuse_kept, restore, usable_version
from .sources import collect
from .stored import STORAGE, check_same_source, safety_profile, show_sizes

__all__ = ["Versions"]

_NAME = re.compile(r"(\d{1,10})\.(\d{1,10})\.(\d{1,10})", re.ASCII)
_INT32 = 2**31 - 1
_SAFETY_FROM = "2022-03-03"  # seen: with 2019-07-01, a region could be taken out without more ado


class Versions(Kind):
    """Microsoft.Compute/galleries/images/versions."""

    types = ("galleries", "images", "versions")
    api_versions = GALLERY_API

    def __init__(self, engine: Any) -> None:
        """Work on an engine's state."""
        super().__init__(engine)
        engine.on("version.written", self._written)
        engine.on("version.deleted", self._deleted)
        engine.on("version.softdeleted", self._soft_deleted)

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Create or replace a version."""
        self.require_parents(rid)
        existing = self.store.get(rid.key)
        match = _NAME.fullmatch(rid.name)
        if existing is None and (match is None or any(int(part) > _INT32 for part in match.groups())):
            raise bad_parameter(
                "The image version name is invalid. The image version name should follow "
                "Major(int).Minor(int).Patch(int) format, for e.g: 1.0.0, 2018.12.1 etc",
                "galleryImageVersionName",
            )
        location = self.location(rid, body, existing)
        properties = as_object(body.get("properties"), "properties")
        if existing is None:
            kept = self.store.get(kept_key(rid.key))
            if kept is not None and properties.get("storageProfile") and not properties.get("restore"):
                raise refuse_kept(rid.name)
            if kept is not None:
                return self._restore(call, kept, body.get("tags"))
            return await self._create(call, rid, body, properties, location)
        return await self._update(call, rid, body.get("tags"), properties, existing)

    async def patch(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Change some properties of a version."""
        properties = as_object(body.get("properties"), "properties")
        kept = self.store.get(kept_key(rid.key)) if self.store.get(rid.key) is None else None
        if kept is not None and properties.get("restore"):
            return self._restore(call, kept, body.get("tags", kept.internal["version"].get("tags")))
        existing = self.require(rid)
        for part in ("publishingProfile", "safetyProfile"):
            stored = dict(existing.properties.get(part) or {})
            stored.pop("publishedDate", None)
            sent = as_object(properties.get(part), f"properties.{part}")
            if "storageAccountStrategy" in sent or "storageAccountStrategy" in stored:
                stored.pop("storageAccountType", None)
            properties[part] = {**stored, **sent}
        return await self._update(call, rid, body.get("tags", existing.body.get("tags")), properties, existing)

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove a version."""
        existing = self.store.get(rid.key)
        if existing is None:
            self.engine.require_group(rid.subscription, rid.group)
            return Reply(204)
        safety = existing.properties.get("safetyProfile") or {}
        end = existing.properties["publishingProfile"].get("endOfLifeDate")
        if safety.get("blockDeletionBeforeEndOfLife") and (
            end is None or datetime.fromisoformat(end).timestamp() > self.engine.clock.wall()
        ):
            raise ArmError(
                409,  # inferred: the status was not found
                "DeleteGalleryImageVersionBlockedBeforeEndOfLife",
                "Deletion of Gallery image version is not allowed because the image is enabled for "
                "blockDeletionBeforeEndOfLife and its endOfLifeDate has not reached yet",
            )
        bypass = call.query.get("bypasssoftdelete", "").lower() == "true"
        soft = not bypass and is_enabled(self.store.get(rid.key.rsplit("/images/", 1)[0]))
        if soft and existing.state == "Failed":
            raise ArmError(
                409,  # documented: it cannot be deleted; status, code and words are inferred
                "OperationNotAllowed",
                f"Image version '{rid.name}' has a failed provisioning state and cannot be soft-deleted. Disable soft "
                "delete on the gallery, delete the image version, and enable soft delete again.",
            )
        timings = self.engine.config.timings
        seconds = timings.version_delete + self.engine.spread(rid.key, timings.version_delete_spread)
        due = existing.internal.get("gone") or self.engine.clock.now() + seconds
        kind = "version.softdeleted" if soft else "version.deleted"
        operation, headers = self._begin(call, existing, kind, due, both=True)
        headers.update(self.operations.retry_headers(60.0))
        existing.properties["provisioningState"] = "Deleting"
        existing.internal.update(operation=operation, gone=due)
        self.store.put(existing)
        return Reply(202, None, headers)

    async def get(self, call: Call, rid: ResourceId) -> Reply:
        """Show a version, with replication status if asked for."""
        resource = self.require(rid)
        body = deepcopy(resource.body)
        expand = [part.strip().lower() for part in call.query.get("$expand", "").split(",")]
        if "replicationstatus" in expand:
            now, states = self.engine.clock.now(), replication.restore(resource.internal["regions"])
            body["properties"]["replicationStatus"] = {
                "aggregatedState": replication.aggregate(states, now),
                "summary": replication.summary(states, now),
            }
        if "uefisettings" in expand:
            _show_uefi(body, resource)
        if "validationprofile" not in expand:
            body["properties"].pop("validationsProfile", None)
        return Reply(200, body)

    def render(self, resource: Resource, call: Call) -> dict[str, Any]:
        """Return the body as lists show it."""
        body = deepcopy(resource.body)
        body["properties"].pop("validationsProfile", None)
        return body

    async def _create(
        self, call: Call, rid: ResourceId, body: dict[str, Any], sent: dict[str, Any], location: str
    ) -> Reply:
        if not sent.get("storageProfile"):
            raise bad_parameter(f"Required parameter '{STORAGE}' is missing (null).", STORAGE)
        profile = build_profile(as_object(sent.get("publishingProfile"), "publishingProfile"), location, None)
        source = await collect(self.engine, sent["storageProfile"], location)
        assert rid.parent is not None
        definition = self.store.get(rid.parent.key)
        assert definition is not None
        regions = profile.body["targetRegions"]
        encrypted, confidential = any(map(encryption_sets, regions)), is_confidential(regions)
        check_fit(definition, source, rid.subscription, encrypted=encrypted, confidential=confidential)
        luns = [disk.lun for disk in source.disks if disk.lun is not None]
        self._check_sets(profile, luns, rid.subscription)
        version = self.fresh(rid, location, body.get("tags"))
        published = timestamp(self.engine.clock.wall())
        publishing = {**profile.body, "publishedDate": published}
        self._end_of_life(publishing, as_object(sent.get("publishingProfile"), "publishingProfile"), {})
        version.body["properties"] = {
            "publishingProfile": publishing,
            "storageProfile": source.shown,
            "safetyProfile": safety_profile(sent.get("safetyProfile")),
            "provisioningState": "Creating",
        }
        security = normal_security(sent.get("securityProfile"), definition.properties)
        if security.get("uefiSettings"):
            version.internal["uefi"] = security.pop("uefiSettings")
        if security:
            version.properties["securityProfile"] = security
            version.properties["imageMetadataProfiles"] = metadata_profiles(security)
        kept = []
        for disk in source.disks:
            place = self.engine.disk_path()
            await self.engine.blobs.copy(disk.place, place)
            row = {"container": place.container, "name": place.name, "size": disk.size, "lun": disk.lun}
            kept.append({**row, "origin": disk.origin, "caching": disk.caching})
        version.internal.update(
            disks=kept,
            whole=source.whole,
            watch=sorted({disk.watch for disk in source.disks if disk.watch}),
            os={
                name: definition.properties[name] for name in ("osType", "osState", "hyperVGeneration", "architecture")
            },
        )
        reply = self._replicate(call, version, profile, [], 201)
        _show_uefi(reply.body, version)
        return reply

    async def _update(
        self, call: Call, rid: ResourceId, tags: object, sent: dict[str, Any], version: Resource
    ) -> Reply:
        if version.state == "Deleting":
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Operation 'Update Gallery Image Version' is not on allowed on {rid.name}; since it is marked for "
                "deletion. You can only retry the Delete operation (or wait for an ongoing one to complete)",
            )
        if version.state in ("Creating", "Updating"):
            raise conflict_in_progress(f"{rid.names[1]}/{rid.name}")
        check_same_source(version, sent.get("storageProfile"))
        before = version.properties["publishingProfile"]
        publishing = as_object(sent.get("publishingProfile"), "publishingProfile")
        if not publishing.get("targetRegions"):
            # Seen: a PUT with only location and tags leaves the regions as they are.
            publishing = {**publishing, "targetRegions": before["targetRegions"]}
        profile = build_profile(publishing, str(version.body["location"]), before)
        states = replication.restore(version.internal["regions"])
        if call.api_version >= _SAFETY_FROM:
            self._check_removal(version, states, profile)
        luns = [row["lun"] for row in version.internal["disks"] if row["lun"] is not None]
        self._check_sets(profile, luns, rid.subscription)
        body = {**profile.body, "publishedDate": before["publishedDate"]}
        self._end_of_life(body, publishing, before)
        version.body.pop("tags", None)
        if tags is not None:
            version.body["tags"] = as_object(tags, "tags")
        version.properties.update(
            publishingProfile=body,
            safetyProfile=safety_profile(sent.get("safetyProfile"), version.properties.get("safetyProfile")),
            provisioningState="Updating",
        )
        # The SDK's words: used on create or update. UEFI settings of an update are left alone (inferred).
        secrets = as_object(sent.get("securityProfile"), "securityProfile").get("secretsProvisioningSettings")
        if secrets:
            version.properties["securityProfile"] = {"secretsProvisioningSettings": secrets}
            version.properties["imageMetadataProfiles"] = metadata_profiles(version.properties["securityProfile"])
        return self._replicate(call, version, profile, states, 200)

    def _restore(self, call: Call, kept: Resource, tags: object) -> Reply:
        """Make a version of a soft-deleted one again."""
        version = restore(self.engine, kept)
        version.body.pop("tags", None)
        if tags is not None:
            version.body["tags"] = as_object(tags, "tags")
        version.properties["provisioningState"] = "Updating"
        due = self.engine.clock.now() + self.engine.config.timings.version_restore
        operation, headers = self._begin(call, version, "version.written", due, both=False)
        version.internal["operation"] = operation
        self.store.put(version)
        return Reply(200, deepcopy(version.body), headers)

    def _replicate(
        self,
        call: Call,
        version: Resource,
        profile: Profile,
        before: list[replication.RegionState],
        status: int,
    ) -> Reply:
        now, timings = self.engine.clock.now(), self.engine.config.timings
        states = replication.plan(
            before,
            profile.targets,
            home=str(version.body["location"]),
            now=now,
            timings=timings,
            shallow=profile.shallow,
            largest_gib=max(-(-(int(row["size"]) - 512) // 2**30) for row in version.internal["disks"]),
            fault=self.engine.faults.take_region,
        )
        version.internal["regions"] = replication.store(states)
        due = replication.ends_at(states, now, timings.version_settle)
        operation, headers = self._begin(call, version, "version.written", due, both=False)
        version.internal["operation"] = operation
        self.store.put(version)
        return Reply(status, deepcopy(version.body), headers)

    def _check_sets(self, profile: Profile, luns: list[int], subscription: str) -> None:
        body = profile.body
        check_encryption(self.store, body["targetRegions"], luns, subscription)
        check_encryption(self.store, body.get("targetExtendedLocations") or [], luns, subscription)

    def _check_removal(self, version: Resource, states: list[replication.RegionState], profile: Profile) -> None:
        """Refuse to take out a region that is filled, unless the version allows that beforehand."""
        kept = {name for name, _, _ in profile.targets}
        now = self.engine.clock.now()
        gone = [state for state in states if state.region not in kept and state.state(now) == "Completed"]
        if gone and not version.properties["safetyProfile"].get("allowDeletionOfReplicatedLocations"):
            names = ", ".join(state.display for state in gone)
            raise ArmError(
                409,  # inferred: status, code and text of this refusal were not found
                "OperationNotAllowed",
                f"Removing replicated locations '{names}' is not allowed because allowDeletionOfReplicatedLocations "
                "is false. Set safetyProfile.allowDeletionOfReplicatedLocations to true first.",
                target="galleryImageVersion.properties.safetyProfile.allowDeletionOfReplicatedLocations",
            )

    def _end_of_life(self, body: dict[str, Any], sent: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        value = sent.get("endOfLifeDate")
        if value is not None:
            changed = value != before.get("endOfLifeDate")
            body["endOfLifeDate"] = future_date(value, self.engine.clock.wall(), check=changed)

    def _begin(self, call: Call, version: Resource, kind: str, due: float, *, both: bool) -> tuple[str, dict[str, str]]:
        return self.operations.begin(
            call,
            "capsOperations",
            subscription=version.id.split("/")[2],
            location=str(version.body["location"]),
            seconds=0.0,
            due=due,
            kind=kind,
            payload={"key": version.key},
            poll=60.0,
            both=both,
        )

    def _written(self, timer: Timer) -> None:
        operation, version = timer.payload["operation"], self.store.get(timer.payload["key"])
        if version is None or version.internal.get("operation") != operation:
            preempted = {
                "code": "OperationPreempted",
                "message": "The operation has been preempted by a more recent one.",
            }
            self.operations.finish(operation, timer.due, error=preempted)
            return
        states = replication.restore(version.internal["regions"])
        problem = self._lost_source(version)
        if problem is None:
            problem = replication.failure_text(states, timer.due)
        version.internal.pop("watch", None)
        version.properties["provisioningState"] = "Failed" if problem else "Succeeded"
        if any(state.state(timer.due) == "Completed" for state in states):
            show_sizes(version)
        self.store.put(version)
        error = {"code": "ReplicationFailed", "message": problem} if problem else None
        self.operations.finish(operation, timer.due, error=error)

    def _lost_source(self, version: Resource) -> str | None:
        """Return why a new version fails whose source went away while it was copied, else None."""
        for key in version.internal.get("watch", []):
            if usable_version(self.engine, key) is None:
                return f"Source was not found: {key}. Please make sure the source exists"
        return None

    def _deleted(self, timer: Timer) -> None:
        version = self.store.get(timer.payload["key"])
        if version is not None:
            self.store.delete(version.key)
            for row in version.internal["disks"]:
                self.engine.discard(row["container"])
            mark_lag(self, version, timer.due)
        self.operations.finish(timer.payload["operation"], timer.due)

    def _soft_deleted(self, timer: Timer) -> None:
        version = self.store.get(timer.payload["key"])
        if version is not None:
            keep(self.engine, version, timer.due)
        self.operations.finish(timer.payload["operation"], timer.due)


def _show_uefi(body: dict[str, Any], version: Resource) -> None:
    """Add the UEFI settings, which Azure shows only when asked for them and in the answer to a create."""
    if version.internal.get("uefi"):
        profile = body["properties"].setdefault("securityProfile", {})
        profile["uefiSettings"] = version.internal["uefi"]
