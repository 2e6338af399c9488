"""Carries out ``spec.retention`` of a definition: reads the objects it concerns, reports what is due, deletes."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import GalleryImageDefinition
from gallery_operator.api.lifecycle import RETAIN, DueVersion, Retention
from gallery_operator.azure.errors import AzureError
from gallery_operator.planning import retention as plan
from gallery_operator.planning.listed import Listed
from gallery_operator.planning.outcome import Finding
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.scope import GalleryScope
from gallery_operator.reconcilers.softdelete import delete_version

_log = logging.getLogger(__name__)

CONDITION = "RetentionBlocked"
Event = tuple[str, str, str]


@dataclass(frozen=True)
class Retained:
    """What retention has come to.

    Attributes:
        status: ``status.retention`` in wire form; None takes it away.
        events: What to tell.
        finding: The condition that says why a deletion failed, or takes it away.
        next_look: When something changes by time alone, or None.
        again: Something was deleted, or is ready to be: the next look must not wait long.
    """

    status: dict[str, Any] | None
    events: tuple[Event, ...] = ()
    finding: Finding = field(default_factory=lambda: Finding(CONDITION, None))
    next_look: datetime | None = None
    again: bool = False


async def retain(
    ctx: Context,
    definition: GalleryImageDefinition,
    gallery: GalleryScope,
    resource_id: str,
    versions: Sequence[Listed],
) -> Retained:
    """Decide by ``spec.retention`` and delete what may go now.

    A failed deletion does not make the definition un-ready: the others go on, and a condition says what is in the way.

    Args:
        ctx: Context.
        definition: The definition.
        gallery: Its gallery.
        resource_id: ARM id of the definition.
        versions: All its versions, read just now.

    Raises:
        KubeError: The objects could not be read: nothing is decided without them.
    """
    rule = definition.spec.retention
    if rule is None:
        return Retained(None)
    now = ctx.now()
    verdicts = plan.unneeded(versions, rule, now)
    if not all(each.kept for each in verdicts):
        objects = await _objects(ctx, definition)
        verdicts = plan.judge(verdicts, rule, objects, ctx.settings.cluster, definition.metadata.namespace)
    planned = plan.plan(verdicts, rule, definition.status.retention, now)
    events = _news(planned.fresh, rule)
    problems = []
    for entry, declared in planned.go:
        try:
            await _delete(ctx, definition, gallery, resource_id, entry, declared)
        except AzureError as error:
            problems.append(f"{entry.version}: {error.message.rstrip(' .')}. {error.next_step}")
            continue
        what = f"the ImageVersion {entry.object}, and so version {entry.version}" if declared else entry.version
        events.append(("Normal", "RetentionDeleting", f"Retention deletes {what}: {entry.reason}."))
    finding = Finding(CONDITION, None)
    if problems:
        finding = Finding(CONDITION, "True", "DeletionFailed", f"Retention could not delete {'; '.join(problems)}")
        events.append(("Warning", "RetentionBlocked", finding.message))
    again = len(planned.go) > len(problems) or (not planned.go and planned.overdue)
    return Retained(planned.status.to_wire(), tuple(events), finding, planned.next_look, again)


async def _objects(ctx: Context, definition: GalleryImageDefinition) -> list[plan.Declared]:
    meta = definition.metadata
    return [
        _declared(each)
        for each in await ctx.kube.list("ImageVersion", meta.namespace)
        if ((each.get("spec") or {}).get("definitionRef") or {}).get("name") == meta.name
    ]


def _declared(body: Mapping[str, Any]) -> plan.Declared:
    # Read without the model: an object that an older CRD let in must not disappear from the count.
    meta, spec = body["metadata"], body.get("spec") or {}
    return plan.Declared(
        name=str(meta["name"]),
        uid=str(meta["uid"]),
        version=str(spec.get("version")),
        pinned=str((meta.get("annotations") or {}).get(RETAIN, "")).lower() == "true",
        retained=spec.get("deletionPolicy") == "Retain" or spec.get("managementPolicy") == "Observe",
        deleting=bool(meta.get("deletionTimestamp")),
    )


async def _delete(
    ctx: Context,
    definition: GalleryImageDefinition,
    gallery: GalleryScope,
    resource_id: str,
    entry: DueVersion,
    declared: plan.Declared | None,
) -> None:
    if declared is not None:
        await ctx.kube.delete("ImageVersion", definition.metadata.namespace, declared.name, declared.uid)
    else:
        # Never past soft delete: what retention takes can be brought back where Azure allows it.
        version_id = f"{resource_id}/versions/{entry.version}"
        await delete_version(gallery.arm, version_id, failed=entry.reason == "Failed", soft=gallery.soft_delete)
    metrics.RETENTION_DELETIONS.labels(what="object" if declared is not None else "version").inc()
    _log.info("%s: retention deletes version %s (%s)", definition.key, entry.version, entry.reason)


def _news(fresh: Sequence[DueVersion], rule: Retention) -> list[Event]:
    groups: dict[str, list[DueVersion]] = {}
    for each in fresh:
        groups.setdefault(each.action, []).append(each)
    return [("Normal", "RetentionDue", plan.due_text(entries, rule.notice)) for entries in groups.values()]
