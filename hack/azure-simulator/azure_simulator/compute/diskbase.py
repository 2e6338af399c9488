"""What disks and snapshots have in common: making them from bytes, and access to the bytes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from ..blobs import BlobPath
from ..clock import timestamp
from ..errors import ArmError, bad_parameter, conflict_in_progress, not_simulated, property_change
from ..ids import ResourceId, parse_id
from ..operations import Call, Reply
from ..regions import normalise
from ..store import Resource, Timer
from ..vhd import FOOTER_BYTES, MIB, build_footer, footer_problem
from .base import DISK_API, Kind, as_object
from .diskbytes import gigabytes, new_bytes

__all__ = ["DiskKind"]

_VMGS_BYTES = 4 * MIB + FOOTER_BYTES  # inferred: size of the guest state of a confidential VM
_SKUS = (
    "Standard_LRS",
    "Premium_LRS",
    "StandardSSD_LRS",
    "UltraSSD_LRS",
    "Premium_ZRS",
    "StandardSSD_ZRS",
    "PremiumV2_LRS",
    "Standard_ZRS",
)
_ECHOED = (
    "osType",
    "hyperVGeneration",
    "diskSizeGB",
    "securityProfile",
    "supportsHibernation",
    "supportedCapabilities",
    "purchasePlan",
    "networkAccessPolicy",
    "publicNetworkAccess",
    "diskAccessId",
    "architecture",
    "incremental",
    "encryption",
    "burstingEnabled",
    "availabilityPolicy",
    "dataAccessAuthMode",
    "optimizedForFrequentAttach",
    "diskIOPSReadWrite",
    "diskMBpsReadWrite",
    "maxShares",
    "tier",
    "completionPercent",
)


class DiskKind(Kind):
    """Base of disks and snapshots."""

    api_versions = DISK_API

    def __init__(self, engine: Any) -> None:
        """Work on an engine's state."""
        super().__init__(engine)
        name = self.types[-1]
        for event, handler in (
            ("written", self._written),
            ("deleted", self._deleted),
            ("granted", self._granted),
            ("revoked", self._revoked),
        ):
            handle: Callable[[Timer], None] = handler
            engine.on(f"{name}.{event}", handle)

    def finished(self, resource: Resource, blob_bytes: int) -> dict[str, Any]:
        """Return the properties that the service adds when a disk is made."""
        raise NotImplementedError

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Create or update a disk."""
        self.engine.require_group(rid.subscription, rid.group)
        existing = self.store.get(rid.key)
        location = self.location(rid, body, existing)
        if existing is not None:
            return self._change(call, existing, body)
        properties = as_object(body.get("properties"), "properties")
        creation = as_object(properties.get("creationData"), "properties.creationData")
        option = str(creation.get("createOption") or "")
        if not option:
            path = f"{self._word}.creationData.createOption"
            raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)
        made_of = await new_bytes(self.engine, self._word, creation, properties, location)
        place = self.engine.disk_path()
        if made_of.source is not None:
            await self.engine.blobs.copy(made_of.source, place)
        else:
            footer = b"" if option.startswith("Upload") else build_footer(made_of.size - FOOTER_BYTES)
            await self.engine.blobs.create(place, made_of.size, footer)
        disk = self.fresh(rid, location, body.get("tags"))
        disk.body["sku"] = {"name": self._sku(body)}
        if body.get("zones"):
            disk.body["zones"] = list(body["zones"])
        if body.get("extendedLocation"):
            disk.body["extendedLocation"] = as_object(body["extendedLocation"], "extendedLocation")
        self._check_set(properties, rid.subscription, location)
        shown: dict[str, Any] = {"creationData": creation}
        shown.update((name, properties[name]) for name in _ECHOED if properties.get(name) is not None)
        if (shown.get("encryption") or {}).get("diskEncryptionSetId"):
            shown["encryption"] = {"type": "EncryptionAtRestWithCustomerKey", **shown["encryption"]}
        for name, value in (made_of.inherit or {}).items():
            if name == "sourceUniqueId":
                disk.internal["sourceUniqueId"] = value
            else:
                shown.setdefault(name, value)
        shown["provisioningState"] = "Updating"
        disk.body["properties"] = shown
        disk.internal["disks"] = [{"container": place.container, "name": place.name, "size": made_of.size}]
        if option in ("UploadPreparedSecure", "ImportSecure"):
            guest = BlobPath(place.account, place.container, f"{place.name}_vmgs")
            if made_of.guest is not None:
                await self.engine.blobs.copy(made_of.guest, guest)
            else:
                await self.engine.blobs.create(guest, _VMGS_BYTES)
            disk.internal["vmgs"] = guest.name
        timings = self.engine.config.timings
        seconds = timings.disk if made_of.source is None else timings.disk_hydrate
        if self.types == ("snapshots",):
            seconds = timings.snapshot
        operation, headers = self._begin(call, disk, "written", seconds)
        disk.internal["operation"] = operation
        answer = deepcopy(disk.body)
        self.store.put(disk)
        return Reply(202, answer, headers)

    async def patch(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Change tags, SKU or size."""
        return self._change(call, self.require(rid), body)

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove a disk that nobody has access to."""
        existing = self.store.get(rid.key)
        if existing is None:
            self.engine.require_group(rid.subscription, rid.group)
            return Reply(204)
        if existing.properties.get("diskState") in ("ActiveSAS", "ActiveUpload") and existing.internal.get("policy"):
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"There is an active shared access signature outstanding for disk {rid.name}. Call EndGetAccess "
                "before attaching or deleting the disk.",
            )
        operation, headers = self._begin(call, existing, "deleted", self.engine.config.timings.disk)
        existing.internal["operation"] = operation
        self.store.put(existing)
        return Reply(202, None, headers)

    async def act(self, call: Call, rid: ResourceId, action: str, body: dict[str, Any]) -> Reply:
        """Give or take away access to the bytes."""
        disk = self.require(rid)
        if disk.state == "Updating":
            raise conflict_in_progress(rid.name)
        if action.lower() == "begingetaccess":
            return await self._grant(call, disk, body)
        if action.lower() == "endgetaccess":
            return await self._revoke(call, disk)
        raise self._no_method(f"POST {action}")

    async def _grant(self, call: Call, disk: Resource, body: dict[str, Any]) -> Reply:
        access = self.choice(body.get("access"), ("Read", "Write"), "grantAccessData.access")
        seconds = body.get("durationInSeconds")
        if not isinstance(seconds, int) or not 0 < seconds <= 2**32 - 1:
            path = "grantAccessData.durationInSeconds"
            raise bad_parameter(
                f"The value {seconds} of parameter {path} is out of range. The value must be between 1 and "
                f"{2**32 - 1}, inclusive",
                path,
            )
        state = disk.properties.get("diskState")
        allowed = ("ReadyToUpload", "ActiveUpload") if access == "Write" else ("Unattached", "Reserved", "ActiveSAS")
        if state not in allowed:
            raise ArmError(
                409,
                "OperationNotAllowed",
                f"Access '{access}' cannot be granted to {self._word} {disk.name} while it is in state '{state}'.",
            )
        place = self.place(disk)
        # One access at a time; asking again renews it (inferred: what Azure does then was not found).
        policy = disk.internal.get("policy") or str(uuid.uuid4())
        await self.engine.blobs.grant(place, policy, write=access == "Write", seconds=seconds)
        disk.internal["policy"] = policy
        grants = [["accessSAS", place.container, place.name, policy]]
        if body.get("getSecureVMGuestStateSAS"):
            if "vmgs" not in disk.internal:
                raise bad_parameter(
                    f"{self._word} {disk.name} has no VM guest state.", "grantAccessData.getSecureVMGuestStateSAS"
                )
            grants.append(["securityDataAccessSAS", place.container, disk.internal["vmgs"], policy])
        new = "ActiveUpload" if access == "Write" else "ActiveSAS"
        payload = {"key": disk.key, "state": new, "output": {"$grants": grants}}
        _, headers = self._begin(call, disk, "granted", self.engine.config.timings.access, payload=payload)
        self.store.put(disk)
        return Reply(202, None, headers)

    async def _revoke(self, call: Call, disk: Resource) -> Reply:
        place, state = self.place(disk), disk.properties.get("diskState")
        if state == "ActiveUpload":
            size = int(disk.internal["disks"][0]["size"])
            problem = footer_problem(
                await self.engine.blobs.tail(place, size), size, place.name, self.engine.blobs.url(place)
            )
            if problem:
                # Inferred: the access ends although the content is refused, else an upload that was given up could
                # never be removed.
                if disk.internal.pop("policy", None):
                    await self.engine.blobs.revoke(place)
                self.store.put(disk)
                raise ArmError(400, "InvalidVhd", problem)
        if disk.internal.pop("policy", None):
            await self.engine.blobs.revoke(place)
        new = "ReadyToUpload" if state == "ReadyToUpload" else "Unattached"
        payload = {"key": disk.key, "state": new}
        _, headers = self._begin(call, disk, "revoked", self.engine.config.timings.access, payload=payload)
        self.store.put(disk)
        return Reply(202, None, headers)

    def place(self, disk: Resource) -> BlobPath:
        """Return where a disk's bytes are."""
        stored = disk.internal["disks"][0]
        return BlobPath(self.engine.config.disk_account, stored["container"], stored["name"])

    @property
    def _word(self) -> str:
        return self.types[-1].removesuffix("s")

    def _check_set(self, properties: dict[str, Any], subscription: str, location: str) -> None:
        """Check the disk encryption set that a disk names (inferred: the words)."""
        path = f"{self._word}.encryption"
        identity = as_object(properties.get("encryption"), path).get("diskEncryptionSetId")
        if identity is None:
            return
        rid = parse_id(identity)
        found = self.store.get(rid.key) if rid else None
        if found is None:
            raise ArmError(404, "NotFound", f"Disk encryption set {identity} is not found.", target=path)
        if rid is not None and rid.subscription.lower() != subscription.lower():
            raise bad_parameter(f"The disk encryption set '{identity}' must be in subscription '{subscription}'.", path)
        if normalise(str(found.body["location"])) != location:
            raise bad_parameter(f"The disk encryption set '{identity}' must be in location '{location}'.", path)

    def _sku(self, body: dict[str, Any]) -> str:
        sku = as_object(body.get("sku"), "sku")
        return self.choice(sku.get("name") or "Standard_LRS", _SKUS, f"{self._word}.sku.name")

    def _change(self, call: Call, disk: Resource, body: dict[str, Any]) -> Reply:
        if disk.state == "Updating":
            raise conflict_in_progress(disk.name)
        properties = as_object(body.get("properties"), "properties")
        creation = properties.get("creationData")
        if creation is not None:
            stored = disk.properties["creationData"]
            for name, value in as_object(creation, "properties.creationData").items():
                if stored.get(name) != value:
                    raise property_change(f"{self._word}.creationData.{name}")
        if "tags" in body:
            disk.body["tags"] = as_object(body["tags"], "tags")
        if "sku" in body:
            disk.body["sku"]["name"] = self._sku(body)
        size = properties.get("diskSizeGB")
        if size is not None and size != disk.properties.get("diskSizeGB", size):
            raise not_simulated("resizing disks")
        for name in (
            "osType",
            "hyperVGeneration",
            "supportsHibernation",
            "supportedCapabilities",
            "networkAccessPolicy",
        ):
            if name in properties:
                disk.properties[name] = properties[name]
        disk.properties["provisioningState"] = "Updating"
        operation, headers = self._begin(call, disk, "written", self.engine.config.timings.disk)
        disk.internal["operation"] = operation
        self.store.put(disk)
        return Reply(202, deepcopy(disk.body), headers)

    def _begin(
        self, call: Call, disk: Resource, event: str, seconds: float, *, payload: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, str]]:
        return self.operations.begin(
            call,
            "DiskOperations",
            subscription=disk.id.split("/")[2],
            location=str(disk.body["location"]),
            seconds=seconds,
            kind=f"{self.types[-1]}.{event}",
            payload=payload or {"key": disk.key},
            both=True,
        )

    def _written(self, timer: Timer) -> None:
        disk = self.store.get(timer.payload["key"])
        output = None
        if disk is not None and disk.internal.get("operation") == timer.payload["operation"]:
            if "uniqueId" not in disk.properties:
                size = int(disk.internal["disks"][0]["size"])
                disk.properties.update(self.finished(disk, size))
                disk.properties["uniqueId"] = str(uuid.uuid4())
                disk.properties["timeCreated"] = timestamp(self.engine.clock.wall_at(timer.due))
                if disk.internal.get("sourceUniqueId"):
                    disk.properties["creationData"]["sourceUniqueId"] = disk.internal["sourceUniqueId"]
            disk.properties["provisioningState"] = "Succeeded"
            self.store.put(disk)
            output = disk.body
        self.operations.finish(timer.payload["operation"], timer.due, output=output)

    def _deleted(self, timer: Timer) -> None:
        disk = self.store.get(timer.payload["key"])
        if disk is not None:
            self.store.delete(disk.key)
            self.engine.discard(disk.internal["disks"][0]["container"])
        self.operations.finish(timer.payload["operation"], timer.due)

    def _granted(self, timer: Timer) -> None:
        self._set_state(timer)
        self.operations.finish(timer.payload["operation"], timer.due, output=timer.payload["output"])

    def _revoked(self, timer: Timer) -> None:
        self._set_state(timer)
        self.operations.finish(timer.payload["operation"], timer.due)

    def _set_state(self, timer: Timer) -> None:
        disk = self.store.get(timer.payload["key"])
        if disk is None:
            return
        if disk.properties.get("diskState") == "ActiveUpload" and timer.payload["state"] == "Unattached":
            size = int(disk.internal["disks"][0]["size"])
            disk.properties["diskSizeGB"] = gigabytes(size)
            disk.properties["diskSizeBytes"] = size - FOOTER_BYTES
        disk.properties["diskState"] = timer.payload["state"]
        self.store.put(disk)
