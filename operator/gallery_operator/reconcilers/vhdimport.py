"""Reconciles ``VhdImport``: prepare, upload, close, and in the end remove what is no longer needed."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic.alias_generators import to_camel

from gallery_operator import metrics
from gallery_operator.api import ImageVersion, VhdImport
from gallery_operator.api.meta import FINALIZER
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.contract import Report as WorkerReport
from gallery_operator.planning.import_disk import MAX_MANAGED_DISK
from gallery_operator.planning.jobs import JobPhase, JobState
from gallery_operator.planning.outcome import Done, Report, Stalled, Waiting
from gallery_operator.planning.progress import human, prerequisites_fields
from gallery_operator.prerequisites.catalogue import remedy_of
from gallery_operator.reconcilers import (
    import_disk,
    import_end,
    import_image,
    import_jobs,
    import_report,
    import_targets,
)
from gallery_operator.reconcilers import observe as observation
from gallery_operator.reconcilers.common import key_of, polling, refuse_rivals, wait_for_dependents
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt, from_azure
from gallery_operator.reconcilers.import_jobs import JobRef
from gallery_operator.reconcilers.import_scope import ImportScope, guest_profile, import_scope
from gallery_operator.reconcilers.scope import credential, definition_of


async def reconcile(ctx: Context, vhd_import: VhdImport) -> Report:
    """Bring a disk into Azure, one step a call.

    Raises:
        Halt: It ends early with another outcome (most steps do).
        AzureError: A request to Azure failed.
    """
    await refuse_rivals(ctx, vhd_import)
    if vhd_import.status.staging_released:
        return Report(Done("The disk is in its image version; the staging disk is removed.", "Released"))
    scope = await import_scope(ctx, vhd_import)
    prepare = import_jobs.prepare_job(ctx, vhd_import, scope)
    if vhd_import.status.uploaded:
        return await _settled(ctx, vhd_import, scope)
    if vhd_import.status.prepared != prepare.fingerprint:
        return await _prepare(ctx, vhd_import, scope, prepare)
    return await _upload(ctx, vhd_import, scope)


async def observe(ctx: Context, vhd_import: VhdImport) -> Report:
    """See whether the disk is where the destination says; no Job runs.

    Raises:
        Halt: It is not there, or cannot be looked up.
        AzureError: A request to Azure failed.
    """
    scope = await import_scope(ctx, vhd_import)
    target = await import_targets.located(vhd_import, scope)
    if not await import_targets.exists(ctx, scope, target):
        raise observation.absent(f"{target.type} {target.blob_url or target.resource_id}")
    # What it was made from is none of an observer's business.
    seen = target.model_copy(update={"upload_disk_id": None}).to_wire()
    return Report(Done("Observed; it is in Azure.", "Observed"), {"target": seen, "phase": "Succeeded"})


async def finalize(ctx: Context, vhd_import: VhdImport) -> Report:
    """Remove what an import made; ``Done`` means that the finalizer may go."""
    await _wait_for_users(ctx, vhd_import)
    await _stop_workers(ctx, vhd_import)
    await import_jobs.remove_scratch(ctx, vhd_import)
    await import_targets.remove_secret(ctx, vhd_import)
    target = vhd_import.status.target
    if target is None:
        return Report(Done("Nothing was made in Azure.", "Deleted"))
    retain = vhd_import.spec.deletion_policy == "Retain" and _finished(vhd_import) and not target.staging
    if retain and target.upload_disk_id is None:
        return Report(Done("What was imported is left in Azure.", "Retained"))
    scope = await _scope_for_removal(ctx, vhd_import)
    if retain and target.upload_disk_id is not None:
        gone = await import_disk.removed(ctx, vhd_import, scope, target.upload_disk_id)
    else:
        gone = await import_targets.removed(ctx, vhd_import, scope, target)
    if not gone:
        message = "Deleting what was imported."
        raise Halt(Waiting("Deleting", message, polling(ctx, vhd_import)), phase="Deleting")
    return Report(Done("What was imported is gone.", "Deleted"))


def _finished(vhd_import: VhdImport) -> bool:
    """Whether the target is whole: an upload that has only begun is not worth keeping."""
    image = vhd_import.status.provisioning_state  # of a managed image, which is made after the upload
    return bool(vhd_import.status.uploaded) and image in (None, "Succeeded")


async def _stop_workers(ctx: Context, vhd_import: VhdImport) -> None:
    """End the Jobs and wait for their pods: a running upload would make a blob anew that has just been deleted.

    Raises:
        Halt: A pod is still there.
    """
    mine = await import_jobs.owned_jobs(ctx, vhd_import)
    await import_jobs.remove_jobs(ctx, mine)
    if mine:
        raise Halt(Waiting("Deleting", "Ending the import's Jobs.", 1.0), phase="Deleting")


async def _prepare(ctx: Context, vhd_import: VhdImport, scope: ImportScope, ref: JobRef) -> Report:
    state = await import_jobs.observe(ctx, vhd_import, ref)
    match state.phase:
        case JobPhase.ABSENT:
            await import_end.take_back(ctx, vhd_import, scope)
            await import_jobs.check_sources(ctx, vhd_import)
            scratch = await import_jobs.ensure_scratch(ctx, vhd_import)
            await import_jobs.remove_scratch(ctx, vhd_import, keep=scratch)
            await import_jobs.start(ctx, vhd_import, ref, scratch, None)
            event = ("Normal", "Preparing", "Fetching, verifying and checking the disk.")
            fields: dict[str, Any] = {
                "phase": "Preparing",
                "progress": None,
                "disk": None,
                "prerequisites": None,
                "prepared": None,
                "nextRetryTime": None,
            }
            return Report(Waiting("Preparing", "Starting the prepare Job.", 2.0), fields, (event,))
        case JobPhase.PENDING | JobPhase.RUNNING:
            raise await import_jobs.running(ctx, state, "Preparing", "The prepare Job is running.")
        case JobPhase.FAILED:
            # Before anything is said to have failed, and before another try removes the pod and its log.
            told = _told(state.report, await _reported(ctx, vhd_import, state))
            end = await import_jobs.failed(ctx, vhd_import, ref, state)
            end.status.update(told)
            raise await import_end.given_up(ctx, vhd_import, scope, end)
        case JobPhase.SUCCEEDED:
            return await _checked(ctx, vhd_import, ref, state)


async def _reported(ctx: Context, vhd_import: VhdImport, state: JobState) -> dict[str, Any]:
    """Return where the whole report is; what a look before this one has found stays."""
    before = vhd_import.status.prerequisites
    if vhd_import.status.phase == "Failed" and before is not None:
        return before.model_dump(mode="json", by_alias=True, include={"report_ref", "report_problem"})
    return await import_report.publish(ctx, vhd_import, state)


async def _checked(ctx: Context, vhd_import: VhdImport, ref: JobRef, state: JobState) -> Report:
    report = state.report
    if report is None or report.disk is None:
        raise Halt(
            Stalled("WorkerFailed", f"The Job {ref.name} succeeded but left no report: delete it to run it again.")
        )
    fields = {
        "phase": "Checked",
        "prepared": ref.fingerprint,
        "progress": None,
        "attempts": state.attempts,
        **_told(report, await import_report.publish(ctx, vhd_import, state)),
    }
    checks = fields["prerequisites"]["summary"] if "prerequisites" in fields else "none"
    event = ("Normal", "Checked", f"{human(report.disk.virtual_size)} disk ({report.disk.format}); checks: {checks}.")
    return Report(Waiting("Checked", "The disk is prepared and checked.", 0.0), fields, (event,))


def _told(report: WorkerReport | None, where: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if report is not None and report.disk is not None:
        disk = report.disk.model_dump(mode="json", exclude_none=True)
        fields["disk"] = {to_camel(name): value for name, value in disk.items()}
        fields["disk"]["size"] = human(report.disk.virtual_size)
    if report is not None and report.prerequisites is not None:
        remedies = {each.id: remedy_of(each.id) for each in report.prerequisites.findings}
        fields["prerequisites"] = {**prerequisites_fields(report.prerequisites, remedies), **where}
    return fields


async def _upload(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> Report:
    ref = import_jobs.upload_job(ctx, vhd_import, scope, import_targets.blob_metadata(vhd_import))
    state = await import_jobs.observe(ctx, vhd_import, ref)
    match state.phase:
        case JobPhase.ABSENT:
            target = await import_targets.located(vhd_import, scope)
            if vhd_import.status.target != target:
                # Written before it is made, so that a deletion finds it.
                raise Halt(Waiting("Uploading", "Opening the target.", 0.0), phase="Uploading", target=target.to_wire())
            await import_targets.ensure_target(ctx, vhd_import, scope, target)
            scratch = await _scratch_or_again(ctx, vhd_import)
            secret = await import_targets.ensure_secret(ctx, vhd_import, scope, target)
            await import_jobs.start(ctx, vhd_import, ref, scratch, secret)
            event = ("Normal", "Uploading", f"Uploading to {target.blob_url or target.resource_id}.")
            started = {"phase": "Uploading", "nextRetryTime": None}
            return Report(Waiting("Uploading", "Starting the upload Job.", 2.0), started, (event,))
        case JobPhase.PENDING | JobPhase.RUNNING:
            target = await import_targets.located(vhd_import, scope)
            await import_targets.ensure_secret(ctx, vhd_import, scope, target)
            raise await import_jobs.running(ctx, state, "Uploading", "The upload Job is running.")
        case JobPhase.FAILED:
            end = await import_jobs.failed(ctx, vhd_import, ref, state)
            raise await import_end.given_up(ctx, vhd_import, scope, end)
        case JobPhase.SUCCEEDED:
            before = await import_end.still_refused(ctx, vhd_import, scope, state)
            if before is not None:
                raise before
            return await _uploaded(ctx, vhd_import, scope, state)


async def _scratch_or_again(ctx: Context, vhd_import: VhdImport) -> str:
    """Return the scratch claim; if it was lost after the checks, the disk is prepared again."""
    name = import_jobs.scratch_name(vhd_import)
    if await ctx.kube.get("PersistentVolumeClaim", vhd_import.metadata.namespace, name) is None:
        await import_jobs.remove_jobs(ctx, await import_jobs.owned_jobs(ctx, vhd_import))
        raise Halt(
            Waiting("ScratchLost", "The scratch claim is gone; preparing the disk again.", 1.0),
            phase="Pending",
            prepared=None,
            disk=None,
            prerequisites=None,
        )
    return name


async def _uploaded(ctx: Context, vhd_import: VhdImport, scope: ImportScope, state: JobState) -> Report:
    target = await import_targets.located(vhd_import, scope)
    try:
        await import_targets.close(ctx, vhd_import, scope)
    except AzureError as error:
        if error.kind is not ErrorKind.INVALID:
            raise
        raise await import_end.refused(ctx, vhd_import, scope, state, from_azure(error)) from error
    await import_jobs.remove_scratch(ctx, vhd_import)
    facts = state.report.upload if state.report is not None else None
    # What earlier pods sent was found in the target and counts as sent, too.
    sent = facts.sent_bytes + facts.resumed_bytes if facts is not None else 0
    skipped = facts.skipped_bytes if facts is not None else 0
    metrics.IMPORT_BYTES_UPLOADED.inc(sent)
    metrics.IMPORT_BYTES_SKIPPED.inc(skipped)
    fields = {
        "phase": "Finalizing" if target.type == "ManagedImage" else "Succeeded",
        "uploaded": True,
        "nextRetryTime": None,
        "sentBytes": sent,
        "attempts": state.attempts,
        "progress": {
            "bytes": sent + skipped,
            "percent": 100,
            "percentText": "100%",
            "sentBytes": sent,
            "skippedBytes": skipped,
        },
        "target": target.to_wire(),
    }
    message = f"Sent {human(sent)}, {human(skipped)} of zeros needed no sending."
    event = ("Normal", "Uploaded", message)
    return Report(Waiting("Finalizing", "The disk is in Azure.", 0.0), fields, (event,))


async def _settled(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> Report:
    target = vhd_import.status.target
    # All they had to say is in status, and not before it is there may they go. A pod, even one that has ended, keeps
    # its claims from being removed: a finished import would hold its scratch volume for a day.
    await import_jobs.remove_jobs(ctx, await import_jobs.owned_jobs(ctx, vhd_import))
    if target is not None and target.type == "ManagedImage":
        report = await import_image.reconcile(ctx, vhd_import, scope, target)
        return report if report is not None else _missing(vhd_import)
    if target is None or not await import_targets.exists(ctx, scope, target):
        if target is not None and target.staging and await _release(ctx, vhd_import):
            return Report(
                Done("The disk is in its image version.", "Released"), {"stagingReleased": True, "phase": "Succeeded"}
            )
        return _missing(vhd_import)
    if target.staging and await _release(ctx, vhd_import):
        gone = await import_disk.removed(ctx, vhd_import, scope, target.resource_id)
        if gone:
            message = "The disk is in its image version; the staging disk is removed."
            return Report(Done(message, "Released"), {"stagingReleased": True})
        return Report(Waiting("Releasing", "Removing the staging disk.", polling(ctx, vhd_import), ready=True))
    return Report(Done("The disk is in Azure."))


def _missing(vhd_import: VhdImport) -> Report:
    """Bring what was removed behind our back again, from the start."""
    metrics.DRIFT_CORRECTIONS.labels(kind=vhd_import.kind_name).inc()
    again = {
        "phase": "Pending",
        "uploaded": None,
        "prepared": None,
        "progress": None,
        "target": None,
        "provisioningState": None,
    }
    message = "What was imported is gone from Azure; importing it again."
    return Report(Waiting("TargetMissing", message, 1.0), again, (("Warning", "TargetMissing", message),))


async def _release(ctx: Context, vhd_import: VhdImport) -> bool:
    """Whether every version and managed image that uses the import has taken its content."""
    states = [state async for state in _uses(ctx, vhd_import)]
    return bool(states) and all(state == "Succeeded" for state in states)


async def _wait_for_users(ctx: Context, vhd_import: VhdImport) -> None:
    """Let what is being made from the disk finish first; what has its content needs it no longer.

    Raises:
        Halt: Something is being made from it.
    """
    async for state in _uses(ctx, vhd_import):
        if state not in (None, "Succeeded"):
            await wait_for_dependents(ctx, vhd_import, ("ImageVersion", "VhdImport"))


async def _uses(ctx: Context, vhd_import: VhdImport) -> AsyncIterator[str | None]:
    """Yield the provisioning state of each version and managed image that uses the import."""
    for key in ctx.hints.referrers(key_of(vhd_import)):
        body = await ctx.kube.get(key.kind, key.namespace, key.name)
        if body is None:
            ctx.hints.remove(key)
            continue
        user = (ImageVersion if key.kind == "ImageVersion" else VhdImport).model_validate(body)
        if user.metadata.deletion_timestamp is None or FINALIZER in user.metadata.finalizers:
            # One without is out of Azure; in a foreground deletion it now waits for what it owns: this import.
            yield user.status.provisioning_state


async def _scope_for_removal(ctx: Context, vhd_import: VhdImport) -> ImportScope:
    """Return the scope of an import whose definition may be gone or going."""
    target = vhd_import.status.target
    if target is None:
        raise AssertionError("only called with a target")
    definition = None
    if vhd_import.spec.definition_ref is not None:
        namespace, name = vhd_import.metadata.namespace, vhd_import.spec.definition_ref.name
        definition = await definition_of(ctx, namespace, name, deleting=True)
    who = (
        definition.gallery.credential
        if definition is not None
        else await credential(ctx, vhd_import.metadata.namespace, None)
    )
    arm = ctx.azure.arm(who, ResourceId.parse(target.resource_id).subscription_id)
    guest = guest_profile(vhd_import, None)
    return ImportScope(who, arm, target, None, guest, 0, MAX_MANAGED_DISK)
