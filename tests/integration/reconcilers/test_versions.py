"""Galleries, definitions and versions from an existing disk, on a real API server against the simulator."""

from __future__ import annotations

import pytest
from tests.integration.reconcilers.stage import COMPUTE, Json, Stage, ready

from gallery_operator.planning.replication import MAX_REPAIRS

REGIONS = ("westeurope", "eastus2", "northeurope")


def names(body: Json | None) -> set[str]:
    """Regions of a version in Azure, in normal form."""
    regions = (body or {})["properties"]["publishingProfile"]["targetRegions"]
    return {each["name"].replace(" ", "").lower() for each in regions}


async def test_version_becomes_ready_in_three_regions_whatever_comes_first(stage: Stage) -> None:
    stage.disk()
    stage.version(regions=REGIONS)
    stage.definition()
    stage.gallery()
    status = (await stage.ready("ImageVersion", "v1"))["status"]
    assert status["regionsReady"] == "3/3"
    assert [each["name"] for each in status["regions"]] == list(REGIONS)
    assert {each["state"] for each in status["regions"]} == {"Completed"}
    assert status["provisioningState"] == "Succeeded"
    assert status["resourceId"] == stage.version_id
    definition = await stage.until(
        lambda: (
            found
            if (found := stage.get("GalleryImageDefinition", "debian")) and found.get("status", {}).get("latestVersion")
            else None
        )
    )
    assert definition is not None
    assert definition["status"]["latestVersion"] == "1.0.0"
    assert definition["status"]["versions"] == 1
    await stage.until(lambda: {each["reason"] for each in stage.events("v1")} >= {"Creating", "Ready"})
    tags = (stage.in_azure(stage.version_id) or {})["tags"]
    assert tags["gallery-operator.dev-namespace"] == stage.namespace
    assert tags["gallery-operator.dev-name"] == "v1"


@pytest.mark.parametrize("kind", ["snapshot", "blob"])
async def test_version_from_other_sources(stage: Stage, kind: str) -> None:
    if kind == "snapshot":
        source: Json = {"snapshotId": stage.disk("snap", "snapshots")}
    else:
        source = {"blob": stage.blob("base.vhd")}
    data = {"lun": 3, "diskId": stage.disk("data")}
    stage.gallery()
    stage.definition()
    stage.version(source={"osDisk": source, "dataDisks": [data]})
    await stage.ready("ImageVersion", "v1")
    profile = (stage.in_azure(stage.version_id) or {})["properties"]["storageProfile"]
    assert [each["lun"] for each in profile["dataDiskImages"]] == [3]


async def test_regions_are_added_removed_and_resized(stage: Stage) -> None:
    await stage.base()
    stage.version()
    await stage.ready("ImageVersion", "v1")
    wanted = [{"name": "West Europe", "regionalReplicaCount": 2}, {"name": "eastus2"}, {"name": "northeurope"}]
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": wanted}})
    body = await stage.ready("ImageVersion", "v1")
    assert body["status"]["regionsReady"] == "3/3"
    assert names(stage.in_azure(stage.version_id)) == set(REGIONS)
    assert body["status"]["regions"][0]["replicas"] == 2
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": wanted[:2]}})
    body = await stage.ready("ImageVersion", "v1")
    assert body["status"]["regionsReady"] == "2/2"
    assert [each["name"] for each in body["status"]["regions"]] == ["westeurope", "eastus2"]
    assert names(stage.in_azure(stage.version_id)) == {"westeurope", "eastus2"}


async def test_regions_are_removed_although_azure_was_told_that_they_must_not(stage: Stage) -> None:
    await stage.base()
    stage.version(regions=REGIONS, safetyProfile={"allowDeletionOfReplicatedLocations": False})
    await stage.ready("ImageVersion", "v1")
    regions = [{"name": each} for each in REGIONS[:2]]
    safety = {"allowDeletionOfReplicatedLocations": True}
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": regions, "safetyProfile": safety}})
    await stage.ready("ImageVersion", "v1")
    assert names(stage.in_azure(stage.version_id)) == set(REGIONS[:2])


async def test_any_region_is_enough_when_the_spec_says_so(stage: Stage) -> None:
    await stage.base()
    stage.azure.add_fault(region="eastus2", count=None, sticky=True)
    stage.version(regions=REGIONS[:2], readyPolicy="HomeRegion")
    body = await stage.reason("ImageVersion", "v1", "Repairing", "ReplicationFailed")
    assert any(each["state"] == "Failed" for each in body["status"]["regions"])


async def test_failed_region_is_named_and_repaired(stage: Stage) -> None:
    await stage.base()
    stage.azure.add_fault(region="eastus2", count=1, sticky=True)
    stage.version(regions=REGIONS)
    body = await stage.ready("ImageVersion", "v1")
    assert body["status"]["regionsReady"] == "3/3"
    assert not any(each.get("repairs") for each in body["status"]["regions"])
    told = [each["message"] for each in stage.events("v1") if each["reason"] == "ReplicationFailed"]
    assert told
    assert "eastus2" in told[0]
    assert names(stage.in_azure(stage.version_id)) == set(REGIONS)


async def test_repairs_are_bounded_and_do_not_block_other_changes(stage: Stage) -> None:
    await stage.base()
    fault = stage.azure.add_fault(region="eastus2", count=None, sticky=True)
    stage.version(regions=REGIONS[:2])
    body = await stage.reason("ImageVersion", "v1", "ReplicationFailed")
    assert stage.stalled(body)
    assert "eastus2" in ready(body)["message"]
    region = body["status"]["regions"][1]
    assert (region["name"], region["state"], region["repairs"]) == ("eastus2", "Failed", MAX_REPAIRS)
    # Another region is added although this one has been given up.
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": [{"name": each} for each in REGIONS]}})
    await stage.until(lambda: "northeurope" in names(stage.in_azure(stage.version_id)))
    # What the message advises helps.
    stage.azure.request("DELETE", f"/_control/faults/{fault}")
    kept = [{"name": "westeurope"}, {"name": "northeurope"}]
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": kept}})
    await stage.ready("ImageVersion", "v1")
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": [*kept, {"name": "eastus2"}]}})
    body = await stage.ready("ImageVersion", "v1")
    assert body["status"]["regionsReady"] == "3/3"


async def test_home_region_must_be_among_the_targets(stage: Stage) -> None:
    await stage.base()
    stage.version(regions=("eastus2",))
    body = await stage.reason("ImageVersion", "v1", "HomeRegionMissing")
    assert stage.stalled(body)
    assert "westeurope" in ready(body)["message"]
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": [{"name": "eastus2"}, {"name": "westeurope"}]}})
    await stage.ready("ImageVersion", "v1")


async def test_drift_of_all_kinds_is_corrected(stage: Stage) -> None:
    await stage.base()
    stage.patch("Gallery", "platform", {"spec": {"description": "ours", "tags": {"costCenter": "42"}}})
    stage.version(regions=REGIONS[:2])
    await stage.ready("ImageVersion", "v1")
    await stage.ready("Gallery", "platform")
    for resource_id, change in (
        (stage.gallery_id, {"description": "theirs"}),
        (stage.definition_id, {}),
        (stage.version_id, {}),
    ):
        body = await stage.settled(resource_id)
        tags = {name: value for name, value in body["tags"].items() if not name.endswith("-uid")} | {"policy": "stays"}
        if resource_id == stage.version_id:
            regions = body["properties"]["publishingProfile"]["targetRegions"]
            change = {"publishingProfile": {"targetRegions": regions, "excludeFromLatest": True}, "storageProfile": {}}
        properties = {**body["properties"], **change}
        stage.arm("PUT", resource_id, {"location": body["location"], "tags": tags, "properties": properties})
    for resource_id in (stage.gallery_id, stage.definition_id, stage.version_id):
        await stage.until(lambda which=resource_id: "gallery-operator.dev-uid" in (stage.in_azure(which) or {})["tags"])  # type: ignore[misc]
        assert (stage.in_azure(resource_id) or {})["tags"]["policy"] == "stays"
    assert (stage.in_azure(stage.gallery_id) or {})["properties"]["description"] == "ours"
    await stage.until(
        lambda: not (stage.in_azure(stage.version_id) or {})["properties"]["publishingProfile"]["excludeFromLatest"]
    )
    await stage.ready("ImageVersion", "v1")


async def test_what_somebody_deleted_in_azure_is_made_again(stage: Stage) -> None:
    await stage.base()
    stage.version()
    await stage.ready("ImageVersion", "v1")
    stage.arm("DELETE", stage.version_id)
    await stage.until(
        lambda: not stage.in_azure(stage.version_id) or ready(stage.get("ImageVersion", "v1"))["status"] == "False"
    )
    await stage.ready("ImageVersion", "v1")


@pytest.mark.parametrize("first", ["Gallery", "GalleryImageDefinition", "ImageVersion"])
async def test_deletion_in_any_order_leaves_nothing(stage: Stage, first: str) -> None:
    await stage.base()
    stage.version(regions=REGIONS[:2])
    await stage.ready("ImageVersion", "v1")
    objects = {"Gallery": "platform", "GalleryImageDefinition": "debian", "ImageVersion": "v1"}
    stage.delete(first, objects[first])
    if first != "ImageVersion":
        body = await stage.reason(first, objects[first], "HasDependents")
        assert "GalleryImageDefinition" in ready(body)["message"] or "ImageVersion" in ready(body)["message"]
        assert stage.in_azure(stage.version_id)
    for kind, name in objects.items():
        if kind != first:
            stage.delete(kind, name)
    for kind, name in objects.items():
        await stage.gone(kind, name)
    left = [each["id"] for each in stage.azure.state()["resources"] if "/galleries/" in each["id"]]
    assert left == []
    assert stage.in_azure(f"{COMPUTE}/disks/source")


@pytest.mark.parametrize("edit", [{"blockDeletionBeforeEndOfLife": False}, {"blockDeletionBeforeEndOfLife": None}])
async def test_deletion_before_the_end_of_life_is_blocked_until_the_spec_allows_it(stage: Stage, edit: Json) -> None:
    await stage.base()
    stage.version(endOfLifeDate="2099-01-01T00:00:00Z", safetyProfile={"blockDeletionBeforeEndOfLife": True})
    await stage.ready("ImageVersion", "v1")
    stage.azure.clear_counts()
    stage.delete("ImageVersion", "v1")
    body = await stage.reason("ImageVersion", "v1", "DeletionBlocked")
    assert stage.stalled(body)
    assert "until 2099-01-01T00:00:00Z" in ready(body)["message"]
    asked = [row for row in stage.azure.counts()["counts"] if row["method"] == "DELETE"]
    assert not asked, "what Azure would refuse is not asked"
    stage.patch("ImageVersion", "v1", {"spec": {"safetyProfile": edit}})
    await stage.gone("ImageVersion", "v1")
    assert not stage.in_azure(stage.version_id)


async def test_retain_leaves_what_is_in_azure_and_a_new_object_takes_it_up(stage: Stage) -> None:
    await stage.base()
    stage.version(deletionPolicy="Retain")
    await stage.ready("ImageVersion", "v1")
    for kind, name in (("Gallery", "platform"), ("GalleryImageDefinition", "debian")):
        stage.patch(kind, name, {"spec": {"deletionPolicy": "Retain"}})
    objects = (("ImageVersion", "v1"), ("GalleryImageDefinition", "debian"), ("Gallery", "platform"))
    for kind, name in objects:
        stage.delete(kind, name)
    for kind, name in objects:
        await stage.gone(kind, name)
    assert stage.in_azure(stage.version_id)
    stage.azure.clear_counts()
    stage.gallery()
    stage.definition()
    stage.version()
    body = await stage.ready("ImageVersion", "v1")
    # Restored from Git or a backup: ours by name, only the tag with the uid is renewed.
    assert (stage.in_azure(stage.version_id) or {})["tags"]["gallery-operator.dev-uid"] == body["metadata"]["uid"]


async def test_the_periodic_list_finds_what_the_watch_missed_and_reads_drift(stage: Stage) -> None:
    await stage.base()
    body = await stage.settled(stage.definition_id)
    stage.arm("PUT", stage.definition_id, {**body, "tags": {**body["tags"], "gallery-operator.dev-uid": "x"}})
    # Nobody nudges: the resync interval of the stage is three seconds.
    await stage.until(lambda: (stage.in_azure(stage.definition_id) or {})["tags"]["gallery-operator.dev-uid"] != "x")


async def test_steady_state_writes_nothing(stage: Stage) -> None:
    await stage.base()
    stage.version(regions=REGIONS)
    await stage.ready("ImageVersion", "v1")
    await stage.until(lambda: stage.status("GalleryImageDefinition", "debian").get("latestVersion") == "1.0.0")
    kinds = ("Gallery", "GalleryImageDefinition", "ImageVersion", "Event")
    await stage.quiet()
    stage.azure.clear_counts()
    before = {
        each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for kind in kinds for each in stage.list(kind)
    }
    writes = stage.kubernetes_writes()

    def compared_twice() -> bool:
        rows = stage.azure.counts()["counts"]
        versions = [row["count"] for row in rows if row["method"] == "GET" and row["path"].endswith("versions/{}")]
        return sum(versions) >= 2

    await stage.until(compared_twice)
    counts = stage.azure.counts()
    assert counts["writes"] == 0, counts
    assert stage.kubernetes_writes() == writes
    after = {
        each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for kind in kinds for each in stage.list(kind)
    }
    assert after == before
