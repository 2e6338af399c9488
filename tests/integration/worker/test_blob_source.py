"""A disk in an Azure blob: only what has been written is fetched, of one version, with a SAS that is renewed."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobClient, generate_blob_sas
from tests.integration.worker import images
from tests.integration.worker.blobproxy import DROP, Answer, Request
from tests.integration.worker.stages import Stage, big_disk

from gallery_operator.contract import BlobSource, FailureCode, PrepareConfig, PrerequisitesConfig, Report
from gallery_operator.worker.backoff import Backoff
from gallery_operator.worker.download import DownloadPolicy
from gallery_operator.worker.errors import WorkerError
from gallery_operator.worker.mirrors import fetch
from gallery_operator.worker.origin_blob import FOLDER, SasAuthorizer, locate_blob
from gallery_operator.worker.prepare import prepare
from gallery_operator.worker.sas import SasFile
from gallery_operator.worker.segments import Parallel
from gallery_operator.worker.tracking import Tracker

MIB = 1024 * 1024
SMALL = Parallel(connections=3, segment_bytes=MIB, segments=4, least_bytes=2 * MIB)
QUICK = DownloadPolicy(backoff=Backoff(first=0.001, most=0.002, tries=4), checkpoint_bytes=4 * MIB, parallel=SMALL)


def sparse_disk(size: int = 192 * MIB, spots: tuple[int, ...] = (0, 40, 41, 150)) -> bytes:
    """A disk with a MiB of data at some MiB, and a sector at its end."""
    chance = random.Random(5)
    disk = bytearray(size)
    for each in spots:
        disk[each * MIB : (each + 1) * MIB] = chance.randbytes(MIB)
    disk[510:512] = b"\x55\xaa"
    disk[-512:] = chance.randbytes(512)
    return bytes(disk)


class Source:
    """A blob, and its SAS as the pod has it."""

    def __init__(self, stage: Stage, name: str = "source") -> None:
        self.stage = stage
        self.name = name
        self.secrets = stage.folder / "secrets"
        (self.secrets / FOLDER).mkdir(exist_ok=True)
        self.renew()

    @property
    def file(self) -> Path:
        return self.secrets / FOLDER / "url"

    @property
    def blob(self) -> BlobClient:
        return self.stage.container.get_blob_client(self.name)

    @property
    def etag(self) -> str:
        return str(self.blob.get_blob_properties().etag)

    def renew(self, **options: Any) -> str:
        url = self.stage.sas("r", name=self.name, **options)
        self.file.write_text(url)
        return url

    def pages(self, data: bytes) -> None:
        """Put a page blob there, written where the data is not zero."""
        self.blob.create_page_blob(len(data))
        for at in range(0, len(data), MIB):
            piece = data[at : at + MIB]
            if any(piece):
                self.blob.upload_page(piece, at, len(piece))
        self.stage.proxy.reset()

    def block(self, data: bytes) -> None:
        self.blob.upload_blob(data)
        self.stage.proxy.reset()

    @property
    def fetched(self) -> int:
        return sum(end - start for start, end in self.stage.proxy.reads)

    def fetch(self, **options: Any) -> bytes:
        """Fetch the blob's bytes as ``prepare`` does, with less patience."""
        path = self.stage.folder / "scratch" / "download"
        values: dict[str, Any] = {"fingerprint": "f", "limit": 512 * MIB, "policy": QUICK}
        place = locate_blob(BlobSource(name="b", checksum=options.pop("checksum", None)), self.secrets)
        fetch(place, path, tracker=Tracker("prepare"), **{**values, **options})
        return path.read_bytes()

    def refused(self, **options: Any) -> WorkerError:
        with pytest.raises(WorkerError) as caught:
            self.fetch(**options)
        assert "sig=" not in caught.value.message
        return caught.value

    def config(self) -> PrepareConfig:
        folder = self.stage.folder
        return PrepareConfig(
            source=BlobSource(name="b"),
            max_virtual_size=512 * MIB,
            prerequisites=PrerequisitesConfig(policy="Warn"),
            scratch_dir=str(folder / "scratch"),
            source_dir=str(folder / "source"),
            secrets_dir=str(self.secrets),
            port=0,
        )

    def prepare(self) -> Report:
        return prepare(self.config(), Tracker("prepare"))


@pytest.fixture
def source(stage: Stage) -> Source:
    return Source(stage)


def test_of_a_page_blob_only_what_was_written_is_fetched(source: Source) -> None:
    data = sparse_disk()
    source.pages(data)
    report = source.prepare()
    disk = source.stage.folder / "scratch" / "disk"
    assert disk.read_bytes() == data
    assert source.fetched <= 6 * MIB
    assert disk.stat().st_blocks * 512 <= 6 * MIB
    assert report.disk is not None
    assert report.disk.source_etag == source.etag
    # The same again has all it needs on the scratch volume, and only asks whether the blob is still the same.
    source.stage.proxy.reset()
    assert source.prepare() == report
    assert source.fetched == 1


def test_a_prepared_disk_whose_blob_has_changed_is_made_anew(source: Source) -> None:
    data = bytearray(sparse_disk(32 * MIB, (0, 3)))
    source.pages(bytes(data))
    before = source.prepare()
    source.blob.upload_page(b"\xee" * 512, 3 * MIB, 512)
    data[3 * MIB : 3 * MIB + 512] = b"\xee" * 512
    after = source.prepare()
    assert (source.stage.folder / "scratch" / "disk").read_bytes() == bytes(data)
    assert before.disk is not None
    assert after.disk is not None
    assert after.disk.source_etag == source.etag != before.disk.source_etag


def test_an_empty_page_blob_is_all_zeros(source: Source) -> None:
    source.blob.create_page_blob(8 * MIB)
    assert source.fetch() == bytes(8 * MIB)
    assert source.fetched == 0


def converted(kind: str) -> Make:
    def make(data: bytes) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "raw"
            raw.write_bytes(data)
            return images.convert(raw, kind, Path(folder) / "image").read_bytes()

    return make


Make = Callable[[bytes], bytes]
KINDS: dict[str, tuple[Make, bool]] = {
    "raw": (lambda data: data, True),
    "raw of odd length": (lambda data: data + b"\x01" * 512, True),
    "fixed VHD": (images.fixed_vhd, True),
    "compressed": (gzip.compress, False),
    "dynamic VHD": (converted("vhd-dynamic"), False),
    "qcow2": (converted("qcow2"), False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_be_copied_is_known(kind: str, source: Source) -> None:
    """A blob whose file is the disk itself has the disk's bytes at their offsets; no other has."""
    make, same = KINDS[kind]
    source.block(make(big_disk(16 * MIB, 2 * MIB)))
    report = source.prepare()
    assert report.disk is not None
    assert report.disk.source_etag == (source.etag if same else None)


def test_a_block_blob_is_fetched_whole_and_over_several_connections(source: Source) -> None:
    data = big_disk(24 * MIB, 20 * MIB)
    source.block(data)
    assert source.fetch() == data
    assert source.stage.proxy.most_in_flight >= 2


def test_a_checksum_is_of_the_whole_blob_with_its_zeros(source: Source) -> None:
    data = sparse_disk()
    source.pages(data)
    assert source.fetch(checksum="sha256:" + hashlib.sha256(data).hexdigest()) == data
    assert source.refused(checksum="sha256:" + "0" * 64).code is FailureCode.CHECKSUM_MISMATCH


def test_an_expired_sas_is_replaced_in_mid_flight(source: Source) -> None:
    data = sparse_disk()
    source.pages(data)
    old = source.file.read_text().rpartition("sig=")[2]
    refused: list[str] = []

    def expire(request: Request) -> Answer | None:
        if len(source.stage.proxy.reads) < 2 or old not in request.path:
            return None
        if not refused:
            source.renew(lifetime=timedelta(hours=3))
        refused.append(request.path)
        return Answer(403, "AuthenticationFailed")

    source.stage.proxy.faults.append(expire)
    assert source.fetch() == data
    assert 1 <= len(refused) <= 3
    assert source.fetched <= 6 * MIB


def test_a_sas_that_stays_refused_is_waited_for_and_then_told(source: Source) -> None:
    source.pages(sparse_disk())
    source.stage.proxy.faults.append(lambda request: Answer(403, "AuthenticationFailed"))
    place = locate_blob(BlobSource(name="b"), source.secrets)
    (origin,) = place.origins
    quick = SasAuthorizer(SasFile(source.file, seconds=0.05, poll_seconds=0.01))
    object.__setattr__(origin.client, "authorizer", quick)
    with pytest.raises(WorkerError) as caught:
        assert origin.written is not None
        origin.written()
    assert (caught.value.code, caught.value.retry) == (FailureCode.SOURCE_FORBIDDEN, True)
    assert "sig=" not in caught.value.message


def test_a_blob_that_changes_is_fetched_anew_of_one_version(source: Source) -> None:
    before, after = sparse_disk(), bytearray(sparse_disk())
    source.pages(before)
    after[41 * MIB : 41 * MIB + 512] = after[100 * MIB : 100 * MIB + 512] = b"\xee" * 512
    changed: list[int] = []

    def change(request: Request) -> None:
        if request.operation == "GET blob" and len(source.stage.proxy.reads) >= 2 and not changed:
            changed.append(1)
            for at in (41 * MIB, 100 * MIB):
                source.blob.upload_page(b"\xee" * 512, at, 512)

    source.stage.proxy.faults.append(change)
    assert source.fetch() == bytes(after)
    assert changed


def test_a_blob_that_changes_all_the_time_is_given_up(source: Source) -> None:
    source.pages(sparse_disk())

    def change(request: Request) -> None:
        if request.operation == "GET blob":
            source.blob.upload_page(os.urandom(512), 0, 512)

    source.stage.proxy.faults.append(change)
    error = source.refused()
    assert (error.code, error.retry) == (FailureCode.SOURCE_CHANGED, True)


def test_what_has_come_is_not_fetched_again(source: Source) -> None:
    data = sparse_disk()
    source.pages(data)
    broken = [lambda request: DROP if request.operation == "GET blob" and source.stage.proxy.reads else None]
    source.stage.proxy.faults += broken
    assert source.refused().code is FailureCode.SOURCE_UNREACHABLE
    source.stage.proxy.faults.clear()
    assert source.fetch() == data
    assert source.fetched <= 8 * MIB
    starts = [start for start, _ in source.stage.proxy.reads]
    assert starts.count(0) == 1


def test_what_is_left_of_another_version_is_not_gone_on_with(source: Source) -> None:
    source.pages(sparse_disk())
    source.stage.proxy.faults.append(
        lambda request: DROP if request.operation == "GET blob" and len(source.stage.proxy.reads) > 2 else None
    )
    source.refused()
    source.stage.proxy.faults.clear()
    other = sparse_disk(spots=(0, 7, 99))
    source.blob.delete_blob()
    source.pages(other)
    assert source.fetch() == other


def test_a_list_that_is_none_is_not_taken_for_zeros(source: Source) -> None:
    source.pages(sparse_disk())
    source.stage.proxy.faults.append(
        lambda request: (
            Answer(200, headers={"ETag": '"1"', "x-ms-blob-content-length": "512"})
            if request.operation == "GET pagelist"
            else None
        )
    )
    assert source.refused().code is FailureCode.SOURCE_UNREACHABLE


@pytest.mark.parametrize(
    ("status", "code", "expected", "retry"),
    [
        (404, "BlobNotFound", FailureCode.SOURCE_NOT_FOUND, False),
        (404, "ContainerNotFound", FailureCode.SOURCE_NOT_FOUND, False),
        (403, "AuthorizationFailure", FailureCode.SOURCE_FORBIDDEN, False),
        (403, "AuthorizationPermissionMismatch", FailureCode.SOURCE_FORBIDDEN, False),
        (409, "BlobArchived", FailureCode.SOURCE_UNREACHABLE, False),
        (503, "ServerBusy", FailureCode.SOURCE_UNREACHABLE, True),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
def test_refusals_are_told(
    after: int, status: int, code: str, expected: FailureCode, retry: bool, source: Source
) -> None:
    """From the start, or after something has come."""
    source.pages(sparse_disk(32 * MIB, tuple(range(0, 32, 2))))
    source.stage.proxy.faults.append(
        lambda request: Answer(status, code) if len(source.stage.proxy.reads) >= after else None
    )
    error = source.refused()
    assert (error.code, error.retry) == (expected, retry)


def test_a_blob_does_not_lead_to_another_place_of_the_network(source: Source) -> None:
    source.block(big_disk(8 * MIB, MIB))
    elsewhere = {"Location": "http://127.0.0.2:9/latest/meta-data"}
    source.stage.proxy.faults.append(
        lambda request: Answer(302, headers=elsewhere) if request.operation == "GET blob" else None
    )
    assert source.refused().code is FailureCode.SOURCE_ADDRESS_FORBIDDEN


def test_a_snapshot_is_what_it_was(source: Source) -> None:
    data = sparse_disk(16 * MIB, (0, 3))
    source.pages(data)
    snapshot = str(source.blob.create_snapshot()["snapshot"])
    source.blob.upload_page(b"\xee" * 512, 0, 512)
    address, _, query = source.stage.sas("r", name=source.name).partition("?")
    assert query
    sas = generate_blob_sas(
        "imports", source.stage.container_name, source.name, snapshot=snapshot,
        account_key=source.stage.azure.account_key, permission="r", expiry="2099-01-01T00:00:00Z",
    )  # fmt: skip
    source.file.write_text(f"{address}?snapshot={snapshot}&{sas}")
    assert source.fetch() == data


def test_no_url_is_no_source(source: Source) -> None:
    source.file.write_text("")
    with pytest.raises(WorkerError) as caught:
        locate_blob(BlobSource(name="b"), source.secrets)
    assert caught.value.code is FailureCode.BAD_CONFIGURATION
