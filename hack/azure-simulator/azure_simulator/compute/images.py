"""Managed images."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ..errors import ArmError, bad_parameter, conflict_in_progress, property_change
from ..ids import ResourceId, parse_id
from ..operations import Call, Reply
from ..store import Resource, Timer
from .base import IMAGE_API, Kind, as_object
from .diskbytes import gigabytes
from .machines import require_generalized
from .sources import SourceDisk, blob_source, disk_source

__all__ = ["Images"]


class Images(Kind):
    """Microsoft.Compute/images."""

    types = ("images",)
    api_versions = IMAGE_API

    def __init__(self, engine: Any) -> None:
        """Work on an engine's state."""
        super().__init__(engine)
        engine.on("image.written", self._written)
        engine.on("image.deleted", self._deleted)

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Create or update a managed image."""
        self.engine.require_group(rid.subscription, rid.group)
        existing = self.store.get(rid.key)
        location = self.location(rid, body, existing)
        sent = as_object(body.get("properties"), "properties")
        if existing is not None:
            return self._change(call, existing, body, sent)
        image = self.fresh(rid, location, body.get("tags"))
        generation = self.choice(sent.get("hyperVGeneration") or "V1", ("V1", "V2"), "image.hyperVGeneration")
        shown: dict[str, Any] = {}
        if sent.get("sourceVirtualMachine"):
            shown["sourceVirtualMachine"] = sent["sourceVirtualMachine"]
            sent = {"storageProfile": self._machine(sent["sourceVirtualMachine"])}
        profile = as_object(sent.get("storageProfile"), "properties.storageProfile")
        shown["storageProfile"] = await self._disks(image, profile, location)
        shown["provisioningState"] = "Creating"
        shown["hyperVGeneration"] = generation
        image.body["properties"] = shown
        operation, headers = self._begin(call, image, "image.written")
        image.internal["operation"] = operation
        self.store.put(image)
        return Reply(201, deepcopy(image.body), headers)

    async def patch(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Change tags."""
        existing = self.require(rid)
        return self._change(call, existing, body, as_object(body.get("properties"), "properties"))

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove a managed image."""
        existing = self.store.get(rid.key)
        if existing is None:
            self.engine.require_group(rid.subscription, rid.group)
            return Reply(204)
        operation, headers = self._begin(call, existing, "image.deleted", both=True)
        existing.internal["operation"] = operation
        existing.properties["provisioningState"] = "Deleting"
        self.store.put(existing)
        return Reply(202, None, headers)

    def _change(self, call: Call, image: Resource, body: dict[str, Any], sent: dict[str, Any]) -> Reply:
        if image.state != "Succeeded":
            raise conflict_in_progress(image.name)
        stored = as_object(image.properties.get("storageProfile"), "storageProfile")
        main = as_object(as_object(sent.get("storageProfile"), "storageProfile").get("osDisk"), "osDisk")
        for name in ("blobUri", "managedDisk", "snapshot", "osType", "osState"):
            if main.get(name) and main[name] != stored["osDisk"].get(name):
                raise property_change(f"image.storageProfile.osDisk.{name}")
        if "tags" in body:
            image.body["tags"] = as_object(body["tags"], "tags")
        image.properties["provisioningState"] = "Updating"
        operation, headers = self._begin(call, image, "image.written")
        image.internal["operation"] = operation
        self.store.put(image)
        return Reply(200, deepcopy(image.body), headers)

    def _machine(self, reference: object) -> dict[str, Any]:
        """Return the storage profile of a virtual machine; machines come into the state by hand only."""
        identity = as_object(reference, "properties.sourceVirtualMachine").get("id")
        rid = parse_id(identity)
        machine = self.store.get(rid.key) if rid else None
        if machine is None:
            raise ArmError(404, "NotFound", f"Resource {rid.name if rid else identity} is not found.")
        require_generalized(machine)
        profile = dict(machine.properties["storageProfile"])
        # A machine's profile has no state; an image of it is generalized (seen in recorded traffic).
        return {**profile, "osDisk": {"osState": "Generalized", **profile.get("osDisk", {})}}

    async def _disks(self, image: Resource, profile: dict[str, Any], location: str) -> dict[str, Any]:
        main = as_object(profile.get("osDisk"), "properties.storageProfile.osDisk")
        for name in ("osType", "osState"):
            if not main.get(name):
                path = f"image.storageProfile.osDisk.{name}"
                raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)
        rows: list[dict[str, Any]] = []
        shown: dict[str, Any] = {"osDisk": await self._one(image, main, None, location, rows)}
        data = profile.get("dataDisks") or []
        shown["dataDisks"] = [
            await self._one(image, as_object(item, "dataDisks"), int(item.get("lun", 0)), location, rows)
            for item in data
        ]
        if profile.get("zoneResilient") is not None:
            shown["zoneResilient"] = bool(profile["zoneResilient"])
        image.internal["disks"] = rows
        return shown

    async def _one(
        self, image: Resource, sent: dict[str, Any], lun: int | None, location: str, rows: list[dict[str, Any]]
    ) -> dict[str, Any]:
        caching = str(sent.get("caching") or ("ReadWrite" if lun is None else "None"))
        if sent.get("blobUri"):
            disk = await self._blob(str(sent["blobUri"]), location, lun, caching)
        else:
            reference = sent.get("managedDisk") or sent.get("snapshot")
            if not reference:
                raise bad_parameter(
                    "One of blobUri, managedDisk and snapshot must be given for each disk of an image.",
                    "image.storageProfile",
                )
            identity = as_object(reference, "managedDisk").get("id")
            disk = disk_source(self.engine, identity, location, lun, caching, attached=True)
        place = self.engine.disk_path()
        await self.engine.blobs.copy(disk.place, place)
        row = {"container": place.container, "name": place.name, "size": disk.size, "lun": lun}
        rows.append({**row, "caching": caching, "origin": disk.origin, "osType": sent.get("osType")})
        shown = {} if lun is None else {"lun": lun}
        names = ["osType", "osState", "blobUri", "managedDisk", "snapshot", "diskEncryptionSet"]
        if sent.get("blobUri"):
            names.append("diskSizeGB")
        for name in names:
            if sent.get(name):
                shown[name] = sent[name]
        return {**shown, "caching": caching, "storageAccountType": sent.get("storageAccountType") or "Standard_LRS"}

    async def _blob(self, url: str, location: str, lun: int | None, caching: str) -> SourceDisk:
        place = self.engine.blobs.locate(url)
        accounts = [
            found
            for found in self.store.all()
            if found.type == "microsoft.storage/storageaccounts" and place and found.name == place.account
        ]
        if not accounts:
            raise bad_parameter(f"The specified blob {url} does not exist.", "image.storageProfile.osDisk.blobUri")
        return await blob_source(self.engine, accounts[0].id, url, location, lun, caching)

    def _begin(self, call: Call, image: Resource, kind: str, *, both: bool = False) -> tuple[str, dict[str, str]]:
        return self.operations.begin(
            call,
            "operations",
            subscription=image.id.split("/")[2],
            location=str(image.body["location"]),
            seconds=self.engine.config.timings.image,
            kind=kind,
            payload={"key": image.key},
            poll=10.0,
            both=both,
        )

    def _written(self, timer: Timer) -> None:
        image = self.store.get(timer.payload["key"])
        if image is not None and image.internal.get("operation") == timer.payload["operation"]:
            image.properties["provisioningState"] = "Succeeded"
            profile = image.properties["storageProfile"]
            for row in image.internal["disks"]:
                shown = profile["osDisk"] if row["lun"] is None else _by_lun(profile["dataDisks"], row["lun"])
                shown["diskSizeGB"] = gigabytes(int(row["size"]))
            self.store.put(image)
        self.operations.finish(timer.payload["operation"], timer.due)

    def _deleted(self, timer: Timer) -> None:
        image = self.store.get(timer.payload["key"])
        if image is not None:
            self.store.delete(image.key)
            for row in image.internal["disks"]:
                self.engine.discard(row["container"])
        self.operations.finish(timer.payload["operation"], timer.due)


def _by_lun(disks: list[dict[str, Any]], lun: int) -> dict[str, Any]:
    return next(item for item in disks if item["lun"] == lun)
