"""Galleries, definitions and their mistakes, through the real SDK."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.mgmt.compute.aio import ComputeManagementClient
from tests.support.azure import GROUP, SUBSCRIPTION, AzureStand

from .conftest import BAD, credential


def definition(**changes: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "identifier": {"publisher": "example", "offer": "debian", "sku": "12"},
        "features": [{"name": "SecurityType", "value": "Standard"}],
    }
    properties.update(changes)
    return {"location": "westeurope", "properties": properties}


async def make_gallery(compute: ComputeManagementClient, name: str = "platform", **properties: Any) -> Any:
    poller = await compute.galleries.begin_create_or_update(
        GROUP, name, {"location": "westeurope", "properties": properties}
    )
    return await poller.result()


async def make_definition(compute: ComputeManagementClient, name: str = "debian-12", **changes: Any) -> Any:
    poller = await compute.gallery_images.begin_create_or_update(GROUP, "platform", name, definition(**changes))
    return await poller.result()


async def test_gallery_lives_and_dies(compute: ComputeManagementClient, azure: AzureStand) -> None:
    made = await make_gallery(compute, description="images")
    assert made.properties.provisioning_state == "Succeeded"
    assert made.properties.identifier.unique_name == f"{SUBSCRIPTION}-PLATFORM"
    assert [item.name async for item in compute.galleries.list_by_resource_group(GROUP)] == ["platform"]
    assert [item.name async for item in compute.galleries.list()] == ["platform"]
    updated = await (
        await compute.galleries.begin_update(GROUP, "platform", {"properties": {"description": "more"}})
    ).result()
    assert updated.properties.description == "more"
    await (await compute.galleries.begin_delete(GROUP, "platform")).result()
    with pytest.raises(ResourceNotFoundError) as caught:
        await compute.galleries.get(GROUP, "platform")
    assert caught.value.error is not None and caught.value.error.code == "ResourceNotFound"
    assert azure.resources("Microsoft.Compute/galleries") == []
    await (await compute.galleries.begin_delete(GROUP, "platform")).result()  # 204: gone already


async def test_token_endpoint_refuses(azure: AzureStand) -> None:
    async with credential(azure, BAD) as identity:
        with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
            await identity.get_token(f"{azure.base_url}/.default")


@pytest.mark.parametrize("name", ["with-dash", "_lead", "trail.", "trail_", "a" * 81])
async def test_bad_gallery_names(compute: ComputeManagementClient, name: str) -> None:
    with pytest.raises(HttpResponseError) as caught:
        await make_gallery(compute, name)
    assert caught.value.status_code == 400
    assert caught.value.error is not None and caught.value.error.code == "InvalidParameter"


async def test_unknown_group_and_region(compute: ComputeManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError) as missing:
        await compute.galleries.begin_create_or_update("nowhere", "g", {"location": "westeurope"})
    assert missing.value.error is not None and missing.value.error.code == "ResourceGroupNotFound"
    with pytest.raises(HttpResponseError) as region:
        await compute.galleries.begin_create_or_update(GROUP, "g", {"location": "atlantis"})
    assert region.value.error is not None and region.value.error.code == "LocationNotAvailableForResourceType"


async def test_definition_defaults_and_normal_form(compute: ComputeManagementClient) -> None:
    await make_gallery(compute)
    features = [
        {"name": "SecurityType", "value": "TrustedLaunchSupported"},
        {"name": "IsAcceleratedNetworkSupported", "value": "true"},
        {"name": "DiskControllerTypes", "value": "NVMe, SCSI"},
    ]
    made = await make_definition(compute, features=features)
    assert made.properties.architecture == "x64"
    shown = {item.name: item.value for item in made.properties.features}
    assert shown == {
        "SecurityType": "TrustedLaunchSupported",
        "IsAcceleratedNetworkSupported": "True",
        "DiskControllerTypes": "SCSI, NVMe",
    }
    other = definition(identifier={"publisher": "p", "offer": "o", "sku": "s"})
    del other["properties"]["features"], other["properties"]["hyperVGeneration"]
    implied = await (await compute.gallery_images.begin_create_or_update(GROUP, "platform", "i", other)).result()
    assert implied.properties.hyper_v_generation == "V2"
    assert [item.value for item in implied.properties.features] == ["TrustedLaunchSupported"]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"osState": "Specialized"}, "galleryImage.properties.osState"),
        ({"osType": "Windows"}, "galleryImage.properties.osType"),
        ({"hyperVGeneration": "V1"}, "galleryImage.properties.hyperVGeneration"),
        ({"eula": "new"}, "galleryImage.properties.eula"),
        (
            {"identifier": {"publisher": "example", "offer": "debian", "sku": "13"}},
            "galleryImage.properties.identifier.sku",
        ),
        ({"features": [{"name": "SecurityType", "value": "TrustedLaunch"}]}, "galleryImage.properties.features"),
    ],
)
async def test_definition_immutable(compute: ComputeManagementClient, change: dict[str, Any], path: str) -> None:
    await make_gallery(compute)
    await make_definition(compute)
    with pytest.raises(ResourceExistsError) as caught:
        await make_definition(compute, **change)
    error = caught.value.error
    assert error is not None and (error.code, error.target) == ("PropertyChangeNotAllowed", path)
    assert error.message == f"Changing property '{path}' is not allowed."


async def test_definition_updates(compute: ComputeManagementClient) -> None:
    await make_gallery(compute)
    await make_definition(compute)
    features = [{"name": "SecurityType", "value": "TrustedLaunch"}]
    changed = await make_definition(compute, features=features, allowUpdateImage=True, description="new")
    assert changed.properties.description == "new"
    assert changed.properties.features[0].value == "TrustedLaunch"


async def test_definition_needs_gallery_and_unique_identifier(compute: ComputeManagementClient) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        await make_definition(compute)
    error = caught.value.error
    assert error is not None and error.code == "ParentResourceNotFound"
    assert "Parent resource 'platform' not found" in str(error.message)
    await make_gallery(compute)
    await make_definition(compute)
    with pytest.raises(ResourceExistsError, match=r"already exists\. Choose a different publisher"):
        await make_definition(compute, "other")


async def test_nested_delete_and_lag(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_gallery(compute)
    await make_definition(compute)
    with pytest.raises(ResourceExistsError) as caught:
        await compute.galleries.begin_delete(GROUP, "platform")
    error = caught.value.error
    assert error is not None and error.code == "CannotDeleteResource"
    assert "Microsoft.Compute/galleries/platform/images/debian-12" in str(error.message)
    azure.set_scale(1)
    await (await compute.gallery_images.begin_delete(GROUP, "platform", "debian-12")).result()
    with pytest.raises(ResourceExistsError, match="nested resources exist"):
        await compute.galleries.begin_delete(GROUP, "platform")
    azure.skip(21)
    await (await compute.galleries.begin_delete(GROUP, "platform")).result()


async def test_direct_sharing(compute: ComputeManagementClient) -> None:
    await make_gallery(compute, sharingProfile={"permissions": "Groups"})
    one, two, tenant = (f"0000000{number}-0000-0000-0000-000000000000" for number in (1, 2, 3))

    async def share(kind: str, groups: list[dict[str, Any]]) -> None:
        body = {"operationType": kind, "groups": groups}
        await (await compute.gallery_sharing_profile.begin_update(GROUP, "platform", body)).result()

    async def groups() -> Any:
        found = await compute.galleries.get(GROUP, "platform", select="Permissions")
        listed = found.properties.sharing_profile.groups or []
        return found.properties.sharing_profile.permissions, {item.type: item.ids for item in listed}

    wanted = [{"type": "Subscriptions", "ids": [one, two]}, {"type": "AADTenants", "ids": [tenant]}]
    await share("Add", wanted)
    assert await groups() == ("Groups", {"Subscriptions": [one, two], "AADTenants": [tenant]})
    plain = await compute.galleries.get(GROUP, "platform")
    assert plain.properties.sharing_profile.groups is None
    await share("Remove", [{"type": "Subscriptions", "ids": [two]}, {"type": "AADTenants", "ids": [tenant]}])
    assert await groups() == ("Groups", {"Subscriptions": [one]})
    await share("Reset", [])
    assert await groups() == ("Private", {})


async def test_share_budget_is_ten(compute: ComputeManagementClient, azure: AzureStand) -> None:
    azure.set_scale(1)
    await make_gallery(compute, sharingProfile={"permissions": "Groups"})
    azure.skip(5)
    await compute.galleries.get(GROUP, "platform")
    body = {"operationType": "Add", "groups": []}
    for _ in range(10):
        await compute.gallery_sharing_profile.begin_update(GROUP, "platform", body, polling=False)
    with pytest.raises(HttpResponseError) as caught:
        await compute.gallery_sharing_profile.begin_update(GROUP, "platform", body, polling=False)
    assert caught.value.status_code == 429
    error = caught.value.error
    assert error is not None and error.code == "OperationNotAllowed"
    assert caught.value.response is not None and 100 < int(caught.value.response.headers["Retry-After"]) <= 180


async def test_community_gallery(compute: ComputeManagementClient) -> None:
    info = {"publisherUri": "https://example.org", "publisherContact": "a@example.org", "eula": "e"}
    with pytest.raises(HttpResponseError, match="publicNamePrefix"):
        await make_gallery(compute, sharingProfile={"permissions": "Community", "communityGalleryInfo": info})
    info["publicNamePrefix"] = "platform"
    made = await make_gallery(compute, sharingProfile={"permissions": "Community", "communityGalleryInfo": info})
    shown = made.properties.sharing_profile.community_gallery_info
    assert shown.community_gallery_enabled is False
    assert shown.public_names[0].startswith("platform-")
    body = {"operationType": "EnableCommunity", "groups": []}
    await (await compute.gallery_sharing_profile.begin_update(GROUP, "platform", body)).result()
    found = await compute.galleries.get(GROUP, "platform")
    assert found.properties.sharing_profile.community_gallery_info.community_gallery_enabled is True
