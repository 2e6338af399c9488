"""Everything that a version can be made of, and what is refused before Azure is asked."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.reconcilers.stage import COMPUTE, RESOURCE_GROUP, Json, Stage, ready
from tests.support.azure import LOCATION, OTHER_SUBSCRIPTION

ELSEWHERE = f"/subscriptions/{OTHER_SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.Compute"
IMAGE = f"{COMPUTE}/images/debian"
MACHINE = f"{COMPUTE}/virtualMachines/builder"
DEFINITION: Json = {
    "osType": "Linux",
    "osState": "Generalized",
    "hyperVGeneration": "V2",
    "features": [{"name": "SecurityType", "value": "Standard"}],
    "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
}


def image(stage: Stage, location: str = LOCATION, **properties: Any) -> Json:
    """Put a managed image into Azure; returns it as a source."""
    os_disk = {"osType": "Linux", "osState": "Generalized", "diskSizeGB": 1}
    storage = {"osDisk": os_disk, "dataDisks": [{"lun": 4, "diskSizeGB": 1}]}
    body = {"hyperVGeneration": "V2", "storageProfile": storage, **properties}
    disks = [{"lun": None, "sizeGB": 1}, {"lun": 4, "sizeGB": 1}]
    stage.azure.put_resource({"id": IMAGE, "location": location, "properties": body}, disks)
    return {"managedImageId": IMAGE}


def machine(stage: Stage, *codes: str, **more: Any) -> Json:
    """Put a virtual machine into Azure; returns it as a source."""
    statuses = [{"code": each} for each in ("PowerState/deallocated", *codes)]
    view = {"hyperVGeneration": more.pop("generation", "V2"), "statuses": statuses}
    properties = {"storageProfile": {"osDisk": {"osType": "Linux"}}, "instanceView": view}
    body = {"id": MACHINE, "location": LOCATION, "properties": properties, **more}
    stage.azure.put_resource(body, [{"lun": None, "sizeGB": 1}])
    return {"virtualMachineId": MACHINE}


async def other_version(
    stage: Stage, where: str = f"{ELSEWHERE}/galleries/builds", profile: Json | None = None, **definition: Any
) -> str:
    """Make a version in a gallery of somebody else's; returns its id."""
    sharing = {"sharingProfile": profile} if profile else {}
    stage.arm("PUT", where, {"location": LOCATION, "properties": sharing})
    await stage.settled(where)
    parent = f"{where}/images/debian"
    stage.arm("PUT", parent, {"location": LOCATION, "properties": {**DEFINITION, **definition}})
    await stage.settled(parent)
    storage = {"osDiskImage": {"source": {"id": stage.disk("theirs")}}}
    publishing = {"targetRegions": [{"name": LOCATION}]}
    version = f"{parent}/versions/1.0.0"
    properties = {"storageProfile": storage, "publishingProfile": publishing}
    stage.arm("PUT", version, {"location": LOCATION, "properties": properties})
    stage.azure.skip(3600)
    await stage.settled(version)
    return version


async def parents(stage: Stage, **definition: Any) -> None:
    """A gallery and a definition to make the version in."""
    stage.gallery()
    stage.definition(**definition)
    await stage.ready("GalleryImageDefinition", "debian")


def stored(stage: Stage) -> Json:
    """What Azure says that the version is made of."""
    profile: Json = (stage.in_azure(stage.version_id) or {})["properties"]["storageProfile"]
    return profile


async def test_managed_image(stage: Stage) -> None:
    await parents(stage)
    stage.version(source=image(stage))
    await stage.ready("ImageVersion", "v1")
    assert stored(stage)["source"] == {"id": IMAGE}
    assert [each["lun"] for each in stored(stage)["dataDiskImages"]] == [4]


@pytest.mark.parametrize(("state", "codes"), [("Generalized", ["OSState/generalized"]), ("Specialized", [])])
async def test_virtual_machine(stage: Stage, state: str, codes: list[str]) -> None:
    await parents(stage, osState=state)
    stage.version(source=machine(stage, *codes))
    await stage.ready("ImageVersion", "v1")
    assert stored(stage)["source"] == {"virtualMachineId": MACHINE}


async def test_version_of_another_subscription(stage: Stage) -> None:
    source = await other_version(stage)
    await parents(stage)
    stage.version(source={"galleryImageVersionId": source})
    await stage.ready("ImageVersion", "v1")
    assert stored(stage)["source"] == {"id": source}


async def test_version_is_promoted_to_another_definition(stage: Stage) -> None:
    await stage.base()
    stage.definition("stable", identifier={"publisher": "platform", "offer": "debian", "sku": "stable"})
    stage.version("stable", definitionRef={"name": "stable"}, source={"imageVersionRef": {"name": "v1"}})
    await stage.reason("ImageVersion", "stable", "SourceNotFound")
    stage.version()
    await stage.ready("ImageVersion", "stable")
    promoted = (stage.in_azure(f"{stage.gallery_id}/images/stable/versions/1.0.0") or {})["properties"]
    assert promoted["storageProfile"]["source"] == {"id": stage.version_id}


async def test_community_version(stage: Stage) -> None:
    info = {
        "publisherUri": "https://example.com",
        "publisherContact": "a@example.com",
        "eula": "https://example.com/eula",
        "publicNamePrefix": "debian",
    }
    gallery = f"{ELSEWHERE}/galleries/published"
    await other_version(stage, gallery, {"permissions": "Community", "communityGalleryInfo": info})
    stage.arm("POST", f"{gallery}/share", {"operationType": "EnableCommunity"})
    shared = await stage.until(
        lambda: (
            found
            if (found := (stage.in_azure(gallery) or {})["properties"]["sharingProfile"]["communityGalleryInfo"])[
                "communityGalleryEnabled"
            ]
            else None
        )
    )
    assert shared is not None
    source = f"/CommunityGalleries/{shared['publicNames'][0]}/Images/debian/Versions/1.0.0"
    await parents(stage)
    stage.version(source={"communityGalleryImageId": source})
    await stage.ready("ImageVersion", "v1")
    assert stored(stage)["source"] == {"communityGalleryImageId": source}
    stage.version("v2", version="2.0.0", source={"communityGalleryImageId": source.replace("1.0.0", "9.9.9")})
    stage.version("v3", version="3.0.0", source={"communityGalleryImageId": source.removesuffix("/Versions/1.0.0")})
    await stage.ready("ImageVersion", "v3")
    body = await stage.reason("ImageVersion", "v2", "SourceNotFound")
    assert "is not there in westeurope" in ready(body)["message"]


async def refused(stage: Stage, reason: str, *words: str, stalled: bool = True) -> None:
    """The version is refused for a reason, in words, and Azure was not asked to make it."""
    body = await stage.reason("ImageVersion", "v1", reason)
    assert stage.stalled(body) is stalled
    for word in words:
        assert word in ready(body)["message"]
    rows = stage.azure.counts()["counts"]
    assert not [row for row in rows if row["method"] == "PUT" and row["path"].endswith("/versions/{}")]


async def test_what_does_not_fit_is_refused_before_azure_is_asked(stage: Stage) -> None:
    await parents(stage)
    stage.azure.clear_counts()
    blob = stage.blob("base.vhd")
    disk, data = stage.disk("gen1"), stage.disk("data")
    stage.azure.patch_resource(disk, {"hyperVGeneration": "V1"})
    cases: list[tuple[Json, str, tuple[str, ...]]] = [
        ({"osDisk": {"diskId": disk}}, "SourceMismatch", ("source.osDisk.diskId: it has hyperVGeneration V1",)),
        (
            {"osDisk": {"snapshotId": stage.disk("os", "snapshots")}, "dataDisks": [{"lun": 2, "diskId": data}]},
            "DiskTooLarge",
            ("source.dataDisks (lun 2).diskId: a disk has 3000 GiB",),
        ),
        (machine(stage), "SourceMismatch", ("source.virtualMachineId: the virtual machine is not generalized",)),
        (image(stage, "eastus2"), "SourceElsewhere", ("source.managedImageId: it is in eastus2",)),
        ({"osDisk": {"blob": {**blob, "uri": f"{blob['uri']}2"}}}, "SourceNotFound", ("source.osDisk.blob.uri",)),
    ]
    stage.azure.patch_resource(data, {"diskSizeGB": 3000})
    for source, reason, words in cases:
        stage.version(source=source)
        await refused(stage, reason, *words, stalled=reason != "SourceNotFound")
        stage.delete("ImageVersion", "v1")
        await stage.gone("ImageVersion", "v1")


@pytest.mark.parametrize(
    ("definition", "word"),
    [({"hyperVGeneration": "V1"}, "hyperVGeneration V1"), ({"osState": "Specialized"}, "osState Specialized")],
)
async def test_version_of_another_kind_is_refused(stage: Stage, definition: Json, word: str) -> None:
    await parents(stage, **definition)
    source = await other_version(stage)
    stage.azure.clear_counts()
    stage.version(source={"galleryImageVersionId": source})
    await refused(stage, "SourceMismatch", "source.galleryImageVersionId: it has", f"definition debian has {word}")


async def test_managed_image_for_a_specialized_definition_is_refused(stage: Stage) -> None:
    await parents(stage, osState="Specialized")
    stage.azure.clear_counts()
    stage.version(source=image(stage))
    await refused(stage, "SourceMismatch", "a managed image makes Generalized versions only")


async def test_what_is_missing_or_busy_is_waited_for(stage: Stage) -> None:
    await parents(stage)
    stage.azure.clear_counts()
    stage.version()
    await refused(stage, "SourceNotFound", "source.osDisk.diskId", "does not exist", stalled=False)
    disk = stage.disk()
    stage.azure.patch_resource(disk, {"diskState": "Attached"})
    stage.nudge("ImageVersion", "v1")
    await refused(stage, "SourceInUse", "it is in use by", stalled=False)
    stage.azure.patch_resource(disk, {"diskState": "ActiveUpload"})
    stage.nudge("ImageVersion", "v1")
    await refused(stage, "SourceNotReady", "it is being uploaded", stalled=False)
    stage.azure.patch_resource(disk, {"diskState": "Unattached"})
    stage.nudge("ImageVersion", "v1")
    await stage.ready("ImageVersion", "v1")


async def test_what_may_not_be_read_is_left_to_azure(stage: Stage) -> None:
    await stage.base()
    what = "does not have authorization to perform action 'Microsoft.Compute/disks/read'"
    stage.azure.add_fault(
        method="GET", path="/disks/source$", status=403, code="AuthorizationFailed", message=what, count=None
    )
    stage.version()
    await stage.ready("ImageVersion", "v1")
    (event,) = [each for each in stage.events("v1") if each["reason"] == "SourceNotChecked"]
    assert "source.osDisk.diskId: this identity may not read" in event["message"]


async def test_a_right_that_is_missing_on_the_source_is_named(stage: Stage) -> None:
    await stage.base()
    what = "has permission to perform action on scope; however, it does not have permission on the linked scope(s)"
    fault = stage.azure.add_fault(
        method="PUT", path="/versions/1.0.0$", status=403, code="LinkedAuthorizationFailed", message=what, count=None
    )
    stage.version()
    body = await stage.reason("ImageVersion", "v1", "LinkedAuthorizationFailed")
    assert f"also needs: Microsoft.Compute/disks/write on {COMPUTE}/disks/source." in ready(body)["message"]
    stage.azure.request("DELETE", f"/_control/faults/{fault}")
    stage.nudge("ImageVersion", "v1")
    await stage.ready("ImageVersion", "v1")


async def test_the_source_is_read_only_before_the_version_is_made(stage: Stage) -> None:
    await parents(stage)
    stage.version(source=machine(stage, "OSState/generalized"))
    await stage.ready("ImageVersion", "v1")
    stage.azure.clear_counts()

    def compared_twice() -> bool:
        rows = stage.azure.counts()["counts"]
        return sum(row["count"] for row in rows if row["method"] == "GET" and row["path"].endswith("versions/{}")) >= 2

    await stage.until(compared_twice)
    assert not [
        row for row in stage.azure.counts()["counts"] if "virtualMachines" in row["path"] and row["method"] == "GET"
    ]
    assert ready(stage.get("ImageVersion", "v1"))["status"] == "True"
