"""What an image version or a managed image can be made from, checked as the service checks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..blobs import BlobPath
from ..engine import Engine
from ..errors import ArmError, bad_parameter
from ..ids import parse_id
from ..regions import normalise
from ..store import Resource
from ..vhd import footer_problem
from .base import as_object
from .diskbytes import gigabytes
from .machines import check_machine, machine_disk_ids, machine_generation, machine_state
from .replication import completed_in
from .shared import shared_version
from .softdelete import usable_version

__all__ = ["Collected", "SourceDisk", "blob_source", "collect", "disk_source"]

_PATH = "galleryImageVersion.properties.storageProfile"
_DISKS = ("microsoft.compute/disks", "microsoft.compute/snapshots")
_VERSION = "microsoft.compute/galleries/images/versions"
_IMAGE = "microsoft.compute/images"
_MACHINE = "microsoft.compute/virtualmachines"
_ONE_SOURCE = (
    "The gallery artifact version source can only be specified either directly under storageProfile or within "
    "individual OS or data disks. One and only one source type (user image, snapshot, disk, virtual machine) can be "
    "provided"
)


@dataclass(frozen=True, slots=True)
class SourceDisk:
    """One disk of a source.

    Attributes:
        lun: LUN of a data disk, None for the OS disk.
        place: where its bytes are.
        size: length of the blob in bytes, footer included.
        origin: what it was made of: a blob's URL or an ARM id.
        caching: host caching to show.
        generation: hypervisor generation the source declares, or None.
        os_type: operating system the source declares, or None.
        watch: key of the resource that must last until the copy is done, or None.
        kind: full type of what it was made of in lower case, None for a blob.
        encrypted: whether the source is encrypted with a disk encryption set.
    """

    lun: int | None
    place: BlobPath
    size: int
    origin: str
    caching: str
    generation: str | None = None
    os_type: str | None = None
    watch: str | None = None
    kind: str | None = None
    encrypted: bool = False

    @property
    def gib(self) -> int:
        """Size as Azure shows it."""
        return gigabytes(self.size)


@dataclass(frozen=True, slots=True)
class Collected:
    """Everything that `storageProfile` names.

    Attributes:
        disks: the disks, OS disk first if there is one.
        whole: whether the source is a whole image; then disks are shown without their own source.
        shown: `storageProfile` as it is shown at once.
        os_state: state the source has, if it has one.
        origin: the whole image, machine or version that is the source, if it is one.
    """

    disks: list[SourceDisk]
    whole: bool
    shown: dict[str, Any] = field(default_factory=dict)
    os_state: str | None = None
    origin: Resource | None = None


def _not_found(identity: object) -> ArmError:
    return bad_parameter(
        f"Source {identity} is not found. Please check source exists, and is in the same region as gallery image "
        "version being created",
        f"{_PATH}.source.id",
    )


async def blob_source(
    engine: Engine, account: object, url: object, location: str, lun: int | None, caching: str
) -> SourceDisk:
    """Return the disk that a VHD in a storage account is.

    Raises:
        ArmError: the account or blob is missing, elsewhere, or no fixed VHD in a page blob.
    """
    rid = parse_id(account)
    found = engine.store.get(rid.key) if rid else None
    if rid is None or found is None or normalise(str(found.body["location"])) != location:
        raise _not_found(account)
    text = str(url or "")
    place = engine.blobs.locate(text)
    if place is None or place.account != rid.name.lower():
        raise _not_found(text)
    info = await engine.blobs.info(place)
    if info is None:
        raise _not_found(text)
    problem = f"The blob {text} is not a page blob." if info.kind != "PageBlob" else None
    if problem is None:
        problem = footer_problem(await engine.blobs.tail(place, info.size), info.size, place.name, text)
    if problem:
        raise ArmError(400, "InvalidParameter", problem, target="disks")
    return SourceDisk(lun, place, info.size, text, caching)


def disk_source(
    engine: Engine, identity: object, location: str, lun: int | None, caching: str, *, attached: bool = False
) -> SourceDisk:
    """Return the disk that a managed disk or snapshot is; `attached` lets it be one of a machine.

    Raises:
        ArmError: it is none, missing, in another region, or without content yet.
    """
    rid = parse_id(identity)
    if rid is None:
        name = "osDiskImage" if lun is None else "dataDiskImages"
        raise bad_parameter(
            f"Property id '{identity}' at path 'properties.storageProfile.{name}.source.id' is invalid. Expect fully "
            "qualified resource Id that start with '/subscriptions/<subscriptionID>' or "
            "'/providers/<resourceProviderNamespace>/'",
            f"{_PATH}.{name}.source.id",
        )
    if rid.type.lower() not in _DISKS:
        raise bad_parameter(f"The source id: {identity} must be a managed disk or snapshot", f"{_PATH}.source.id")
    found = engine.store.get(rid.key)
    if found is None or normalise(str(found.body["location"])) != location:
        raise _not_found(identity)
    state = found.properties.get("diskState")
    usable = ("Unattached", "Reserved", "ActiveSAS", *(("Attached",) if attached else ()))
    if found.state != "Succeeded" or state not in usable:
        raise ArmError(
            409,
            "OperationNotAllowed",
            f"Disk {found.name} is in state '{state or found.state}'. It can be used as a source once it is in state "
            "'Unattached'.",
        )
    stored = found.internal["disks"][0]
    place = BlobPath(engine.config.disk_account, stored["container"], stored["name"])
    properties = found.properties
    return SourceDisk(
        lun,
        place,
        int(stored["size"]),
        found.id,
        caching,
        properties.get("hyperVGeneration"),
        properties.get("osType"),
        found.key,
        found.type,
        bool((properties.get("encryption") or {}).get("diskEncryptionSetId")),
    )


async def collect(engine: Engine, sent: object, location: str) -> Collected:
    """Return the disks that a version's `storageProfile` names.

    Raises:
        ArmError: the profile is contradictory or a source does not do.
    """
    profile = as_object(sent, _PATH)
    source = as_object(profile.get("source"), f"{_PATH}.source")
    main, data = profile.get("osDiskImage"), profile.get("dataDiskImages") or []
    named = [key for key in ("id", "virtualMachineId", "communityGalleryImageId") if source.get(key)]
    has_disk_sources = bool(as_object(main, "osDiskImage").get("source")) or any(
        as_object(item, "dataDiskImages").get("source") for item in data
    )
    if len(named) + has_disk_sources != 1:
        raise bad_parameter(_ONE_SOURCE, _PATH)
    if named:
        return _whole(engine, source, named[0], location, main, data)
    if not as_object(main, "osDiskImage").get("source"):
        path = f"{_PATH}.osDiskImage"
        raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)
    shown: dict[str, Any] = {}
    disks = [await _one(engine, main, None, location, shown)]
    for item in data:
        given = as_object(item, f"{_PATH}.dataDiskImages")
        lun = given.get("lun")
        if isinstance(lun, bool) or not isinstance(lun, int) or lun < 0:
            raise bad_parameter(f"The value {lun} of parameter {_PATH}.dataDiskImages.lun is out of range.", _PATH)
        disks.append(await _one(engine, given, lun, location, shown))
    _check_distinct(disks)
    return Collected(disks, False, shown)


async def _one(engine: Engine, sent: object, lun: int | None, location: str, shown: dict[str, Any]) -> SourceDisk:
    given = as_object(sent, _PATH)
    source = as_object(given.get("source"), f"{_PATH}.source")
    caching = str(given.get("hostCaching") or ("ReadWrite" if lun is None else "ReadOnly"))
    if source.get("uri"):
        account = source.get("storageAccountId") or source.get("id")
        disk = await blob_source(engine, account, source["uri"], location, lun, caching)
        key = "storageAccountId" if source.get("storageAccountId") else "id"
        echo = {"uri": source["uri"], key: account}
    else:
        disk = disk_source(engine, source.get("id"), location, lun, caching)
        echo = {"id": source["id"]}
    row: dict[str, Any] = {"hostCaching": caching, "source": echo}
    if lun is None:
        shown["osDiskImage"] = row
    else:
        shown.setdefault("dataDiskImages", []).append({"lun": lun, **row})
    return disk


def _check_distinct(disks: list[SourceDisk]) -> None:
    luns = [disk.lun for disk in disks[1:]]
    if len(set(luns)) != len(luns):
        raise bad_parameter(
            "Duplicated lun numbers have been detected in the input data disks. Lun number must be unique for each "
            "data disk",
            f"{_PATH}.dataDiskImages",
        )
    origins = [disk.origin.lower() for disk in disks]
    if len(set(origins)) == len(origins):
        return
    if disks[0].origin.startswith("http") and origins[0] in origins[1:]:
        raise bad_parameter(
            f"OSDiskImage and DataDiskImage cannot point to same blob {disks[0].origin}", f"{_PATH}.dataDiskImages"
        )
    raise bad_parameter(
        "Duplicated source ids are found in the input disks. Source id should be unique for each disk",
        f"{_PATH}.dataDiskImages",
    )


def _whole(
    engine: Engine, source: Mapping[str, Any], key: str, location: str, main: object, data: list[Any]
) -> Collected:
    """Return the disks of a managed image, a virtual machine or another version."""
    identity = str(source[key])
    shown = {"source": dict(source)}
    if key == "communityGalleryImageId":
        found = shared_version(engine, identity, f"{_PATH}.source.{key}", location)
    else:
        rid = parse_id(identity)
        kinds = (_IMAGE, _VERSION, _MACHINE)
        if rid is None or rid.type.lower() not in kinds:
            raise bad_parameter(
                f"The source id: {identity} must either be a managed image, virtual machine or another gallery image "
                "version",
                f"{_PATH}.source.{key}",
            )
        found = usable_version(engine, rid.key)
    if found is None or found.state not in ("Succeeded", "Updating"):
        raise _not_found(identity)
    if found.type == _VERSION:
        disks = _version_disks(engine, found, location)
        state: str | None = str(found.internal["os"]["osState"])
    else:
        if normalise(str(found.body["location"])) != location:
            raise _not_found(identity)
        if found.type == _MACHINE:
            check_machine(engine, found)
            disks, state = _machine_disks(engine, found, location), machine_state(found)
        else:
            disks, state = _image_disks(engine, found), "Generalized"
    if not disks:
        raise _not_found(identity)
    wanted: dict[int | None, Any] = {None: as_object(main, "osDiskImage").get("hostCaching")}
    wanted.update({item.get("lun"): item.get("hostCaching") for item in map(dict, data)})
    disks = [
        SourceDisk(
            disk.lun,
            disk.place,
            disk.size,
            disk.origin,
            str(wanted.get(disk.lun) or disk.caching),
            disk.generation,
            disk.os_type,
            found.key,
            found.type,
            disk.encrypted,
        )
        for disk in disks
    ]
    return Collected(disks, True, shown, state, found)


def _image_disks(engine: Engine, image: Resource) -> list[SourceDisk]:
    """Return the disks of a managed image or of a machine that was put into the state by hand."""
    rows = image.internal.get("disks", [])
    return [
        SourceDisk(
            row["lun"],
            BlobPath(engine.config.disk_account, row["container"], row["name"]),
            int(row["size"]),
            image.id,
            str(row.get("caching") or "None"),
            image.properties.get("hyperVGeneration"),
            row.get("osType"),
        )
        for row in rows
    ]


def _machine_disks(engine: Engine, machine: Resource, location: str) -> list[SourceDisk]:
    """Return the disks of a machine: those it was put into the state with, or its managed disks."""
    generation = machine_generation(machine)
    if machine.internal.get("disks"):
        return [replace(disk, generation=generation) for disk in _image_disks(engine, machine)]
    found = [
        replace(
            disk_source(engine, identity, location, lun, caching, attached=True),
            origin=machine.id,
            generation=generation,
            os_type=None,
        )
        for lun, caching, identity in machine_disk_ids(machine)
    ]
    if not found:
        raise _not_found(machine.id)
    return found


def _version_disks(engine: Engine, version: Resource, location: str) -> list[SourceDisk]:
    if not completed_in(version.internal["regions"], location, engine.clock.now()):
        raise _not_found(version.id)
    declared = version.internal["os"]
    return [
        SourceDisk(
            row["lun"],
            BlobPath(engine.config.disk_account, row["container"], row["name"]),
            int(row["size"]),
            version.id,
            str(row["caching"]),
            declared["hyperVGeneration"],
            declared["osType"],
        )
        for row in version.internal["disks"]
    ]
