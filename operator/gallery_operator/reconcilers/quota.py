"""Reads how much of the subscription's limits is used: once an hour for each subscription and region, whoever asks."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import Resource
from gallery_operator.api.lifecycle import QuotaUse
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.planning import quota as plan
from gallery_operator.planning.outcome import Finding
from gallery_operator.planning.regions import normal
from gallery_operator.reconcilers.common import key_of
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.scope import GalleryScope
from gallery_operator.runtime.workqueue import Key

READ_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Quota:
    """What to report.

    Attributes:
        status: ``status.quota`` in wire form.
        finding: The condition that warns before a limit is met, or takes it away.
        events: The same as an Event, when it is news.
    """

    status: list[dict[str, Any]]
    finding: Finding
    events: tuple[tuple[str, str, str], ...] = ()


async def quota(ctx: Context, resource: Resource, scope: GalleryScope) -> Quota | None:
    """Return how much is used in the region of a gallery.

    Args:
        ctx: Context.
        resource: Whose status it goes to.
        scope: The gallery.

    Returns:
        None when nothing is known now: what was reported stays.
    """
    told = await _told(ctx, scope)
    if told is None:
        return None
    uses = told if len(told) == len(plan.LIMITS) else await _counted(ctx, resource, scope, told)
    finding = plan.finding(uses, scope.location)
    return Quota([each.to_wire() for each in uses], finding, _news(resource, finding))


async def _told(ctx: Context, scope: GalleryScope) -> list[QuotaUse] | None:
    region, now = normal(scope.location), ctx.now()
    key = (scope.credential.fingerprint, scope.subscription_id, region)
    when, uses = ctx.quota.read.get(key, (None, []))
    if when is not None and now - when < READ_EVERY:
        return uses
    try:
        uses = plan.from_usages(await scope.arm.usages(region))
    except AzureError as error:
        if error.kind is not ErrorKind.FORBIDDEN:
            return None  # not worth a failed reconcile; the next one asks again
        uses = []
    ctx.quota.read[key] = (now, uses)
    _measure(scope.subscription_id, region, uses)
    return uses


async def _counted(ctx: Context, resource: Resource, scope: GalleryScope, told: list[QuotaUse]) -> list[QuotaUse]:
    """Count what belongs to the gallery's object where Azure tells nothing: a lower bound is better than silence."""
    now = ctx.now()
    when, uses = ctx.quota.counted.get(scope.resource_id, (None, []))
    if when is not None and now - when < READ_EVERY:
        return uses
    counts = [await _versions(ctx, each) for each in ctx.hints.referrers(key_of(resource))]
    definitions = [each for each in counts if each is not None]
    uses = plan.with_counted(told, {"ImageDefinitions": len(definitions), "ImageVersions": sum(definitions)})
    ctx.quota.counted[scope.resource_id] = (now, uses)
    return uses


async def _versions(ctx: Context, key: Key) -> int | None:
    body = await ctx.kube.get(key.kind, key.namespace, key.name) if key.kind == "GalleryImageDefinition" else None
    return None if body is None else int((body.get("status") or {}).get("versions") or 0)


def _measure(subscription_id: str, region: str, uses: Iterable[QuotaUse]) -> None:
    for each in uses:
        labels = {"subscription": subscription_id, "region": region, "resource": each.resource}
        metrics.QUOTA_USED.labels(**labels).set(each.used)
        metrics.QUOTA_LIMIT.labels(**labels).set(each.limit)


def _news(resource: Resource, finding: Finding) -> tuple[tuple[str, str, str], ...]:
    if finding.status is None:
        return ()
    before = next((each for each in resource.status.conditions if each.type == finding.type), None)
    if before is not None and before.reason == finding.reason:
        return ()
    return (("Warning", finding.reason, finding.message),)
