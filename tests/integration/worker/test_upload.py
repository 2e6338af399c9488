"""Into a real storage emulator, with a proxy between that does harm."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from azure.storage.blob import (
    BlobLeaseClient,
)
from tests.integration.worker import images
from tests.integration.worker.blobproxy import DROP, DROP_AFTER, Answer, Request
from tests.integration.worker.stages import QUICK, Stage, big_disk

from gallery_operator.contract import FailureCode, PvcSource, Report
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.target import TargetPolicy
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.upload import upload

MIB = 1024 * 1024


def facts(report: Report) -> tuple[int, int, int]:
    assert report.succeeded
    assert report.upload is not None
    return report.upload.sent_bytes, report.upload.skipped_bytes, report.upload.resumed_bytes


def test_page_blob_holds_exactly_the_vhd(stage: Stage) -> None:
    stage.prepare(big_disk())
    report = stage.upload()
    assert hashlib.sha256(stage.content()).hexdigest() == stage.report.disk.sha256  # type: ignore[union-attr]
    assert stage.content() == stage.vhd
    sent, skipped, resumed = facts(report)
    assert (sent, resumed) == (stage.sent_minimum, 0)
    assert sent + skipped == len(stage.vhd)
    assert stage.proxy.page_bytes == sent < 42 * MIB
    properties = stage.blob.get_blob_properties()
    assert properties.metadata == {"made_by": "test", "state": "complete", "sha256": report_sha(stage)}
    assert report.upload is not None
    assert report.upload.etag == properties.etag
    assert properties.lease.state == "available"
    assert 2 <= stage.proxy.most_in_flight <= 6


def report_sha(stage: Stage) -> str:
    assert stage.report is not None
    assert stage.report.disk is not None
    return stage.report.disk.sha256


def test_a_second_upload_sends_nothing(stage: Stage) -> None:
    stage.prepare(big_disk())
    first = stage.upload()
    again = stage.upload()
    assert facts(again)[0] == 0
    assert again.upload is not None
    assert first.upload is not None
    assert again.upload.etag == first.upload.etag


@pytest.mark.parametrize("kind", ["block", "unmarked", "other"])
def test_a_blob_that_is_not_ours_is_left_alone(kind: str, stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    if kind == "block":
        stage.blob.upload_blob(b"precious")
    else:
        metadata = {} if kind == "unmarked" else {"sha256": "0" * 64, "state": "complete"}
        stage.blob.create_page_blob(len(stage.vhd), metadata=metadata)
    before = stage.blob.get_blob_properties().etag
    error = stage.refused()
    assert (error.code, error.retry) == (FailureCode.TARGET_CONFLICT, False)
    assert stage.blob.get_blob_properties().etag == before
    assert stage.proxy.page_bytes == 0


def test_a_missing_container_is_named(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    url = stage.sas().replace(stage.container_name, "nowhere")
    error = stage.refused(url=url)
    assert not error.retry or error.code == FailureCode.TARGET_FORBIDDEN


@pytest.mark.parametrize("target", ["pageBlob", "managedDisk"])
def test_harm_on_the_way_is_made_good(target: str, stage: Stage) -> None:
    stage.prepare(big_disk())
    if target == "managedDisk":
        stage.blob.create_page_blob(len(stage.vhd))
    chance = random.Random(11)

    def harm(request: Request) -> object:
        dice = chance.random()
        if dice < 0.05:
            return Answer(503, "ServerBusy", {"Retry-After": "0"})
        if dice < 0.10:
            return Answer(500, "InternalError")
        if dice < 0.15:
            return DROP
        if dice < 0.20 and request.is_put_page:
            return DROP_AFTER
        if dice < 0.25 and request.is_put_page:
            request.body = bytes([request.body[0] ^ 1]) + request.body[1:]
        return None

    stage.proxy.faults.append(harm)
    report = upload(
        stage.config(target=target),
        Tracker("upload"),
        TargetPolicy(backoff=Backoff(first=0.01, most=0.02, tries=20), timeout=20.0),
    )
    assert report.succeeded
    assert stage.content() == stage.vhd


def test_bytes_damaged_on_the_way_are_noticed_by_the_service(stage: Stage) -> None:
    stage.prepare(big_disk(16 * MIB, 8 * MIB))
    damaged: list[str] = []

    def flip(request: Request) -> None:
        if request.is_put_page and len(damaged) < 3:
            damaged.append(request.path)
            request.body = bytes([request.body[0] ^ 1]) + request.body[1:]

    stage.proxy.faults.append(flip)
    assert stage.upload().succeeded
    assert len(damaged) == 3
    assert stage.content() == stage.vhd


def test_a_service_that_stays_away_ends_the_attempt(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    stage.proxy.faults.append(lambda request: Answer(503, "ServerBusy") if request.is_put_page else None)
    error = stage.refused()
    assert (error.code, error.retry) == (FailureCode.TARGET_UNREACHABLE, True)


def test_a_long_retry_after_ends_the_attempt(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    stage.proxy.faults.append(lambda request: Answer(429, "TooManyRequests", {"Retry-After": "600"}))
    started = time.monotonic()
    assert stage.refused().code == FailureCode.TARGET_UNREACHABLE
    assert time.monotonic() - started < 5


def test_what_was_sent_is_not_sent_again(stage: Stage) -> None:
    """The attempt dies in the middle; the next one starts with the same blob, another process and no lease."""
    stage.prepare(big_disk())
    half = stage.sent_minimum // 2

    def die(request: Request) -> object:
        return Answer(409, "Broken") if request.is_put_page and stage.proxy.page_bytes > half else None

    stage.proxy.faults.append(die)
    assert stage.refused().code == FailureCode.TARGET_CONFLICT
    stage.proxy.faults.clear()
    # Even without the scratch volume's journal: the blob's mark says what it holds.
    (stage.folder / "scratch" / "upload.journal").unlink()
    sent, _, resumed = facts(stage.upload())
    assert stage.content() == stage.vhd
    assert resumed > stage.sent_minimum // 4
    assert sent + resumed == stage.sent_minimum
    assert stage.proxy.page_bytes < 1.2 * stage.sent_minimum


@pytest.mark.parametrize("journal", [True, False])
def test_a_managed_disk_is_gone_on_with(journal: bool, stage: Stage) -> None:
    stage.prepare(big_disk())
    stage.blob.create_page_blob(len(stage.vhd))
    # Something else was there before: in a hole, and where data belongs.
    stage.blob.upload_page(b"\x01" * 4096, offset=60 * MIB, length=4096)
    stage.blob.upload_page(b"\x01" * 4 * MIB, offset=36 * MIB, length=4 * MIB)
    half = stage.sent_minimum // 2

    def die(request: Request) -> object:
        return Answer(400, "Broken") if request.is_put_page and stage.proxy.page_bytes > half else None

    stage.proxy.faults.append(die)
    stage.refused(target="managedDisk")
    stage.proxy.faults.clear()
    if not journal:
        (stage.folder / "scratch" / "upload.journal").unlink()
    stage.proxy.operations.clear()
    _, _, resumed = facts(stage.upload(target="managedDisk", read_back="None"))
    assert stage.content() == stage.vhd
    assert resumed > stage.sent_minimum // 4
    assert stage.proxy.page_bytes < 1.2 * stage.sent_minimum
    read_back = stage.proxy.operations.count("GET blob")
    assert (read_back <= 1) if journal else (read_back > 3)


def test_a_sas_that_may_only_write(stage: Stage) -> None:
    stage.prepare(big_disk())
    stage.blob.create_page_blob(len(stage.vhd))
    report = stage.upload(target="managedDisk", url=stage.sas("w"))
    assert facts(report)[0] == stage.sent_minimum
    assert stage.content() == stage.vhd
    assert facts(stage.upload(target="managedDisk", url=stage.sas("w")))[0] == 0


def test_an_expired_sas_is_replaced_in_mid_flight(stage: Stage) -> None:
    stage.prepare(big_disk())
    config = stage.config()
    file = Path(config.target_url_file)
    expired = threading.Event()

    def expire(request: Request) -> object:
        if expired.is_set() or stage.proxy.page_bytes < 10 * MIB:
            return None
        if "old" not in request.query:
            return None
        return Answer(403, "AuthenticationFailed")

    stage.proxy.faults.append(expire)
    new = stage.sas()
    file.write_text(new + "&old=1")
    timer = threading.Timer(0.6, lambda: file.write_text(new + "\n"))
    timer.start()
    report = upload(config, Tracker("upload"), QUICK)
    timer.join()
    assert facts(report)[0] == stage.sent_minimum
    assert stage.content() == stage.vhd


def test_a_sas_that_stays_refused_ends_the_attempt(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    error = stage.refused(url=stage.sas(lifetime=timedelta(hours=-1)))
    assert (error.code, error.retry) == (FailureCode.TARGET_FORBIDDEN, True)


@pytest.mark.parametrize("hide", [True, False])
def test_a_disk_that_changed_is_not_sent(hide: bool, stage: Stage) -> None:
    stage.prepare(big_disk())
    path = stage.folder / "source" / "disk"
    state = path.stat()
    with path.open("r+b") as file:
        file.seek(39 * MIB)
        file.write(b"changed")
    if hide:
        # As if it had happened within the clock's grain: every piece is compared before it goes.
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    error = stage.refused()
    assert (error.code, error.retry) == (FailureCode.SOURCE_CHANGED, False)
    if not hide:
        assert stage.proxy.operations == []


def test_a_disk_that_was_only_touched_is_sent(stage: Stage) -> None:
    stage.prepare(big_disk())
    os.utime(stage.folder / "source" / "disk")
    assert stage.upload().succeeded


def test_the_wrong_disk_on_the_scratch_volume(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    assert stage.refused(sha256="0" * 64).code == FailureCode.SOURCE_CHANGED
    assert stage.proxy.operations == []


def test_in_place_without_the_scratch_volume(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    other = stage.folder / "empty"
    other.mkdir()
    assert stage.refused(scratch_dir=str(other)).code == FailureCode.BAD_CONFIGURATION
    source = PvcSource(path="disk")
    assert stage.refused(scratch_dir=str(other), source=source, sha256="0" * 64).code == FailureCode.SOURCE_CHANGED
    assert stage.upload(scratch_dir=str(other), source=source).succeeded
    assert stage.content() == stage.vhd


@pytest.mark.parametrize("kind", ["qcow2", "qcow2-compressed", "vhdx", "vhd-dynamic", "vmdk-stream"])
def test_an_image_on_a_claim_is_sent_without_a_copy(kind: str, stage: Stage) -> None:
    """Read twice where it lies; whatever becomes of the scratch volume in between, or of the image."""
    stage.data = big_disk(24 * MIB, 8 * MIB)
    image, raw, scratch = stage.folder / "source" / "disk", stage.folder / "raw", stage.folder / "scratch"
    raw.write_bytes(stage.data)
    images.convert(raw, kind, image)
    stage.report = prepare(stage.prepare_config, Tracker("prepare"))
    assert stage.report.disk is not None
    assert stage.report.disk.in_place
    other = stage.folder / "empty"
    other.mkdir()
    for folder, source in ((scratch, None), (other, PvcSource(path="disk"))):
        assert stage.upload(scratch_dir=str(folder), source=source).succeeded
        assert stage.content() == stage.vhd
        assert {each.name for each in folder.iterdir()} <= {"manifest.json", "pieces", "upload.journal"}
        stage.blob.delete_blob()
    # A byte of its data is changed, and nobody can tell by its time.
    body, state = bytearray(image.read_bytes()), image.stat()
    at = body.find(stage.data[4 * MIB : 4 * MIB + 32]) if kind != "vmdk-stream" else len(body) // 3
    body[at if at > 0 else len(body) // 3] ^= 1
    image.write_bytes(body)
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))
    error = stage.refused()
    assert (error.code, error.retry) in (
        (FailureCode.SOURCE_CHANGED, False),
        (FailureCode.CORRUPT_IMAGE, False),  # of what is compressed
    )
    # Another image, of another size, in its place.
    raw.write_bytes(stage.data[: 9 * MIB])
    images.convert(raw, kind, image)
    error = stage.refused()
    assert (error.code, error.retry) == (FailureCode.SOURCE_CHANGED, False)


def test_a_lease_keeps_others_away_and_lets_our_successor_in(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))

    def die(request: Request) -> object:
        return DROP if request.is_put_page else None

    stage.proxy.faults.append(die)
    stage.refused()
    stage.proxy.faults.clear()
    assert stage.blob.get_blob_properties().lease.state == "leased"
    # Our successor has the same lease id and need not wait until it runs out.
    assert stage.upload().succeeded
    assert stage.content() == stage.vhd


def test_a_strangers_lease_is_respected(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    stage.blob.create_page_blob(len(stage.vhd), metadata={"sha256": report_sha(stage), "state": "uploading"})
    stage.blob.acquire_lease(lease_duration=60)
    error = stage.refused()
    assert (error.code, error.retry) == (FailureCode.TARGET_CONFLICT, True)
    assert stage.proxy.page_bytes == 0
    BlobLeaseClient(stage.blob).break_lease(0)


def test_a_page_blob_beyond_8_tib_is_refused_before_anything(stage: Stage) -> None:
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    assert stage.refused(virtual_size=(8 << 40)).code == FailureCode.TOO_LARGE
    assert stage.proxy.operations == []
