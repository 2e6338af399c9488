"""The VM guest state travels beside its disk, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integration.worker import images
from tests.integration.worker.badserver import BadServer
from tests.integration.worker.blobproxy import Answer, Request
from tests.integration.worker.stages import QUICK, Stage, big_disk

from gallery_operator.contract import FailureCode, PrepareConfig, PvcSource, UploadConfig, UrlSource
from gallery_operator.worker import guest_state
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.tracking import Tracker
from gallery_operator.worker.upload import upload

MIB = 1024 * 1024
STATE = bytes(range(256)) * (5 * MIB // 256) + b"f" * 512
DIGEST = hashlib.sha256(STATE).hexdigest()
Make = Callable[..., PrepareConfig]


def pvc(tmp_path: Path, content: bytes = STATE, checksum: str | None = None) -> dict[str, Any]:
    folder = tmp_path / "state"
    folder.mkdir(exist_ok=True)
    (folder / "vm.vmgs").write_bytes(content)
    return {"guest_state": PvcSource(path="vm.vmgs", checksum=checksum), "guest_state_dir": str(folder)}


def test_it_comes_from_a_claim(pvc_config: Make, tmp_path: Path) -> None:
    images.write_disk(tmp_path / "source" / "disk")
    report = prepare(pvc_config("disk", **pvc(tmp_path, checksum=f"sha256:{DIGEST}")), Tracker("prepare"))
    assert report.disk is not None
    assert report.disk.guest_state_sha256 == DIGEST
    assert (tmp_path / "scratch" / guest_state.FILE).read_bytes() == STATE


def test_it_comes_from_a_url_with_headers_of_its_own(pvc_config: Make, tmp_path: Path, server: BadServer) -> None:
    images.write_disk(tmp_path / "source" / "disk")
    server.serve("/vm.vmgs", STATE)
    secrets = tmp_path / "state-secrets"
    (secrets / "headers").mkdir(parents=True)
    (secrets / "headers" / "X-Token").write_text("abc")
    url, networks = server.url("/vm.vmgs"), ("127.0.0.0/8",)
    source = UrlSource(url=url, checksum=f"sha256:{DIGEST}", has_headers=True, allowed_cidrs=networks)
    config = pvc_config("disk", guest_state=source, guest_state_secrets_dir=str(secrets))
    report = prepare(config, Tracker("prepare"))
    assert report.disk is not None
    assert report.disk.guest_state_sha256 == DIGEST
    assert server.seen[0].headers["x-token"] == "abc"
    # A pod that follows one that was killed does not fetch it again.
    prepare(config, Tracker("prepare"))
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("content", "checksum", "code"),
    [
        (STATE, "sha256:" + "0" * 64, FailureCode.CHECKSUM_MISMATCH),
        (STATE[:-1], None, FailureCode.NOT_A_DISK),
        (b"", None, FailureCode.NOT_A_DISK),
        (bytes(guest_state.MOST_BYTES + 512), None, FailureCode.TOO_LARGE),
    ],
)
def test_what_cannot_be_one_is_refused_before_the_disk_is_read(
    content: bytes, checksum: str | None, code: FailureCode, pvc_config: Make, tmp_path: Path
) -> None:
    with pytest.raises(WorkerError) as caught:
        prepare(pvc_config("disk", **pvc(tmp_path, content, checksum)), Tracker("prepare"))  # there is no disk
    assert caught.value.code == code


def _upload(stage: Stage, **changes: Any) -> UploadConfig:
    """Give the disk's blob and one for its guest state, as Azure makes them."""
    stage.blob.create_page_blob(len(stage.vhd))
    stage.container.get_blob_client("state").create_page_blob(changes.pop("room", len(STATE)))
    (stage.folder / "state-url").write_text(stage.sas(name="state"))
    values = {"target": "managedDisk", "guest_state_sha256": DIGEST, **changes}
    return stage.config(guest_state_url_file=str(stage.folder / "state-url"), **values)


@pytest.fixture
def prepared(stage: Stage) -> Stage:
    changes = pvc(stage.folder)
    stage.prepare_config = stage.prepare_config.model_copy(update=changes)
    stage.prepare(big_disk(8 * MIB, 2 * MIB))
    return stage


def test_both_are_uploaded(prepared: Stage) -> None:
    config = _upload(prepared)
    broken = iter([Answer(503, "ServerBusy", {"Retry-After": "0"})])

    def harm(request: Request) -> object:
        return next(broken, None) if request.is_put_page and "/state" in request.path else None

    prepared.proxy.faults.append(harm)
    report = upload(config, Tracker("upload"), QUICK)
    assert report.succeeded
    assert next(broken, None) is None  # it was met with
    assert prepared.container.get_blob_client("state").download_blob().readall() == STATE
    assert prepared.content() == prepared.vhd
    # Once more: nothing breaks, and all is as it was.
    assert upload(config, Tracker("upload"), QUICK).succeeded
    assert prepared.container.get_blob_client("state").download_blob().readall() == STATE


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"room": 4 * MIB}, FailureCode.TOO_LARGE),
        ({"guest_state_sha256": "0" * 64}, FailureCode.SOURCE_CHANGED),
    ],
)
def test_what_does_not_fit_is_not_sent(prepared: Stage, change: dict[str, Any], code: FailureCode) -> None:
    config = _upload(prepared, **change)
    with pytest.raises(WorkerError) as caught:
        upload(config, Tracker("upload"), QUICK)
    assert (caught.value.code, caught.value.retry) == (code, False)
    assert prepared.proxy.page_bytes == 0
