"""Reconciles ``Gallery``."""

from typing import Any

from gallery_operator import metrics
from gallery_operator.api import Gallery
from gallery_operator.planning import access
from gallery_operator.planning import gallery as plan
from gallery_operator.planning.compare import differences
from gallery_operator.planning.outcome import Done, Report, Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.reconcilers import observe as observation
from gallery_operator.reconcilers import roles, sharing
from gallery_operator.reconcilers.common import (
    BUSY_STATES,
    is_ours,
    polling_soon,
    properties,
    refuse_foreign,
    refuse_rivals,
    stop_if_deletion_failed,
    stop_if_hopeless,
    wait_for_dependents,
)
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.quota import quota
from gallery_operator.reconcilers.scope import GalleryScope, gallery_of_object


async def reconcile(ctx: Context, gallery: Gallery) -> Report:
    """Bring a gallery to its desired state, one step a call.

    Raises:
        Halt: It ends early with another outcome.
        AzureError: A request to Azure failed.
    """
    await refuse_rivals(ctx, gallery)
    scope = await gallery_of_object(ctx, gallery)
    owner = owner_tags(gallery, ctx.settings.cluster)
    existing = await scope.arm.get(scope.resource_id)
    if existing is None:
        created = await scope.arm.put(scope.resource_id, plan.body(gallery, owner, None))
        return _underway(ctx, gallery, scope, created, "Creating the gallery.")
    refuse_foreign(
        ctx,
        gallery,
        existing.get("tags"),
        f"Gallery {scope.resource_id}",
        adoption=gallery.spec.adoption_policy,
        differences=differences(plan.body(gallery, {}, existing, set_profile=True), existing),
    )
    state = properties(existing).get("provisioningState")
    if state in BUSY_STATES:
        return _underway(ctx, gallery, scope, existing, f"The gallery is {str(state).lower()}.")
    differs = plan.difference(gallery, owner, existing)
    if state == "Failed":
        await stop_if_hopeless(ctx, gallery, scope.arm, scope.resource_id, _fields(scope, existing))
        differs.append("provisioningState")
    if differs:
        metrics.DRIFT_CORRECTIONS.labels(kind="Gallery").inc()
        updated = await scope.arm.put(scope.resource_id, plan.body(gallery, owner, existing))
        return _underway(ctx, gallery, scope, updated, f"Updating {', '.join(differs)}.")
    assigned = await roles.settle(ctx, gallery, scope.resource_id, scope.credential)
    shared = await sharing.settle(
        ctx,
        gallery,
        scope,
        existing,
        body=plan.body(gallery, owner, existing, set_profile=True),
        assignments=roles.count(assigned, gallery),
    )
    done = Done("The gallery is as desired.")
    report = access.report((assigned, shared), _fields(scope, existing), done, gallery.status.conditions)
    used = await quota(ctx, gallery, scope)
    return report if used is None else report.with_more({"quota": used.status}, used.events, (used.finding,))


async def observe(ctx: Context, gallery: Gallery) -> Report:
    """Read a gallery and say how it differs.

    Raises:
        Halt: It does not exist, or cannot be looked up.
        AzureError: A request to Azure failed.
    """
    scope = await gallery_of_object(ctx, gallery)
    what = f"Gallery {scope.resource_id}"
    existing = await scope.arm.get(scope.resource_id)
    if existing is None:
        raise observation.absent(what)
    wanted = plan.body(gallery, {}, existing, set_profile=True)
    fields = {**_fields(scope, existing), "sharing": await sharing.observe(scope, existing)}
    found = observation.report(what, existing, differences(wanted, existing), fields)
    return found.with_more({}, (), (access.NOT_JUDGED,))


async def finalize(ctx: Context, gallery: Gallery) -> Report:
    """Delete a gallery; ``Done`` means that the finalizer may go."""
    await wait_for_dependents(ctx, gallery, ("GalleryImageDefinition",))
    if gallery.spec.deletion_policy == "Retain":
        return Report(Done("The gallery is left in Azure.", "Retained"))
    try:
        scope = await gallery_of_object(ctx, gallery)
    except Halt:
        if gallery.status.resource_id is None:  # it never got as far as Azure
            return Report(Done("Nothing was made in Azure.", "Deleted"))
        raise
    existing = await scope.arm.get(scope.resource_id)
    if existing is None or not is_ours(ctx, gallery, existing.get("tags")):
        return Report(Done("The gallery is gone.", "Deleted"))
    events: tuple[tuple[str, str, str], ...] = ()
    if properties(existing).get("provisioningState") != "Deleting":
        await stop_if_deletion_failed(ctx, gallery, scope.arm, scope.resource_id)
        # With images in it Azure refuses to delete the gallery: then nobody loses access to it.
        if not await scope.arm.list(f"{scope.resource_id}/images"):
            if await sharing.end(gallery, scope, existing):
                return Report(Waiting("Deleting", "Ending the sharing of the gallery.", polling_soon(ctx, gallery)))
            events = await roles.withdraw(ctx, gallery, scope.resource_id, scope.credential)
        await scope.arm.delete(scope.resource_id)
    waiting = Waiting("Deleting", "Deleting the gallery.", polling_soon(ctx, gallery))
    return Report(waiting, {"provisioningState": "Deleting"}, events)


def _underway(ctx: Context, gallery: Gallery, scope: GalleryScope, body: dict[str, Any], message: str) -> Report:
    return Report(Waiting("Progressing", message, polling_soon(ctx, gallery)), _fields(scope, body))


def _fields(scope: GalleryScope, existing: dict[str, Any]) -> dict[str, Any]:
    found = properties(existing)
    return {
        "resourceId": scope.resource_id,
        "provisioningState": found.get("provisioningState"),
        "location": existing.get("location"),
        "softDeletePolicy": found.get("softDeletePolicy"),
        "uniqueName": (found.get("identifier") or {}).get("uniqueName"),
        "identity": plan.identity_status(existing),
    }
