"""A disk in a blob: looked at before anything runs, readable for the pods by a SAS that comes, is renewed and goes."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient, ContainerClient, StandardBlobTier
from tests.integration.reconcilers.player import Player, checked, disk, failure
from tests.integration.reconcilers.stage import CANARIES, RESOURCE_GROUP, STORAGE_API_VERSION, Json, Stage, ready

from gallery_operator.azure.blobs import Blobs
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.contract import FailureCode, Report, UploadFacts
from gallery_operator.planning import jobs

MANAGED: Json = {"managedDisk": {"resourceGroup": RESOURCE_GROUP, "location": "westeurope", "diskName": "debian"}}
VHD = disk()


@pytest.fixture
async def player(stage: Stage) -> AsyncIterator[Player]:
    async with Player(stage) as found:
        yield found


@pytest.fixture
def container(stage: Stage) -> ContainerClient:
    service = BlobServiceClient(
        stage.azure.account_url, credential=stage.azure.account_key, connection_verify=str(stage.azure.ca_file)
    )
    return service.create_container(f"c{datetime.now(UTC).timestamp():.0f}{id(stage)}")


def source_of(stage: Stage, container: ContainerClient, name: str = "build/de bian.vhd", **more: str) -> Json:
    account = {"storageAccountId": stage.azure.storage_account_id}
    return {"blob": {**account, "container": container.container_name, "blobName": name, **more}}


def create(stage: Stage, source: Json, **spec: Any) -> None:
    stage.create("VhdImport", "os", {"source": source, "destination": MANAGED, **spec})


def put(container: ContainerClient, name: str = "build/de bian.vhd") -> BlobClient:
    client = container.get_blob_client(name)
    client.upload_blob(VHD, overwrite=True)
    return client


def mounted(stage: Stage, job: Json) -> str | None:
    """The URL of the source that a Job's pod reads; None when it has none."""
    for volume in job["spec"]["template"]["spec"]["volumes"]:
        if volume["name"] == "blob":
            secret = stage.get("Secret", volume["secret"]["secretName"])
            assert secret is not None
            return base64.b64decode(secret["data"]["url"]).decode()
    return None


def reader(stage: Stage, url: str) -> BlobClient:
    return BlobClient.from_blob_url(url, api_version=STORAGE_API_VERSION, connection_verify=str(stage.azure.ca_file))


def copyable(etag: str) -> Report:
    report = checked(VHD)
    assert report.disk is not None
    facts = report.disk.model_copy(update={"format": "vhd", "compression": None, "source_etag": etag})
    return report.model_copy(update={"disk": facts})


async def test_azure_is_to_copy_what_is_a_disk_already(
    stage: Stage, player: Player, container: ContainerClient
) -> None:
    blob = put(container)
    etag = str(blob.get_blob_properties().etag)
    create(stage, source_of(stage, container))
    prepare = await player.job("prepare")
    assert player.config(prepare)["source"]["kind"] == "blob"
    url = mounted(stage, prepare)
    assert url is not None
    with reader(stage, url) as client:
        assert client.download_blob().readall() == VHD
        for forbidden in (client.delete_blob, lambda: client.upload_blob(b"x", overwrite=True)):
            with pytest.raises(HttpResponseError) as caught:
                forbidden()
            assert caught.value.status_code == 403
    player.end(prepare, copyable(etag))
    upload = await player.job("upload")
    assert player.config(upload)["copy_source"] == {"etag": etag, "url_file": "/etc/worker/blob/url"}
    assert mounted(stage, upload) is not None
    sent = player.upload(upload, VHD)
    facts = UploadFacts(total_bytes=len(VHD), sent_bytes=512, copied_bytes=4096, skipped_bytes=len(VHD) - 4608)
    player.end(upload, sent.model_copy(update={"upload": facts}))
    body = await stage.ready("VhdImport", "os")
    status = body["status"]
    assert (status["sentBytes"], status["copiedBytes"], status["disk"]["sourceEtag"]) == (512, 4096, etag)
    assert "copyProblem" not in status
    assert stage.list("Secret") == []
    await stage.until(lambda: [each for each in stage.events("os") if "has copied 4 KiB" in each["message"]])
    for kind in ("VhdImport", "Event", "Job", "Pod", "ConfigMap"):
        assert not any(canary in json.dumps(stage.list(kind)) for canary in CANARIES)


async def test_why_it_was_not_copied_is_told(stage: Stage, player: Player, container: ContainerClient) -> None:
    etag = str(put(container).get_blob_properties().etag)
    create(stage, source_of(stage, container))
    player.end(await player.job("prepare"), copyable(etag))
    upload = await player.job("upload")
    sent = player.upload(upload, VHD)
    assert sent.upload is not None
    facts = sent.upload.model_copy(update={"copy_problem": "403 CannotVerifyCopySource", "resumed_bytes": 7})
    player.end(upload, sent.model_copy(update={"upload": facts}))
    status = (await stage.ready("VhdImport", "os"))["status"]
    assert (status["sentBytes"], status["copyProblem"]) == (4608 + 7, "403 CannotVerifyCopySource")
    assert "copiedBytes" not in status
    await stage.until(lambda: [each for each in stage.events("os") if "would not copy" in each["message"]])


async def test_what_must_be_converted_is_not_copied(stage: Stage, player: Player, container: ContainerClient) -> None:
    put(container)
    create(stage, source_of(stage, container))
    player.end(await player.job("prepare"), checked(VHD))
    upload = await player.job("upload")
    assert player.config(upload)["copy_source"] is None
    assert mounted(stage, upload) is None
    assert len(stage.list("Secret")) == 1  # the target's; the pod has no way to the source any more
    player.end(upload, player.upload(upload, VHD))
    await stage.ready("VhdImport", "os")
    assert stage.list("Secret") == []


async def test_a_snapshot_is_read_and_no_later_state(stage: Stage, player: Player, container: ContainerClient) -> None:
    blob = put(container)
    snapshot = str(blob.create_snapshot()["snapshot"])
    blob.upload_blob(b"another", overwrite=True)
    create(stage, source_of(stage, container, snapshot=snapshot))
    prepare = await player.job("prepare")
    assert snapshot in player.config(prepare)["source"]["name"]
    url = mounted(stage, prepare)
    assert url is not None
    # Azurite does not know user delegation SAS of snapshots; the worker's tests read one with another SAS.
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert (query["snapshot"], query["sr"], query["sp"]) == (snapshot, "bs", "r")
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    assert stage.list("Secret") == []


async def test_a_blob_that_is_not_there_is_waited_for(
    stage: Stage, player: Player, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(stage, source_of(stage, container))
    body = await stage.reason("VhdImport", "os", "SourceNotFound")
    assert not stage.stalled(body)
    assert "build/de%20bian.vhd" in ready(body)["message"]
    assert stage.list("Job") == stage.list("Secret") == []
    put(container)
    stage.nudge("VhdImport", "os")
    await player.job("prepare")


async def test_an_archived_blob_is_waited_for(stage: Stage, player: Player, container: ContainerClient) -> None:
    blob = put(container)
    blob.set_standard_blob_tier(StandardBlobTier.ARCHIVE)
    create(stage, source_of(stage, container))
    body = await stage.reason("VhdImport", "os", "SourceArchived")
    assert "rehydrate" in ready(body)["message"]
    blob.delete_blob()
    put(container)
    stage.nudge("VhdImport", "os")
    await player.job("prepare")


async def test_a_folder_is_no_disk(stage: Stage, container: ContainerClient) -> None:
    container.upload_blob("folder", b"", metadata={"hdi_isfolder": "true"})
    create(stage, source_of(stage, container, "folder"))
    assert stage.stalled(await stage.reason("VhdImport", "os", "SourceNotADisk"))


async def test_container_and_account_that_are_not_there(stage: Stage, container: ContainerClient) -> None:
    missing = source_of(stage, container)
    missing["blob"]["container"] = "nowhere"
    create(stage, missing)
    body = await stage.reason("VhdImport", "os", "SourceNotFound")
    assert "ContainerNotFound" in ready(body)["message"]
    account = source_of(stage, container)
    account["blob"]["storageAccountId"] += "x"
    other = {"managedDisk": {**MANAGED["managedDisk"], "diskName": "other"}}
    stage.create("VhdImport", "other", {"source": account, "destination": other})
    body = await stage.reason("VhdImport", "other", "StorageAccountNotFound")
    assert not stage.stalled(body)


async def test_without_the_right_the_roles_are_named(
    stage: Stage, player: Player, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(container)
    denied = AzureError(
        ErrorKind.FORBIDDEN, "AuthorizationPermissionMismatch", "not authorized", "write roles", "blobs.properties"
    )
    real = Blobs.properties

    async def refuse(*_: object) -> None:
        raise denied

    monkeypatch.setattr(Blobs, "properties", refuse)
    create(stage, source_of(stage, container))
    body = await stage.reason("VhdImport", "os", "SourceForbidden")
    assert stage.stalled(body)
    assert "Storage Blob Data Reader" in ready(body)["message"]
    monkeypatch.setattr(Blobs, "properties", real)
    monkeypatch.setattr(Blobs, "read_sas", refuse)
    stage.nudge("VhdImport", "os")
    await stage.until(lambda: stage.list("PersistentVolumeClaim"))
    assert "Storage Blob Delegator" in ready(await stage.reason("VhdImport", "os", "SourceForbidden"))["message"]
    monkeypatch.undo()
    stage.nudge("VhdImport", "os")
    await player.job("prepare")


@pytest.mark.parametrize("step", ["prepare", "upload"])
async def test_a_sas_is_renewed_before_it_ends_and_made_again_when_lost(
    step: jobs.Component, stage: Stage, player: Player, container: ContainerClient
) -> None:
    etag = str(put(container).get_blob_properties().etag)
    create(stage, source_of(stage, container))
    job = await player.job("prepare")
    if step == "upload":
        player.end(job, copyable(etag))
        job = await player.job("upload")
    player.run(job)
    (secret,) = [each for each in stage.list("Secret") if each["metadata"]["name"].startswith("os-source")]
    name = secret["metadata"]["name"]
    soon = (datetime.now(UTC) + timedelta(hours=4)).strftime("%Y-%m-%dT%H:%M:%SZ")
    stage.patch("Secret", name, {"metadata": {"annotations": {jobs.EXPIRY_ANNOTATION: soon}}})
    await stage.until(
        lambda: (stage.get("Secret", name) or secret)["metadata"]["annotations"][jobs.EXPIRY_ANNOTATION] > soon
    )
    stage.delete("Secret", name)
    await stage.until(lambda: stage.get("Secret", name))
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    assert stage.list("Secret") == []


@pytest.mark.parametrize("code", [FailureCode.SOURCE_FORBIDDEN, FailureCode.SOURCE_NOT_FOUND])
async def test_what_is_mended_in_azure_is_tried_again(
    code: FailureCode, stage: Stage, player: Player, container: ContainerClient
) -> None:
    put(container)
    create(stage, source_of(stage, container))
    player.end(await player.job("prepare"), failure("prepare", code))
    body = await stage.reason("VhdImport", "os", code.value)
    assert not stage.stalled(body)
    assert body["status"]["nextRetryTime"]


async def test_after_an_end_for_good_the_pods_have_no_way_in(
    stage: Stage, player: Player, container: ContainerClient
) -> None:
    put(container)
    create(stage, source_of(stage, container))
    player.end(await player.job("prepare"), failure("prepare", FailureCode.CHECKSUM_MISMATCH))
    assert stage.stalled(await stage.reason("VhdImport", "os", "ChecksumMismatch"))
    await stage.until(lambda: stage.list("Secret") == [])
