"""Image versions through the real SDK: sources, replication, updates, mistakes, deletion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.compute.aio import ComputeManagementClient
from azure.storage.blob import BlobType
from tests.support.azure import GROUP, SUBSCRIPTION, AzureStand

from .helpers import sha256, upload, vhd, write_pages
from .test_disks import filled_disk, grant, make_upload_disk
from .test_galleries import make_definition, make_gallery

PATH = "galleryImageVersion.properties"


@pytest.fixture
async def definition(compute: ComputeManagementClient) -> None:
    await make_gallery(compute)
    await make_definition(compute)


def blob(azure: AzureStand, url: str) -> dict[str, str]:
    return {"storageAccountId": azure.storage_account_id, "uri": url}


def body(
    storage: dict[str, Any], *regions: Any, safety: dict[str, Any] | None = None, **profile: Any
) -> dict[str, Any]:
    targets = [{"name": region} if isinstance(region, str) else region for region in regions or ("westeurope",)]
    properties: dict[str, Any] = {
        "storageProfile": storage,
        "publishingProfile": {"targetRegions": targets, **profile},
    }
    if safety is not None:
        properties["safetyProfile"] = safety
    return {"location": "westeurope", "properties": properties}


async def put(compute: ComputeManagementClient, document: dict[str, Any], version: str = "1.0.0") -> Any:
    poller = await compute.gallery_image_versions.begin_create_or_update(
        GROUP, "platform", "debian-12", version, document
    )
    return await poller.result()


async def begin(compute: ComputeManagementClient, document: dict[str, Any], version: str = "1.0.0") -> None:
    await compute.gallery_image_versions.begin_create_or_update(
        GROUP, "platform", "debian-12", version, document, polling=False
    )


async def get(compute: ComputeManagementClient, version: str = "1.0.0", expand: str | None = None) -> Any:
    return await compute.gallery_image_versions.get(GROUP, "platform", "debian-12", version, expand=expand)


async def regions(compute: ComputeManagementClient) -> dict[str, Any]:
    found = await get(compute, expand="ReplicationStatus")
    return {row.region: row for row in found.properties.replication_status.summary}


async def os_blob(azure: AzureStand, content: bytes = b"os", name: str = "os.vhd") -> dict[str, Any]:
    return {"osDiskImage": {"source": blob(azure, await upload(azure, name, vhd(2, content)))}}


def code_of(error: HttpResponseError) -> tuple[int | None, str | None]:
    return error.status_code, error.error.code if error.error else None


@pytest.mark.usefixtures("definition")
async def test_version_from_a_blob_of_the_control_endpoint(compute: ComputeManagementClient, azure: AzureStand) -> None:
    url = f"{azure.account_url}/vhds/made.vhd"
    assert azure.request("PUT", "/_control/blobs", {"url": url, "sizeGB": 1}) == {"url": url}
    made = await put(compute, body({"osDiskImage": {"source": blob(azure, url)}}))
    assert made.storage_profile.os_disk_image.size_in_gb == 1


@pytest.mark.usefixtures("definition")
async def test_version_from_blobs(compute: ComputeManagementClient, azure: AzureStand) -> None:
    os_content, data_content = vhd(2, b"os"), vhd(1, b"data")
    storage: dict[str, Any] = {"osDiskImage": {"source": blob(azure, await upload(azure, "os.vhd", os_content))}}
    data = await upload(azure, "data.vhd", data_content)
    storage["dataDiskImages"] = [{"lun": 3, "hostCaching": "None", "source": blob(azure, data)}]
    made = await put(
        compute, body(storage, {"name": "West Europe", "regionalReplicaCount": 2}, "eastus2", "northeurope")
    )
    properties = made.properties
    assert properties.provisioning_state == "Succeeded"
    shown = [(item.name, item.regional_replica_count, item.storage_account_type, item.exclude_from_latest)
             for item in properties.publishing_profile.target_regions]  # fmt: skip
    assert shown == [
        ("West Europe", 2, "Standard_LRS", None),
        ("East US 2", 1, "Standard_LRS", None),
        ("North Europe", 1, "Standard_LRS", None),
    ]
    assert properties.publishing_profile.replica_count == 1
    assert properties.publishing_profile.published_date is not None
    assert properties.storage_profile.os_disk_image.size_in_gb == 1
    assert properties.storage_profile.os_disk_image.host_caching == "ReadWrite"
    assert [(item.lun, item.host_caching) for item in properties.storage_profile.data_disk_images] == [(3, "None")]
    assert properties.safety_profile.reported_for_policy_violation is False
    assert properties.replication_status is None
    found = await get(compute, expand="ReplicationStatus")
    status = found.properties.replication_status
    assert status.aggregated_state == "Completed"
    assert {(row.region, row.state, row.progress) for row in status.summary} == {
        (region, "Completed", 100) for region in ("West Europe", "East US 2", "North Europe")
    }
    digests = {row["lun"]: row["sha256"] for row in azure.digest(made.id)}
    assert digests == {None: sha256(os_content), 3: sha256(data_content)}


@pytest.mark.usefixtures("definition")
async def test_replication_takes_time_region_by_region(compute: ComputeManagementClient, azure: AzureStand) -> None:
    storage = await os_blob(azure)
    azure.set_scale(1)
    await begin(compute, body(storage, "westeurope", "eastus"))
    first = await get(compute, expand="ReplicationStatus")
    assert first.properties.provisioning_state == "Creating"
    assert first.properties.storage_profile.os_disk_image.size_in_gb is None
    assert first.properties.replication_status.aggregated_state == "InProgress"
    azure.skip(210)
    half = {
        row.region: row
        for row in (await get(compute, expand="ReplicationStatus")).properties.replication_status.summary
    }
    assert (half["West Europe"].state, half["East US"].progress) == ("Replicating", 0)
    assert 49 <= half["West Europe"].progress <= 55
    azure.skip(211)
    late = {
        row.region: row
        for row in (await get(compute, expand="ReplicationStatus")).properties.replication_status.summary
    }
    assert (late["West Europe"].state, late["East US"].state) == ("Completed", "Replicating")
    with pytest.raises(ResourceExistsError) as caught:
        await begin(compute, body({}, "westeurope"))
    assert code_of(caught.value) == (409, "OperationNotAllowed")
    azure.skip(421)
    assert (await get(compute)).properties.provisioning_state == "Succeeded"


@pytest.mark.usefixtures("definition")
async def test_regions_come_and_go(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await put(compute, body(await os_blob(azure), "westeurope"))
    more = await put(compute, body({}, "westeurope", {"name": "eastus", "regionalReplicaCount": 3}))
    assert [item.name for item in more.properties.publishing_profile.target_regions] == ["West Europe", "East US"]
    with pytest.raises(ResourceExistsError, match="allowDeletionOfReplicatedLocations"):
        await put(compute, body({}, "westeurope"))
    safety = {"allowDeletionOfReplicatedLocations": True}
    await put(compute, body({}, "westeurope", {"name": "eastus", "regionalReplicaCount": 3}, safety=safety))
    less = await put(compute, body({}, "westeurope", safety=safety))
    assert [item.name for item in less.properties.publishing_profile.target_regions] == ["West Europe"]
    with pytest.raises(HttpResponseError, match="must contain the location"):
        await put(compute, body({}, "eastus", safety=safety))


@pytest.mark.usefixtures("definition")
async def test_patch_keeps_what_it_does_not_name(compute: ComputeManagementClient, azure: AzureStand) -> None:
    region = {"name": "westeurope", "storageAccountType": "Standard_ZRS"}
    await put(compute, body(await os_blob(azure), region))
    change = {"properties": {"publishingProfile": {"excludeFromLatest": True}}, "tags": {"a": "b"}}
    poller = await compute.gallery_image_versions.begin_update(GROUP, "platform", "debian-12", "1.0.0", change)
    found = await poller.result()
    assert found.tags == {"a": "b"}
    profile = found.properties.publishing_profile
    assert (profile.exclude_from_latest, profile.target_regions[0].storage_account_type) == (True, "Standard_ZRS")
    with pytest.raises(HttpResponseError, match="Global storage account type does not match"):
        await put(compute, body({}, {"name": "westeurope", "regionalReplicaCount": 2}))


@pytest.mark.usefixtures("definition")
async def test_same_put_twice_is_an_update(compute: ComputeManagementClient, azure: AzureStand) -> None:
    storage = await os_blob(azure)
    first = await put(compute, body(storage))
    again = await put(compute, body(storage))
    assert first.properties.publishing_profile.published_date == again.properties.publishing_profile.published_date
    other = await os_blob(azure, b"other", "other.vhd")
    with pytest.raises(ResourceExistsError) as caught:
        await put(compute, body(other))
    assert caught.value.error is not None
    assert caught.value.error.target == f"{PATH}.storageProfile.osDiskImage.source.uri"


@pytest.mark.usefixtures("definition")
async def test_failed_region_and_its_repair(compute: ComputeManagementClient, azure: AzureStand) -> None:
    azure.add_fault(region="northeurope", count=1, sticky=True)
    storage = await os_blob(azure)
    with pytest.raises(HttpResponseError) as caught:
        await put(compute, body(storage, "westeurope", "northeurope"))
    assert "{region:northeurope, detail:Failed with internal server error.}" in str(caught.value)
    assert "removing the failed regions and update again by adding them back" in str(caught.value)
    found = await get(compute, expand="ReplicationStatus")
    assert found.properties.provisioning_state == "Failed"
    status = found.properties.replication_status
    assert status.aggregated_state == "Failed"
    assert {row.region: (row.state, row.details) for row in status.summary} == {
        "West Europe": ("Completed", ""),
        "North Europe": ("Failed", "Failed with internal server error."),
    }
    with pytest.raises(HttpResponseError):
        await put(compute, body({}, "westeurope", "northeurope"))  # sticky: asking again does not help
    assert (await put(compute, body({}, "westeurope"))).properties.provisioning_state == "Succeeded"
    mended = await put(compute, body({}, "westeurope", "northeurope"))
    assert mended.properties.provisioning_state == "Succeeded"


@pytest.mark.usefixtures("definition")
async def test_failed_region_is_retried(compute: ComputeManagementClient, azure: AzureStand) -> None:
    azure.add_fault(region="northeurope", details="no capacity")
    storage = await os_blob(azure)
    with pytest.raises(HttpResponseError, match="no capacity"):
        await put(compute, body(storage, "westeurope", "northeurope"))
    again = await put(compute, body({}, "westeurope", "northeurope"))
    assert again.properties.provisioning_state == "Succeeded"


@pytest.mark.usefixtures("definition")
@pytest.mark.parametrize(
    ("names", "profile", "text"),
    [
        (("westeurope", "West Europe"), {}, "Duplicate regions are not allowed"),
        (("eastus",), {}, "must contain the location of image version"),
        (("westeurope", "atlantis"), {}, "is not available for resource type"),
        (({"name": "westeurope", "regionalReplicaCount": 0},), {}, "between 1 and 100"),
        (({"name": "westeurope", "regionalReplicaCount": 101},), {}, "between 1 and 100"),
        (("westeurope", "eastus"), {"replicationMode": "Shallow"}, "Shallow replication"),
        (({"name": "westeurope", "storageAccountType": "StandardSSD_LRS"},), {}, "edge zones"),
        (
            ("westeurope", {"name": "westus", "storageAccountType": "Standard_ZRS"}),
            {},
            "ZRS storage account type is not supported in this region",
        ),
        (("westeurope",), {"endOfLifeDate": "2020-01-01T00:00:00Z"}, "must be set to a future date"),
    ],
)
async def test_bad_profiles(
    compute: ComputeManagementClient, azure: AzureStand, names: Any, profile: dict[str, Any], text: str
) -> None:
    storage = await os_blob(azure)
    with pytest.raises(HttpResponseError, match=text) as caught:
        await put(compute, body(storage, *names, **profile))
    assert caught.value.status_code == 400


@pytest.mark.usefixtures("definition")
@pytest.mark.parametrize("name", ["1.0", "1.2.3.4", "1.2.4294967296", "1.2.x", "v1.2.3"])
async def test_bad_version_names(compute: ComputeManagementClient, azure: AzureStand, name: str) -> None:
    storage = await os_blob(azure)
    with pytest.raises(HttpResponseError, match="The image version name is invalid"):
        await put(compute, body(storage), name)


@pytest.mark.usefixtures("definition")
async def test_bad_sources(compute: ComputeManagementClient, azure: AzureStand) -> None:
    async def refused(storage: dict[str, Any], text: str) -> None:
        with pytest.raises(HttpResponseError, match=text) as caught:
            await put(compute, body(storage))
        assert caught.value.status_code == 400

    good = await upload(azure, "good.vhd", vhd(2))
    await refused({}, "Required parameter")
    await refused({"osDiskImage": {"source": blob(azure, good + "x")}}, "is not found. Please check source exists")
    elsewhere = {"storageAccountId": azure.storage_account_id + "x", "uri": good}
    await refused({"osDiskImage": {"source": elsewhere}}, "is not found. Please check source exists")
    text = await upload(azure, "text.vhd", b"x" * 4096)
    await refused({"osDiskImage": {"source": blob(azure, text)}}, "expected to have cookie value 'conectix'")
    block = await upload(azure, "block.vhd", b"x" * 512, kind=BlobType.BLOCKBLOB)
    await refused({"osDiskImage": {"source": blob(azure, block)}}, "is not a page blob")
    odd = await upload(azure, "odd.vhd", vhd(2)[:512] + vhd(2))
    await refused({"osDiskImage": {"source": blob(azure, odd)}}, "unsupported virtual size")
    twice = {"osDiskImage": {"source": blob(azure, good)}, "dataDiskImages": [{"lun": 0, "source": blob(azure, good)}]}
    await refused(twice, "cannot point to same blob")
    data = await upload(azure, "data.vhd", vhd(1))
    other = await upload(azure, "other.vhd", vhd(1, b"other"))
    luns = [{"lun": 0, "source": blob(azure, data)}, {"lun": 0, "source": blob(azure, other)}]
    await refused({"osDiskImage": {"source": blob(azure, good)}, "dataDiskImages": luns}, "Duplicated lun numbers")
    prefix = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute"
    missing = {"osDiskImage": {"source": {"id": f"{prefix}/disks/none"}}}
    await refused(missing, "is not found. Please check source exists")
    await refused({"osDiskImage": {"source": {"id": f"{prefix}/images/i"}}}, "must be a managed disk or snapshot")
    await refused({"source": {"id": f"{prefix}/disks/d"}}, "must either be a managed image")
    both = {"source": {"id": f"{prefix}/images/i"}, "osDiskImage": {"source": blob(azure, good)}}
    await refused(both, "One and only one source type")


@pytest.mark.usefixtures("definition")
async def test_version_from_disk(compute: ComputeManagementClient, azure: AzureStand) -> None:
    content = vhd(24, b"from a disk")
    disk_id = await filled_disk(compute, azure, content)
    made = await put(compute, body({"osDiskImage": {"source": {"id": disk_id}}}, "westeurope", "eastus"))
    await (await compute.disks.begin_delete(GROUP, "os")).result()
    assert azure.digest(made.id)[0]["sha256"] == sha256(content)
    target = {"name": "westeurope"}, {"name": "northeurope"}
    copy = await put(compute, body({"source": {"id": made.id}}, *target), "1.0.1")
    assert copy.properties.storage_profile.source.id == made.id
    assert azure.digest(copy.id)[0]["sha256"] == sha256(content)


@pytest.mark.usefixtures("definition")
async def test_disk_must_fit_and_be_complete(compute: ComputeManagementClient, azure: AzureStand) -> None:
    disk = await make_upload_disk(compute, len(vhd(24)), "gen1", hyperVGeneration="V1")
    storage = {"osDiskImage": {"source": {"id": disk.id}}}
    with pytest.raises(ResourceExistsError, match="ReadyToUpload"):
        await put(compute, body(storage))
    await write_pages(azure, await grant(compute, "gen1"), vhd(24))
    with pytest.raises(ResourceExistsError, match="ActiveUpload"):
        await put(compute, body(storage))
    await (await compute.disks.begin_revoke_access(GROUP, "gen1")).result()
    with pytest.raises(HttpResponseError, match=r"different Hypervisor generation \['V1'\]"):
        await put(compute, body(storage))


@pytest.mark.usefixtures("definition")
async def test_source_must_last_until_the_copy_is_done(compute: ComputeManagementClient, azure: AzureStand) -> None:
    disk_id = await filled_disk(compute, azure, vhd(24))
    azure.set_scale(1)
    await begin(compute, body({"osDiskImage": {"source": {"id": disk_id}}}))
    await compute.disks.begin_delete(GROUP, "os", polling=False)
    azure.skip(500)
    assert (await get(compute)).properties.provisioning_state == "Failed"


@pytest.mark.usefixtures("definition")
async def test_disk_from_version(compute: ComputeManagementClient, azure: AzureStand) -> None:
    made = await put(compute, body(await os_blob(azure), "westeurope"))
    creation = {"createOption": "FromImage", "galleryImageReference": {"id": made.id}}
    document = {"location": "westeurope", "properties": {"creationData": creation}}
    disk = await (await compute.disks.begin_create_or_update(GROUP, "restored", document)).result()
    assert azure.digest(disk.id)[0]["sha256"] == azure.digest(made.id)[0]["sha256"]
    document["location"] = "eastus"
    with pytest.raises(ResourceNotFoundError, match="is not available in eastus region"):
        await compute.disks.begin_create_or_update(GROUP, "far", document)


@pytest.mark.usefixtures("definition")
async def test_too_large_for_full_replication(compute: ComputeManagementClient, azure: AzureStand) -> None:
    creation = {"createOption": "Empty"}
    document = {"location": "westeurope", "properties": {"creationData": creation, "diskSizeGB": 2520}}
    disk = await (await compute.disks.begin_create_or_update(GROUP, "huge", document)).result()
    with pytest.raises(HttpResponseError, match="source resource size 2520 exceeds the max size 2048 supported"):
        await put(compute, body({"osDiskImage": {"source": {"id": disk.id}}}))
    shallow = await put(compute, body({"osDiskImage": {"source": {"id": disk.id}}}, replicationMode="Shallow"), "1.0.1")
    assert shallow.properties.publishing_profile.replication_mode == "Shallow"


@pytest.mark.usefixtures("definition")
async def test_delete_takes_time_and_blocks_updates(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await put(compute, body(await os_blob(azure)))
    azure.set_scale(1)
    await compute.gallery_image_versions.begin_delete(GROUP, "platform", "debian-12", "1.0.0", polling=False)
    assert (await get(compute)).properties.provisioning_state == "Deleting"
    with pytest.raises(ResourceExistsError, match="since it is marked for deletion"):
        await begin(compute, body({}))
    await compute.gallery_image_versions.begin_delete(GROUP, "platform", "debian-12", "1.0.0", polling=False)
    version = azure.resources("Microsoft.Compute/galleries/images/versions")[0]
    azure.skip(version["internal"]["gone"] - azure.state()["clock"]["azure"])
    with pytest.raises(ResourceNotFoundError):
        await get(compute)
    with pytest.raises(ResourceExistsError, match=r"versions/1\.0\.0"):
        await compute.gallery_images.begin_delete(GROUP, "platform", "debian-12")
    azure.skip(21)
    await compute.gallery_images.begin_delete(GROUP, "platform", "debian-12", polling=False)


@pytest.mark.usefixtures("definition")
async def test_end_of_life_blocks_deletion(compute: ComputeManagementClient, azure: AzureStand) -> None:
    end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    safety = {"blockDeletionBeforeEndOfLife": True}
    await put(compute, body(await os_blob(azure), endOfLifeDate=end, safety=safety))
    with pytest.raises(HttpResponseError) as caught:
        await compute.gallery_image_versions.begin_delete(GROUP, "platform", "debian-12", "1.0.0")
    assert code_of(caught.value)[1] == "DeleteGalleryImageVersionBlockedBeforeEndOfLife"
    await put(compute, body({}, endOfLifeDate=end))
    await (await compute.gallery_image_versions.begin_delete(GROUP, "platform", "debian-12", "1.0.0")).result()


async def test_version_needs_its_parents(compute: ComputeManagementClient, azure: AzureStand) -> None:
    with pytest.raises(ResourceNotFoundError) as gallery:
        await put(compute, body(await os_blob(azure)))
    assert "Parent resource 'platform' not found" in str(gallery.value)
    await make_gallery(compute)
    with pytest.raises(ResourceNotFoundError, match="Parent resource 'platform/debian-12' not found"):
        await put(compute, body(await os_blob(azure)))


async def test_nothing_is_left_in_the_blob_service(compute: ComputeManagementClient, azure: AzureStand) -> None:
    await make_gallery(compute)
    await make_definition(compute)
    made = await put(compute, body(await os_blob(azure)))
    container = next(row for row in azure.state()["resources"] if row["id"] == made.id)["internal"]["disks"][0][
        "container"
    ]
    url = f"{azure.blob_url}/mdimpexp/{container}/abcd"
    assert azure.request("GET", f"/_control/digest?url={url}")["sha256"]
    await (await compute.gallery_image_versions.begin_delete(GROUP, "platform", "debian-12", "1.0.0")).result()
    azure.reset()  # sweeps
    with pytest.raises(RuntimeError, match="there is no blob"):
        azure.request("GET", f"/_control/digest?url={url}")
