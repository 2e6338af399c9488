"""Brings the sharing of a gallery (direct, community) to its desired state, one call at a time."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gallery_operator.api import Gallery
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.planning import sharing as plan
from gallery_operator.planning.access import Part, Problem
from gallery_operator.planning.outcome import STALLED_RECHECK_SECONDS
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.scope import GalleryScope
from gallery_operator.reconcilers.troubles import problem_of, retry_seconds

_log = logging.getLogger(__name__)

_RIGHTS = (
    " The operator's identity needs Microsoft.Compute/galleries/share/action on the gallery, for example by the role "
    "Compute Gallery Sharing Admin; Contributor does not have it."
)


async def settle(
    ctx: Context,
    gallery: Gallery,
    scope: GalleryScope,
    existing: Mapping[str, Any],
    *,
    body: Mapping[str, Any],
    assignments: int,
) -> Part:
    """Take the next step towards the sharing profile of the spec.

    Args:
        ctx: Context.
        gallery: The object.
        scope: Its gallery in Azure, which is otherwise as desired.
        existing: What Azure has.
        body: Body of a PUT that sets the profile.
        assignments: How many role assignments hold, for the summary.
    """
    profile = gallery.spec.sharing_profile
    asked = profile is not None and profile.permissions != "Private"
    have = plan.observe(existing)
    pending: str | None = None
    problems: tuple[Problem, ...] = ()
    try:
        have = await _with_groups(scope, have)
        pending, problems = await _step(gallery, scope, have, body)
    except AzureError as error:
        advice = _RIGHTS if error.kind is ErrorKind.FORBIDDEN else ""
        problems = (problem_of(ctx, "The sharing of the gallery is not as desired", error, advice),)
    fields = {"sharing": plan.status(have, assignments)}
    return Part(asked, fields, pending, retry_seconds(ctx), problems)


async def observe(scope: GalleryScope, existing: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``status.sharing`` of a gallery that is only looked at, in wire form.

    Raises:
        AzureError: The groups that it is shared with could not be read.
    """
    return plan.status(await _with_groups(scope, plan.observe(existing)), 0)


async def end(gallery: Gallery, scope: GalleryScope, existing: Mapping[str, Any]) -> bool:
    """End the sharing of a gallery that is about to be deleted.

    Returns:
        Whether this is still under way. Without the right to do so, False: Azure then decides about the deletion.

    Raises:
        AzureError: A request failed in another way.
    """
    if plan.observe(existing).permissions == "Private":
        return False
    try:
        if not await scope.arm.is_sharing(scope.resource_id):
            await scope.arm.share(scope.resource_id, plan.reset_body())
    except AzureError as error:
        if error.kind not in (ErrorKind.FORBIDDEN, ErrorKind.INVALID):
            raise
        _log.warning("%s: deleted without ending the sharing first: %s", gallery.key, error)
        return False
    return True


async def _with_groups(scope: GalleryScope, have: plan.Observed) -> plan.Observed:
    """Read whom a gallery is shared with, which a plain read leaves out."""
    if have.permissions == "Private":
        return have
    document = await scope.arm.get(scope.resource_id, expand="SharingProfile/Groups")
    if document is None:
        return have
    # The published example of this answer has nothing but the profile.
    told = plan.observe(document)
    return replace(told, state=told.state or have.state, regions=told.regions or have.regions)


async def _step(
    gallery: Gallery, scope: GalleryScope, have: plan.Observed, body: Mapping[str, Any]
) -> tuple[str | None, tuple[Problem, ...]]:
    """Take one step; returns what is under way, and what is wrong."""
    profile = gallery.spec.sharing_profile
    if profile is None:
        return None, ()
    if await scope.arm.is_sharing(scope.resource_id):
        return "Azure is changing with whom the gallery is shared.", ()
    busy = have.state == "InProgress"
    match plan.next_step(profile, have):
        case plan.Impossible(message):
            return None, (Problem("PermissionsCannotChange", f"{message}.", STALLED_RECHECK_SECONDS),)
        case plan.SetProfile(message):
            await scope.arm.put(scope.resource_id, body)
            return message, ()
        case plan.ShareCall() as call if call.narrows or not busy:
            await scope.arm.share(scope.resource_id, call.body)
            return call.message, ()
    if busy:
        return "Azure is changing with whom the gallery is shared, region by region.", ()
    if (failed := plan.failed_regions(have)) is not None and profile.permissions != "Private":
        message = (
            f"Sharing failed in some regions ({failed}). The operator looks again; if it stays, take the subscription "
            "or tenant out and add it again."
        )
        return None, (Problem("RegionsFailed", message, STALLED_RECHECK_SECONDS),)
    return None, ()
