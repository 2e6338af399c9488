"""The managed disk that an import uploads to: made, and removed with its write access."""

from gallery_operator.api import VhdImport
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.planning.import_disk import VHD_FOOTER_BYTES, disk_body
from gallery_operator.planning.outcome import Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.planning.verification import DIGEST_TAG
from gallery_operator.reconcilers.common import is_ours, properties, refuse_foreign
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.import_scope import ImportScope

WRITABLE = frozenset({"ReadyToUpload", "ActiveUpload"})
"""States of a disk that has been made for an upload and has no content yet."""


async def ensure(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> None:
    """Make the disk to upload to if it is missing.

    Raises:
        Halt: It exists and is not ours, or is not ready to be written.
    """
    existing = await scope.arm.get(scope.disk_id)
    learned = vhd_import.status.disk
    if learned is None or learned.virtual_size is None or learned.sha256 is None or scope.disk is None:
        raise AssertionError("the target is made after the disk's size and digest are known")
    if existing is None:
        marks = {**owner_tags(vhd_import, ctx.settings.cluster), DIGEST_TAG: learned.sha256}
        body = disk_body(vhd_import, scope.disk, scope.guest, learned.virtual_size, marks)
        await scope.arm.put(scope.disk_id, body)
        raise Halt(Waiting("CreatingDisk", "Creating the managed disk.", ctx.settings.poll_seconds), phase="Uploading")
    refuse_foreign(ctx, vhd_import, existing.get("tags"), f"Disk {scope.disk_id}", adoption=None)
    state = properties(existing).get("diskState")
    if properties(existing).get("provisioningState") not in (None, "Succeeded", "Failed") or state is None:
        raise Halt(Waiting("CreatingDisk", "Creating the managed disk.", ctx.settings.poll_seconds), phase="Uploading")
    told = (properties(existing).get("creationData") or {}).get("uploadSizeBytes")
    same = (existing.get("tags") or {}).get(DIGEST_TAG, learned.sha256) == learned.sha256
    fits = same and (told is None or int(told) == learned.virtual_size + VHD_FOOTER_BYTES)
    if state not in WRITABLE or not fits:
        # It is ours and holds something else (an earlier try, an earlier prerequisites setting): made anew.
        await removed(ctx, vhd_import, scope, scope.disk_id)
        raise Halt(
            Waiting("RecreatingDisk", "Removing the disk of an earlier try.", ctx.settings.poll_seconds),
            phase="Uploading",
        )


async def removed(ctx: Context, vhd_import: VhdImport, scope: ImportScope, resource_id: str) -> bool:
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
