"""Brings the whole report of the checks from the prepare Job's log into a ConfigMap, and counts it."""

import logging
from typing import Any

from gallery_operator import metrics
from gallery_operator.api import VhdImport
from gallery_operator.contract import (
    MAX_LOG_BYTES,
    MAX_LOG_LINES,
    ChecksDocument,
    PrerequisitesReport,
    parse_log,
)
from gallery_operator.kube import KubeError, KubeReason
from gallery_operator.planning import checks_report, jobs
from gallery_operator.planning.jobs import JobState
from gallery_operator.planning.outcome import Waiting
from gallery_operator.prerequisites.catalogue import find
from gallery_operator.prerequisites.report import published
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt

_log = logging.getLogger(__name__)

_AGAIN_SECONDS = 5.0
_RESULTS = {"pass": "pass", "fail": "failure", "warn": "warning", "info": "info", "unknown": "unknown",
            "ignored": "ignored"}  # fmt: skip
_RESULT_OF_SEVERITY = {"error": "failure", "warning": "warning", "info": "info", "unknown": "unknown"}


class _NoReportError(Exception):
    """There is no whole report; the text says why."""


async def publish(ctx: Context, vhd_import: VhdImport, state: JobState) -> dict[str, Any]:
    """Write the report of a Job that has ended, unless that is done already, and count its results.

    Nothing about the import depends on it: without a log, or the right to read it, the summary in status is all
    there is.

    Args:
        ctx: Context.
        vhd_import: The import.
        state: Its prepare Job, with the results of the checks.

    Returns:
        Members of ``status.prerequisites``: ``reportRef`` or ``reportProblem``.

    Raises:
        Halt: The log may be there a little later.
        KubeError: The API server does not answer, or somebody else writes the ConfigMap at the same time.
    """
    if state.report is None or state.report.prerequisites is None:
        return {}
    try:
        return await _publish(ctx, vhd_import, state)
    except _NoReportError as problem:
        _log.warning("%s: no whole report of the checks: %s", vhd_import.key, problem)
        _count_summary(state.report.prerequisites)
        return {"reportProblem": f"{problem} The findings above are all that is kept."}


async def _publish(ctx: Context, vhd_import: VhdImport, state: JobState) -> dict[str, Any]:
    namespace, name = vhd_import.metadata.namespace, checks_report.name_of(vhd_import)
    there = {"reportRef": {"name": name}}
    uid = state.uid or ""
    existing = await ctx.kube.get("ConfigMap", namespace, name)
    if existing is not None:
        if checks_report.is_of_job(existing, vhd_import, uid):
            return there  # written before a restart
        if not checks_report.may_replace(existing, vhd_import):
            raise _NoReportError(f"ConfigMap {namespace}/{name} exists and is not this import's: give it another name.")
    document = await _read(ctx, vhd_import, state)
    document = document.model_copy(update={"image": vhd_import.key})
    body = checks_report.config_map(vhd_import, uid, published(document))
    try:
        if existing is None:
            await ctx.kube.create("ConfigMap", body)
        else:
            body["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
            await ctx.kube.replace("ConfigMap", body)
    except KubeError as error:
        # A missing right, a full quota, a policy; the rest is tried again.
        if error.reason in (KubeReason.FORBIDDEN, KubeReason.INVALID):
            raise _NoReportError(f"{error}.") from error
        raise
    _count(document)
    return there


async def _read(ctx: Context, vhd_import: VhdImport, state: JobState) -> ChecksDocument:
    namespace = vhd_import.metadata.namespace
    if state.pod is None:
        raise _NoReportError("The prepare Job's pod is gone, and its log with it.")
    try:
        log = await ctx.kube.pod_log(namespace, state.pod, jobs.CONTAINER, lines=MAX_LOG_LINES, limit=MAX_LOG_BYTES)
    except KubeError as error:
        if error.reason is KubeReason.UNAVAILABLE and checks_report.still_worth_asking(state.finished_at, ctx.now()):
            raise Halt(Waiting("Preparing", "Waiting for the log of the prepare Job's pod.", _AGAIN_SECONDS)) from error
        raise _NoReportError(f"The log of the prepare Job's pod cannot be read: {error}.") from error
    document = parse_log(log)
    if document is None:
        raise _NoReportError("The log of the prepare Job's pod holds no complete report (any more).")
    return document


def _count(document: ChecksDocument) -> None:
    for each in document.results:
        result = _RESULTS.get(each.status)
        # A label's values are the catalogue's: whoever writes a log must not make metrics grow.
        if result is not None and find(each.id) is not None:
            metrics.PREREQUISITE_CHECKS.labels(check=each.id, result=result).inc()


def _count_summary(report: PrerequisitesReport) -> None:
    for each in report.findings:
        if find(each.id) is not None:
            metrics.PREREQUISITE_CHECKS.labels(check=each.id, result=_RESULT_OF_SEVERITY[each.severity]).inc()
