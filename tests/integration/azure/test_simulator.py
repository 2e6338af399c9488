"""The gateway against the Azure simulator and Azurite: what the reconcilers do, from an empty gallery to a version."""

import asyncio
import base64
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient
from tests.support.azure import BAD_SECRET, GROUP, LOCATION, STORAGE_ACCOUNT, SUBSCRIPTION, TENANT, AzureStand

from gallery_operator.azure import resource_ids
from gallery_operator.azure.credentials import CredentialSpec
from gallery_operator.azure.errors import AzureError, ErrorKind
from gallery_operator.azure.gateway import Arm, AzureGateway
from gallery_operator.azure.settings import AzureSettings

T = TypeVar("T")

CLIENT = "11111111-1111-1111-1111-111111111111"
GALLERY = resource_ids.gallery(SUBSCRIPTION, GROUP, "platform")
DEFINITION = resource_ids.definition(SUBSCRIPTION, GROUP, "platform", "debian")
VERSION = resource_ids.version(SUBSCRIPTION, GROUP, "platform", "debian", "1.0.0")
DISK = resource_ids.disk(SUBSCRIPTION, GROUP, "staging")
MIB = 1024 * 1024
VIRTUAL_SIZE = 20 * MIB


def secret(value: str = "a-client-secret") -> CredentialSpec:
    return CredentialSpec.from_secret(
        {"AZURE_TENANT_ID": TENANT.encode(), "AZURE_CLIENT_ID": CLIENT.encode(), "AZURE_CLIENT_SECRET": value.encode()}
    )


@pytest.fixture
async def gateway(azure: AzureStand) -> AsyncIterator[AzureGateway]:
    settings = AzureSettings.from_environment({**azure.environment, "GALLERY_OPERATOR_AZURE_RATE_FACTOR": "100"})
    async with AzureGateway(settings) as opened:
        yield opened


@pytest.fixture
def arm(gateway: AzureGateway) -> Arm:
    return gateway.arm(secret(), SUBSCRIPTION)


async def until(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool], seconds: float = 30) -> T:
    end = time.monotonic() + seconds
    while not good(found := await ask()):
        assert time.monotonic() < end, f"still {found}"
        await asyncio.sleep(0.05)
    return found


async def settled(arm: Arm, rid: resource_ids.ResourceId, seconds: float = 30) -> dict[str, Any]:
    def done(document: dict[str, Any] | None) -> bool:
        return document is not None and document["properties"]["provisioningState"] in {"Succeeded", "Failed"}

    document = await until(lambda: arm.get(rid), done, seconds)
    assert document is not None
    return document


def footer(size: int = VIRTUAL_SIZE, cookie: bytes = b"conectix") -> bytes:
    """Return the footer of a fixed VHD of that virtual size in bytes."""
    geometry = struct.pack(">HBB", size // 512 // (4 * 17), 4, 17)
    head = struct.pack(">8sIIQI4sI4sQQ", cookie, 2, 0x10000, 2**64 - 1, 0, b"gop ", 1, b"Wi2k", size, size)
    raw = head + geometry + struct.pack(">I", 2) + b"\0" * 4 + b"u" * 16 + b"\0" * 428
    return raw[:64] + struct.pack(">I", ~sum(raw) & 0xFFFFFFFF) + raw[68:]


async def write_pages(azure: AzureStand, sas: str, pages: dict[int, bytes], create: int | None = None) -> None:
    """Write as the upload pod does: with the signed URL and nothing else."""

    def write() -> None:
        with BlobClient.from_blob_url(sas, connection_verify=str(azure.ca_file)) as client:
            if create is not None:
                client.create_page_blob(create, metadata={"sha256": "abc"})
            for offset, data in pages.items():
                client.upload_page(data, offset, len(data), validate_content=True)

    await asyncio.to_thread(write)


async def make_container(azure: AzureStand, name: str) -> None:
    def make() -> None:
        credential = {"account_name": STORAGE_ACCOUNT, "account_key": azure.account_key}
        with BlobServiceClient(azure.account_url, credential, connection_verify=str(azure.ca_file)) as service:
            service.create_container(name)

    await asyncio.to_thread(make)


async def make_definition(arm: Arm) -> None:
    await arm.put(GALLERY, {"location": LOCATION, "properties": {}})
    await settled(arm, GALLERY)
    body = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "architecture": "x64",
        "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
        "features": [{"name": "SecurityType", "value": "TrustedLaunchSupported"}],
    }
    await arm.put(DEFINITION, {"location": LOCATION, "properties": body})
    await settled(arm, DEFINITION)


async def make_disk(arm: Arm, azure: AzureStand, last: bytes) -> None:
    upload = {"createOption": "Upload", "uploadSizeBytes": VIRTUAL_SIZE + 512}
    properties = {"osType": "Linux", "hyperVGeneration": "V2", "creationData": upload}
    await arm.put(DISK, {"location": LOCATION, "sku": {"name": "Standard_LRS"}, "properties": properties})
    await settled(arm, DISK)
    sas = await arm.grant_write_access(DISK, 3600)
    await write_pages(azure, sas.get_secret_value(), {0: b"x" * 512, VIRTUAL_SIZE: last})


def version_body(*regions: str) -> dict[str, Any]:
    targets = [{"name": name, "regionalReplicaCount": 1} for name in regions]
    return {
        "location": LOCATION,
        "properties": {
            "publishingProfile": {"targetRegions": targets},
            "storageProfile": {"osDiskImage": {"source": {"id": str(DISK)}}},
        },
    }


async def test_from_a_disk_to_a_version_and_back(azure: AzureStand, arm: Arm) -> None:
    assert await arm.get(VERSION) is None
    await make_definition(arm)
    await make_disk(arm, azure, footer())
    await arm.revoke_access(DISK)
    first = await arm.put(VERSION, version_body(LOCATION, "northeurope"))
    assert first["properties"]["provisioningState"] == "Creating"
    assert await arm.failure(VERSION) is None
    document = await settled(arm, VERSION)
    assert document["properties"]["provisioningState"] == "Succeeded"
    assert await arm.failure(VERSION) is None
    expanded = await arm.get(VERSION, expand="ReplicationStatus")
    assert expanded is not None
    assert expanded["properties"]["replicationStatus"]["aggregatedState"] == "Completed"
    assert [item["name"] for item in await arm.list(f"{DEFINITION}/versions")] == ["1.0.0"]
    assert [item["name"] for item in await arm.list(f"{GALLERY}/images")] == ["debian"]
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    assert [item["name"] for item in await arm.list(f"{group}/providers/Microsoft.Compute/galleries")] == ["platform"]

    with pytest.raises(AzureError) as caught:
        await arm.delete(DEFINITION)
    assert caught.value.kind is ErrorKind.DEPENDENTS
    assert await arm.delete(VERSION) is True
    await until(lambda: arm.get(VERSION), lambda found: found is None)

    for rid in (DEFINITION, GALLERY, DISK):  # Azure may take a while to see that the children are gone

        async def gone(rid: resource_ids.ResourceId = rid) -> bool:
            try:
                await arm.delete(rid)
            except AzureError as error:
                assert error.kind is ErrorKind.DEPENDENTS
            return await arm.get(rid) is None

        await until(gone, bool)
        assert await arm.delete(rid) is False


async def test_snapshot_and_managed_image(azure: AzureStand, arm: Arm) -> None:
    await make_disk(arm, azure, footer())
    await arm.revoke_access(DISK)
    snapshot = resource_ids.snapshot(SUBSCRIPTION, GROUP, "snap")
    creation = {"createOption": "Copy", "sourceResourceId": str(DISK)}
    await arm.put(snapshot, {"location": LOCATION, "properties": {"creationData": creation}})
    assert (await settled(arm, snapshot))["name"] == "snap"
    image = resource_ids.managed_image(SUBSCRIPTION, GROUP, "image")
    os_disk = {"osType": "Linux", "osState": "Generalized", "managedDisk": {"id": str(DISK)}}
    body = {"location": LOCATION, "properties": {"hyperVGeneration": "V2", "storageProfile": {"osDisk": os_disk}}}
    await arm.put(image, body)
    assert (await settled(arm, image))["properties"]["provisioningState"] == "Succeeded"
    for rid in (image, snapshot):
        assert await arm.delete(rid) is True
        await until(lambda rid=rid: arm.get(rid), lambda found: found is None)  # type: ignore[misc]


async def test_bad_footer_is_seen_when_access_ends(azure: AzureStand, arm: Arm) -> None:
    await make_disk(arm, azure, footer(cookie=b"notavhd!"))
    with pytest.raises(AzureError) as caught:
        await arm.revoke_access(DISK)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "InvalidVhd")
    assert "sig=" not in repr(caught.value)


async def test_blob_by_a_user_delegation_sas(azure: AzureStand, gateway: AzureGateway, arm: Arm) -> None:
    endpoint = await arm.blob_endpoint(azure.storage_account_id)
    assert endpoint == azure.account_url
    blobs = gateway.blobs(secret())
    container = f"vhds-{time.monotonic_ns()}"
    url = f"{endpoint}/{container}/debian.vhd"
    with pytest.raises(AzureError) as caught:
        await blobs.properties(url)
    assert caught.value.kind is ErrorKind.DEPENDENCY
    await blobs.delete(url)
    await make_container(azure, container)
    assert await blobs.properties(url) is None
    sas = (await blobs.upload_sas(url, 3600)).get_secret_value()
    await write_pages(azure, sas, {0: b"x" * 512, VIRTUAL_SIZE: footer()}, create=VIRTUAL_SIZE + 512)
    found = await blobs.properties(url)
    assert found is not None
    assert (found.size, found.blob_type, found.leased) == (VIRTUAL_SIZE + 512, "PageBlob", False)
    assert found.metadata["sha256"] == "abc"

    await make_definition(arm)
    body = version_body(LOCATION)
    source = {"storageAccountId": azure.storage_account_id, "uri": url}
    body["properties"]["storageProfile"] = {"osDiskImage": {"source": source}}
    await arm.put(VERSION, body)
    assert (await settled(arm, VERSION))["properties"]["provisioningState"] == "Succeeded"

    other = sas.replace("debian.vhd", "another.vhd")
    with pytest.raises(HttpResponseError) as denied:
        await write_pages(azure, other, {}, create=512)
    assert denied.value.status_code == 403

    def lease() -> None:
        with BlobClient.from_blob_url(sas, connection_verify=str(azure.ca_file)) as client:
            client.acquire_lease(60)

    await asyncio.to_thread(lease)
    leased = await blobs.properties(url)
    assert leased is not None and leased.leased
    await blobs.delete(url)
    assert await blobs.properties(url) is None


async def test_blob_that_may_only_be_read(azure: AzureStand, gateway: AzureGateway, arm: Arm) -> None:
    url = f"{await arm.blob_endpoint(azure.storage_account_id)}/sources-{time.monotonic_ns()}/debian.vhd"
    blobs = gateway.blobs(secret())
    await make_container(azure, url.split("/")[-2])
    sas = (await blobs.upload_sas(url, 3600)).get_secret_value()
    await write_pages(azure, sas, {0: b"x" * 512}, create=1024)
    readable = (await blobs.read_sas(url, 3600)).get_secret_value()

    def read(address: str) -> bytes:
        with BlobClient.from_blob_url(address, connection_verify=str(azure.ca_file)) as client:
            assert [(each.start, each.end) for each in client.list_page_ranges()] == [(0, 511)]
            return client.download_blob().readall()

    assert await asyncio.to_thread(read, readable) == b"x" * 512 + bytes(512)
    for refused in (
        write_pages(azure, readable, {0: b"y" * 512}),
        asyncio.to_thread(read, readable.replace("debian.vhd", "another.vhd")),
    ):
        with pytest.raises(HttpResponseError) as denied:
            await refused
        assert denied.value.status_code == 403


async def test_region_that_fails_says_why(azure: AzureStand, arm: Arm) -> None:
    await make_definition(arm)
    await make_disk(arm, azure, footer())
    await arm.revoke_access(DISK)
    azure.request("POST", "/_control/faults", {"region": "northeurope", "count": 1})
    await arm.put(VERSION, version_body(LOCATION, "northeurope"))
    await settled(arm, VERSION)
    error = await until(lambda: arm.failure(VERSION), lambda found: found is not None)
    assert error is not None
    assert (error.kind, error.operation) == (ErrorKind.RETRY, "galleryImageVersions.put")
    assert "northeurope" in error.message.lower().replace(" ", "")


async def test_immutable_property(arm: Arm) -> None:
    await make_definition(arm)
    document = await arm.get(DEFINITION)
    assert document is not None
    document["properties"]["hyperVGeneration"] = "V1"
    with pytest.raises(AzureError) as caught:
        await arm.put(DEFINITION, document)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.INVALID, "PropertyChangeNotAllowed")


async def test_missing_resource_group_and_parent(arm: Arm) -> None:
    lost = resource_ids.gallery(SUBSCRIPTION, "nowhere", "g")
    assert await arm.get(lost) is None
    assert await arm.delete(lost) is False
    assert await arm.get(resource_ids.resource_group(SUBSCRIPTION, "nowhere")) is None
    group = await arm.get(resource_ids.resource_group(SUBSCRIPTION, GROUP))
    assert group is not None and group["location"] == LOCATION
    with pytest.raises(AzureError) as caught:
        await arm.put(lost, {"location": LOCATION})
    assert (caught.value.kind, caught.value.code) == (ErrorKind.DEPENDENCY, "ResourceGroupNotFound")
    with pytest.raises(AzureError) as caught:
        await arm.put(VERSION, version_body(LOCATION))
    assert (caught.value.kind, caught.value.code) == (ErrorKind.DEPENDENCY, "ParentResourceNotFound")


async def test_throttled(azure: AzureStand, arm: Arm) -> None:
    azure.add_fault(
        method="GET", path="galleries", status=429, code="TooManyRequests", message="slow down", retry_after=3600
    )
    started = time.monotonic()
    with pytest.raises(AzureError) as caught:
        await arm.get(GALLERY)
    assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.THROTTLED, 3600)
    assert time.monotonic() - started < 30
    azure.clear_counts()
    with pytest.raises(AzureError):
        await arm.get(GALLERY)
    assert azure.counts()["requests"] == 0


async def test_dropped_connection(azure: AzureStand, arm: Arm) -> None:
    body = {"location": LOCATION}
    azure.add_fault(method="PUT", path="galleries", drop="before", count=None)
    with pytest.raises(AzureError) as caught:
        await arm.put(GALLERY, body)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNREACHABLE, "ConnectionFailed")
    assert await arm.get(GALLERY) is None
    azure.clear_faults()
    azure.add_fault(method="PUT", path="galleries", drop="after", count=None)
    with pytest.raises(AzureError) as caught:
        await arm.put(GALLERY, body)
    assert caught.value.kind is ErrorKind.UNREACHABLE
    azure.clear_faults()
    await settled(arm, GALLERY)  # it was carried out although nobody said so


async def test_wrong_secret(gateway: AzureGateway) -> None:
    with pytest.raises(AzureError) as caught:
        await gateway.arm(secret(BAD_SECRET), SUBSCRIPTION).get(GALLERY)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHENTICATED, "AADSTS7000215")
    assert "AZURE_CLIENT_SECRET" in caught.value.next_step
    assert BAD_SECRET not in repr(caught.value)


def projected_token(life: int) -> str:
    """Return what a kubelet projects, for as many seconds; a negative number gives one that has expired."""
    now = int(time.time())
    claims = {"sub": "system:serviceaccount:ns:sa", "aud": ["api://AzureADTokenExchange"], "iat": now, "nbf": now - 60}
    parts = ({"alg": "RS256"}, {**claims, "iss": "https://issuer", "exp": now + life})
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"
    )


async def test_expired_projected_token(azure: AzureStand, gateway: AzureGateway, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(projected_token(life=-60))
    env = {**azure.environment, "AZURE_FEDERATED_TOKEN_FILE": str(token_file)}
    with pytest.raises(AzureError) as caught:
        await gateway.arm(CredentialSpec.from_environment(env), SUBSCRIPTION).get(GALLERY)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAUTHENTICATED, "AADSTS700024")
    assert caught.value.message.endswith("valid time range.")


async def test_workload_identity(azure: AzureStand, gateway: AzureGateway, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(projected_token(life=3600))
    env = {**azure.environment, "AZURE_FEDERATED_TOKEN_FILE": str(token_file)}
    arm = gateway.arm(CredentialSpec.from_environment(env), SUBSCRIPTION)
    await arm.put(GALLERY, {"location": LOCATION})
    assert (await settled(arm, GALLERY))["name"] == "platform"
