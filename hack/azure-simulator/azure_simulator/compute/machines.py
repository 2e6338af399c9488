"""Virtual machines and disk encryption sets: the parts of them that images are made from or refer to.

They are put into the state through `PUT /_control/resources`; the simulator starts none. A machine's state is what its
`instanceView` says (`OSState/generalized`); without one nothing is checked.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from ..engine import Engine
from ..errors import ArmError, bad_parameter, not_simulated
from ..ids import ResourceId, parse_id
from ..operations import Call, Reply
from ..store import Resource
from .base import DISK_API, IMAGE_API, Kind, as_object

__all__ = [
    "EncryptionSets",
    "Machines",
    "check_machine",
    "machine_disk_ids",
    "machine_generation",
    "machine_state",
    "require_generalized",
]

_GENERALIZED = "OSState/generalized"


def machine_state(machine: Resource) -> str | None:
    """Return `Generalized` or `Specialized`, None where the machine has no instance view."""
    view = machine.properties.get("instanceView")
    if view is None:
        return None
    codes = {str(status.get("code", "")).lower() for status in view.get("statuses") or []}
    return "Generalized" if _GENERALIZED.lower() in codes else "Specialized"


def machine_generation(machine: Resource) -> str | None:
    """Return the hypervisor generation that a machine declares, or None."""
    view = machine.properties.get("instanceView") or {}
    found = machine.properties.get("hyperVGeneration") or view.get("hyperVGeneration")
    return str(found) if found else None


def machine_disk_ids(machine: Resource) -> list[tuple[int | None, str, str]]:
    """Return LUN (None: OS disk), caching and id of each managed disk of a machine."""
    storage = machine.properties.get("storageProfile") or {}
    rows: list[tuple[int | None, dict[str, Any]]] = [(None, storage.get("osDisk") or {})]
    rows += [(int(item["lun"]), item) for item in storage.get("dataDisks") or []]
    found: list[tuple[int | None, str, str]] = []
    for lun, item in rows:
        identity = (item.get("managedDisk") or {}).get("id")
        if identity:
            found.append((lun, str(item.get("caching") or ("ReadWrite" if lun is None else "None")), str(identity)))
    return found


def check_machine(engine: Engine, machine: Resource) -> None:
    """Check that an image version can be made of a machine (texts of the "Troubleshoot images" page).

    Raises:
        ArmError: 400, its disks do not do.
    """
    main = (machine.properties.get("storageProfile") or {}).get("osDisk") or {}
    if main.get("diffDiskSettings"):
        raise bad_parameter(f"Source virtual machine {machine.id} cannot contain an ephemeral OS disk")
    if main.get("vhd"):
        raise bad_parameter(f"Source virtual machine {machine.id} must be created from Managed Disks")
    for _, _, identity in machine_disk_ids(machine):
        rid = parse_id(identity)
        disk = engine.store.get(rid.key) if rid else None
        if disk is not None and (disk.body.get("sku") or {}).get("name") == "UltraSSD_LRS":
            raise bad_parameter(
                f"Source virtual machine {machine.id} cannot contain disk ['{disk.id}'] stored in an UltraSSD account "
                "type"
            )


class Machines(Kind):
    """Microsoft.Compute/virtualMachines."""

    types = ("virtualMachines",)
    api_versions = IMAGE_API

    async def get(self, call: Call, rid: ResourceId) -> Reply:
        """Show a machine, with its instance view if asked for."""
        return Reply(200, self.render(self.require(rid), call))

    def render(self, resource: Resource, call: Call) -> dict[str, Any]:
        """Return the body; the instance view only if asked for."""
        body = deepcopy(resource.body)
        if call.query.get("$expand", "").lower() != "instanceview":
            body["properties"].pop("instanceView", None)
        return body

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Refuse: no machine is started here."""
        raise not_simulated("making virtual machines; put one into the state through /_control/resources")

    async def delete(self, call: Call, rid: ResourceId) -> Reply:
        """Remove a machine."""
        existing = self.store.get(rid.key)
        if existing is not None:
            self.store.delete(existing.key)
        return Reply(204 if existing is None else 200)

    async def act(self, call: Call, rid: ResourceId, action: str, body: dict[str, Any]) -> Reply:
        """Mark a machine as generalized, or show its instance view."""
        machine = self.require(rid)
        view = as_object(machine.properties.get("instanceView"), "instanceView")
        if action.lower() == "instanceview":
            return Reply(200, view)
        if action.lower() != "generalize":
            raise self._no_method(f"POST {action}")
        if machine_state(machine) != "Generalized":
            view.setdefault("statuses", [])
            view["statuses"] = [
                *view["statuses"],
                {"code": _GENERALIZED, "level": "Info", "displayStatus": "VM generalized"},
            ]
            machine.properties["instanceView"] = view
            self.store.put(machine)
        return Reply(200)


class EncryptionSets(Kind):
    """Microsoft.Compute/diskEncryptionSets: shown only."""

    types = ("diskEncryptionSets",)
    api_versions = DISK_API

    async def put(self, call: Call, rid: ResourceId, body: dict[str, Any]) -> Reply:
        """Refuse: there are no key vaults here."""
        raise not_simulated("making disk encryption sets; put one into the state through /_control/resources")


def require_generalized(machine: Resource) -> None:
    """Check that a managed image can be made of a machine.

    Raises:
        ArmError: 409, the machine is known not to be generalized (the words are inferred).
    """
    if machine_state(machine) == "Specialized":
        raise ArmError(
            409,
            "OperationNotAllowed",
            f"The Operation 'Capture' is not allowed: VM '{machine.name}' is not generalized.",
        )
