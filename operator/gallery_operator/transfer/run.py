"""One upload from beginning to end: looked at, prepared, checked, sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gallery_operator.azure.settings import AzureSettings
from gallery_operator.contract import (
    ChecksDocument,
    DiskFacts,
    GuestProfile,
    PrepareConfig,
    PrerequisitesConfig,
    PrerequisitesReport,
    ReadBack,
    Report,
    UploadConfig,
    UploadFacts,
)
from gallery_operator.planning.import_disk import size_limits
from gallery_operator.prerequisites.container import FOOTER_BYTES
from gallery_operator.transfer.ends import UploadError, UploadExit
from gallery_operator.transfer.places import Disk
from gallery_operator.transfer.progress import Display
from gallery_operator.transfer.state import State
from gallery_operator.transfer.target import Destination
from gallery_operator.transfer.words import said_here
from gallery_operator.worker.preparation import Preparation
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.proof import settled
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.upload import upload


@dataclass(frozen=True)
class Wish:
    """What is asked for.

    Attributes:
        disk: What is uploaded.
        target: Kind of the destination.
        guest: What the image is declared to be.
        prerequisites: How findings are judged; None: nothing is checked.
        format: The disk's format when it is said.
        concurrency: Most requests in flight.
        bandwidth_limit: Most bytes a second, or None.
        read_back: How much of what was sent is read back and compared.
        dry_run: Nothing is made and nothing sent.
    """

    disk: Disk
    target: Literal["pageBlob", "managedDisk"]
    guest: GuestProfile
    prerequisites: PrerequisitesConfig | None
    format: Literal["raw", "vhd", "vhdx", "qcow2", "vmdk"] | None = None
    concurrency: int = 16
    bandwidth_limit: int | None = None
    read_back: ReadBack = "Sample"
    dry_run: bool = False


@dataclass
class Outcome:
    """What was learned and done so far.

    Attributes:
        will: What is done at the destination, for people.
        resumed: An earlier run of the same command was gone on with.
        disk: The disk.
        checks: The whole report of the checks.
        prerequisites: Its summary.
        upload: What was sent.
        left: What is left at the destination and costs money.
    """

    will: str = ""
    resumed: bool = False
    disk: DiskFacts | None = None
    checks: ChecksDocument | None = None
    prerequisites: PrerequisitesReport | None = None
    upload: UploadFacts | None = None
    left: str = ""


def transfer(
    wish: Wish,
    destination: Destination,
    state: State,
    settings: AzureSettings,
    display: Display,
    outcome: Outcome,
    tell: Callable[[ChecksDocument], None],
) -> None:
    """Do it.

    Args:
        wish: What is asked for.
        destination: Where the disk goes.
        state: What an earlier run left, and this one leaves.
        settings: Which cloud.
        display: Shows how far it is.
        outcome: Filled as it goes, so that it says how far an interrupted run came.
        tell: Gets the report of the checks as soon as it is there.

    Raises:
        UploadError: A prerequisite is not met, or the destination refuses.
        WorkerError: The disk cannot be prepared or sent.
        AzureError: Azure refuses.
    """
    outcome.will = destination.check()
    report = _prepare(wish, state, display, outcome, tell)
    outcome.disk, outcome.prerequisites = report.disk, report.prerequisites
    if not report.succeeded or report.disk is None:
        undecided = report.prerequisites is not None and not report.prerequisites.failures
        code = UploadExit.UNDECIDED if undecided else UploadExit.FINDINGS
        raise UploadError(code, f"{said_here(report.message)} Nothing was sent.", report.code)
    if wish.dry_run:
        return
    try:
        with destination.opened(report.disk.virtual_size):
            outcome.upload = _send(wish, report.disk, destination, state, settings, display)
    except BaseException:
        outcome.left = destination.left
        raise
    state.remove()


def _prepare(
    wish: Wish, state: State, display: Display, outcome: Outcome, tell: Callable[[ChecksDocument], None]
) -> Report:
    smallest, largest = size_limits(wish.guest, page_blob=wish.target == "pageBlob")
    config = PrepareConfig(
        source=wish.disk.source,
        format=wish.format,
        min_virtual_size=smallest,
        max_virtual_size=largest,
        guest=wish.guest,
        prerequisites=wish.prerequisites or PrerequisitesConfig(),
        scratch_dir=str(state.scratch),
        source_dir=str(wish.disk.folder or state.scratch),
        source_device=str(wish.disk.device or "/dev/null"),
        secrets_dir=str(state.folder),
    )

    def told(document: ChecksDocument) -> None:
        outcome.checks = document.model_copy(update={"image": wish.disk.name})
        tell(outcome.checks)

    tracker = Tracker("prepare")
    with display.follow(tracker):
        if wish.prerequisites is not None:
            return prepare(config, tracker, told)
        os.umask(0o077)
        config = settled(config)
        prepared = Preparation(config, tracker).run()
        prepared.disk.close()
        facts = prepared.manifest.facts.model_copy(update={"source_checksum": config.source.checksum})
        return Report(job="prepare", succeeded=True, disk=facts)


def _send(
    wish: Wish, disk: DiskFacts, destination: Destination, state: State, settings: AzureSettings, display: Display
) -> UploadFacts:
    config = UploadConfig(
        target=wish.target,
        virtual_size=disk.virtual_size,
        sha256=disk.sha256,
        concurrency=wish.concurrency,
        bandwidth_limit=wish.bandwidth_limit,
        read_back=wish.read_back,
        api_version=settings.storage_api_version,
        scratch_dir=str(state.scratch),
        source_dir=str(wish.disk.folder or state.scratch),
        source_device=str(wish.disk.device or "/dev/null"),
        target_url_file=str(state.url_file),
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
    )
    tracker = Tracker("upload")
    with display.follow(tracker):
        report = upload(config, tracker, destination.policy)
    if report.upload is None:
        raise AssertionError("an upload that succeeded says what it sent")
    return report.upload


def plan(outcome: Outcome, name: str) -> str:
    """Return what would be done, for ``--dry-run``."""
    disk = outcome.disk
    if disk is None:
        return ""
    total = disk.virtual_size + FOOTER_BYTES
    data = (disk.data_bytes or 0) + FOOTER_BYTES
    compression = f", {disk.compression}" if disk.compression else ""
    return (
        f"disk         {disk.format}{compression}, {total} bytes as a fixed VHD, SHA-256 {disk.sha256}\n"
        f"data         {data} bytes to send, {total - data} zero bytes to skip\n"
        f"destination  {outcome.will}: {name}\n"
    )
