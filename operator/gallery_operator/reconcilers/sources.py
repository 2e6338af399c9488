"""Resolves the source of an image version to what ARM takes: imports and versions of this namespace, ids in Azure."""

from collections.abc import Mapping
from typing import Any

from gallery_operator.api import ImageVersion, VhdImport
from gallery_operator.api.meta import RECONCILE_ANNOTATION
from gallery_operator.api.version_source import DataDiskSource, OsDiskSource
from gallery_operator.planning.names import import_name
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.sources import (
    DiskPart,
    disk_words,
    disks_of,
    lun_of,
    profile_of_disks,
    profile_of_image,
    too_large,
)
from gallery_operator.planning.status import ready_condition
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt

_WAIT_SECONDS = 30.0


async def storage_profile(ctx: Context, version: ImageVersion) -> dict[str, Any]:
    """Return the ``storageProfile`` of a new version.

    Raises:
        Halt: There is no source, or an import or version that it names is missing, not ready, or failed.
    """
    source = version.spec.source
    if source is None:
        raise Halt(
            Stalled(
                "SourceMissing",
                f"Version {version.spec.version} does not exist in Azure, and this object names no source to make it "
                "from: delete the object and make it again with spec.source.",
            )
        )
    disks = disks_of(source)
    if disks:
        return profile_of_disks([await _disk(ctx, version, each) for each in disks])
    if source.image_version_ref is not None:
        referred = await _version(ctx, version.metadata.namespace, source.image_version_ref.name)
        return profile_of_image(source, referred)
    return profile_of_image(source)


async def _disk(ctx: Context, version: ImageVersion, disk: OsDiskSource | DataDiskSource) -> DiskPart:
    lun = lun_of(disk)
    if disk.disk_id is not None:
        return DiskPart({"id": disk.disk_id}, disk.host_caching, lun)
    if disk.snapshot_id is not None:
        return DiskPart({"id": disk.snapshot_id}, disk.host_caching, lun)
    if disk.blob is not None:
        wire = {"storageAccountId": disk.blob.storage_account_id, "uri": disk.blob.uri}
        return DiskPart(wire, disk.host_caching, lun)
    own = disk.import_template is not None
    if disk.vhd_import_ref is not None:
        name = disk.vhd_import_ref.name
    elif own:
        name = import_name(version.metadata.name, lun)
    else:
        raise Halt(Stalled("InvalidSpec", f"{disk_words(lun)} of the version names no source.".capitalize()))
    return DiskPart(await _imported(ctx, version, name, lun, own), disk.host_caching, lun)


async def _imported(ctx: Context, version: ImageVersion, name: str, lun: int | None, own: bool) -> dict[str, str]:
    namespace = version.metadata.namespace
    body = await ctx.kube.get("VhdImport", namespace, name)
    which = disk_words(lun)
    if body is None:
        how = "it is made anew." if own else "create it, or correct vhdImportRef."
        raise Halt(
            Waiting("ImportNotFound", f"VhdImport {namespace}/{name} for {which} does not exist: {how}", _WAIT_SECONDS)
        )
    found = VhdImport.model_validate(body)
    role = "os" if lun is None else "data"
    if found.spec.disk_role != role:
        raise Halt(
            Stalled(
                "WrongDiskRole",
                f"VhdImport {namespace}/{name} has diskRole {found.spec.disk_role} but is used as {which}: make an "
                f"import with diskRole {role}.",
            )
        )
    mode = version.spec.replication_mode
    # Known as soon as the disk is checked: nobody shall wait for its upload to hear of it.
    problem = too_large(mode, found.status.disk.virtual_size if found.status.disk is not None else None)
    if problem is not None:
        way_out = ", or make a new version with replicationMode Shallow (one region, one replica)"
        raise Halt(
            Stalled(
                "DiskTooLarge",
                f"The disk of VhdImport {namespace}/{name} for {which} {problem}: make the disk smaller and import it "
                f"anew{way_out if mode == 'Full' else ''}.",
            )
        )
    if found.status.staging_released:
        raise Halt(
            Stalled(
                "ImportReleased",
                f"The staging disk of VhdImport {namespace}/{name} is gone, another version has used it: make a new "
                "import, or give it a destination so that the disk stays.",
            )
        )
    status = body.get("status") or {}
    ready = ready_condition(status)
    target = found.status.target
    if ready is None or ready["status"] != "True" or target is None:
        why = f": {ready['message']}" if ready else ""
        if _is_stalled(status):
            failed = f"VhdImport {namespace}/{name} for {which} failed{why}".rstrip(".")
            raise Halt(Stalled("ImportFailed", f"{failed}. {_again(own)}"))
        raise Halt(
            Waiting(
                "ImportNotReady",
                f"Waiting for VhdImport {namespace}/{name} for {which} ({found.status.phase or 'Pending'}){why}",
                _WAIT_SECONDS,
            )
        )
    if target.blob_url is not None:
        return {"storageAccountId": target.resource_id, "uri": target.blob_url}
    return {"id": target.resource_id}


def _again(own: bool) -> str:
    if own:
        return (
            "Then, if the disk's source was mended where it is, ask the VhdImport for another try (annotation "
            f"{RECONCILE_ANNOTATION}); if importTemplate is wrong, delete this ImageVersion and make it anew."
        )
    return "This version goes on when the VhdImport is ready."


def _is_stalled(status: Mapping[str, Any]) -> bool:
    return any(
        each.get("type") == "Stalled" and each.get("status") == "True" for each in status.get("conditions") or ()
    )


async def _version(ctx: Context, namespace: str, name: str) -> str:
    """Return the ARM id of another ImageVersion of the namespace."""
    body = await ctx.kube.get("ImageVersion", namespace, name)
    if body is None:
        raise Halt(
            Waiting(
                "SourceNotFound",
                f"ImageVersion {namespace}/{name} (source.imageVersionRef) does not exist: create it, or make a new "
                "version that names another.",
                _WAIT_SECONDS,
            )
        )
    found = ImageVersion.model_validate(body)
    if found.metadata.deletion_timestamp is not None:
        raise Halt(
            Waiting(
                "SourceDeleting",
                f"ImageVersion {namespace}/{name} (source.imageVersionRef) is being deleted: make it again, or make a "
                "new version that names another.",
                _WAIT_SECONDS,
            )
        )
    # Ready is not asked for: a region more or less is of no account to what is made from it.
    if found.status.resource_id is None or found.status.provisioning_state not in ("Succeeded", "Updating"):
        ready = ready_condition(body.get("status") or {})
        why = f": {ready['message']}" if ready else ""
        raise Halt(
            Waiting(
                "SourceNotReady",
                f"Waiting for ImageVersion {namespace}/{name} (source.imageVersionRef){why}",
                _WAIT_SECONDS,
            )
        )
    return found.status.resource_id
