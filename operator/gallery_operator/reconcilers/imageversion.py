"""Reconciles ``ImageVersion``."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import ImageVersion
from gallery_operator.api.imageversion import RegionStatus
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import replication, version_status
from gallery_operator.planning import version as plan
from gallery_operator.planning.compare import differences
from gallery_operator.planning.outcome import Done, Outcome, Report, Stalled, Waiting
from gallery_operator.planning.ownership import owner_tags
from gallery_operator.planning.publishing import (
    added_regions,
    existing_regions,
    fixed_differences,
    wanted_regions,
)
from gallery_operator.planning.regions import normal
from gallery_operator.planning.sources import rights, templates
from gallery_operator.planning.verification import digest_tags
from gallery_operator.reconcilers import observe as observation
from gallery_operator.reconcilers.common import (
    BUSY_STATES,
    is_ours,
    polling,
    properties,
    refuse_end_of_life,
    refuse_foreign,
    refuse_rivals,
    stop_if_deletion_failed,
    stop_if_hopeless,
)
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt, from_azure
from gallery_operator.reconcilers.publishing import check_encryption, refuse_impossible, uefi_settings
from gallery_operator.reconcilers.scope import DefinitionScope, credential, definition_of
from gallery_operator.reconcilers.softdelete import delete_version, restore
from gallery_operator.reconcilers.sources import resolve
from gallery_operator.reconcilers.version_imports import make_imports
from gallery_operator.reconcilers.version_lifecycle import with_lifecycle
from gallery_operator.reconcilers.version_update import lift_block, put_update

_log = logging.getLogger(__name__)

_EXPAND = "ReplicationStatus"
# As in Microsoft's example for this API version; the SDK's list of values does not have it.
_EXPAND_ALL = "ReplicationStatus,ValidationProfile"


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

    @property
    def ready(self) -> bool:
        return replication.is_ready(self.version, self.statuses, self.home)

    @property
    def fields(self) -> dict[str, Any]:
        return version_status.fields(self.version, self.resource_id, self.existing, self.statuses)

    @property
    def news(self) -> tuple[tuple[str, str, str], ...]:
        """Events about what has changed since status was written."""
        events = replication.milestones(self.version.status.regions, self.statuses)
        return (*events, *version_status.policy_event(self.version, version_status.findings(self.existing)))

    def report(self, outcome: Outcome, *events: tuple[str, str, str], **more: Any) -> Report:
        """What to hand back: the outcome, and all that was seen."""
        found = version_status.findings(self.existing)
        return Report(outcome, {**self.fields, **more}, (*self.news, *events), found)


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
    existing = await _read(version, scope, resource_id)
    publishing = (properties(existing).get("publishingProfile") or {}) if existing else {}
    refuse_end_of_life(ctx, version.spec.end_of_life_date, publishing.get("endOfLifeDate"))
    if existing is None:
        restored = await restore(ctx, version, scope, resource_id)
        if restored is not None:
            return _restored(ctx, version, scope, resource_id, restored)
        return await _create(ctx, version, scope, resource_id, owner)
    adoption = version.spec.adoption_policy
    refuse_foreign(
        ctx,
        version,
        existing.get("tags"),
        f"Image version {resource_id}",
        adoption=adoption,
        differences=differences(plan.update_body(version, existing, wanted_regions(version, existing), {}), existing),
    )
    statuses = replication.region_statuses(version, existing)
    seen = _Observed(version, scope, resource_id, existing, statuses, owner)
    if seen.state in BUSY_STATES:
        message = f"{seen.state}: {replication.progress_text(statuses)}."
        ready = seen.state == "Updating" and seen.ready
        return seen.report(Waiting("Replicating", message, polling(ctx, version), ready))
    _refuse_fixed(seen)
    mend = replication.repair(statuses, seen.home)
    differs = plan.differences(version, owner, existing)
    # A region that was given up must not keep a person from changing the others.
    if mend.failed and (mend.remove or mend.again or not differs):
        return await _repair(ctx, seen, mend)
    if seen.state == "Failed":
        if not mend.failed:
            await stop_if_hopeless(ctx, version, scope.gallery.arm, resource_id, seen.fields)
        differs.append("provisioningState")
    if differs:
        return await _update(ctx, seen, differs)
    return with_lifecycle(version, scope.definition, _settled(ctx, seen), ctx.now())


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
    existing = await _read(version, scope, resource_id)
    if existing is None:
        raise observation.absent(what)
    statuses = replication.region_statuses(version, existing)
    wanted = plan.update_body(version, existing, wanted_regions(version, existing), {})
    seen = _Observed(version, scope, resource_id, existing, statuses, {})
    told = observation.report(what, existing, differences(wanted, existing), seen.fields)
    return replace(told, events=(*told.events, *seen.news), conditions=version_status.findings(existing))


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
    state = properties(existing).get("provisioningState")
    if state != "Deleting":
        await stop_if_deletion_failed(ctx, version, arm, resource_id)
        report = await lift_block(ctx, version, arm, resource_id, existing)
        if report is not None:
            return report
        soft, bypass = scope is not None and scope.gallery.soft_delete, version.spec.bypass_soft_delete
        await delete_version(arm, resource_id, failed=state == "Failed", soft=soft, bypass=bypass)
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


def _refuse_fixed(seen: _Observed) -> None:
    """Refuse what Azure never changes, before it says so in other words."""
    differs = fixed_differences(seen.version, seen.existing)
    if differs:
        told = "; ".join(f"{name} is {there}, wanted {wanted}" for name, there, wanted in differs)
        raise Halt(
            Stalled(
                "ImmutableFieldDiffers",
                f"Image version {seen.resource_id} differs in what Azure never changes: {told}. Correct the spec; or "
                "take the region out of targetRegions, wait until it is gone from status.regions, and add it again.",
            ),
            **seen.fields,
        )


async def _read(version: ImageVersion, scope: DefinitionScope, resource_id: str) -> dict[str, Any] | None:
    """Read a version; with what Azure has found out about the image, once it is there."""
    arm = scope.gallery.arm
    if version.status.provisioning_state != "Succeeded":
        existing = await arm.get(resource_id, expand=_EXPAND)
        if properties(existing).get("provisioningState") != "Succeeded":
            return existing
    try:
        return await arm.get(resource_id, expand=_EXPAND_ALL)
    except AzureError as error:
        if error.kind is not ErrorKind.INVALID:
            raise
        # A cloud with an older version of the service may not know this expression.
        _log.debug("%s: %s", version.key, error)
    return await arm.get(resource_id, expand=_EXPAND)


async def _create(
    ctx: Context, version: ImageVersion, scope: DefinitionScope, resource_id: str, owner: dict[str, str]
) -> Report:
    # Before an import of an hour, not after it.
    refuse_impossible(version, scope)
    try:
        report = await make_imports(ctx, version)
        if report is not None:
            return report
        source = await resolve(ctx, version, scope)
    except Halt as halt:
        # Nothing is in Azure: an import must not take an earlier success for one with its disk.
        halt.status.setdefault("provisioningState", None)
        raise
    await check_encryption(version, scope, added_regions(version, None))
    uefi = await uefi_settings(ctx, version)
    marks = {**owner, **digest_tags(source.digests, {**version.spec.tags, **owner})}
    body = plan.create_body(version, scope.gallery.location, source.profile, marks, uefi)
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
    outcome = Waiting("Replicating", message, polling(ctx, version))
    return Report(outcome, {**seen.fields, "managedFields": plan.managed_fields(version)}, events)


async def _update(ctx: Context, seen: _Observed, differs: list[str]) -> Report:
    version = seen.version
    added = added_regions(version, seen.existing)
    if added:
        refuse_impossible(version, seen.scope)
        await check_encryption(version, seen.scope, added)
    metrics.DRIFT_CORRECTIONS.labels(kind="ImageVersion").inc()
    if plan.needs_removal_permit(version, seen.existing):
        # Azure wants to be told in an update of its own that regions may go, before one does.
        regions = existing_regions(version, seen.existing)
        what = "allow the removal of regions"
    else:
        regions = wanted_regions(version, seen.existing)
        what = ", ".join(differs)
    updated = await put_update(version, seen.scope.gallery.arm, seen.resource_id, seen.existing, regions, seen.owner)
    statuses = replication.region_statuses(
        version, {**seen.existing, "properties": {**properties(seen.existing), **properties(updated)}}
    )
    after = replace(seen, existing=updated, statuses=statuses)
    event = ("Normal", "Updating", f"Updating version {version.spec.version}: {what}.")
    outcome = Waiting("Updating", f"Updating: {what}.", polling(ctx, version), after.ready)
    return after.report(outcome, event, managedFields=plan.managed_fields(version))


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
            **seen.fields,
        )
    counted = replication.with_repairs(seen.statuses, [*mend.remove, *([normal(seen.home)] if mend.again else [])])
    leaving = set(mend.remove)
    regions = [each for each in existing_regions(version, seen.existing) if normal(str(each["name"])) not in leaving]
    for name in mend.remove:
        metrics.REGION_REPAIRS.labels(region=name).inc()
    await put_update(version, seen.scope.gallery.arm, seen.resource_id, seen.existing, regions, seen.owner)
    message = f"Replication failed in {told}. Taking the region out and adding it again."
    outcome = Waiting("Repairing", message, polling(ctx, version), seen.ready)
    told_regions = [each.to_wire() for each in counted]
    return seen.report(outcome, ("Warning", "ReplicationFailed", message), regions=told_regions)


def _restored(
    ctx: Context, version: ImageVersion, scope: DefinitionScope, resource_id: str, answer: dict[str, Any]
) -> Report:
    number = version.spec.version
    message = f"Version {number} was soft-deleted in Azure; restoring it as it was, without reading the source."
    seen = _Observed(version, scope, resource_id, answer, replication.region_statuses(version, answer), {})
    return seen.report(Waiting("Restoring", message, polling(ctx, version)), ("Normal", "Restoring", message))


def _settled(ctx: Context, seen: _Observed) -> Report:
    version = seen.version
    managed = plan.managed_fields(version)
    done, wanted = replication.completed(seen.statuses, version)
    if not seen.ready or done < wanted:
        message = f"{replication.progress_text(seen.statuses).capitalize()}."
        outcome = Waiting("Replicating", message, polling(ctx, version), seen.ready)
        return seen.report(outcome, managedFields=managed)
    message = f"Version {version.spec.version} is replicated to {done} of {wanted} regions."
    return seen.report(Done(message), managedFields=managed)
