"""What a recording takes for granted, put into the simulator: groups, machines, accounts, blobs, encryption sets.

Bodies come from the recording where it has any, sizes from what was made in the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..ids import ResourceId, parse_extension, parse_id
from ..regions import find
from .interaction import Interaction
from .stage import Stage

__all__ = ["Presupposition"]

_ID = re.compile(r'"(/subscriptions/[^"/]+/resourceGroups/[^"]+?/providers/[^"]+)"', re.IGNORECASE)
_URIS = ("uri", "sourceUri", "blobUri", "securityDataUri")
_TRANSIENT = ("Creating", "Updating", "Deleting")
_DISKS = ("microsoft.compute/disks", "microsoft.compute/snapshots")
_MACHINE = "microsoft.compute/virtualmachines"
_IMAGE = "microsoft.compute/images"


class Presupposition:
    """Makes things before they are needed."""

    def __init__(self, stage: Stage, recording: list[Interaction]) -> None:
        """Know what the recording says of every resource."""
        self._stage = stage
        self._bodies: dict[str, list[dict[str, Any]]] = {}
        for item in recording:
            for body in _resources(item.response):
                self._bodies.setdefault(str(body["id"]).lower(), []).append(body)

    def before(self, item: Interaction) -> None:
        """Make what a request needs."""
        location = _location(item.request) or "westus"
        rid = parse_id(item.path)
        if rid is not None:
            self._group(rid, location)
        extension = parse_extension(item.path)
        scope = parse_id(extension.scope) if extension else None
        if scope is not None:
            self._make(scope, location, {})
        if item.method not in ("PUT", "PATCH", "POST") or not isinstance(item.request, dict):
            return
        made = self._made(item)
        sizes = _sizes(made)
        for lun, url in _uris(item.request, None):
            self._blob(url, item.path, location, sizes.get(lun, 1))
        for identity, place in _sets(item.request):
            self._put(identity, place)
        for identity in _ID.findall(json.dumps(item.request)):
            named = parse_id(identity)
            if named is not None and named.key != item.path.lower():
                self._make(named, location, made)

    def adopt(self, item: Interaction) -> None:
        """Take over a resource of a type that is not simulated, as the recording shows it."""
        for body in _resources(item.response):
            rid = parse_id(body["id"])
            if item.method not in ("PUT", "GET", "PATCH") or rid is None or item.status >= 300:
                continue
            self._group(rid, _location(body) or "westus")
            if rid.type.lower() == _MACHINE:
                self._machine_disks(body)
            self._stage.put(body, _rows(_sizes(body)) if rid.type.lower() == _IMAGE else ())

    def _group(self, rid: ResourceId, location: str) -> None:
        path = f"/subscriptions/{rid.subscription}/resourceGroups/{rid.group}"
        if self._stage.body(path) is None:
            self._stage.send("PUT", f"{path}?api-version=2024-03-01", {"location": location})

    def _make(self, rid: ResourceId, location: str, made: Mapping[str, Any]) -> None:
        if self._stage.body(rid.path) is not None or "/galleries/" in rid.path.lower():
            return
        self._group(rid, location)
        known = self._known(rid.path)
        kind = rid.type.lower()
        if kind in _DISKS:
            size = (known or {}).get("properties", {}).get("diskSizeGB") or _first(_sizes(made))
            body = known or {"id": rid.path, "location": location}
            body["properties"] = {"diskState": "Unattached", **(body.get("properties") or {})}
            self._stage.put(body, [{"sizeGB": size}])
        elif kind == _MACHINE:
            self._machine(rid, known, location, made)
        elif kind == _IMAGE:
            self._stage.put(known or {"id": rid.path, "location": location}, _rows(_sizes(made)))
        else:
            self._put(rid.path, location)

    def _machine(self, rid: ResourceId, known: dict[str, Any] | None, location: str, made: Mapping[str, Any]) -> None:
        body = known or {"id": rid.path, "location": location, "properties": {}}
        storage = ((made.get("properties") or {}).get("storageProfile")) or {}
        if not (body.get("properties") or {}).get("storageProfile") and (storage.get("osDisk") or {}).get(
            "managedDisk"
        ):
            rows = json.loads(json.dumps({"osDisk": storage["osDisk"], "dataDisks": storage.get("dataDisks") or []}))
            body["properties"] = {"storageProfile": rows}
        if (body.get("properties") or {}).get("storageProfile"):
            self._machine_disks(body)
            for disk in _disks_of(body):
                disk.pop("diskSizeGB", None)
            self._stage.put(body)
        else:
            self._stage.put(body, _rows(_sizes(made)))

    def _machine_disks(self, machine: Mapping[str, Any]) -> None:
        for disk in _disks_of(machine):
            rid = parse_id((disk.get("managedDisk") or {}).get("id"))
            if rid is None or self._stage.body(rid.path) is not None:
                continue
            known = self._known(rid.path) or {"id": rid.path, "location": machine.get("location")}
            known["properties"] = {"diskState": "Attached", **(known.get("properties") or {})}
            size = known["properties"].get("diskSizeGB") or disk.get("diskSizeGB") or 30
            self._group(rid, str(machine.get("location") or "westus"))
            self._stage.put(known, [{"sizeGB": size}])

    def _blob(self, url: str, path: str, location: str, size: int) -> None:
        account = self._stage.make_blob(url, size)
        rid = parse_id(path)
        if account is None or rid is None:
            return
        region = find(location)
        place = region.name if region else location
        if not self._stage.has_account(account, place):
            group = f"/subscriptions/{rid.subscription}/resourceGroups/{rid.group}"
            self._put(f"{group}/providers/Microsoft.Storage/storageAccounts/{account}", place)

    def _put(self, identity: str, location: str) -> None:
        rid = parse_id(identity)
        if rid is None or self._stage.body(identity) is not None:
            return
        self._group(rid, location)
        region = find(location)
        body = {**(self._known(identity) or {"id": identity}), "location": region.name if region else location}
        self._stage.put(body)

    def _known(self, identity: str) -> dict[str, Any] | None:
        """Return the last finished body that the recording has of a resource."""
        bodies = self._bodies.get(identity.lower(), [])
        finished = [body for body in bodies if _state(body) not in _TRANSIENT]
        found = (finished or bodies)[-1:]
        return json.loads(json.dumps(found[0])) if found else None

    def _made(self, item: Interaction) -> dict[str, Any]:
        return self._known(item.path) or (item.response if isinstance(item.response, dict) else {})


def _resources(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the resources in an answer: itself, or the rows of a list."""
    if isinstance(value, dict) and isinstance(value.get("value"), list):
        for item in value["value"]:
            yield from _resources(item)
    elif isinstance(value, dict) and parse_id(value.get("id")) is not None:
        yield value


def _state(body: Mapping[str, Any]) -> str:
    properties = body.get("properties")
    return str(properties.get("provisioningState", "")) if isinstance(properties, dict) else ""


def _location(body: Any) -> str | None:
    found = body.get("location") if isinstance(body, dict) else None
    return found if isinstance(found, str) and find(found) else None


def _disks_of(machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    storage = (machine.get("properties") or {}).get("storageProfile") or {}
    return [disk for disk in (storage.get("osDisk"), *(storage.get("dataDisks") or [])) if isinstance(disk, dict)]


def _sizes(made: Mapping[str, Any]) -> dict[int | None, int]:
    """Return the size in GiB of each disk by LUN (None: OS disk) of an image version or a managed image."""
    storage = (made.get("properties") or {}).get("storageProfile") or {}
    found: dict[int | None, int] = {}
    for main, rows in (("osDiskImage", "dataDiskImages"), ("osDisk", "dataDisks")):
        first = storage.get(main) or {}
        for lun, disk in [(None, first), *((row.get("lun"), row) for row in storage.get(rows) or [])]:
            size = disk.get("sizeInGB") or disk.get("diskSizeGB")
            if size:
                found[lun] = int(size)
    return found


def _first(sizes: Mapping[int | None, int]) -> int:
    return next(iter(sizes.values()), 1)


def _rows(sizes: Mapping[int | None, int]) -> list[dict[str, Any]]:
    return [{"lun": lun, "sizeGB": size} for lun, size in (sizes or {None: 30}).items()]


def _uris(value: Any, lun: int | None) -> Iterator[tuple[int | None, str]]:
    """Yield the blob addresses in a request, with the LUN of the disk they are for."""
    if isinstance(value, dict):
        number = value.get("lun", lun)
        for key, item in value.items():
            if key in _URIS and isinstance(item, str) and item.startswith("https://"):
                yield number, item
            else:
                yield from _uris(item, number)
    elif isinstance(value, list):
        for item in value:
            yield from _uris(item, lun)


def _sets(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the disk encryption sets of target regions, each with its region."""
    publishing = (request.get("properties") or {}).get("publishingProfile") or {}
    for region in publishing.get("targetRegions") or []:
        for identity in re.findall(r'"(/[^"]*/diskEncryptionSets/[^"]*)"', json.dumps(region.get("encryption"))):
            yield identity, str(region.get("name"))
