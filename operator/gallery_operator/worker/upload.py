"""Job ``upload``: send a prepared disk as a fixed VHD, once, whoever is killed in between."""

import contextlib
import ctypes
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobProperties

from gallery_operator.contract import FailureCode, PvcSource, Report, UploadConfig, UploadFacts
from gallery_operator.prerequisites.container import FOOTER_BYTES
from gallery_operator.worker import guest_state
from gallery_operator.worker.claim import open_beneath, open_device
from gallery_operator.worker.copying import Copier
from gallery_operator.worker.disk import Disk
from gallery_operator.worker.engine import Engine, refused
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.image import BLOB_BYTES, recognise
from gallery_operator.worker.imagedisk import open_disk
from gallery_operator.worker.journal import JOURNAL, Bitmap, Journal
from gallery_operator.worker.manifest import TABLE, read_manifest
from gallery_operator.worker.pageblob import Lease, complete_blob, is_complete, open_blob
from gallery_operator.worker.preparation import changed, compression_of, open_prepared
from gallery_operator.worker.presence import compare
from gallery_operator.worker.runtime import run
from gallery_operator.worker.survey import PieceTable, survey
from gallery_operator.worker.target import Target, TargetPolicy, sas_file
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.verify import Verification, refusal_to_read

log = logging.getLogger(__name__)

_CHECK_TABLE = "pieces.check"
_M_MMAP_THRESHOLD = -3  # malloc.h
_MAPPED_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class LocalDisk:
    """What is to be sent.

    Attributes:
        disk: The bytes.
        footer: The VHD's footer.
        table: The pieces.
    """

    disk: Disk
    footer: bytes
    table: PieceTable

    def close(self) -> None:
        """Let the files go."""
        self.disk.close()
        self.table.close()


def main() -> int:
    """Run the Job's container.

    Returns:
        An ``ExitCode``: 0 sent and verified, 10 refused for good, 11 worth another try.
    """
    give_back_large_buffers()
    return run("upload", UploadConfig, upload, lambda config: config.port)


def give_back_large_buffers() -> None:
    """Make the C library return buffers of pages to the kernel as soon as they are free.

    By itself glibc raises the size from which it maps memory to that of the largest buffer freed, and keeps all
    below in one arena a thread: many threads with 4 MiB buffers then hold twice of what they use.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)


def upload(config: UploadConfig, tracker: Tracker, policy: TargetPolicy | None = None) -> Report:
    """Send one disk.

    Args:
        config: What to do.
        tracker: Shows how far it is.
        policy: Patience with the service.

    Returns:
        The report of the success.

    Raises:
        WorkerError: What stopped it.
    """
    os.umask(0o077)
    if config.target == "pageBlob" and config.virtual_size + FOOTER_BYTES > BLOB_BYTES:
        message = f"A page blob holds at most 8 TiB; the disk has {config.virtual_size} bytes. Use a managed disk."
        raise WorkerError(FailureCode.TOO_LARGE, message)
    local = open_local(config, tracker)
    try:
        guest_state.send(config, tracker, policy)
        target = Target(
            Path(config.target_url_file), tracker, api_version=config.api_version, ca_bundle=config.ca_bundle,
            policy=policy,
        )  # fmt: skip
        try:
            return _send(config, local, target, tracker)
        except HttpResponseError as error:
            raise refused(target.name, "the upload", error) from None
        finally:
            target.stopping.set()
    finally:
        local.close()


def open_local(config: UploadConfig, tracker: Tracker) -> LocalDisk:
    """Find the disk and make sure that it is the one that was checked.

    Raises:
        WorkerError: ``BadConfiguration`` when there is none, ``SourceChanged`` when it is another one.
    """
    scratch = Path(config.scratch_dir)
    manifest = read_manifest(scratch)
    if manifest is None:
        return _measure(config, tracker)
    same = (manifest.facts.sha256, manifest.virtual_size) == (config.sha256, config.virtual_size)
    _require_same(same, "the scratch volume holds another disk than prepare reported")
    disk = open_prepared(manifest, scratch, Path(config.source_dir), Path(config.source_device))
    try:
        found = disk.identity()
        if not found.device and not manifest.describes(found):
            # Touched, perhaps with the same bytes: reading it once tells. (Every piece is compared with its
            # digest before it is sent anyhow; a device has no time stamp and relies on that.)
            log.warning("the disk's file was touched after it was checked; it is read once to compare")
            seen = survey(disk, scratch / _CHECK_TABLE, tracker)
            (scratch / _CHECK_TABLE).unlink(missing_ok=True)
            _require_same(seen.sha256 == config.sha256, "its digest is another one")
        table = PieceTable(scratch / TABLE, manifest.table_sha256)
    except BaseException:
        disk.close()
        raise
    return LocalDisk(disk, bytes.fromhex(manifest.footer), table)


def _measure(config: UploadConfig, tracker: Tracker) -> LocalDisk:
    """Do without the manifest: the disk is read in place, so all that was learned can be learned again."""
    source: PvcSource | None = config.source
    message = f"There is no prepared disk in {config.scratch_dir}; is it the scratch volume that prepare used?"
    nowhere = WorkerError(FailureCode.BAD_CONFIGURATION, message)
    if source is None:
        raise nowhere
    if source.path is None:
        fd = open_device(Path(config.source_device))
    else:
        fd = open_beneath(Path(config.source_dir), source.path)
    if compression_of(fd) is not None:
        os.close(fd)
        raise nowhere  # The disk was decompressed to where it is not any more.
    try:
        info = recognise(fd, None)
    except WorkerError as error:
        os.close(fd)
        raise changed(error.message) from error
    disk = open_disk(fd, info)
    try:
        path = Path(config.scratch_dir) / TABLE
        seen = survey(disk, path, tracker)
        _require_same((seen.sha256, seen.virtual_size) == (config.sha256, config.virtual_size), "its digest differs")
        return LocalDisk(disk, seen.footer, PieceTable(path, seen.table_sha256))
    except BaseException:
        disk.close()
        raise


def _require_same(same: bool, how: str) -> None:
    if not same:
        raise changed(how)


def _send(config: UploadConfig, local: LocalDisk, target: Target, tracker: Tracker) -> Report:
    table, total = local.table, config.virtual_size + FOOTER_BYTES
    zeros = total - sum(piece.length for piece in table)
    tracker.advance(skipped=zeros)
    journal = Journal(Path(config.scratch_dir) / JOURNAL, target.url, config.sha256, len(table))
    lease: Lease | None = None
    before: BlobProperties | None = None
    try:
        if config.target == "pageBlob":
            before = open_blob(target, total, config.sha256, config.blob_metadata)
            if before is None or not is_complete(before):
                lease = Lease(target, config.sha256)
                lease.acquire()
        refused = _require_readable(config, target, total)
        copier = _copier(config, local, target)
        engine = Engine(
            target=target, disk=local.disk, footer=local.footer, table=table, journal=journal, tracker=tracker,
            concurrency=config.concurrency, lease=lease, bandwidth=config.bandwidth_limit, copier=copier,
        )  # fmt: skip
        if config.target == "pageBlob" and before is None:
            journal.forget()
            present, doubtful = Bitmap(len(table)), Bitmap(len(table))
        else:
            # A page blob that carries our mark was written from this disk only; a managed disk has no mark.
            there = compare(target, table, total, trusted=config.target == "pageBlob", journal=journal)
            present, doubtful = there.present, there.doubtful
        sent = engine.run(present, doubtful)
        found = Verification(
            engine, target, table, total, journal, tracker,
            read_back="None" if refused else config.read_back, seed=f"{target.name} {config.sha256}",
        ).run()  # fmt: skip
        found = found.model_copy(update={"refused": refused})
        etag: str | None = None
        if config.target == "pageBlob":
            touched = sent.sent or found.repaired_bytes or found.cleared_bytes
            if before is not None and is_complete(before) and not touched:
                etag = str(before.etag)
            else:
                etag = complete_blob(target, config.sha256, config.blob_metadata, lease.id if lease else None)
    finally:
        journal.close()
        if lease is not None and not target.stopping.is_set():
            lease.release()
    facts = UploadFacts(
        total_bytes=total, sent_bytes=sent.sent, skipped_bytes=zeros, resumed_bytes=sent.resumed,
        copied_bytes=sent.copied, copy_problem=copier.problem if copier is not None else None, etag=etag,
        verification=found,
    )  # fmt: skip
    copied = f"{sent.copied} copied by Azure, " if copier is not None else ""
    message = (
        f"{sent.sent} bytes sent, {copied}{zeros} zero bytes skipped, {sent.resumed} found from an earlier attempt; "
        f"{found.read_back_bytes} bytes read back, {found.repaired_pieces} pieces repaired."
    )
    return Report(job="upload", succeeded=True, message=message, upload=facts)


def _copier(config: UploadConfig, local: LocalDisk, target: Target) -> Copier | None:
    if config.copy_source is None:
        return None
    source = sas_file(Path(config.copy_source.url_file), target.policy)
    return Copier(target, source, config.copy_source.etag, local.disk.data_size)


def _require_readable(config: UploadConfig, target: Target, total: int) -> str | None:
    """Find out before hours of sending whether what is sent may be read back; return why not.

    Raises:
        WorkerError: ``ReadBackRefused``: it may not, and all of it is wanted.
    """
    if config.read_back == "None":
        return None
    refused = refusal_to_read(target, total)
    if refused is not None:
        if config.read_back == "Full":
            message = f"{target.name} does not let what was sent be read back ({refused}), and all of it is asked for."
            raise WorkerError(FailureCode.READ_BACK_REFUSED, message)
        log.warning("the target cannot be read back (%s); only its list of pages is compared", refused)
    return refused
