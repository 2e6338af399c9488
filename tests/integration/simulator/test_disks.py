"""Disks, snapshots and managed images, through the real SDKs, with real bytes in Azurite."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.storage.blob import BlobType
from azure.storage.blob.aio import BlobServiceClient
from tests.support.azure import GROUP, AzureStand

from .conftest import credential
from .helpers import sha256, upload, vhd, write_pages


async def make_upload_disk(compute: ComputeManagementClient, size: int, name: str = "os", **more: Any) -> Any:
    creation = {"createOption": "Upload", "uploadSizeBytes": size}
    body = {
        "location": "westeurope",
        "sku": {"name": "Standard_LRS"},
        "properties": {"osType": "Linux", "hyperVGeneration": "V2", "creationData": creation, **more},
    }
    return await (await compute.disks.begin_create_or_update(GROUP, name, body)).result()


async def grant(compute: ComputeManagementClient, name: str = "os", access: str = "Write") -> str:
    body = {"access": access, "durationInSeconds": 3600}
    result = await (await compute.disks.begin_grant_access(GROUP, name, body)).result()
    assert isinstance(result.access_sas, str)
    return result.access_sas


async def filled_disk(compute: ComputeManagementClient, azure: AzureStand, content: bytes, name: str = "os") -> str:
    await make_upload_disk(compute, len(content), name)
    await write_pages(azure, await grant(compute, name), content)
    await (await compute.disks.begin_revoke_access(GROUP, name)).result()
    disk = await compute.disks.get(GROUP, name)
    assert disk.id is not None
    return disk.id


async def test_direct_upload(compute: ComputeManagementClient, azure: AzureStand) -> None:
    content = vhd(24, b"debian")
    made = await make_upload_disk(compute, len(content))
    assert (made.properties.disk_state, made.properties.provisioning_state) == ("ReadyToUpload", "Succeeded")
    assert made.properties.disk_size_gb is None
    sas = await grant(compute)
    assert "sr=b&si=" in sas
    assert (await compute.disks.get(GROUP, "os")).properties.disk_state == "ActiveUpload"
    with pytest.raises(ResourceExistsError, match="Call EndGetAccess"):
        await compute.disks.begin_delete(GROUP, "os")
    await write_pages(azure, sas, content)
    await (await compute.disks.begin_revoke_access(GROUP, "os")).result()
    disk = await compute.disks.get(GROUP, "os")
    assert (disk.properties.disk_state, disk.properties.disk_size_gb) == ("Unattached", 1)
    assert disk.properties.disk_size_bytes == len(content) - 512
    with pytest.raises(HttpResponseError) as caught:
        await write_pages(azure, sas, content[:512])
    assert caught.value.status_code == 403
    assert azure.digest(str(disk.id))[0]["sha256"] == sha256(content)
    await (await compute.disks.begin_delete(GROUP, "os")).result()
    with pytest.raises(ResourceNotFoundError):
        await compute.disks.get(GROUP, "os")


async def test_no_signature_is_kept(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_upload_disk(compute, len(vhd(24)))
    signature = (await grant(compute)).split("sig=")[1]
    state = azure.request("GET", "/_control/state?full=true")
    assert "sig=" not in str(state)
    assert signature not in str(azure.request("GET", "/_control/log"))


async def test_revoke_wants_a_vhd(compute: ComputeManagementClient, azure: AzureStand) -> None:
    size = len(vhd(24))
    await make_upload_disk(compute, size)
    sas = await grant(compute)
    await write_pages(azure, sas, b"x" * 4096)
    with pytest.raises(HttpResponseError) as caught:
        await compute.disks.begin_revoke_access(GROUP, "os")
    error = caught.value.error
    assert caught.value.status_code == 400
    assert error is not None and error.code == "InvalidVhd"
    assert "expected to have cookie value 'conectix'" in str(error.message)
    assert "sig=" not in str(error.message)


@pytest.mark.parametrize(
    ("size", "code"),
    [(24 * 2**20, "BadRequest"), (24 * 2**20 + 1024, "BadRequest"), (2**20 + 512, "InvalidParameter")],
)
async def test_upload_size(compute: ComputeManagementClient, size: int, code: str) -> None:
    with pytest.raises(HttpResponseError) as caught:
        await make_upload_disk(compute, size)
    assert caught.value.status_code == 400
    assert caught.value.error is not None and caught.value.error.code == code


async def test_access_is_renewed_and_read_access_works(compute: ComputeManagementClient, azure: AzureStand) -> None:
    content = vhd(24, b"debian")
    await make_upload_disk(compute, len(content))
    await write_pages(azure, await grant(compute), content[: 4 * 2**20])
    await write_pages(azure, await grant(compute), content)
    await (await compute.disks.begin_revoke_access(GROUP, "os")).result()
    with pytest.raises(ResourceExistsError):
        await compute.disks.begin_grant_access(GROUP, "os", {"access": "Write", "durationInSeconds": 60})
    sas = await grant(compute, access="Read")
    assert (await compute.disks.get(GROUP, "os")).properties.disk_state == "ActiveSAS"
    with pytest.raises(HttpResponseError) as caught:
        await write_pages(azure, sas, content[:512])
    assert caught.value.status_code == 403


async def test_snapshot_and_copy_hold_the_same_bytes(compute: ComputeManagementClient, azure: AzureStand) -> None:
    content = vhd(24, b"debian")
    disk_id = await filled_disk(compute, azure, content)
    creation = {"createOption": "Copy", "sourceResourceId": disk_id}
    body = {"location": "westeurope", "properties": {"creationData": creation}}
    snapshot = await (await compute.snapshots.begin_create_or_update(GROUP, "snap", body)).result()
    assert snapshot.properties.disk_state == "Unattached"
    assert snapshot.properties.hyper_v_generation == "V2"
    assert snapshot.properties.incremental is False
    body["properties"] = {"creationData": {"createOption": "Copy", "sourceResourceId": snapshot.id}}
    copy = await (await compute.disks.begin_create_or_update(GROUP, "copy", body)).result()
    await (await compute.disks.begin_delete(GROUP, "os")).result()
    for made in (snapshot, copy):
        assert azure.digest(made.id)[0]["sha256"] == sha256(content)
    missing = {"createOption": "Copy", "sourceResourceId": disk_id}
    with pytest.raises(ResourceNotFoundError, match="Resource os is not found"):
        await compute.snapshots.begin_create_or_update(
            GROUP, "none", {"location": "westeurope", "properties": {"creationData": missing}}
        )


async def test_managed_image_from_blob(compute: ComputeManagementClient, azure: AzureStand) -> None:
    url = await upload(azure, "image.vhd", vhd(2))
    disk = {"osType": "Linux", "osState": "Generalized", "blobUri": url}
    body = {"location": "westeurope", "properties": {"hyperVGeneration": "V2", "storageProfile": {"osDisk": disk}}}
    made = await (await compute.images.begin_create_or_update(GROUP, "image", body)).result()
    assert made.properties.storage_profile.os_disk.disk_size_gb == 1
    assert made.properties.provisioning_state == "Succeeded"
    disk["blobUri"] = await upload(azure, "text.vhd", b"no vhd".ljust(4096, b"\0"))
    with pytest.raises(HttpResponseError) as caught:
        await compute.images.begin_create_or_update(GROUP, "bad", body)
    error = caught.value.error
    assert error is not None and (error.code, error.target) == ("InvalidParameter", "disks")
    await (await compute.images.begin_delete(GROUP, "image")).result()


async def test_import_from_blob(compute: ComputeManagementClient, azure: AzureStand) -> None:
    content = vhd(3, b"imported")
    url = await upload(azure, "import.vhd", content)
    creation = {"createOption": "Import", "sourceUri": url, "storageAccountId": azure.storage_account_id}
    body = {"location": "westeurope", "properties": {"creationData": creation}}
    made = await (await compute.disks.begin_create_or_update(GROUP, "imported", body)).result()
    assert azure.digest(made.id)[0]["sha256"] == sha256(content)


async def test_entra_token_opens_the_blob_service(azure: AzureStand) -> None:
    """The same identity reaches Azurite, which checks issuer, audience and expiry of the token."""
    url = await upload(azure, "plain.bin", b"hello", kind=BlobType.BLOCKBLOB)
    async with (
        credential(azure) as identity,
        BlobServiceClient(
            azure.account_url, credential=identity, retry_total=0, connection_verify=str(azure.ca_file)
        ) as service,
    ):
        blob = service.get_blob_client("vhds", url.rsplit("/", 1)[1])
        assert await (await blob.download_blob()).readall() == b"hello"
