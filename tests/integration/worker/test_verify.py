"""After an upload into a real storage emulator, with a proxy between that plays a service which loses and damages."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from awscrt.checksums import crc64nvme
from tests.integration.worker.blobproxy import DROP, Answer, Change, Request
from tests.integration.worker.process import Worker
from tests.integration.worker.stages import QUICK, Stage, big_disk

from gallery_operator.contract import ExitCode, FailureCode, Report, VerificationFacts
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.upload import upload

MIB = 1024 * 1024
TARGETS = ["pageBlob", "managedDisk"]


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for each in started:
        each.kill()


def prepared(stage: Stage, target: str = "pageBlob") -> None:
    stage.prepare(big_disk())
    if target == "managedDisk":
        stage.blob.create_page_blob(len(stage.vhd))


def verified(report: Report) -> VerificationFacts:
    assert report.succeeded
    assert report.upload is not None
    assert report.upload.verification is not None
    return report.upload.verification


class Once:
    """Does harm to the first pages written at some places, so often."""

    def __init__(self, harm: Callable[[Request], object], places: set[int], times: int = 1) -> None:
        self.harm, self.left = harm, dict.fromkeys(places, times)

    def __call__(self, request: Request) -> object:
        if request.is_put_page and self.left.get(request.span[0], 0) > 0:
            self.left[request.span[0]] -= 1
            return self.harm(request)
        return None


def lose(_: Request) -> object:
    return Answer(201)


def damage(request: Request) -> None:
    """The service takes the page, and stores another one."""
    request.body = request.body[:-1] + bytes([request.body[-1] ^ 1])
    request.headers["x-ms-content-crc64"] = base64.b64encode(crc64nvme(request.body).to_bytes(8, "little")).decode()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("read_back", ["None", "Sample", "Full"])
def test_lost_pages_are_sent_again(read_back: str, target: str, stage: Stage) -> None:
    prepared(stage, target)
    stage.proxy.faults.append(Once(lose, {4 * MIB, 36 * MIB}))
    found = verified(stage.upload(target=target, read_back=read_back))
    assert stage.content() == stage.vhd
    assert (found.repaired_pieces, found.repaired_bytes, found.listed) == (2, 8 * MIB, True)
    assert found.read_back == ("None" if read_back == "None" else "Full")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("read_back", ["Sample", "Full"])
def test_damaged_pages_are_sent_again(read_back: str, target: str, stage: Stage) -> None:
    prepared(stage, target)
    stage.proxy.faults.append(Once(damage, {0, 8 * MIB}))
    found = verified(stage.upload(target=target, read_back=read_back))
    assert stage.content() == stage.vhd
    assert (found.read_back, found.repaired_pieces) == ("Full", 2)
    assert found.read_back_bytes >= stage.sent_minimum
    if target == "pageBlob":
        assert stage.blob.get_blob_properties().metadata["state"] == "complete"


def test_a_sample_is_a_part(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gallery_operator.worker.verify.sample", lambda count, seed: {0, count - 1})
    prepared(stage)
    found = verified(stage.upload())
    assert (found.read_back, found.read_back_bytes, found.repaired_pieces) == ("Sample", 4 * MIB + 512, 0)
    assert stage.proxy.operations.count("GET blob") == 3  # and one to see whether it may be read


def test_nothing_is_read_where_nothing_is_to_be_read(stage: Stage) -> None:
    prepared(stage)
    found = verified(stage.upload(read_back="None"))
    assert (found.read_back, found.read_back_bytes, found.listed) == ("None", 0, True)
    assert "GET blob" not in stage.proxy.operations


@pytest.mark.parametrize("target", TARGETS)
def test_a_service_that_damages_for_ever_is_given_up_and_not_trusted_again(target: str, stage: Stage) -> None:
    prepared(stage, target)
    stage.proxy.faults.append(Once(damage, {0}, times=1000))
    error = stage.refused(target=target)
    assert (error.code, error.retry) == (FailureCode.VERIFICATION_FAILED, True)
    assert "first at byte 0" in error.message
    if target == "pageBlob":
        assert stage.blob.get_blob_properties().metadata["state"] == "uploading"
    stage.proxy.faults.clear()
    report = stage.upload(target=target)
    assert verified(report).read_back == "Full"
    assert stage.content() == stage.vhd
    assert report.upload is not None
    assert report.upload.resumed_bytes == stage.sent_minimum
    assert verified(report).repaired_bytes == 4 * MIB


def test_a_complete_blob_is_looked_at_again(stage: Stage) -> None:
    """Rot, and pages that somebody wrote into a hole."""
    prepared(stage)
    stage.upload()
    stage.blob.upload_page(b"\x07" * 512, offset=512, length=512)
    stage.blob.upload_page(b"\x07" * 4096, offset=60 * MIB, length=4096)
    report = stage.upload()
    assert stage.content() == stage.vhd
    found = verified(report)
    assert (found.repaired_pieces, found.cleared_bytes, found.read_back) == (1, 4096, "Full")
    assert report.upload is not None
    assert report.upload.etag == stage.blob.get_blob_properties().etag


@pytest.mark.parametrize("all_the_time", [True, False])
def test_a_list_of_pages_that_lies(all_the_time: bool, stage: Stage) -> None:
    prepared(stage)
    told = threading.Event()

    def lie(request: Request) -> object:
        if request.operation != "GET pagelist" or (told.is_set() and not all_the_time):
            return None
        told.set()
        return Change(lambda body: b'<?xml version="1.0" encoding="utf-8"?><PageList></PageList>')

    stage.proxy.faults.append(lie)
    found = verified(stage.upload())
    # All is there, as its bytes show: nothing is sent twice.
    assert (found.repaired_pieces, found.read_back_bytes) == (0, stage.sent_minimum)
    assert stage.proxy.page_bytes == stage.sent_minimum
    assert stage.content() == stage.vhd
    if all_the_time:
        error = stage.refused(read_back="None")
        assert (error.code, error.retry) == (FailureCode.VERIFICATION_FAILED, True)


def test_a_target_that_may_not_be_read(stage: Stage) -> None:
    prepared(stage, "managedDisk")
    error = stage.refused(target="managedDisk", url=stage.sas("w"), read_back="Full")
    assert (error.code, error.retry) == (FailureCode.READ_BACK_REFUSED, False)
    assert "AuthorizationPermissionMismatch" in error.message
    # Known before anything is sent.
    assert stage.proxy.page_bytes == 0
    found = verified(stage.upload(target="managedDisk", url=stage.sas("w")))
    assert (found.read_back, found.listed, found.read_back_bytes) == ("None", False, 0)
    assert found.refused is not None
    assert "AuthorizationPermissionMismatch" in found.refused
    assert stage.content() == stage.vhd


@pytest.mark.parametrize("guarded", [True, False])
def test_bytes_damaged_on_the_way_back(guarded: bool, stage: Stage) -> None:
    prepared(stage)
    left = [3]

    def flip(request: Request) -> object:
        if not request.is_read or stage.proxy.page_bytes < stage.sent_minimum or left[0] == 0:
            return None
        left[0] -= 1
        if not guarded:
            del request.headers["x-ms-range-get-content-md5"]
        return Change(lambda body: bytes([body[0] ^ 1]) + body[1:])

    stage.proxy.faults.append(flip)
    tracker = Tracker("upload")
    found = verified(upload(stage.config(), tracker, QUICK))
    assert left == [0]
    assert stage.content() == stage.vhd
    if guarded:
        assert (found.repaired_pieces, tracker.snapshot().attempts) == (0, 3)
    else:
        # Not to be told from damage of the service's: sending again does no harm.
        assert 1 <= found.repaired_pieces <= 3


def test_answers_that_break_off(stage: Stage) -> None:
    prepared(stage)
    ends = (DROP, Change(lambda body: body[:-1]), Change(lambda body: body + b"x"), Answer(503, "ServerBusy"))
    left = [len(ends)]

    def cut(request: Request) -> object:
        if not request.is_read or stage.proxy.page_bytes < stage.sent_minimum or left[0] == 0:
            return None
        left[0] -= 1
        return (DROP, Change(lambda body: body[:-1]), Change(lambda body: body + b"x"), Answer(503, "ServerBusy"))[
            left[0]
        ]

    stage.proxy.faults.append(cut)
    assert verified(stage.upload()).repaired_pieces == 0
    assert left == [0]


def test_a_sas_that_expires_while_reading_back(stage: Stage) -> None:
    prepared(stage)
    config = stage.config(read_back="Full")
    file = Path(config.target_url_file)
    new = stage.sas()
    expired = threading.Event()

    def expire(request: Request) -> object:
        if request.is_read and request.span[0] >= 8 * MIB and stage.proxy.page_bytes >= stage.sent_minimum:
            if not expired.is_set():
                expired.set()
                file.write_text(new + "\n")
            return Answer(403, "AuthenticationFailed") if "old" in request.query else None
        return None

    stage.proxy.faults.append(expire)
    file.write_text(stage.sas() + "&old=1")
    found = verified(upload(config, Tracker("upload"), QUICK))
    assert expired.is_set()
    assert (found.read_back, found.read_back_bytes, found.repaired_pieces) == ("Full", stage.sent_minimum, 0)


@pytest.mark.parametrize("target", TARGETS)
def test_killed_while_it_verifies(target: str, stage: Stage, workers: list[Worker]) -> None:
    prepared(stage, target)
    hold = threading.Event()

    def pause(request: Request) -> None:
        if request.is_read and request.span[0] == 16 * MIB and stage.proxy.page_bytes >= stage.sent_minimum:
            hold.wait(30)

    stage.proxy.faults += [Once(damage, {0}), pause]
    config = stage.config(target=target, read_back="Full")
    worker = Worker("upload", config, stage.folder)
    workers.append(worker)
    now = worker.wait_for(lambda now: now.phase == "Verifying" and now.bytes_read >= 8 * MIB)
    assert now.bytes_total == stage.sent_minimum
    assert now.bytes_done == now.bytes_read < stage.sent_minimum
    worker.kill()
    hold.set()
    stage.proxy.faults.clear()
    status, report = Worker("upload", config, stage.folder).end()
    assert status == ExitCode.DONE, report
    assert report is not None
    # The damage is found by the next pod, which sends nothing else again.
    assert verified(report).repaired_bytes == 4 * MIB
    assert report.upload is not None
    assert report.upload.sent_bytes == 0
    assert stage.content() == stage.vhd


def test_a_source_that_changes_is_not_used_for_repair(stage: Stage) -> None:
    prepared(stage)
    disk = stage.folder / "source" / "disk"

    def change(request: Request) -> object:
        with disk.open("r+b") as file:
            file.seek(4 * MIB)
            file.write(b"changed")
        return Answer(201)

    stage.proxy.faults.append(Once(change, {4 * MIB}))
    error = stage.refused()
    assert (error.code, error.retry) == (FailureCode.SOURCE_CHANGED, False)
    assert stage.blob.get_blob_properties().metadata["state"] == "uploading"
