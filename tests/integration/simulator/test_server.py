"""Faults, restarts, time, counts and the wire itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity.aio import WorkloadIdentityCredential
from azure.mgmt.compute.aio import ComputeManagementClient
from tests.support.azure import GROUP, SUBSCRIPTION, TENANT, AzureStand

from .conftest import credential
from .helpers import vhd, write_pages
from .plain import client
from .test_disks import grant, make_upload_disk
from .test_galleries import make_definition, make_gallery
from .test_versions import begin, body, get, os_blob, put

GALLERY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries/platform"
# aiohttp itself repeats a PUT, once, when a kept-alive connection breaks: faults must hit twice to be seen.
DROPPED = (ServiceRequestError, ServiceResponseError)


async def test_throttling_fault(compute: ComputeManagementClient, azure: AzureStand) -> None:
    slow = {"status": 429, "code": "OperationNotAllowed", "message": "slow", "retry_after": 17, "count": 2}
    azure.add_fault(method="PUT", path="/galleries/", **slow)
    for _ in range(2):
        with pytest.raises(HttpResponseError) as caught:
            await make_gallery(compute)
        assert caught.value.response is not None
        assert (caught.value.status_code, caught.value.response.headers["Retry-After"]) == (429, "17")
    assert azure.resources("Microsoft.Compute/galleries") == []
    await make_gallery(compute)


async def test_empty_503(compute: ComputeManagementClient, azure: AzureStand) -> None:
    azure.add_fault(method="GET", path="/galleries/", status=503)
    with pytest.raises(HttpResponseError) as caught:
        await compute.galleries.get(GROUP, "platform")
    assert caught.value.status_code == 503


async def test_connection_dropped_before_nothing_happened(compute: ComputeManagementClient, azure: AzureStand) -> None:
    azure.add_fault(method="PUT", path="/galleries/", drop="before", count=2)
    with pytest.raises(DROPPED):
        await make_gallery(compute)
    assert azure.resources("Microsoft.Compute/galleries") == []


async def test_connection_dropped_after_it_happened(compute: ComputeManagementClient, azure: AzureStand) -> None:
    azure.add_fault(method="PUT", path="/galleries/", drop="after", count=2)
    with pytest.raises(DROPPED):
        await make_gallery(compute)
    assert len(azure.resources("Microsoft.Compute/galleries")) == 1
    assert (await make_gallery(compute)).properties.provisioning_state == "Succeeded"


async def test_expected_errors_name_the_cause(compute: ComputeManagementClient, azure: AzureStand) -> None:
    azure.add_fault(method="PUT", path="/galleries/", status=403, code="AuthorizationFailed", message="The client 'x'")
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        await make_gallery(compute)
    with pytest.raises(RuntimeError, match="unknown fields: colour"):
        azure.add_fault(status=500, colour="red")


async def test_everything_survives_a_kill(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_gallery(compute)
    await make_definition(compute)
    storage = await os_blob(azure)
    content = vhd(24)
    await make_upload_disk(compute, len(content))
    sas = await grant(compute)
    azure.set_scale(1)
    poller = await compute.gallery_image_versions.begin_create_or_update(
        GROUP, "platform", "debian-12", "1.0.0", body(storage, "westeurope", "eastus"), polling=False
    )
    assert poller is not None
    azure.skip(100)
    before = (await get(compute, expand="ReplicationStatus")).properties.replication_status.summary[0].progress
    azure.stop_simulator(hard=True)
    azure.start_simulator()
    azure.set_scale(1)
    found = (await get(compute, expand="ReplicationStatus")).properties
    assert found.provisioning_state == "Creating"
    assert found.replication_status.summary[0].progress >= before > 0
    await write_pages(azure, sas, content)
    azure.set_scale(600)
    await (await compute.disks.begin_revoke_access(GROUP, "os")).result()
    azure.skip(900)
    assert (await get(compute)).properties.provisioning_state == "Succeeded"


async def test_counts_and_log(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_gallery(compute)
    azure.clear_counts()
    await compute.galleries.get(GROUP, "platform")
    await compute.galleries.get(GROUP, "platform")
    counts = azure.counts()
    assert (counts["requests"], counts["writes"]) == (2, 0)
    assert counts["counts"] == [
        {
            "method": "GET",
            "path": "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/galleries/{}",
            "count": 2,
            "status": {"200": 2},
        }
    ]
    await make_gallery(compute)
    assert azure.counts()["writes"] == 1
    entries = azure.request("GET", "/_control/log")["entries"]
    assert entries[0]["path"] == GALLERY
    assert "?" not in str([entry["path"] for entry in entries])


async def test_headers(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_gallery(compute)
    send = client(azure)
    answer = send("PUT", f"{GALLERY}?api-version=2026-03-03", {"location": "westeurope"})
    assert answer.status == 200
    assert "location" not in answer.headers
    operation = answer.headers["azure-asyncoperation"]
    assert (
        f"/locations/westeurope/capsOperations/{answer.headers['x-ms-request-id']}?api-version=2026-03-03&t="
        in operation
    )
    assert len(operation) > 2000
    assert answer.headers["x-ms-correlation-request-id"]
    assert send("GET", operation.removeprefix(azure.base_url), None).status == 200
    cut = send("GET", operation.removeprefix(azure.base_url)[:-1], None)
    assert (cut.status, cut.body["error"]["code"]) == (403, "AuthorizationFailed")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"{GALLERY}", 400, "MissingApiVersionParameter"),
        (f"{GALLERY}?api-version=1999-01-01", 400, "NoRegisteredProviderFound"),
        (f"{GALLERY}?api-version=2026-03-03", 404, "ResourceNotFound"),
        (f"{GALLERY}/softDeletedArtifactTypes/images?api-version=2026-03-03", 404, "InvalidResourceType"),
        ("/subscriptions/none/resourceGroups/x?api-version=2024-03-01", 404, "SubscriptionNotFound"),
        (f"/subscriptions/{SUBSCRIPTION}/resourceGroups/x?api-version=2024-03-01", 404, "ResourceGroupNotFound"),
        (
            f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/availabilitySets?api-version=2026-04-01",
            404,
            "InvalidResourceType",
        ),
    ],
)
def test_front_door(azure: AzureStand, path: str, status: int, code: str) -> None:
    answer = client(azure)("GET", path, None)
    assert (answer.status, answer.body["error"]["code"]) == (status, code)
    assert answer.headers["x-ms-failure-cause"] == "gateway"


def test_resource_groups_and_accounts(azure: AzureStand) -> None:
    send = client(azure)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/made?api-version=2024-03-01"
    assert send("PUT", group, {"location": "West US"}).status == 201
    assert send("PUT", group, {"location": "westus"}).body["location"] == "westus"
    assert send("PUT", group, {"location": "eastus"}).body["error"]["code"] == "InvalidResourceLocation"
    assert send("DELETE", group, None).status == 200
    assert send("DELETE", group, None).status == 404
    account = send("GET", f"{azure.storage_account_id}?api-version=2023-05-01", None)
    assert account.body["properties"]["primaryEndpoints"]["blob"] == f"{azure.account_url}/"
    keys = send("POST", f"{azure.storage_account_id}/listKeys?api-version=2023-05-01", None)
    assert keys.body["keys"][0]["value"] == azure.account_key


def test_tokens_are_asked_for(azure: AzureStand) -> None:
    with pytest.raises(RuntimeError, match="AuthenticationFailed"):
        azure.request("GET", f"{GALLERY}?api-version=2026-03-03")


async def test_storage_token_does_not_open_arm(azure: AzureStand) -> None:
    class Wrong:
        async def get_token_info(self, *scopes: str, **options: Any) -> Any:
            return await inner.get_token_info("https://storage.azure.com/.default")

    async with (
        credential(azure) as inner,
        ComputeManagementClient(
            Wrong(),  # type: ignore[arg-type]
            SUBSCRIPTION,
            base_url=azure.base_url,
            credential_scopes=[f"{azure.base_url}/.default"],
            retry_total=0,
            connection_verify=str(azure.ca_file),
        ) as compute,
    ):
        with pytest.raises(ClientAuthenticationError, match="InvalidAuthenticationTokenAudience"):
            await compute.galleries.get(GROUP, "platform")


async def test_workload_identity(azure: AzureStand, tmp_path: Path) -> None:
    def identity(assertion: str) -> WorkloadIdentityCredential:
        token = tmp_path / "token"
        token.write_text(assertion)
        return WorkloadIdentityCredential(
            tenant_id=TENANT,
            client_id="app",
            token_file_path=str(token),
            authority=azure.base_url,
            disable_instance_discovery=True,
            connection_verify=str(azure.ca_file),
        )

    async with identity("e30.eyJleHAiOiA5OTk5OTk5OTk5fQ.c2ln") as good:
        assert (await good.get_token(f"{azure.base_url}/.default")).token.count(".") == 2
    async with identity("e30.eyJleHAiOiAxfQ.c2ln") as old:
        with pytest.raises(ClientAuthenticationError, match="AADSTS700024"):
            await old.get_token(f"{azure.base_url}/.default")


async def test_version_put_during_another_is_refused(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_gallery(compute)
    await make_definition(compute)
    azure.set_scale(1)
    storage = await os_blob(azure)
    await begin(compute, body(storage))
    with pytest.raises(ResourceExistsError):
        await put(compute, body(storage))
