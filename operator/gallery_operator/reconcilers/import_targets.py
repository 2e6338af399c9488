"""The target of an import in Azure: made, opened for writing, closed, removed."""

from typing import Any

from pydantic import SecretStr

from gallery_operator.api import VhdImport
from gallery_operator.api.vhdimport_status import ImportTarget
from gallery_operator.planning import jobs
from gallery_operator.planning.names import child_name, fingerprint
from gallery_operator.planning.outcome import Stalled, Waiting
from gallery_operator.reconcilers import import_disk, import_image
from gallery_operator.reconcilers.common import properties
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.import_scope import ImportScope
from gallery_operator.reconcilers.import_secrets import keep_fresh

_OWNER_METADATA = "galleryoperatoruid"


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
        if target.type == "ManagedImage":
            await import_image.refuse_taken(ctx, vhd_import, scope)
        await import_disk.ensure(ctx, vhd_import, scope)


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


async def ensure_secret(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> str:
    """Put a SAS for the target into its Secret, renewed when four fifths of its time are over.

    Returns:
        The Secret's name.
    """
    name = secret_name(vhd_import)

    async def make(seconds: int, expires_at: str) -> dict[str, Any]:
        guest_state: SecretStr | None = None
        if target.blob_url is not None:
            sas = await ctx.azure.blobs(scope.credential, scope.target.resource_id).upload_sas(target.blob_url, seconds)
        elif vhd_import.spec.source.vm_guest_state is not None:
            sas, guest_state = await scope.arm.grant_secure_write_access(scope.disk_id, seconds)
        else:
            sas = await scope.arm.grant_write_access(scope.disk_id, seconds)
        return jobs.target_secret(vhd_import, name, sas, guest_state, expires_at, ctx.settings.worker)

    await keep_fresh(ctx, vhd_import, name, make)
    return name


async def close(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> None:
    """End the write access after the upload; Azure validates a disk's footer then.

    Raises:
        Halt: The disk is not settled yet.
        AzureError: Azure refuses the disk.
    """
    if scope.target.type != "PageBlob":
        existing = await scope.arm.get(scope.disk_id)
        if properties(existing).get("diskState") in import_disk.WRITABLE:
            await scope.arm.revoke_access(scope.disk_id)
            raise Halt(
                Waiting("Finalizing", "Azure takes the disk over.", min(2.0, ctx.settings.poll_seconds)),
                phase="Finalizing",
                progress=None,
            )
    await remove_secret(ctx, vhd_import)


async def remove_secret(ctx: Context, vhd_import: VhdImport) -> None:
    """Remove the Secret with the target's SAS."""
    await ctx.kube.delete("Secret", vhd_import.metadata.namespace, secret_name(vhd_import))


async def exists(ctx: Context, scope: ImportScope, target: ImportTarget) -> bool:
    """Whether the finished disk or blob is still there."""
    if target.blob_url is not None:
        return await ctx.azure.blobs(scope.credential, scope.target.resource_id).properties(target.blob_url) is not None
    return await scope.arm.get(target.resource_id) is not None


async def removed(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> bool:
    """Begin to remove the target and what it is made from.

    Returns:
        True when all of it is gone (or is not ours).
    """
    if target.blob_url is not None:
        blobs = ctx.azure.blobs(scope.credential, target.resource_id)
        found = await blobs.properties(target.blob_url)
        if found is not None and found.metadata.get(_OWNER_METADATA) == vhd_import.metadata.uid:
            await blobs.delete(target.blob_url)
        return True
    if target.type == "ManagedImage":
        if not await import_image.removed(ctx, vhd_import, scope, target.resource_id):
            return False
        return target.upload_disk_id is None or await import_disk.removed(ctx, vhd_import, scope, target.upload_disk_id)
    return await import_disk.removed(ctx, vhd_import, scope, target.resource_id)
