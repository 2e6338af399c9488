"""Sharing calls: their limits, their budget, and the state of sharing region by region."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from azure.mgmt.compute.aio import ComputeManagementClient
from tests.support.azure import GROUP, SUBSCRIPTION, AzureStand

from .plain import Send, client
from .test_galleries import make_definition, make_gallery
from .test_versions import body, os_blob, put

GALLERY = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries/platform"
API = "api-version=2026-03-03"


def add(*ids: str, kind: str = "Subscriptions", operation: str = "Add") -> dict[str, Any]:
    return {"operationType": operation, "groups": [{"type": kind, "ids": list(ids)}]}


@pytest.fixture
async def send(compute: ComputeManagementClient, azure: AzureStand) -> Send:
    azure.set_scale(1)
    found = client(azure)
    properties = {"sharingProfile": {"permissions": "Groups"}}
    assert found("PUT", f"{GALLERY}?{API}", {"location": "westeurope", "properties": properties}).status == 201
    azure.skip(5)
    return found


def sharing(send: Send, query: str = "$expand=SharingProfile/Groups") -> Any:
    return send("GET", f"{GALLERY}?{query}&{API}", None).body["properties"].get("sharingStatus")


async def test_regions_follow_one_after_the_other(
    compute: ComputeManagementClient, azure: AzureStand, send: Send
) -> None:
    azure.set_scale(600)
    await make_definition(compute)
    await put(compute, body(await os_blob(azure), "westeurope", "northeurope"))
    azure.set_scale(1)
    assert sharing(send) is None
    assert send("POST", f"{GALLERY}/share?{API}", add(SUBSCRIPTION)).status == 202
    azure.skip(3)
    assert sharing(send)["aggregatedState"] == "InProgress"
    azure.skip(10)
    states = {row["region"]: row["state"] for row in sharing(send)["summary"]}
    assert states == {"West Europe": "Succeeded", "North Europe": "InProgress"}
    azure.skip(10)
    assert sharing(send)["aggregatedState"] == "Succeeded"
    assert sharing(send, "a=b") is None
    assert send("POST", f"{GALLERY}/share?{API}", {"operationType": "Reset"}).status == 202
    azure.skip(30)
    assert sharing(send) is None


async def test_a_region_fails_and_the_next_call_mends_it(azure: AzureStand, send: Send) -> None:
    azure.add_fault(sharing="westeurope", details="no")
    assert send("POST", f"{GALLERY}/share?{API}", add(SUBSCRIPTION)).status == 202
    azure.skip(60)
    assert sharing(send) == {
        "aggregatedState": "Failed",
        "summary": [{"region": "West Europe", "state": "Failed", "details": "no"}],
    }
    assert send("POST", f"{GALLERY}/share?{API}", add(SUBSCRIPTION)).status == 202
    azure.skip(60)
    assert sharing(send)["aggregatedState"] == "Succeeded"


@pytest.mark.parametrize(("kind", "limit"), [("Subscriptions", 30), ("AADTenants", 5)])
async def test_limits(send: Send, kind: str, limit: int) -> None:
    ids = [str(uuid.uuid4()) for _ in range(limit + 1)]
    assert send("POST", f"{GALLERY}/share?{API}", add(*ids, kind=kind)).status == 400
    assert send("POST", f"{GALLERY}/share?{API}", add(*ids[:limit], kind=kind)).status == 202


async def test_share_calls_are_scarce(azure: AzureStand, send: Send) -> None:
    for number in range(10):
        answer = send("POST", f"{GALLERY}/share?{API}", add(SUBSCRIPTION))
        assert answer.status == 202
        assert f"PostShareGallery3Min;{9 - number}" in answer.headers["x-ms-ratelimit-remaining-resource"]
    refused = send("POST", f"{GALLERY}/share?{API}", add(SUBSCRIPTION))
    error = refused.body["error"]
    assert (refused.status, error["code"]) == (429, "OperationNotAllowed")
    assert error["details"][0]["target"] == "PostShareGallery3Min"
    assert 0 < int(refused.headers["retry-after"]) <= 180
    for _ in range(5):
        azure.skip(181)
        for _ in range(10):
            assert send("POST", f"{GALLERY}/share?{API}", add(SUBSCRIPTION)).status == 202
    azure.skip(181)
    target = send("POST", f"{GALLERY}/share?{API}", add(SUBSCRIPTION)).body["error"]["details"][0]["target"]
    assert target == "PostShareGallery30Min"


async def test_resource_managers_own_limit(azure: AzureStand, send: Send) -> None:
    azure.set_scale(0.001)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}?api-version=2024-03-01"
    answers = [send("PUT", group, {"location": "westeurope"}) for _ in range(201)]
    statuses = {answer.status for answer in answers[:150]}
    assert statuses == {200}
    last = answers[-1]
    assert (last.status, last.body["error"]["code"]) == (429, "SubscriptionRequestsThrottled")
    assert last.headers["x-ms-failure-cause"] == "gateway"
    assert send("GET", group, None).status == 200, "reads have a bucket of their own"


async def test_quotas(compute: ComputeManagementClient, azure: AzureStand, send: Send) -> None:
    azure.set_scale(600)
    azure.request("PUT", "/_control/quotas", {"GalleryImage": 1, "GalleryImageVersion": 0})
    await make_definition(compute)
    used = {row.name.value: (row.current_value, row.limit) async for row in compute.usage.list("westeurope")}
    assert used == {"Gallery": (1, 100), "GalleryImage": (1, 1), "GalleryImageVersion": (0, 0)}
    assert [row.current_value async for row in compute.usage.list("northeurope")] == [0, 0, 0]
    definition = {
        "osType": "Linux",
        "osState": "Generalized",
        "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
    }
    document = {"location": "westeurope", "properties": definition}
    refused = send("PUT", f"{GALLERY}/images/second?{API}", document)
    assert (refused.status, refused.body["error"]["code"]) == (409, "OperationNotAllowed")
    assert "exceeding the approved Gallery Image quota" in refused.body["error"]["message"]
    version = send("PUT", f"{GALLERY}/images/debian-12/versions/1.0.0?{API}", body({}))
    assert version.status == 409
    await make_gallery(compute, description="an update needs no quota")
