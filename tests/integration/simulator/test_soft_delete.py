"""Soft delete: what is kept, for how long, what it holds up, and how it comes back."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.compute.aio import ComputeManagementClient
from tests.support.azure import GROUP, SUBSCRIPTION, AzureStand

from .plain import Send, client
from .test_galleries import make_definition, make_gallery
from .test_versions import body, code_of, get, os_blob, put

DAY = 86400.0
GALLERY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries/platform"
VERSION = f"{GALLERY}/images/debian-12/versions/1.0.0"
DELETED = f"{GALLERY}/softDeletedArtifactTypes/Images/artifacts/debian-12/versions"
API = "api-version=2026-03-03"
POLICY = {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7, "gracePeriodInDays": 3}


@pytest.fixture
async def send(compute: ComputeManagementClient, azure: AzureStand) -> Send:
    await make_gallery(compute, softDeletePolicy=POLICY)
    await make_definition(compute)
    await put(compute, body(await os_blob(azure)))
    return client(azure)


async def delete(compute: ComputeManagementClient, **options: Any) -> None:
    poller = await compute.gallery_image_versions.begin_delete(GROUP, "platform", "debian-12", "1.0.0", **options)
    await poller.result()


async def test_kept_listed_and_restored_by_a_patch(compute: ComputeManagementClient, send: Send) -> None:
    await delete(compute)
    with pytest.raises(ResourceNotFoundError):
        await get(compute)
    assert [
        one.name async for one in compute.gallery_image_versions.list_by_gallery_image(GROUP, "platform", "debian-12")
    ] == []
    rows = [
        row
        async for row in compute.soft_deleted_resource.list_by_artifact_name(GROUP, "platform", "images", "debian-12")
    ]
    assert [row.name for row in rows] == ["1.0.0"]
    shown = rows[0].properties
    assert shown.resource_arm_id == VERSION
    # Azure days pass faster here, and the timestamps tell when they will have passed.
    assert shown.hard_deletion_target_time > shown.consumption_end_time
    poller = await compute.gallery_image_versions.begin_update(
        GROUP, "platform", "debian-12", "1.0.0", {"properties": {"restore": True, "storageProfile": {}}}
    )
    assert (await poller.result()).properties.provisioning_state == "Succeeded"
    assert send("GET", f"{DELETED}?{API}", None).body == {"value": []}


async def test_restored_by_a_put_with_the_location_only(compute: ComputeManagementClient, send: Send) -> None:
    before = (await get(compute)).as_dict()
    await delete(compute)
    answer = send("PUT", f"{VERSION}?{API}", {"location": "westeurope", "tags": {}})
    assert (answer.status, answer.body["properties"]["provisioningState"]) == (200, "Updating")
    assert answer.body["properties"]["storageProfile"] == before["properties"]["storageProfile"]


async def test_bypass_deletes_for_good(compute: ComputeManagementClient, send: Send) -> None:
    await delete(compute, bypass_soft_delete=True)
    assert send("GET", f"{DELETED}?{API}", None).body == {"value": []}
    assert send("PATCH", f"{VERSION}?{API}", {"properties": {"restore": True}}).status == 404


async def test_usable_by_name_in_its_retention_only(
    compute: ComputeManagementClient, azure: AzureStand, send: Send
) -> None:
    await delete(compute)
    source = {"source": {"id": VERSION}}
    await put(compute, body(source), version="1.0.1")
    azure.skip(8 * DAY)
    with pytest.raises(HttpResponseError) as caught:
        await put(compute, body(source), version="1.0.2")
    assert code_of(caught.value) == (400, "InvalidParameter")
    assert send("PATCH", f"{VERSION}?{API}", {"properties": {"restore": True}}).status == 200, "grace: still restorable"


async def test_gone_after_grace(compute: ComputeManagementClient, azure: AzureStand, send: Send) -> None:
    await delete(compute)
    azure.skip(10 * DAY + 1)
    assert send("GET", f"{DELETED}?{API}", None).body == {"value": []}
    assert send("PATCH", f"{VERSION}?{API}", {"properties": {"restore": True}}).status == 404
    await put(compute, body(await os_blob(azure)))


async def test_a_restored_version_outlives_the_old_deadline(
    compute: ComputeManagementClient, azure: AzureStand, send: Send
) -> None:
    await delete(compute)
    assert send("PUT", f"{VERSION}?{API}", {"location": "westeurope"}).status == 200
    azure.skip(11 * DAY)
    assert (await get(compute)).properties.provisioning_state == "Succeeded"


async def test_holds_its_definition_until_deleted_for_good(
    compute: ComputeManagementClient, azure: AzureStand, send: Send
) -> None:
    await delete(compute)
    azure.skip(60)
    with pytest.raises(ResourceExistsError) as caught:
        await compute.gallery_images.begin_delete(GROUP, "platform", "debian-12")
    assert code_of(caught.value) == (409, "CannotDeleteResource")
    assert send("DELETE", f"{DELETED}/1.0.0?{API}", None).status == 202
    azure.skip(300)
    await (await compute.gallery_images.begin_delete(GROUP, "platform", "debian-12")).result()


async def test_does_not_hold_its_definition_once_the_policy_is_off(
    compute: ComputeManagementClient, azure: AzureStand, send: Send
) -> None:
    await delete(compute)
    azure.skip(60)
    off = await make_gallery(compute, softDeletePolicy={"isSoftDeleteEnabled": False})
    assert off.properties.soft_delete_policy.retention_period_in_days == 7
    await (await compute.gallery_images.begin_delete(GROUP, "platform", "debian-12")).result()
    left = [row["type"] for row in azure.state()["resources"] if "galleries/" in row["type"].lower()]
    assert left == []


async def test_the_name_is_taken_while_it_is_kept(
    compute: ComputeManagementClient, azure: AzureStand, send: Send
) -> None:
    await delete(compute)
    with pytest.raises(HttpResponseError) as caught:
        await put(compute, body(await os_blob(azure, b"other", "other.vhd")))
    assert code_of(caught.value)[0] == 409


async def test_a_failed_version_cannot_be_soft_deleted(
    compute: ComputeManagementClient, azure: AzureStand, send: Send
) -> None:
    azure.add_fault(region="westeurope")
    with pytest.raises(HttpResponseError):
        await put(compute, body(await os_blob(azure)), version="2.0.0")
    path = VERSION.replace("1.0.0", "2.0.0")
    assert send("DELETE", f"{path}?{API}", None).status == 409
    assert send("DELETE", f"{path}?bypassSoftDelete=true&{API}", None).status == 202


@pytest.mark.parametrize(
    ("api", "policy", "status"),
    [
        ("2024-03-03", {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 30}, 400),
        ("2024-03-03", {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 7}, 200),
        ("2026-03-03", {"isSoftDeleteEnabled": True, "retentionPeriodInDays": 0}, 400),
        ("2026-03-03", {"isSoftDeleteEnabled": True, "gracePeriodInDays": -1}, 400),
    ],
)
async def test_periods_are_checked(send: Send, api: str, policy: dict[str, Any], status: int) -> None:
    answer = send(
        "PUT", f"{GALLERY}?api-version={api}", {"location": "westeurope", "properties": {"softDeletePolicy": policy}}
    )
    assert answer.status == status, answer.body
