"""A disk that is a blob already is copied by the service; what was checked is what arrives, or nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.blob import BlobLeaseClient
from tests.integration.worker import images
from tests.integration.worker.blobproxy import DROP_AFTER, Answer, Request
from tests.integration.worker.process import Worker
from tests.integration.worker.stages import Stage, big_disk
from tests.integration.worker.test_blob_source import Source

from gallery_operator.contract import CopySource, ExitCode, FailureCode, Report, UploadFacts

MIB = 1024 * 1024
DISK = big_disk(80 * MIB, 32 * MIB)


class Copying:
    """A blob that was prepared, ready to be copied."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.source = Source(stage)

    def prepare(self, data: bytes = DISK, *, block: bool = False) -> None:
        put = self.source.block if block else self.source.pages
        put(data)
        report = self.source.prepare()
        self.stage.data, self.stage.report = data, report
        self.stage.proxy.reset()

    @property
    def options(self) -> dict[str, Any]:
        assert self.stage.report is not None
        assert self.stage.report.disk is not None
        etag = self.stage.report.disk.source_etag
        assert etag is not None
        return {"copy_source": CopySource(etag=etag, url_file=str(self.source.file))}

    def upload(self, **options: Any) -> UploadFacts:
        report: Report = self.stage.upload(**self.options, **options)
        assert report.succeeded
        assert report.upload is not None
        assert self.stage.content() == self.stage.vhd
        return report.upload


@pytest.fixture
def copying(stage: Stage) -> Copying:
    return Copying(stage)


@pytest.mark.parametrize(("target", "block"), [("pageBlob", True), ("managedDisk", False)])
def test_no_byte_of_the_disk_leaves_the_pod(target: str, block: bool, copying: Copying) -> None:
    copying.prepare(block=block)
    stage = copying.stage
    if target == "managedDisk":
        stage.blob.create_page_blob(len(stage.vhd))
    facts = copying.upload(target=target)
    assert facts.copied_bytes == stage.sent_minimum - 512 == stage.proxy.copied_bytes
    assert facts.sent_bytes == 512 == stage.proxy.page_bytes  # the footer, which is ours
    assert facts.copied_bytes + facts.sent_bytes + facts.skipped_bytes == facts.total_bytes
    assert facts.copy_problem is None
    assert stage.proxy.most_in_flight <= 6


def test_footer_and_padding_are_our_own(copying: Copying) -> None:
    """The file is no whole number of MiB: its last piece is padded, and what is padded is not the source's."""
    copying.prepare(DISK[: 12 * MIB] + b"\x07" * 1536)
    facts = copying.upload()
    assert facts.copied_bytes == 12 * MIB
    assert facts.sent_bytes == 32 * 1024 + 512


def test_the_disk_in_a_fixed_vhd_is_copied_and_its_footer_is_not(copying: Copying) -> None:
    disk = DISK[: 12 * MIB]
    copying.prepare(images.fixed_vhd(disk))
    copying.stage.data = disk
    facts = copying.upload()
    assert (facts.copied_bytes, facts.sent_bytes) == (12 * MIB, 512)


def test_harm_on_the_way_is_made_good(copying: Copying) -> None:
    copying.prepare()
    count = iter(range(1000))

    def harm(request: Request) -> object:
        if not request.is_copy:
            return None
        match next(count) % 5:
            case 0:
                return Answer(503, "ServerBusy", {"Retry-After": "0"})
            case 1:
                return DROP_AFTER
            case 2:
                return Answer(500, "CannotVerifyCopySource")
        return None

    copying.stage.proxy.faults.append(harm)
    facts = copying.upload()
    assert facts.sent_bytes == 512
    assert facts.copy_problem is None


@pytest.mark.parametrize("md5", [True, False])
def test_the_service_compares_with_what_was_checked(md5: bool, copying: Copying) -> None:
    """Another checksum goes along where the service does not know CRC-64."""
    copying.prepare()
    seen: list[str] = []

    def look(request: Request) -> Answer | None:
        if not request.is_copy:
            return None
        seen.extend(name for name in request.headers if name.startswith("x-ms-source-content-"))
        if md5 and "x-ms-source-content-crc64" in request.headers:
            return Answer(400, "UnsupportedHeader")
        return None

    copying.stage.proxy.faults.append(look)
    assert copying.upload().sent_bytes == 512
    assert seen[-1] == ("x-ms-source-content-md5" if md5 else "x-ms-source-content-crc64")


def test_a_source_that_changed_is_not_copied(copying: Copying) -> None:
    copying.prepare()
    copying.source.blob.upload_page(b"\xee" * 512, 3 * MIB, 512)
    error = copying.stage.refused(**copying.options)
    assert (error.code, error.retry) == (FailureCode.SOURCE_CHANGED, False)
    assert copying.stage.proxy.copied_bytes == 0
    assert copying.stage.blob.get_blob_properties().metadata["state"] == "uploading"


def test_a_source_that_changes_meanwhile_ends_the_upload(copying: Copying) -> None:
    copying.prepare()
    changed: list[int] = []

    def change(request: Request) -> None:
        if request.is_copy and copying.stage.proxy.copied_bytes >= 4 * MIB and not changed:
            changed.append(1)
            copying.source.blob.upload_page(b"\xee" * 512, 0, 512)

    copying.stage.proxy.faults.append(change)
    assert copying.stage.refused(**copying.options).code is FailureCode.SOURCE_CHANGED


def test_other_bytes_under_the_same_etag_are_not_taken(copying: Copying) -> None:
    copying.prepare()
    copying.stage.proxy.faults.append(
        lambda request: Answer(400, "Crc64Mismatch") if request.is_copy and request.span[0] == 8 * MIB else None
    )
    error = copying.stage.refused(**copying.options)
    assert (error.code, error.retry) == (FailureCode.SOURCE_CHANGED, False)


def test_damage_between_the_accounts_is_tried_again(copying: Copying) -> None:
    copying.prepare()
    damaged: list[int] = []

    def once(request: Request) -> Answer | None:
        if request.is_copy and request.span[0] == 8 * MIB and not damaged:
            damaged.append(1)
            return Answer(400, "Crc64Mismatch")
        return None

    copying.stage.proxy.faults.append(once)
    assert copying.upload().sent_bytes == 512
    assert damaged


def test_an_expired_sas_of_the_source_is_replaced_in_mid_flight(copying: Copying) -> None:
    copying.prepare()
    stage = copying.stage
    # Valid when the first pieces go; then its time is over, and the operator has put another one there.
    expired = stage.sas("r", timedelta(seconds=-5), name="source")
    copying.source.file.write_text(expired)

    def renew(request: Request) -> None:
        if request.is_copy:
            copying.source.renew()

    stage.proxy.faults.append(renew)
    facts = copying.upload()
    assert (facts.sent_bytes, facts.copy_problem) == (512, None)


def test_an_expired_sas_of_the_source_that_nobody_renews(copying: Copying) -> None:
    """The bytes are here and were checked: they are sent."""
    copying.prepare()
    copying.source.file.write_text(copying.stage.sas("r", timedelta(seconds=-5), name="source"))
    facts = copying.upload()
    assert (facts.copied_bytes, facts.sent_bytes) == (0, copying.stage.sent_minimum)
    assert facts.copy_problem is not None
    assert "403" in facts.copy_problem


Tell = Callable[[Copying], None]


def _answers(status: int, code: str) -> Tell:
    def tell(copying: Copying) -> None:
        copying.stage.proxy.faults.append(lambda request: Answer(status, code) if request.is_copy else None)

    return tell


def _source_answers(status: int, code: str) -> Tell:
    return lambda copying: copying.stage.proxy.source_faults.append(lambda request: Answer(status, code))


def _azurite(copying: Copying) -> None:
    copying.stage.proxy.copies = False


REFUSALS: dict[str, Tell] = {
    "the source is gone": lambda copying: copying.source.blob.delete_blob(),
    "a firewall before the source": _source_answers(403, "AuthorizationFailure"),
    "a firewall, as told for page blobs": _answers(403, "AuthorizationFailure"),
    "the source is never read in time": _answers(500, "CannotVerifyCopySource"),
    "no copy between accounts": _answers(400, "CopyAcrossAccountsNotSupported"),
    "an older service": _answers(400, "InvalidHeaderValue"),
    "not known": _answers(405, "UnsupportedHttpVerb"),
    "an archived source": _answers(409, "BlobArchived"),
    "Azurite": _azurite,
    "no SAS": lambda copying: copying.source.file.unlink(),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_what_is_not_copied_is_sent(why: str, copying: Copying, caplog: pytest.LogCaptureFixture) -> None:
    copying.prepare()
    REFUSALS[why](copying)
    facts = copying.upload()
    assert (facts.copied_bytes, facts.sent_bytes) == (0, copying.stage.sent_minimum)
    assert facts.copy_problem
    assert "sig=" not in facts.copy_problem
    assert "sig=" not in caplog.text
    told = [each for each in caplog.records if "does not copy from the source" in each.message]
    assert len(told) == 1
    # Once refused, it is not asked again; some requests were in flight then.
    assert copying.stage.proxy.operations.count("copy-page") <= 4 * 4


def test_what_was_copied_before_a_refusal_stays(copying: Copying) -> None:
    copying.prepare()
    copying.stage.proxy.source_faults.append(
        lambda request: Answer(403, "AuthorizationFailure") if copying.stage.proxy.copied_bytes >= 4 * MIB else None
    )
    facts = copying.upload()
    assert facts.copied_bytes >= 4 * MIB
    assert facts.copied_bytes + facts.sent_bytes == copying.stage.sent_minimum
    assert facts.copy_problem == "403 CannotVerifyCopySource, at the source 403 AuthorizationFailure"


def test_what_was_copied_is_not_copied_again(copying: Copying) -> None:
    copying.prepare()
    stage = copying.stage
    stage.proxy.faults.append(
        lambda request: Answer(404, "BlobNotFound") if stage.proxy.copied_bytes >= 4 * MIB else None
    )
    stage.refused(**copying.options)
    before = stage.proxy.copied_bytes
    stage.proxy.faults.clear()
    facts = copying.upload()
    assert facts.resumed_bytes == before
    assert facts.copied_bytes + facts.resumed_bytes == stage.sent_minimum - 512
    assert stage.proxy.page_bytes == 512


def test_killed_pods_copy_next_to_nothing_twice(copying: Copying) -> None:
    """Real processes: prepare is killed while it fetches, upload three times while it has pieces copied."""
    stage, source = copying.stage, copying.source
    source.pages(DISK)
    read = threading.Event()

    def look(request: Request) -> None:
        if request.operation == "GET blob" and len(stage.proxy.reads) >= 2:
            read.set()

    stage.proxy.faults.append(look)
    worker = Worker("prepare", source.config(), stage.folder)
    assert read.wait(60), worker.log.read_text()
    worker.kill()
    stage.proxy.faults.clear()
    status, report = Worker("prepare", source.config(), stage.folder).end()
    assert status == ExitCode.DONE, report
    stage.data, stage.report = DISK, report
    config = stage.config(**copying.options)
    for share in (0.2, 0.4, 0.7):
        reached = threading.Event()
        until = stage.sent_minimum * share

        def count(_: Request, until: float = until, reached: threading.Event = reached) -> None:
            if stage.proxy.copied_bytes >= until:
                reached.set()

        stage.proxy.faults[:] = [count]
        worker = Worker("upload", config, stage.folder)
        assert reached.wait(60), worker.log.read_text()
        worker.kill()
    worker = Worker("upload", config, stage.folder)
    status, report = worker.end()
    assert status == ExitCode.DONE, report
    assert stage.content() == stage.vhd
    # What was in flight when it was killed may be copied again: four pieces at a time.
    assert stage.proxy.copied_bytes <= stage.sent_minimum + 3 * 4 * 4 * MIB
    assert stage.proxy.page_bytes == 512
    assert report is not None
    assert report.upload is not None
    assert report.upload.resumed_bytes >= 0.3 * stage.sent_minimum
    assert "sig=" not in worker.log.read_text()


def test_a_lease_that_ran_out_is_taken_again(copying: Copying) -> None:
    copying.prepare()
    broken: list[int] = []

    def break_lease(request: Request) -> None:
        if request.is_copy and copying.stage.proxy.copied_bytes >= 4 * MIB and not broken:
            broken.append(1)
            BlobLeaseClient(copying.stage.blob).break_lease(lease_break_period=0)

    copying.stage.proxy.faults.append(break_lease)
    assert copying.upload().sent_bytes == 512
    assert broken


def test_a_refused_sas_of_the_target_is_not_taken_for_the_sources(copying: Copying) -> None:
    copying.prepare()
    stage = copying.stage
    refused: list[int] = []

    def expire(request: Request) -> Answer | None:
        if request.is_copy and stage.proxy.copied_bytes >= 4 * MIB and not refused:
            refused.append(1)
            (stage.folder / "url").write_text(stage.sas("rcwd"))
            return Answer(403, "AuthenticationFailed")
        return None

    stage.proxy.faults.append(expire)
    facts = copying.upload()
    assert (facts.sent_bytes, facts.copy_problem) == (512, None)
    assert refused


def test_copying_keeps_to_the_bandwidth(copying: Copying) -> None:
    copying.prepare()
    started = time.monotonic()
    copying.upload(bandwidth_limit=10 * MIB)
    assert time.monotonic() - started > 1.5
