"""What a new disk or snapshot is made of: nothing, other bytes, or an upload to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..blobs import BlobPath
from ..engine import Engine
from ..errors import ArmError, bad_parameter, not_simulated
from ..ids import parse_id
from ..regions import normalise
from ..store import Resource
from ..vhd import FOOTER_BYTES, GIB, MIB, footer_problem
from .base import as_object
from .replication import completed_in
from .shared import latest_version, shared_version
from .softdelete import usable_version

__all__ = ["NewBytes", "gigabytes", "new_bytes"]

_MIN_UPLOAD = 20972032
_MAX_UPLOAD = 35183298347520
_SECURE = (
    "TrustedLaunch",
    "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey",
    "ConfidentialVM_DiskEncryptedWithPlatformKey",
    "ConfidentialVM_DiskEncryptedWithCustomerKey",
    "ConfidentialVM_NonPersistedTPM",
)


@dataclass(frozen=True, slots=True)
class NewBytes:
    """What a new disk is made of: bytes to copy, or nothing and a size in bytes (footer included).

    Attributes:
        size: length of the blob in bytes.
        source: bytes to copy, None for none.
        inherit: properties that the source hands on.
        guest: guest state (VMGS) to copy, None for an empty one or none.
    """

    size: int
    source: BlobPath | None = None
    inherit: dict[str, Any] | None = None
    guest: BlobPath | None = None


def gigabytes(blob_bytes: int) -> int:
    """Return the size in GiB, rounded up, that Azure shows for a VHD of `blob_bytes` bytes, footer included."""
    return -(-(blob_bytes - FOOTER_BYTES) // GIB)


async def new_bytes(
    engine: Engine, word: str, creation: dict[str, Any], properties: dict[str, Any], location: str
) -> NewBytes:
    """Return what a new disk is made of.

    Args:
        engine: the simulator.
        word: `disk` or `snapshot`.
        creation: `creationData` of the request.
        properties: `properties` of the request.
        location: programmatic name of its region.

    Raises:
        ArmError: the source does not do.
    """
    option, is_disk = str(creation["createOption"]), word == "disk"
    if option in ("Upload", "UploadPreparedSecure") and is_disk:
        if option == "UploadPreparedSecure":
            _require_security(properties)
        return _upload(creation)
    if option == "Empty":
        size = properties.get("diskSizeGB")
        if not isinstance(size, int) or size < 1:
            path = f"{word}.diskSizeGB"
            raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)
        return NewBytes(size * GIB + FOOTER_BYTES)
    if option == "Copy":
        return _copied(engine, word, creation.get("sourceResourceId"), location)
    if option == "Import":
        return await _imported(engine, word, creation)
    if option == "ImportSecure" and is_disk:
        _require_security(properties)
        made = await _imported(engine, word, creation)
        guest = await _imported(engine, word, {"sourceUri": creation.get("securityDataUri")})
        return NewBytes(made.size, made.source, made.inherit, guest.source)
    if option == "FromImage" and is_disk:
        return _from_image(engine, creation, location)
    raise not_simulated(f"createOption '{option}' of {word}s")


def _copied(engine: Engine, word: str, source: object, location: str) -> NewBytes:
    rid = parse_id(source)
    found = engine.store.get(rid.key) if rid else None
    if rid is None or found is None or found.type not in ("microsoft.compute/disks", "microsoft.compute/snapshots"):
        raise ArmError(404, "NotFound", f"Resource {rid.name if rid else source} is not found.")
    if normalise(str(found.body["location"])) != location:
        raise bad_parameter(
            f"Source {source} is in location {found.body['location']}, not in {location}.",
            f"{word}.creationData.sourceResourceId",
        )
    if found.properties.get("diskState") in ("ReadyToUpload", "ActiveUpload"):
        raise ArmError(409, "OperationNotAllowed", f"Disk {found.name} has no content yet.")
    stored = found.internal["disks"][0]
    inherit: dict[str, Any] = {
        name: found.properties[name]
        for name in ("osType", "hyperVGeneration", "architecture", "supportedCapabilities", "securityProfile")
        if name in found.properties
    }
    if "uniqueId" in found.properties:
        inherit["sourceUniqueId"] = found.properties["uniqueId"]
    path = BlobPath(engine.config.disk_account, stored["container"], stored["name"])
    return NewBytes(int(stored["size"]), path, inherit)


async def _imported(engine: Engine, word: str, creation: dict[str, Any]) -> NewBytes:
    url = str(creation.get("sourceUri") or "")
    path = engine.blobs.locate(url)
    found = await engine.blobs.info(path) if path else None
    if path is None or found is None:
        raise bad_parameter(f"The specified blob {url} does not exist.", f"{word}.creationData.sourceUri")
    problem = "The blob is not a page blob." if found.kind != "PageBlob" else None
    if problem is None:
        problem = footer_problem(await engine.blobs.tail(path, found.size), found.size, path.name, url)
    if problem:
        raise ArmError(400, "InvalidParameter", problem, target=f"{word}s")
    return NewBytes(found.size, path)


def _from_image(engine: Engine, creation: dict[str, Any], location: str) -> NewBytes:
    path = "disk.creationData.galleryImageReference"
    reference = as_object(creation.get("galleryImageReference"), path)
    named = [key for key in ("id", "sharedGalleryImageId", "communityGalleryImageId") if reference.get(key)]
    if not named:
        raise not_simulated("disks made from images other than those of galleries")
    version = _referenced(engine, str(reference[named[0]]), named[0], location, path)
    if version is None or not completed_in(version.internal["regions"], location, engine.clock.now()):
        identity = reference[named[0]] if version is None else version.id
        raise ArmError(
            404,
            "GalleryImageNotFound",
            f"The gallery image {identity} is not available in {location} region. Please contact image owner "
            "to replicate to this region, or change your requested region.",
        )
    for disk in version.internal["disks"]:
        if disk["lun"] == reference.get("lun"):
            place = BlobPath(engine.config.disk_account, disk["container"], disk["name"])
            inherit = dict(version.internal["os"]) if disk["lun"] is None else {}
            return NewBytes(int(disk["size"]), place, inherit)
    raise bad_parameter("The value of parameter imageReference is invalid.", path)


def _referenced(engine: Engine, identity: str, key: str, location: str, path: str) -> Resource | None:
    """Return the version that an image reference means; the id of a definition means its latest in the region."""
    if key != "id":
        return shared_version(engine, identity, f"{path}.{key}", location)
    rid = parse_id(identity)
    if rid is None:
        raise bad_parameter(f"The value of parameter {path}.id is invalid.", f"{path}.id")
    if rid.type.lower() == "microsoft.compute/galleries/images/versions":
        return usable_version(engine, rid.key)
    if rid.type.lower() == "microsoft.compute/galleries/images":
        return latest_version(engine, rid.key, location)
    raise not_simulated("disks made from images other than those of galleries")


def _require_security(properties: dict[str, Any]) -> None:
    """Check what a disk with guest state needs (inferred from the model docs; the words too)."""
    profile = as_object(properties.get("securityProfile"), "disk.securityProfile")
    kind = profile.get("securityType")
    if kind not in _SECURE:
        path = "disk.securityProfile.securityType"
        raise bad_parameter(
            f"The value '{kind}' of parameter '{path}' is not allowed. Allowed values are: {', '.join(_SECURE)}.", path
        )
    path = "disk.securityProfile.secureVMDiskEncryptionSetId"
    if kind == "ConfidentialVM_DiskEncryptedWithCustomerKey" and not profile.get("secureVMDiskEncryptionSetId"):
        raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)


def _upload(creation: dict[str, Any]) -> NewBytes:
    size, path = creation.get("uploadSizeBytes"), "disk.creationData.uploadSizeBytes"
    if not isinstance(size, int):
        raise bad_parameter(f"Required parameter '{path}' is missing (null).", path)
    if not _MIN_UPLOAD <= size <= _MAX_UPLOAD:
        raise bad_parameter(
            f"The value {size} of parameter {path} is out of range. The value must be between {_MIN_UPLOAD} and "
            f"{_MAX_UPLOAD}, inclusive",
            path,
        )
    content = size - FOOTER_BYTES
    if content % MIB:
        raise ArmError(
            400,
            "BadRequest",
            f"The upload size in bytes {size} - {FOOTER_BYTES} bytes for the VHD footer ({content} in this case) "
            "must be a multiple of MiB.",
        )
    return NewBytes(size)
