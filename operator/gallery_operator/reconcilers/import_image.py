"""The managed image at the end of an import: made of the uploaded disk, kept true, removed."""

from collections.abc import Sequence

from gallery_operator.api import VhdImport
from gallery_operator.api.destination import ImageDataDisk, ManagedImage
from gallery_operator.api.vhdimport_status import ImportTarget
from gallery_operator.planning.import_disk import ImageDisk, image_body
from gallery_operator.planning.outcome import Done, Report, Stalled, Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.planning.regions import normal
from gallery_operator.planning.status import ready_condition
from gallery_operator.planning.verification import digest_tags
from gallery_operator.reconcilers import import_disk
from gallery_operator.reconcilers.common import (
    BUSY_STATES,
    is_ours,
    polling,
    properties,
    refuse_foreign,
    stop_if_hopeless,
)
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.import_scope import ImportScope

_WAIT_SECONDS = 30.0


async def refuse_taken(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> None:
    """See before the upload that the image's name is free, or ours.

    Raises:
        Halt: It is taken.
    """
    existing = await scope.arm.get(scope.target.resource_id)
    if existing is not None:
        what = f"Managed image {scope.target.resource_id}"
        refuse_foreign(ctx, vhd_import, existing.get("tags"), what, adoption=None)


async def reconcile(ctx: Context, vhd_import: VhdImport, scope: ImportScope, target: ImportTarget) -> Report | None:
    """Bring the image to its desired state after the upload, one step a call.

    Args:
        ctx: Context.
        vhd_import: The import, uploaded.
        scope: Where it goes.
        target: The image, and the disk that it is made from as long as that is needed.

    Returns:
        What was done; None when neither image nor disk are there any more.

    Raises:
        Halt: It ends early with another outcome.
        AzureError: A request to Azure failed.
    """
    image = await scope.arm.get(target.resource_id)
    what = f"Managed image {target.resource_id}"
    if image is not None:
        refuse_foreign(ctx, vhd_import, image.get("tags"), what, adoption=None)
    state = properties(image).get("provisioningState")
    if state in BUSY_STATES:
        return _underway(ctx, vhd_import, f"{state} the managed image.", str(state))
    if image is None or state == "Failed":
        if image is not None:
            await stop_if_hopeless(ctx, vhd_import, scope.arm, target.resource_id, {"provisioningState": state})
        if target.upload_disk_id is None or await scope.arm.get(target.upload_disk_id) is None:
            return None
        return await _make(ctx, vhd_import, scope, target.upload_disk_id)
    fields = {"phase": "Succeeded", "provisioningState": state}
    if target.upload_disk_id is not None:
        if not await import_disk.removed(ctx, vhd_import, scope, target.upload_disk_id):
            message = "Removing the disk that the managed image was made from."
            return Report(Waiting("Releasing", message, polling(ctx, vhd_import), ready=True), fields)
        fields["target"] = target.model_copy(update={"upload_disk_id": None}).to_wire()
    return Report(Done("The managed image is in Azure."), fields)


async def removed(ctx: Context, vhd_import: VhdImport, scope: ImportScope, image_id: str) -> bool:
    """Begin the deletion of the image.

    Returns:
        True when it is gone (or is not ours).
    """
    existing = await scope.arm.get(image_id)
    if existing is None or not is_ours(ctx, vhd_import, existing.get("tags")):
        return True
    if properties(existing).get("provisioningState") != "Deleting":
        await scope.arm.delete(image_id)
    return False


async def _make(ctx: Context, vhd_import: VhdImport, scope: ImportScope, disk_id: str) -> Report:
    destination = vhd_import.spec.destination
    if destination is None or destination.managed_image is None:
        raise AssertionError("a managed image is made only where it is the destination")
    image = destination.managed_image
    disks = [await _data_disk(ctx, vhd_import, image, each) for each in image.data_disks]
    body = image_body(image, scope.guest, disk_id, disks, _marks(ctx, vhd_import, image, disks))
    created = await scope.arm.put(scope.target.resource_id, body)
    state = str(properties(created).get("provisioningState") or "Creating")
    count = f" and {len(disks)} data disks" if disks else ""
    event = ("Normal", "CreatingImage", f"Creating the managed image of the OS disk{count}.")
    report = _underway(ctx, vhd_import, "Creating the managed image.", state)
    return Report(report.outcome, report.status, (event,))


def _marks(ctx: Context, vhd_import: VhdImport, image: ManagedImage, disks: Sequence[ImageDisk]) -> dict[str, str]:
    owner, learned = owner_tags(vhd_import, ctx.settings.cluster), vhd_import.status.disk
    known = [(each.lun, each.sha256) for each in disks if each.sha256 is not None]
    os = [(None, learned.sha256)] if learned is not None and learned.sha256 is not None else []
    return {**owner, **digest_tags([*os, *known], {**image.tags, **owner})}


def _underway(ctx: Context, vhd_import: VhdImport, message: str, state: str) -> Report:
    fields = {"phase": "Finalizing", "provisioningState": state}
    return Report(Waiting("CreatingImage", message, polling(ctx, vhd_import)), fields)


async def _data_disk(ctx: Context, vhd_import: VhdImport, image: ManagedImage, disk: ImageDataDisk) -> ImageDisk:
    source: dict[str, object]
    sha256: str | None = None
    if disk.disk_id is not None:
        source = {"managedDisk": {"id": disk.disk_id}}
    elif disk.snapshot_id is not None:
        source = {"snapshot": {"id": disk.snapshot_id}}
    elif disk.blob_uri is not None:
        source = {"blobUri": disk.blob_uri}
    elif disk.vhd_import_ref is not None:
        name = disk.vhd_import_ref.name
        source, sha256 = await _imported(ctx, vhd_import.metadata.namespace, name, disk.lun, image.location)
    else:
        raise Halt(Stalled("InvalidSpec", f"The data disk at LUN {disk.lun} names no source."))
    return ImageDisk(disk.lun, source, disk.host_caching, disk.storage_account_type, sha256)


async def _imported(
    ctx: Context, namespace: str, name: str, lun: int, region: str
) -> tuple[dict[str, object], str | None]:
    body = await ctx.kube.get("VhdImport", namespace, name)
    which = f"VhdImport {namespace}/{name} for the data disk at LUN {lun}"
    if body is None:
        message = f"{which} does not exist: create it, or make this import anew with another vhdImportRef."
        raise Halt(_waiting("ImportNotFound", message), phase="Finalizing")
    found = VhdImport.model_validate(body)
    problem = _unusable(found, region)
    if problem is not None:
        raise Halt(Stalled("DataDiskUnusable", f"{which} {problem}"), phase="Finalizing")
    ready = ready_condition(body.get("status") or {})
    target = found.status.target
    if ready is None or ready["status"] != "True" or target is None:
        why = f": {ready['message']}" if ready else ""
        message = f"Waiting for {which} ({found.status.phase or 'Pending'}){why}"
        raise Halt(_waiting("ImportNotReady", message), phase="Finalizing")
    sha256 = found.status.disk.sha256 if found.status.disk is not None else None
    if target.blob_url is not None:
        return {"blobUri": target.blob_url}, sha256
    return {"managedDisk": {"id": target.resource_id}}, sha256


def _waiting(reason: str, message: str) -> Waiting:
    return Waiting(reason, message, _WAIT_SECONDS)


def _unusable(found: VhdImport, region: str) -> str | None:
    """Say why the disk of an import can never be part of an image in a region, or None."""
    target = found.status.target
    if found.spec.disk_role != "data":
        return "has diskRole os: make an import with diskRole data."
    if found.status.staging_released:
        return "has no disk any more, an image version has used it: make a new import, with a destination of its own."
    if target is not None and target.location is not None and normal(target.location) != normal(region):
        return (
            f"brings its disk to {target.location}, and the managed image is in {region}, where its disks must be "
            "(Azure's rule): make an import with a managedDisk in that region."
        )
    return None
