"""``managementPolicy: Observe`` and the report before an adoption, on a real API server against the simulator."""

from __future__ import annotations

import pytest
from tests.integration.reconcilers.stage import COMPUTE, Json, Stage, ready
from tests.support.azure import LOCATION

GALLERY = f"{COMPUTE}/galleries/platform"
DEFINITION = f"{GALLERY}/images/debian"
VERSION = f"{DEFINITION}/versions/1.0.0"


async def existing_gallery(stage: Stage) -> None:
    """A gallery with a definition and a version that somebody made without the operator."""
    stage.arm("PUT", GALLERY, {"location": LOCATION, "properties": {"description": "theirs"}})
    await stage.settled(GALLERY)
    definition = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "architecture": "x64",
        "identifier": {"publisher": "platform", "offer": "debian", "sku": "debian"},
        "features": [{"name": "SecurityType", "value": "Standard"}],
    }
    stage.arm("PUT", DEFINITION, {"location": LOCATION, "properties": definition})
    await stage.settled(DEFINITION)
    version = {
        "publishingProfile": {"targetRegions": [{"name": LOCATION, "regionalReplicaCount": 2}]},
        "storageProfile": {"osDiskImage": {"source": {"id": stage.disk()}}},
    }
    stage.arm("PUT", VERSION, {"location": LOCATION, "properties": version})
    await stage.settled(VERSION)


def writes(stage: Stage) -> int:
    answer: Json = stage.azure.request("GET", "/_control/requests")
    return int(answer["writes"])


def fields(body: Json) -> dict[str, tuple[str | None, str | None]]:
    """Differences in the status of an object: field to (found, wanted)."""
    told = body["status"].get("differences") or []
    return {each["field"]: (each.get("found"), each.get("wanted")) for each in told}


async def test_observing_tells_what_is_there_and_writes_nothing(stage: Stage) -> None:
    await existing_gallery(stage)
    before = writes(stage)
    stage.gallery(managementPolicy="Observe", description="ours", tags={"team": "platform"})
    stage.definition(managementPolicy="Observe")
    stage.version(managementPolicy="Observe", regions=(LOCATION, "eastus2"))
    gallery = await stage.ready("Gallery", "platform")
    assert ready(gallery)["reason"] == "Observed"
    assert "description" in ready(gallery)["message"]
    assert fields(gallery) == {"tags.team": (None, "platform"), "description": ("theirs", "ours")}
    definition = await stage.ready("GalleryImageDefinition", "debian")
    assert definition["status"]["versions"] == 1
    assert definition["status"]["latestVersion"] == "1.0.0"
    assert fields(definition) == {}
    version = await stage.ready("ImageVersion", "v1")
    assert fields(version)["targetRegions[westeurope].regionalReplicaCount"] == ("2", "1")
    assert fields(version)["targetRegions[eastus2]"] == (None, "to be added")
    assert version["status"]["provisioningState"] == "Succeeded"
    for kind, name in (("ImageVersion", "v1"), ("GalleryImageDefinition", "debian"), ("Gallery", "platform")):
        assert not (stage.get(kind, name) or {})["metadata"].get("finalizers")
        stage.delete(kind, name)
        await stage.gone(kind, name)
    assert stage.in_azure(VERSION) is not None
    assert writes(stage) == before


async def test_observing_what_is_not_there_says_so(stage: Stage) -> None:
    stage.gallery(managementPolicy="Observe")
    body = await stage.reason("Gallery", "platform", "NotFound")
    assert "managementPolicy to Manage" in ready(body)["message"]
    assert stage.in_azure(GALLERY) is None
    stage.arm("PUT", GALLERY, {"location": LOCATION, "properties": {}})
    await stage.settled(GALLERY)
    stage.nudge("Gallery", "platform")
    await stage.reason("Gallery", "platform", "Observed")


async def test_adoption_is_told_first_then_done(stage: Stage) -> None:
    await existing_gallery(stage)
    stage.gallery(description="ours")
    body = await stage.reason("Gallery", "platform", "AlreadyExists")
    assert fields(body) == {"description": ("theirs", "ours")}
    assert "description" in ready(body)["message"]
    stage.patch("Gallery", "platform", {"spec": {"adoptionPolicy": "Adopt"}})
    adopted = await stage.ready("Gallery", "platform")
    assert fields(adopted) == {}
    assert (stage.in_azure(GALLERY) or {})["properties"]["description"] == "ours"


async def test_managed_then_observed_is_let_go(stage: Stage) -> None:
    stage.gallery(description="ours")
    await stage.ready("Gallery", "platform")
    stage.patch("Gallery", "platform", {"spec": {"managementPolicy": "Observe"}})
    body = await stage.reason("Gallery", "platform", "Observed")
    assert not body["metadata"].get("finalizers")
    stage.arm("PUT", GALLERY, {"location": LOCATION, "properties": {"description": "theirs"}})
    await stage.settled(GALLERY)
    stage.nudge("Gallery", "platform")
    await stage.until(lambda: fields(stage.get("Gallery", "platform") or {}) == {"description": ("theirs", "ours")})
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert stage.in_azure(GALLERY) is not None


@pytest.mark.parametrize("there", [True, False])
async def test_an_observed_import_runs_no_job(stage: Stage, there: bool) -> None:
    if there:
        source = stage.blob("observed-True.vhd")
    page_blob = {
        "storageAccountId": stage.azure.storage_account_id,
        "container": "vhds",
        "blobName": f"observed-{there}.vhd",
    }
    stage.create(
        "VhdImport",
        "os",
        {
            "managementPolicy": "Observe",
            "source": {"url": {"url": "https://disks.example/base.vhd"}},
            "profile": {"osState": "Generalized"},
            "destination": {"pageBlob": page_blob},
        },
    )
    body = await stage.reason("VhdImport", "os", "Observed" if there else "NotFound")
    assert stage.list("Job") == []
    if there:
        assert body["status"]["phase"] == "Succeeded"
        assert body["status"]["target"]["blobUrl"] == source["uri"]
