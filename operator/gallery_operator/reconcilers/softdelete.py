"""Reads what is soft-deleted, and restores versions."""

from typing import Any

from gallery_operator import metrics
from gallery_operator.api import GalleryImageDefinition, ImageVersion
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import Arm
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import softdelete as plan
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.scope import DefinitionScope, GalleryScope


async def soft_deleted(
    gallery: GalleryScope, definition: GalleryImageDefinition, resource_id: str
) -> list[plan.Deleted]:
    """Read the soft-deleted versions of a definition.

    Nothing is asked of a gallery that has no soft delete and, as far as the definition's status knows, nothing left
    from when it had.

    Raises:
        AzureError: They could not be read, for another reason than a missing right.
    """
    if not gallery.soft_delete and definition.status.soft_deleted is None:
        return []
    try:
        return plan.deleted(await gallery.arm.soft_deleted(ResourceId.parse(resource_id)))
    except AzureError as error:
        if error.kind is not ErrorKind.FORBIDDEN:
            raise
        return []  # nothing else depends on it


async def restore(
    ctx: Context, version: ImageVersion, scope: DefinitionScope, resource_id: str
) -> dict[str, Any] | None:
    """Begin to restore a version that is soft-deleted.

    Returns:
        Azure's answer; None when there is nothing to restore.

    Raises:
        Halt: There is, but it must not be restored for this object.
        AzureError: A request to Azure failed.
    """
    found = plan.match(await soft_deleted(scope.gallery, scope.definition, scope.resource_id), version.spec.version)
    if found is None:
        return None
    had = (version.status.resource_id or "").lower() == resource_id.lower()
    refused = plan.refusal(version, found, ctx.settings.cluster, had=had)
    if refused is not None:
        raise Halt(refused)
    # What was this object's is marked so at once: Azure may not have kept the tags. What is adopted is not marked
    # before its own tags were read.
    tags = {**version.spec.tags, **owner_tags(version, ctx.settings.cluster)} if had else None
    answer = await scope.gallery.arm.patch(resource_id, plan.restore_body(found, tags))
    metrics.VERSIONS_RESTORED.inc()
    return answer


async def delete_version(arm: Arm, resource_id: str, *, failed: bool, soft: bool, bypass: bool = False) -> None:
    """Begin to delete a version.

    Args:
        arm: Gateway to ARM.
        resource_id: ARM id of the version.
        failed: Its ``provisioningState`` is ``Failed``.
        soft: Its gallery has soft delete. A failed version cannot be soft-deleted (Azure refuses it), so it is deleted
            for good.
        bypass: It is deleted for good in any case.

    Raises:
        AzureError: Azure did not accept the request.
    """
    if bypass or (soft and failed):
        await arm.delete(resource_id, bypass_soft_delete=True)
    else:
        await arm.delete(resource_id)
