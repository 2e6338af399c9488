"""An upload that will not go on: its SAS, its Secret and what is half made in Azure are taken back."""

import logging
from dataclasses import replace

from gallery_operator.api import VhdImport
from gallery_operator.api.meta import RECONCILE_ANNOTATION
from gallery_operator.azure.errors import AzureError
from gallery_operator.planning.jobs import JobState
from gallery_operator.planning.outcome import Outcome, Stalled, Waiting
from gallery_operator.reconcilers import import_blob, import_jobs, import_targets
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.import_scope import ImportScope
from gallery_operator.redact import redact

_log = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0


async def given_up(ctx: Context, vhd_import: VhdImport, scope: ImportScope, end: Halt) -> Halt:
    """Take back what an upload has opened if its end is final.

    A failure that time mends keeps disk and SAS: the next try goes on where this one stopped, and the SAS ends by
    itself within a day whatever happens to the operator.

    Args:
        ctx: Context.
        vhd_import: The import, whose pods have ended.
        scope: Where it goes.
        end: How it ended.

    Returns:
        The end to report; it is looked at again soon until all is gone.
    """
    target = vhd_import.status.target
    if not isinstance(end.outcome, Stalled):
        return end
    await import_blob.remove_secret(ctx, vhd_import)
    if target is None:
        return end
    await import_targets.remove_secret(ctx, vhd_import)
    try:
        gone = await import_targets.removed(ctx, vhd_import, scope, target)
    except AzureError as error:
        _log.warning("%s: what the upload has begun could not be removed: %s", vhd_import.key, error)
        text = f"{end.outcome.message} What it had begun in Azure could not be removed yet ({error.code})."
        end.outcome = replace(end.outcome, message=text, recheck=_RETRY_SECONDS)
        return end
    if gone:
        end.status["target"] = None
    else:
        end.outcome = replace(end.outcome, recheck=ctx.settings.poll_seconds)
    return end


async def refused(ctx: Context, vhd_import: VhdImport, scope: ImportScope, state: JobState, outcome: Outcome) -> Halt:
    """Return the end of an upload whose result Azure refuses for good.

    Args:
        ctx: Context.
        vhd_import: The import.
        scope: Where it goes.
        state: The upload Job, which has succeeded.
        outcome: What Azure said.
    """
    told = {"jobUid": state.uid, "reason": outcome.reason, "message": redact(outcome.message)}
    end = Halt(outcome, phase="Failed", progress=None, refusedUpload=told)
    return await given_up(ctx, vhd_import, scope, end)


async def still_refused(ctx: Context, vhd_import: VhdImport, scope: ImportScope, state: JobState) -> Halt | None:
    """Return the same end again for an upload that Azure has refused; None if it has not, or is to be tried again."""
    told = vhd_import.status.refused_upload
    if told is None or told.job_uid != state.uid:
        return None
    if vhd_import.metadata.annotations.get(RECONCILE_ANNOTATION, "") != state.asked:
        await import_jobs.remove_jobs(ctx, await import_jobs.owned_jobs(ctx, vhd_import))
        again = Waiting("Retrying", "Preparing the disk again, as asked.", 1.0)
        return Halt(again, phase="Pending", prepared=None, refusedUpload=None)
    return await given_up(ctx, vhd_import, scope, Halt(Stalled(told.reason, told.message)))


async def take_back(ctx: Context, vhd_import: VhdImport, scope: ImportScope) -> None:
    """Take back what an upload has opened whose disk is to be prepared anew.

    Raises:
        Halt: Something has still been there.
        AzureError: A request to Azure failed.
    """
    target = vhd_import.status.target
    if target is None:
        return
    mine = await import_jobs.owned_jobs(ctx, vhd_import)
    await import_jobs.remove_jobs(ctx, mine)
    if mine:
        raise Halt(Waiting("Replacing", "Ending the Jobs of earlier settings.", 1.0))
    await import_targets.remove_secret(ctx, vhd_import)
    if not await import_targets.removed(ctx, vhd_import, scope, target):
        raise Halt(Waiting("Replacing", "Removing what an earlier upload has begun.", ctx.settings.poll_seconds))
    raise Halt(Waiting("Replacing", "What an earlier upload had begun is removed.", 0.0), target=None)
