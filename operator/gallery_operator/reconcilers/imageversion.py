"""Reconciles ``ImageVersion``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import ImageVersion
from gallery_operator.api.imageversion import RegionStatus
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import replication
from gallery_operator.planning import version as plan
from gallery_operator.planning.compare import differences
from gallery_operator.planning.outcome import Done, Report, Stalled, Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.planning.regions import normal
from gallery_operator.planning.sources import rights, templates
from gallery_operator.planning.status import timestamp
from gallery_operator.reconcilers import observe as observation
from gallery_operator.reconcilers.common import (
    BUSY_STATES,
    is_ours,
    polling,
    properties,
    refuse_foreign,
    refuse_rivals,
    stop_if_hopeless,
)
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt, from_azure
from gallery_operator.reconcilers.scope import DefinitionScope, credential, definition_of
from gallery_operator.reconcilers.sources import resolve
from gallery_operator.reconcilers.version_imports import make_imports

_EXPAND = "ReplicationStatus"


@dataclass(frozen=True)
class _Observed:
    """A version in Azure, and all that is needed to act on it."""

    version: ImageVersion
    scope: DefinitionScope
    resource_id: str
    existing: dict[str, Any]
    statuses: list[RegionStatus]
    owner: dict[str, str]

    @property
    def state(self) -> str:
        return str(properties(self.existing).get("provisioningState") or "Unknown")

    @property
    def home(self) -> str:
        return self.scope.gallery.location


async def reconcile(ctx: Context, version: ImageVersion) -> Report:
    """Bring an image version to its desired state, one step a call.

    Raises:
        Halt: It ends early with another outcome.
        AzureError: A request to Azure failed.
    """
    await refuse_rivals(ctx, version)
    need_ready = version.status.resource_id is None
    name = version.spec.definition_ref.name
    scope = await definition_of(ctx, version.metadata.namespace, name, need_ready=need_ready)
    if scope is None:  # only while deleting
        raise AssertionError("definition_of returns None only for an object that is being deleted")
    resource_id = str(ResourceId.parse(scope.resource_id).child("versions", version.spec.version))
    _check_home_region(version, scope)
    owner = owner_tags(version, ctx.settings.cluster)
    existing = await scope.gallery.arm.get(resource_id, expand=_EXPAND)
    if existing is None:
        return await _create(ctx, version, scope, resource_id, owner)
    adoption = version.spec.adoption_policy
    refuse_foreign(
        ctx,
        version,
        existing.get("tags"),
        f"Image version {resource_id}",
        adoption=adoption,
        differences=differences(plan.update_body(version, existing, version.spec.target_regions, {}), existing),
    )
    statuses = replication.region_statuses(version, existing)
    seen = _Observed(version, scope, resource_id, existing, statuses, owner)
    if seen.state in BUSY_STATES:
        ready = seen.state == "Updating" and replication.is_ready(version, statuses, seen.home)
        message = f"{seen.state}: {replication.progress_text(statuses)}."
        return Report(Waiting("Replicating", message, polling(ctx, version), ready), _fields(seen))
    mend = replication.repair(statuses, seen.home)
    differs = plan.differences(version, owner, existing)
    # A region that was given up must not keep a person from changing the others.
    if mend.failed and (mend.remove or mend.again or not differs):
        return await _repair(ctx, seen, mend)
    if seen.state == "Failed":
        if not mend.failed:
            await stop_if_hopeless(ctx, version, scope.gallery.arm, resource_id, _fields(seen))
        differs.append("provisioningState")
    if differs:
        return await _update(ctx, seen, differs)
    return _settled(ctx, seen)


async def observe(ctx: Context, version: ImageVersion) -> Report:
    """Read an image version and say how it differs.

    Raises:
        Halt: It does not exist, or cannot be looked up.
        AzureError: A request to Azure failed.
    """
    scope = await definition_of(ctx, version.metadata.namespace, version.spec.definition_ref.name, need_ready=False)
    if scope is None:  # only while deleting
        raise AssertionError("definition_of returns None only for an object that is being deleted")
    resource_id = str(ResourceId.parse(scope.resource_id).child("versions", version.spec.version))
    what = f"Image version {resource_id}"
    existing = await scope.gallery.arm.get(resource_id, expand=_EXPAND)
    if existing is None:
        raise observation.absent(what)
    statuses = replication.region_statuses(version, existing)
    wanted = plan.update_body(version, existing, version.spec.target_regions, {})
    seen = _Observed(version, scope, resource_id, existing, statuses, {})
    return observation.report(what, existing, differences(wanted, existing), _fields(seen))


async def finalize(ctx: Context, version: ImageVersion) -> Report:
    """Delete an image version; ``Done`` means that the finalizer may go."""
    resource_id = version.status.resource_id
    if version.spec.deletion_policy == "Retain":
        return await _retain(ctx, version)
    try:
        scope = await definition_of(ctx, version.metadata.namespace, version.spec.definition_ref.name, deleting=True)
    except Halt:
        if resource_id is None:  # it never got as far as Azure
            return Report(Done("Nothing was made in Azure.", "Deleted"))
        raise
    if scope is not None:
        arm = scope.gallery.arm
        resource_id = str(ResourceId.parse(scope.resource_id).child("versions", version.spec.version))
    elif resource_id is None:
        return Report(Done("Nothing was made in Azure.", "Deleted"))
    else:
        who = await credential(ctx, version.metadata.namespace, None)
        arm = ctx.azure.arm(who, ResourceId.parse(resource_id).subscription_id)
    existing = await arm.get(resource_id)
    if existing is None or not is_ours(ctx, version, existing.get("tags")):
        return Report(Done("The image version is gone.", "Deleted"))
    if properties(existing).get("provisioningState") != "Deleting":
        await arm.delete(resource_id)
    message = "Deleting the image version."
    return Report(Waiting("Deleting", message, polling(ctx, version)), {"provisioningState": "Deleting"})


async def _retain(ctx: Context, version: ImageVersion) -> Report:
    """Leave the version in Azure, but not before Azure has copied the disks that go with this object."""
    resource_id = version.status.resource_id
    if resource_id is not None and templates(version) and version.status.provisioning_state == "Creating":
        scope = await definition_of(ctx, version.metadata.namespace, version.spec.definition_ref.name, deleting=True)
        if scope is not None:
            existing = await scope.gallery.arm.get(resource_id)
            if properties(existing).get("provisioningState") == "Creating":
                message = "Waiting until Azure has the content of the disks that this version imports."
                return Report(Waiting("Replicating", message, polling(ctx, version)))
    return Report(Done("The image version is left in Azure.", "Retained"))


def _check_home_region(version: ImageVersion, scope: DefinitionScope) -> None:
    home = scope.gallery.location
    if normal(home) not in {normal(each.name) for each in version.spec.target_regions}:
        raise Halt(
            Stalled(
                "HomeRegionMissing",
                f"targetRegions must contain {home}, the region of the gallery (Azure's rule): add it.",
            )
        )


async def _create(
    ctx: Context, version: ImageVersion, scope: DefinitionScope, resource_id: str, owner: dict[str, str]
) -> Report:
    try:
        report = await make_imports(ctx, version)
        if report is not None:
            return report
        source = await resolve(ctx, version, scope)
    except Halt as halt:
        # Nothing is in Azure: an import must not take an earlier success for one with its disk.
        halt.status.setdefault("provisioningState", None)
        raise
    body = plan.create_body(version, scope.gallery.location, source.profile, owner)
    try:
        created = await scope.gallery.arm.put(resource_id, body)
    except AzureError as error:
        needed = rights(version.spec.source)
        if error.kind is not ErrorKind.FORBIDDEN or not needed:
            raise
        refused = from_azure(error)
        told = f"{refused.message} A version of this source also needs: {', '.join(needed)}."
        raise Halt(replace(refused, message=told)) from error
    statuses = replication.region_statuses(version, created)
    seen = _Observed(version, scope, resource_id, created, statuses, owner)
    event = ("Normal", "Creating", f"Creating version {version.spec.version} in {len(statuses)} regions.")
    events = (*(("Normal", "SourceNotChecked", each) for each in source.unread), event)
    message = f"Creating: {replication.progress_text(statuses)}."
    return Report(Waiting("Replicating", message, polling(ctx, version)), _fields(seen), events)


async def _update(ctx: Context, seen: _Observed, differs: list[str]) -> Report:
    version = seen.version
    metrics.DRIFT_CORRECTIONS.labels(kind="ImageVersion").inc()
    if plan.needs_removal_permit(version, seen.existing):
        # Azure wants to be told in an update of its own that regions may go, before one does.
        regions: Sequence[Any] = plan.existing_regions(version, seen.existing)
        what = "allow the removal of regions"
    else:
        regions = version.spec.target_regions
        what = ", ".join(differs)
    body = plan.update_body(version, seen.existing, regions, seen.owner)
    updated = await seen.scope.gallery.arm.put(seen.resource_id, body)
    statuses = replication.region_statuses(
        version, {**seen.existing, "properties": {**properties(seen.existing), **properties(updated)}}
    )
    after = _Observed(version, seen.scope, seen.resource_id, updated, statuses, seen.owner)
    ready = replication.is_ready(version, statuses, seen.home)
    event = ("Normal", "Updating", f"Updating version {version.spec.version}: {what}.")
    return Report(Waiting("Updating", f"Updating: {what}.", polling(ctx, version), ready), _fields(after), (event,))


async def _repair(ctx: Context, seen: _Observed, mend: replication.Repair) -> Report:
    """Take failed regions out; the next look finds them missing and adds them again."""
    version = seen.version
    told = "; ".join(f"{name}: {details.rstrip(' .')}" for name, details in mend.failed)
    if not mend.remove and not mend.again:
        raise Halt(
            Stalled(
                "ReplicationFailed",
                f"Replication failed in {told}. It was tried again {replication.MAX_REPAIRS} times: see the region's "
                "status, remove the region from targetRegions, and add it again later.",
            ),
            **_fields(seen),
        )
    counted = replication.with_repairs(seen.statuses, [*mend.remove, *([normal(seen.home)] if mend.again else [])])
    leaving = set(mend.remove)
    regions = [each for each in plan.existing_regions(version, seen.existing) if normal(each.name) not in leaving]
    for name in mend.remove:
        metrics.REGION_REPAIRS.labels(region=name).inc()
    await seen.scope.gallery.arm.put(seen.resource_id, plan.update_body(version, seen.existing, regions, seen.owner))
    fields = _fields(seen)
    fields["regions"] = [each.to_wire() for each in counted]
    message = f"Replication failed in {told}. Taking the region out and adding it again."
    event = ("Warning", "ReplicationFailed", message)
    ready = replication.is_ready(version, seen.statuses, seen.home)
    return Report(Waiting("Repairing", message, polling(ctx, version), ready), fields, (event,))


def _settled(ctx: Context, seen: _Observed) -> Report:
    version = seen.version
    fields = _fields(seen)
    done, wanted = replication.completed(seen.statuses, version)
    if not replication.is_ready(version, seen.statuses, seen.home) or done < wanted:
        message = f"{replication.progress_text(seen.statuses).capitalize()}."
        ready = replication.is_ready(version, seen.statuses, seen.home)
        return Report(Waiting("Replicating", message, polling(ctx, version), ready), fields)
    return Report(Done(f"Version {version.spec.version} is replicated to {done} of {wanted} regions."), fields)


def _fields(seen: _Observed) -> dict[str, Any]:
    found = properties(seen.existing)
    done, wanted = replication.completed(seen.statuses, seen.version)
    violations = (found.get("safetyProfile") or {}).get("policyViolations") or []
    return {
        "resourceId": seen.resource_id,
        "provisioningState": found.get("provisioningState"),
        "regions": [each.to_wire() for each in seen.statuses],
        "regionsReady": f"{done}/{wanted}",
        "publishedDate": _date(found.get("publishingProfile") or {}),
        "policyViolations": [
            {"category": str(each.get("category")), "details": each.get("details")} for each in violations
        ]
        or None,
    }


def _date(publishing: dict[str, Any]) -> str | None:
    text = publishing.get("publishedDate")
    # Azure writes seven digits of a second, more than most parsers of RFC 3339 take.
    return timestamp(datetime.fromisoformat(str(text))) if text else None
