"""Reconciles ``GalleryImageDefinition``."""

from dataclasses import replace
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import GalleryImageDefinition
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import access
from gallery_operator.planning import definition as plan
from gallery_operator.planning.compare import differences
from gallery_operator.planning.outcome import Done, Report, Stalled, Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.reconcilers import observe as observation
from gallery_operator.reconcilers import roles
from gallery_operator.reconcilers.common import (
    BUSY_STATES,
    is_ours,
    polling,
    properties,
    refuse_end_of_life,
    refuse_foreign,
    refuse_rivals,
    stop_if_hopeless,
    wait_for_dependents,
)
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.scope import GalleryScope, gallery_of_definition


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
    fields = {**_fields(resource_id, existing), **await _versions(gallery, resource_id)}
    fields["managedFields"] = plan.managed_fields(definition)
    assigned = await roles.settle(ctx, definition, resource_id, gallery.credential)
    return access.report((assigned,), fields, Done("The image definition is as desired."), definition.status.conditions)


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
    fields = {**_fields(resource_id, existing), **await _versions(gallery, resource_id)}
    return observation.report(what, existing, differences(wanted, existing), fields)


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
        # With versions in it Azure refuses to delete the definition: then nobody loses access to it.
        if not await gallery.arm.list(f"{resource_id}/versions"):
            events = await roles.withdraw(ctx, definition, resource_id, gallery.credential)
        await gallery.arm.delete(resource_id)
    waiting = Waiting("Deleting", "Deleting the image definition.", polling(ctx, definition))
    return Report(waiting, {"provisioningState": "Deleting"}, events)


def _underway(
    ctx: Context, definition: GalleryImageDefinition, resource_id: str, body: dict[str, Any], message: str
) -> Report:
    return Report(Waiting("Progressing", message, polling(ctx, definition)), _fields(resource_id, body))


def _written(
    ctx: Context, definition: GalleryImageDefinition, resource_id: str, body: dict[str, Any], message: str
) -> Report:
    report = _underway(ctx, definition, resource_id, body, message)
    return replace(report, status={**report.status, "managedFields": plan.managed_fields(definition)})


async def _versions(gallery: GalleryScope, resource_id: str) -> dict[str, Any]:
    versions = await gallery.arm.list(f"{resource_id}/versions")
    return {"versions": len(versions), "latestVersion": plan.latest(versions)}


def _fields(resource_id: str, existing: dict[str, Any]) -> dict[str, Any]:
    return {"resourceId": resource_id, "provisioningState": properties(existing).get("provisioningState")}
