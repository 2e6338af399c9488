"""What lies below a definition: its versions, what ``latest`` is, what can be restored, what is due, what ends next."""

from dataclasses import dataclass, field
from typing import Any

from gallery_operator.api import GalleryImageDefinition
from gallery_operator.planning import endoflife, softdelete
from gallery_operator.planning import listed as plan
from gallery_operator.planning.outcome import Finding
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.quota import quota
from gallery_operator.reconcilers.retention import Retained, retain
from gallery_operator.reconcilers.scope import GalleryScope
from gallery_operator.reconcilers.softdelete import soft_deleted

_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Below:
    """What to report of a definition's versions.

    Attributes:
        fields: Fields of ``status``.
        events: What to tell.
        conditions: Conditions of the kind's own.
        recheck: Seconds until something falls due, or None.
    """

    fields: dict[str, Any]
    events: tuple[tuple[str, str, str], ...] = ()
    conditions: tuple[Finding, ...] = field(default=())
    recheck: float | None = None


async def below(
    ctx: Context, definition: GalleryImageDefinition, gallery: GalleryScope, resource_id: str, *, observe: bool = False
) -> Below:
    """Read the versions of a definition, and carry out its retention.

    Args:
        ctx: Context.
        definition: The definition.
        gallery: Its gallery.
        resource_id: Its ARM id.
        observe: Nothing may be changed: retention is left out.

    Raises:
        AzureError: The versions could not be read.
        KubeError: The objects that retention concerns could not be read.
    """
    now = ctx.now()
    versions = plan.listed(await gallery.arm.list(f"{resource_id}/versions"))
    restorable = softdelete.status(await soft_deleted(gallery, definition, resource_id))
    kept = Retained(None) if observe else await retain(ctx, definition, gallery, resource_id, versions)
    ending = plan.next_end_of_life(versions, now)
    fields: dict[str, Any] = {
        "versions": len(versions),
        "latestVersion": plan.latest(versions),
        "latestByRegion": [each.to_wire() for each in plan.latest_by_region(versions)] or None,
        "nextEndOfLife": ending.to_wire() if ending is not None else None,
        "softDeleted": restorable.to_wire() if restorable is not None else None,
        "retention": kept.status,
    }
    own_end = definition.spec.end_of_life_date
    conditions = [kept.finding, endoflife.finding("The image definition", own_end, now)]
    events = kept.events
    if definition.spec.gallery is not None:  # no Gallery object tells it
        used = await quota(ctx, definition, gallery)
        if used is not None:
            fields["quota"] = used.status
            conditions.append(used.finding)
            events += used.events
    recheck = endoflife.seconds_until(
        (kept.next_look, own_end, ending.end_of_life_date if ending is not None else None), now
    )
    if recheck is not None:
        recheck += _GRACE_SECONDS  # a wake that comes a moment early would find nothing
    if kept.again:
        recheck = ctx.settings.poll_seconds
    return Below(fields, events, tuple(conditions), recheck)
