"""Reconciles ``GalleryImageDefinition``."""

from dataclasses import replace
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import GalleryImageDefinition
from gallery_operator.api.lifecycle import SoftDeletedStatus
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import access, softdelete
from gallery_operator.planning import definition as plan
from gallery_operator.planning.compare import differences
from gallery_operator.planning.outcome import Done, Report, Stalled, Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.reconcilers import observe as observation
from gallery_operator.reconcilers import roles
from gallery_operator.reconcilers.common import (
    BUSY_STATES,
    is_ours,
    polling_soon,
    properties,
    refuse_end_of_life,
    refuse_foreign,
    refuse_rivals,
    stop_if_deletion_failed,
    stop_if_hopeless,
    wait_for_dependents,
)
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.lifecycle import below
from gallery_operator.reconcilers.scope import GalleryScope, gallery_of_definition
from gallery_operator.reconcilers.softdelete import soft_deleted

_SOFT_DELETED_SECONDS = 60.0


async def reconcile(ctx: Context, definition: GalleryImageDefinition) -> Report:
    """Bring an image definition to its desired state, one step a call.

    Raises:
        Halt: It ends early with another outcome.
        AzureError: A request to Azure failed.
    """
    await refuse_rivals(ctx, definition)
    gallery = await gallery_of_definition(ctx, definition, need_ready=definition.status.resource_id is None)
    resource_id = str(ResourceId.parse(gallery.resource_id).child("images", definition.definition_name))
    owner = owner_tags(definition, ctx.settings.cluster)
    existing = await gallery.arm.get(resource_id)
    refuse_end_of_life(ctx, definition.spec.end_of_life_date, properties(existing).get("endOfLifeDate"))
    if existing is None:
        created = await gallery.arm.put(resource_id, plan.body(definition, gallery.location, owner, None))
        return _written(ctx, definition, resource_id, created, "Creating the image definition.")
    what = f"Image definition {resource_id}"
    refuse_foreign(
        ctx,
        definition,
        existing.get("tags"),
        what,
        adoption=definition.spec.adoption_policy,
        differences=differences(plan.body(definition, gallery.location, {}, existing), existing),
    )
    state = properties(existing).get("provisioningState")
    if state in BUSY_STATES:
        return _underway(ctx, definition, resource_id, existing, f"The image definition is {str(state).lower()}.")
    differs = plan.differences(definition, owner, existing)
    if differs.immutable:
        told = "; ".join(f"{name} is {there!r}, wanted {wanted!r}" for name, there, wanted in differs.immutable)
        raise Halt(
            Stalled(
                "ImmutableFieldDiffers",
                f"{what} differs in what Azure never changes: {told}. Correct the spec, or make a new definition.",
            ),
            **_fields(resource_id, existing),
        )
    corrections = list(differs.updatable)
    if state == "Failed":
        await stop_if_hopeless(ctx, definition, gallery.arm, resource_id, _fields(resource_id, existing))
        corrections.append("provisioningState")
    if corrections:
        metrics.DRIFT_CORRECTIONS.labels(kind="GalleryImageDefinition").inc()
        updated = await gallery.arm.put(resource_id, plan.body(definition, gallery.location, owner, existing))
        return _written(ctx, definition, resource_id, updated, f"Updating {', '.join(corrections)}.")
    assigned = await roles.settle(ctx, definition, resource_id, gallery.credential)
    found = await below(ctx, definition, gallery, resource_id)
    fields = {**_fields(resource_id, existing), "managedFields": plan.managed_fields(definition)}
    done = Done("The image definition is as desired.", recheck=found.recheck)
    report = access.report((assigned,), fields, done, definition.status.conditions)
    return report.with_more(found.fields, found.events, found.conditions)


async def observe(ctx: Context, definition: GalleryImageDefinition) -> Report:
    """Read an image definition and say how it differs.

    Raises:
        Halt: It does not exist, or cannot be looked up.
        AzureError: A request to Azure failed.
    """
    gallery = await gallery_of_definition(ctx, definition, need_ready=False)
    resource_id = str(ResourceId.parse(gallery.resource_id).child("images", definition.definition_name))
    what = f"Image definition {resource_id}"
    existing = await gallery.arm.get(resource_id)
    if existing is None:
        raise observation.absent(what)
    wanted = plan.body(definition, gallery.location, {}, existing)
    found = await below(ctx, definition, gallery, resource_id, observe=True)
    fields = {**_fields(resource_id, existing), **found.fields}
    report = observation.report(what, existing, differences(wanted, existing), fields)
    return report.with_more({}, found.events, (*found.conditions, access.NOT_JUDGED))


async def finalize(ctx: Context, definition: GalleryImageDefinition) -> Report:
    """Delete an image definition; ``Done`` means that the finalizer may go."""
    await wait_for_dependents(ctx, definition, ("ImageVersion", "VhdImport"))
    if definition.spec.deletion_policy == "Retain":
        return Report(Done("The image definition is left in Azure.", "Retained"))
    try:
        gallery = await gallery_of_definition(ctx, definition, deleting=True)
    except Halt:
        if definition.status.resource_id is None:  # it never got as far as Azure
            return Report(Done("Nothing was made in Azure.", "Deleted"))
        raise
    resource_id = str(ResourceId.parse(gallery.resource_id).child("images", definition.definition_name))
    existing = await gallery.arm.get(resource_id)
    if existing is None or not is_ours(ctx, definition, existing.get("tags")):
        return Report(Done("The image definition is gone.", "Deleted"))
    events: tuple[tuple[str, str, str], ...] = ()
    if properties(existing).get("provisioningState") != "Deleting":
        await stop_if_deletion_failed(ctx, definition, gallery.arm, resource_id)
        # With versions in it, soft-deleted ones too, Azure refuses to delete the definition: then nobody loses access.
        left = softdelete.status(await soft_deleted(gallery, definition, resource_id))
        if left is None and not await gallery.arm.list(f"{resource_id}/versions"):
            events = await roles.withdraw(ctx, definition, resource_id, gallery.credential)
        await _delete(gallery, resource_id, left)
    waiting = Waiting("Deleting", "Deleting the image definition.", polling_soon(ctx, definition))
    return Report(waiting, {"provisioningState": "Deleting"}, events)


async def _delete(gallery: GalleryScope, resource_id: str, left: SoftDeletedStatus | None) -> None:
    try:
        await gallery.arm.delete(resource_id)
    except AzureError as error:
        if error.kind is not ErrorKind.DEPENDENTS or left is None:
            raise
        named = ", ".join(each.version for each in left.versions[:5])
        raise Halt(
            Waiting(
                "HasSoftDeletedVersions",
                f"{error.message.rstrip(' .')}. {left.count} soft-deleted versions are still there: {named}. Azure "
                "removes them when their time is over. Sooner: set softDeletePolicy.isSoftDeleteEnabled of the Gallery "
                "to false, or delete them for good in the portal; or set deletionPolicy to Retain.",
                _SOFT_DELETED_SECONDS,
            ),
            softDeleted=left.to_wire(),
        ) from error


def _underway(
    ctx: Context, definition: GalleryImageDefinition, resource_id: str, body: dict[str, Any], message: str
) -> Report:
    return Report(Waiting("Progressing", message, polling_soon(ctx, definition)), _fields(resource_id, body))


def _written(
    ctx: Context, definition: GalleryImageDefinition, resource_id: str, body: dict[str, Any], message: str
) -> Report:
    report = _underway(ctx, definition, resource_id, body, message)
    return replace(report, status={**report.status, "managedFields": plan.managed_fields(definition)})


def _fields(resource_id: str, existing: dict[str, Any]) -> dict[str, Any]:
    return {"resourceId": resource_id, "provisioningState": properties(existing).get("provisioningState")}
