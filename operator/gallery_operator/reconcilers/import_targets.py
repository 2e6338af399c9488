"""The target of an import in Azure: made, opened for writing, closed, removed."""

from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from gallery_operator.api import VhdImport
from gallery_operator.api.vhdimport_status import ImportTarget
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.planning import jobs
from gallery_operator.planning.names import child_name, fingerprint
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.planning.status import timestamp
from gallery_operator.reconcilers.common import is_ours, polling, properties, refuse_foreign
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.import_scope import ImportScope

VHD_FOOTER_BYTES = 512
_OWNER_METADATA = "galleryoperatoruid"
_WRITABLE = frozenset({"ReadyToUpload", "ActiveUpload"})


def secret_name(vhd_import: VhdImport) -> str:
    """Return the name of the Secret with the target's SAS."""
    return child_name(vhd_import.metadata.name, "target", fingerprint(vhd_import.metadata.uid))


def blob_metadata(vhd_import: VhdImport) -> dict[str, str]:
    """Return the metadata that say whose a page blob is (names must be identifiers)."""
    return {_OWNER_METADATA: vhd_import.metadata.uid}


async def ensure_target(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> None:
    """Make the target if it is missing.

    Raises:
        Halt: It exists and is not ours, or is not ready to be written.
    """
    if target.blob_url is not None:
        await _blob(ctx, vhd_import, scope, target)
    else:
        await _disk(ctx, vhd_import, scope)


async def located(vhd_import: VhdImport, scope: ImportScope) -> ImportTarget:
    """Return the target with the URL of its blob, if it is one."""
    destination = vhd_import.spec.destination
    if destination is None or destination.page_blob is None:
        return scope.target
    endpoint = await scope.arm.blob_endpoint(scope.target.resource_id)
    name = destination.page_blob.blob_name or f"{vhd_import.metadata.name}.vhd"
    return scope.target.model_copy(update={"blob_url": f"{endpoint}/{destination.page_blob.container}/{name}"})


async def _blob(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> None:
    existing = await ctx.azure.blobs(scope.credential, scope.target.resource_id).properties(str(target.blob_url))
    if existing is not None and existing.metadata.get(_OWNER_METADATA) != vhd_import.metadata.uid:
        raise Halt(
            Stalled(
                "AlreadyExists",
                f"Blob {target.blob_url} exists already and was not made by this import: choose another "
                "blobName, or delete it.",
            )
        )


async def _disk(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> None:
    existing = await scope.arm.get(scope.target.resource_id)
    disk = vhd_import.status.disk
    if existing is None:
        if disk is None or disk.virtual_size is None:
            raise AssertionError("the target is made after the disk's size is known")
        await scope.arm.put(scope.target.resource_id, _disk_body(ctx, vhd_import, scope, disk.virtual_size))
        raise Halt(Waiting("CreatingDisk", "Creating the managed disk.", ctx.settings.poll_seconds), phase="Uploading")
    refuse_foreign(ctx, vhd_import, existing.get("tags"), f"Disk {scope.target.resource_id}", adoption=None)
    state = properties(existing).get("diskState")
    if properties(existing).get("provisioningState") not in (None, "Succeeded", "Failed") or state is None:
        raise Halt(Waiting("CreatingDisk", "Creating the managed disk.", ctx.settings.poll_seconds), phase="Uploading")
    expected = disk.virtual_size + VHD_FOOTER_BYTES if disk is not None and disk.virtual_size is not None else None
    told = (properties(existing).get("creationData") or {}).get("uploadSizeBytes")
    if state not in _WRITABLE or (expected is not None and told is not None and int(told) != expected):
        # It is ours and holds something else (an earlier try, an earlier prerequisites setting): made anew.
        await scope.arm.delete(scope.target.resource_id)
        raise Halt(
            Waiting("RecreatingDisk", "Removing the disk of an earlier try.", ctx.settings.poll_seconds),
            phase="Uploading",
        )


def _disk_body(ctx: Context, vhd_import: VhdImport, scope: ImportScope, virtual_size: int) -> dict[str, Any]:
    destination = vhd_import.spec.destination
    tags = destination.managed_disk.tags if destination is not None and destination.managed_disk is not None else {}
    found: dict[str, Any] = {
        "creationData": {"createOption": "Upload", "uploadSizeBytes": virtual_size + VHD_FOOTER_BYTES},
    }
    if scope.guest.disk_role == "os":
        found["osType"] = "Linux"
        found["hyperVGeneration"] = scope.guest.hyper_v_generation
        if scope.guest.architecture == "Arm64":
            found["supportedCapabilities"] = {"architecture": "Arm64"}
    return {
        "location": scope.location,
        "sku": {"name": scope.sku},
        "tags": {**tags, **owner_tags(vhd_import, ctx.settings.cluster)},
        "properties": found,
    }


async def ensure_secret(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> str:
    """Put a SAS for the target into its Secret, renewed when four fifths of its time are over.

    Returns:
        The Secret's name.
    """
    name = secret_name(vhd_import)
    namespace = vhd_import.metadata.namespace
    existing = await ctx.kube.get("Secret", namespace, name)
    seconds = ctx.settings.sas_seconds
    if existing is not None:
        expires = (existing["metadata"].get("annotations") or {}).get(jobs.EXPIRY_ANNOTATION)
        if expires is not None:
            left = (datetime.fromisoformat(expires) - ctx.now()).total_seconds()
            if left > seconds / 5:
                return name
    sas: SecretStr
    if target.blob_url is not None:
        sas = await ctx.azure.blobs(scope.credential, scope.target.resource_id).upload_sas(target.blob_url, seconds)
    else:
        sas = await scope.arm.grant_write_access(target.resource_id, seconds)
    expires_at = timestamp(ctx.now() + timedelta(seconds=seconds))
    body = jobs.target_secret(vhd_import, name, sas.get_secret_value(), expires_at, ctx.settings.worker)
    if existing is None:
        await ctx.kube.create("Secret", body)
    else:
        body["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
        await ctx.kube.replace("Secret", body)
    return name


async def close(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> None:
    """End the write access after the upload; Azure validates a disk's footer then.

    Raises:
        Halt: The disk is not settled yet.
        AzureError: Azure refuses the disk.
    """
    if target.type == "ManagedDisk":
        existing = await scope.arm.get(target.resource_id)
        state = properties(existing).get("diskState")
        if existing is not None and state in _WRITABLE:
            await scope.arm.revoke_access(target.resource_id)
            raise Halt(
                Waiting("Finalizing", "Azure takes the disk over.", min(2.0, ctx.settings.poll_seconds)),
                phase="Finalizing",
            )
    await ctx.kube.delete("Secret", vhd_import.metadata.namespace, secret_name(vhd_import))


async def exists(ctx: Context, scope: ImportScope, target: ImportTarget) -> bool:
    """Whether the finished target is still there."""
    if target.blob_url is not None:
        return await ctx.azure.blobs(scope.credential, scope.target.resource_id).properties(target.blob_url) is not None
    return await scope.arm.get(target.resource_id) is not None


async def remove_disk(ctx: Context, vhd_import: VhdImport, scope: ImportScope, resource_id: str) -> bool:
    """Begin the deletion of a disk of ours.

    Returns:
        True when it is gone (or is not ours).
    """
    existing = await scope.arm.get(resource_id)
    if existing is None or not is_ours(ctx, vhd_import, existing.get("tags")):
        return True
    if properties(existing).get("diskState") == "ActiveUpload":
        # A disk with an open SAS cannot be deleted; nor should the SAS outlive the import.
        try:
            await scope.arm.revoke_access(resource_id)
        except AzureError as error:
            # Azure looks for the footer of a whole disk even when the upload is being given up.
            if error.kind is not ErrorKind.INVALID:
                raise
        else:
            return False
    if properties(existing).get("provisioningState") != "Deleting":
        await scope.arm.delete(resource_id)
    return False


async def remove(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> None:
    """Remove the target.

    Raises:
        Halt: It is not gone yet.
    """
    if target.blob_url is not None:
        blobs = ctx.azure.blobs(scope.credential, scope.target.resource_id)
        found = await blobs.properties(target.blob_url)
        if found is not None and found.metadata.get(_OWNER_METADATA) == vhd_import.metadata.uid:
            await blobs.delete(target.blob_url)
        return
    if not await remove_disk(ctx, vhd_import, scope, target.resource_id):
        raise Halt(Waiting("Deleting", "Deleting the managed disk.", polling(ctx, vhd_import)), phase="Deleting")
