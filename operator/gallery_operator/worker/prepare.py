"""Job ``prepare``: fetch, verify, decompress, hash, check."""

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from gallery_operator.contract import ChecksDocument, DiskFacts, FailureCode, PrepareConfig, Report, log_lines
from gallery_operator.prerequisites import render
from gallery_operator.prerequisites.checker import check_disk
from gallery_operator.prerequisites.container import ContainerFacts
from gallery_operator.prerequisites.model import CheckReport
from gallery_operator.prerequisites.report import whole
from gallery_operator.redact import redact
from gallery_operator.worker.guest_state import bring
from gallery_operator.worker.manifest import Manifest
from gallery_operator.worker.preparation import Preparation, Prepared
from gallery_operator.worker.proof import settled
from gallery_operator.worker.runtime import run
from gallery_operator.worker.tracking import Tracker


def main() -> int:
    """Run the Job's container.

    Returns:
        An ``ExitCode``: 0 prepared and accepted, 10 refused for good, 11 worth another try.
    """
    return run("prepare", PrepareConfig, prepare, lambda config: config.port)


def prepare(config: PrepareConfig, tracker: Tracker, tell: Callable[[ChecksDocument], None] | None = None) -> Report:
    """Prepare one disk.

    Args:
        config: What to do.
        tracker: Shows how far it is.
        tell: Gets the whole report of the checks; None: it goes into the log.

    Returns:
        The report, of success or of a refusal by the prerequisites (with the facts and findings).

    Raises:
        WorkerError: Anything else that stops it.
    """
    os.umask(0o077)
    # First, as it is small: what is wrong with it is known before the disk has come.
    guest_state = bring(config, tracker)
    config = settled(config)
    prepared = Preparation(config, tracker).run()
    try:
        report = judge(config, prepared.manifest, _check(config, prepared, tracker, tell or _to_log))
    finally:
        prepared.disk.close()
    if report.disk is None:
        return report
    met = {"guest_state_sha256": guest_state, "source_checksum": config.source.checksum}
    return report.model_copy(update={"disk": report.disk.model_copy(update=met)})


def judge(config: PrepareConfig, manifest: Manifest, checks: CheckReport) -> Report:
    """Turn the outcome of the checks into the Job's report (pure).

    Args:
        config: Says what findings mean.
        manifest: The disk.
        checks: What was found.
    """
    summary = checks.summary()
    facts: DiskFacts = manifest.facts.model_copy(
        update={"distribution": checks.distribution, "architecture": checks.architecture}
    )
    code: FailureCode | None = None
    message = (
        f"{summary.passed} checks passed, {summary.warnings} warnings, {summary.failures} errors, "
        f"{summary.unknown} unknown."
    )
    if config.prerequisites.policy == "Enforce":
        if summary.failures:
            code = FailureCode.PREREQUISITES_NOT_MET
            ids = ", ".join(each.id for each in summary.findings if each.severity == "error")
            message = (
                f"The disk does not meet {summary.failures} of Azure's prerequisites ({ids}). Correct the image, or "
                "name what you accept in spec.prerequisites.ignore."
            )
        elif checks.verdict == "unknown" and config.prerequisites.on_unknown == "Block":
            code = FailureCode.PREREQUISITES_UNKNOWN
            ids = ", ".join(each.id for each in summary.findings if each.severity == "unknown")
            message = (
                f"{summary.unknown} checks could not be decided ({ids}). See the log, or set "
                "spec.prerequisites.onUnknown: Allow."
            )
    return Report(job="prepare", succeeded=code is None, code=code, message=message, disk=facts, prerequisites=summary)


def _check(
    config: PrepareConfig, prepared: Prepared, tracker: Tracker, tell: Callable[[ChecksDocument], None]
) -> CheckReport:
    tracker.start("Checking")
    container = _container(prepared.manifest)
    report = check_disk(prepared.disk, config.guest, config.prerequisites, container)
    tell(whole(report, "disk", container, config.guest, config.prerequisites))
    return report


def _to_log(document: ChecksDocument) -> None:
    write_report(document, sys.stdout)


def write_report(document: ChecksDocument, stream: TextIO) -> None:
    """Write the whole report into the log, for the operator, and what needs attention as a table, for people.

    Args:
        document: The report.
        stream: Where the log goes.
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    table = render.table(document, render.Style())
    # In one piece: another thread's line must not come between.
    stream.write("\n".join([*log_lines(document, now, redact), redact(table)]))
    stream.flush()


def _container(manifest: Manifest) -> ContainerFacts:
    footer = manifest.container_footer
    return ContainerFacts(
        format=manifest.container_format,
        virtual_size=manifest.data_size,
        file_size=manifest.container_size,
        footer=bytes.fromhex(footer) if footer is not None else None,
        compression=manifest.facts.compression,
    )
