"""What goes wrong between the operator, its users and Azure: told in status, retried, and mended without a restart."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.integration.reconcilers.player import Player, checked, disk
from tests.integration.reconcilers.process import OperatorProcess
from tests.integration.reconcilers.stage import CLIENT, CLIENT_SECRET, COMPUTE, RESOURCE_GROUP, Json, Stage, ready
from tests.support.azure import BAD_SECRET, LOCATION, SUBSCRIPTION, TENANT

GALLERY_PATH = "/galleries/platform$"


def secret(stage: Stage, name: str, value: str = "good-enough", **changes: str) -> Json:
    data = {
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_CLIENT_SECRET": value,
        "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION,
        **changes,
    }
    return stage.post("Secret", {"metadata": {"name": name}, "stringData": data})


async def test_missing_parents_are_named(stage: Stage) -> None:
    stage.version()
    message = ready(await stage.reason("ImageVersion", "v1", "DefinitionNotFound"))["message"]
    assert f"{stage.namespace}/debian does not exist: create it, or correct definitionRef" in message
    stage.definition()
    message = ready(await stage.reason("GalleryImageDefinition", "debian", "GalleryNotFound"))["message"]
    assert f"{stage.namespace}/platform does not exist" in message
    await stage.reason("ImageVersion", "v1", "DefinitionNotReady")
    stage.delete("ImageVersion", "v1")
    stage.delete("GalleryImageDefinition", "debian")
    await stage.gone("ImageVersion", "v1")
    await stage.gone("GalleryImageDefinition", "debian")


async def test_missing_source_in_azure_is_told_and_found_later(stage: Stage) -> None:
    stage.gallery()
    stage.definition()
    stage.version()
    body = await stage.until(
        lambda: found if "disks/source" in ready(found := stage.get("ImageVersion", "v1")).get("message", "") else None
    )
    assert ready(body)["status"] == "False"
    stage.disk()
    stage.nudge("ImageVersion", "v1")
    await stage.ready("ImageVersion", "v1")


async def test_secret_of_the_gallery(stage: Stage) -> None:
    stage.gallery(credentialRef={"name": "azure"})
    body = await stage.reason("Gallery", "platform", "SecretNotFound")
    assert not stage.stalled(body)
    secret(stage, "azure", BAD_SECRET)
    stage.nudge("Gallery", "platform")
    body = await stage.until(lambda: found if stage.stalled(found := stage.get("Gallery", "platform") or {}) else None)
    assert body is not None
    assert BAD_SECRET not in str(body)
    assert "AADSTS" in ready(body)["message"] or "secret" in ready(body)["message"].lower()
    stage.patch("Secret", "azure", {"stringData": {"AZURE_CLIENT_SECRET": "right"}})
    stage.nudge("Gallery", "platform")
    await stage.ready("Gallery", "platform")


async def test_incomplete_secret_names_the_key(stage: Stage) -> None:
    secret(stage, "gallery-operator-credential", AZURE_CLIENT_ID="not-a-guid")
    stage.gallery()
    body = await stage.reason("Gallery", "platform", "CredentialUnusable")
    assert stage.stalled(body)
    assert "AZURE_CLIENT_ID" in ready(body)["message"]


async def test_no_credential_at_all(idle_stage: Stage) -> None:
    await idle_stage.start(default_credential=None)
    idle_stage.gallery()
    body = await idle_stage.reason("Gallery", "platform", "NoCredential")
    assert idle_stage.stalled(body)
    secret(idle_stage, "gallery-operator-credential")
    idle_stage.nudge("Gallery", "platform")
    await idle_stage.ready("Gallery", "platform")


async def test_forbidden_stalls_and_is_seen_when_the_role_is_granted(stage: Stage) -> None:
    fault = stage.azure.add_fault(
        method="PUT",
        path=GALLERY_PATH,
        count=None,
        status=403,
        code="AuthorizationFailed",
        message="The client may not",
    )
    stage.gallery()
    body = await stage.reason("Gallery", "platform", "AuthorizationFailed")
    assert stage.stalled(body)
    stage.azure.request("DELETE", f"/_control/faults/{fault}")
    stage.nudge("Gallery", "platform")
    await stage.ready("Gallery", "platform")


async def test_throttling_is_heeded(stage: Stage) -> None:
    stage.azure.add_fault(
        method="PUT",
        path=GALLERY_PATH,
        count=1,
        status=429,
        code="OperationNotAllowed",
        retry_after=2,
        message="slow down",
    )
    stage.gallery()
    body = await stage.until(
        lambda: found if ready(found := stage.get("Gallery", "platform")).get("status") == "False" else None
    )
    assert body is not None
    await stage.ready("Gallery", "platform")
    entries = stage.azure.request("GET", "/_control/log")["entries"]
    puts = [each for each in entries if each["method"] == "PUT" and each["path"].endswith("/platform")]
    assert puts[0]["status"] == 429
    assert puts[1]["time"] - puts[0]["time"] >= 1.9


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500, "code": "InternalServerError", "message": "x"},
        {"drop": "before"},
        {"drop": "after"},
    ],
    ids=lambda fault: str(fault.get("status") or fault.get("drop")),
)
async def test_passing_trouble_is_overcome(stage: Stage, fault: Json) -> None:
    stage.disk()
    for method in ("PUT", "GET"):
        stage.azure.add_fault(method=method, path="/galleries/", count=2, **fault)
    stage.gallery()
    stage.definition()
    stage.version(regions=("westeurope", "eastus2"))
    await stage.ready("ImageVersion", "v1")
    for method in ("DELETE", "GET"):
        stage.azure.add_fault(method=method, path="/galleries/", count=2, **fault)
    for kind, name in (("ImageVersion", "v1"), ("GalleryImageDefinition", "debian"), ("Gallery", "platform")):
        stage.delete(kind, name)
    await stage.gone("Gallery", "platform")
    assert [each["id"] for each in stage.azure.state()["resources"] if "/galleries/" in each["id"]] == []


async def test_what_exists_is_not_touched_unless_it_is_to_be_adopted(stage: Stage) -> None:
    stage.arm("PUT", f"{COMPUTE}/galleries/platform", {"location": LOCATION, "tags": {"team": "a"}, "properties": {}})
    before = stage.in_azure(stage.gallery_id)
    stage.gallery()
    body = await stage.reason("Gallery", "platform", "AlreadyExists")
    assert stage.stalled(body)
    assert "adoptionPolicy" in ready(body)["message"]
    assert stage.in_azure(stage.gallery_id) == before
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert stage.in_azure(stage.gallery_id) == before
    stage.gallery(adoptionPolicy="Adopt")
    await stage.ready("Gallery", "platform")
    tags = (stage.in_azure(stage.gallery_id) or {})["tags"]
    assert tags["team"] == "a"
    assert tags["gallery-operator.dev-name"] == "platform"


async def test_another_cluster_keeps_what_it_made(stage: Stage) -> None:
    tags = {f"gallery-operator.dev-{name}": "other" for name in ("cluster", "namespace", "name", "kind", "uid")}
    stage.arm("PUT", f"{COMPUTE}/galleries/platform", {"location": LOCATION, "tags": tags, "properties": {}})
    stage.gallery(adoptionPolicy="Adopt")
    body = await stage.reason("Gallery", "platform", "OwnedByAnother")
    assert stage.stalled(body)
    assert "cluster 'other'" in ready(body)["message"]


async def test_older_of_two_objects_with_one_target_wins(stage: Stage) -> None:
    stage.gallery("first", galleryName="shared")
    await stage.ready("Gallery", "first")
    stage.gallery("second", galleryName="Shared")
    body = await stage.reason("Gallery", "second", "TargetInUse", "OwnedByAnother")
    assert stage.stalled(body)
    assert f"{stage.namespace}/first" in ready(body)["message"]
    stage.delete("Gallery", "first")
    await stage.gone("Gallery", "first")
    await stage.ready("Gallery", "second")
    assert (stage.in_azure(f"{COMPUTE}/galleries/shared") or {})["tags"]["gallery-operator.dev-name"] == "second"


async def test_deleting_the_loser_leaves_the_winners_gallery(stage: Stage) -> None:
    stage.gallery("first", galleryName="shared")
    await stage.ready("Gallery", "first")
    stage.gallery("second", galleryName="shared")
    await stage.reason("Gallery", "second", "TargetInUse", "OwnedByAnother")
    stage.delete("Gallery", "second")
    await stage.gone("Gallery", "second")
    assert stage.in_azure(f"{COMPUTE}/galleries/shared")
    await stage.ready("Gallery", "first")


async def test_immutable_difference_is_named(stage: Stage) -> None:
    await stage.base()
    wire = {"osType": "Linux", "osState": "Specialized", "hyperVGeneration": "V1"}
    identifier = {"publisher": "platform", "offer": "debian", "sku": "other"}
    stage.arm(
        "PUT",
        f"{stage.gallery_id}/images/other",
        {"location": LOCATION, "properties": {**wire, "identifier": identifier}},
    )
    await stage.settled(f"{stage.gallery_id}/images/other")
    stage.definition("other", adoptionPolicy="Adopt", features=[{"name": "SecurityType", "value": "Standard"}])
    body = await stage.reason("GalleryImageDefinition", "other", "ImmutableFieldDiffers")
    assert stage.stalled(body)
    assert "osState is 'Specialized', wanted 'Generalized'" in ready(body)["message"]


async def test_gallery_managed_elsewhere(stage: Stage) -> None:
    stage.disk()
    stage.arm("PUT", f"{COMPUTE}/galleries/platform", {"location": LOCATION, "properties": {}})
    await stage.settled(stage.gallery_id)
    stage.definition(gallery={"resourceId": stage.gallery_id})
    stage.version()
    await stage.ready("ImageVersion", "v1")
    stage.delete("GalleryImageDefinition", "debian")
    stage.delete("ImageVersion", "v1")
    await stage.gone("GalleryImageDefinition", "debian")
    assert stage.in_azure(stage.gallery_id)
    assert stage.in_azure(stage.definition_id) is None


async def test_other_namespaces_need_permission(idle_stage: Stage) -> None:
    home = idle_stage
    other = Stage(home.api, home.azure, home.api.new_namespace())
    await home.start(namespaces=(home.namespace, other.namespace))
    home.gallery()
    await home.ready("Gallery", "platform")
    other.definition(galleryRef={"name": "platform", "namespace": home.namespace})
    body = await other.reason("GalleryImageDefinition", "debian", "NamespaceNotAllowed")
    assert other.stalled(body)
    home.patch("Gallery", "platform", {"spec": {"allowedNamespaces": {"names": [other.namespace]}}})
    await other.ready("GalleryImageDefinition", "debian")
    home.delete("Gallery", "platform")
    body = await home.reason("Gallery", "platform", "HasDependents")
    assert f"{other.namespace}/debian" in ready(body)["message"]
    other.delete("GalleryImageDefinition", "debian")
    await home.gone("Gallery", "platform")


async def test_invalid_vhd_does_not_come_back_after_the_spec_was_corrected(stage: Stage) -> None:
    """A failed operation is forgotten when the spec changes: else only a restart would try again."""
    await stage.base()
    stage.version(regions=("westeurope",))
    await stage.ready("ImageVersion", "v1")
    stage.azure.add_fault(
        method="PUT",
        path="/versions/1.0.0$",
        count=None,
        status=400,
        code="InvalidParameter",
        message="quota of eastus2",
    )
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": [{"name": "westeurope"}, {"name": "eastus2"}]}})
    assert stage.stalled(await stage.reason("ImageVersion", "v1", "InvalidParameter"))
    stage.azure.clear_faults()
    stage.patch("ImageVersion", "v1", {"spec": {"targetRegions": [{"name": "westeurope"}, {"name": "northeurope"}]}})
    await stage.ready("ImageVersion", "v1")


async def test_killed_at_random_moments_the_same_end_is_reached(idle_stage: Stage, tmp_path: Path) -> None:
    stage = idle_stage
    seed = random.SystemRandom().randrange(1_000_000)
    choice = random.Random(seed)
    print(f"seed {seed}")  # shown when the test fails
    operator = OperatorProcess(stage, tmp_path / "log")

    async def monkey(kills: int) -> None:
        for _ in range(kills):
            begun = len(operator.text())
            await operator.start()
            # It is killed while it works: some time after it has begun to look at Azure.
            await operator.at_work(begun)
            await asyncio.sleep(choice.uniform(0.0, 0.8))
            await operator.kill()
        await operator.start()

    vhd = disk()
    stage.gallery()
    stage.definition()
    destination = {"managedDisk": {"resourceGroup": RESOURCE_GROUP, "location": LOCATION, "diskName": "brought"}}
    source = {"url": {"url": "https://images.example.com/debian.qcow2"}}
    stage.create("VhdImport", "os", {"source": source, "destination": destination})
    stage.version(source={"osDisk": {"vhdImportRef": {"name": "os"}}}, regions=("westeurope", "eastus2"))
    try:
        async with Player(stage) as player:
            killing = asyncio.create_task(monkey(4))
            player.end(await player.job("prepare", patience=60), checked(vhd))
            upload = await player.job("upload", patience=60)
            player.end(upload, player.upload(upload, vhd))
            await killing
            body = await stage.ready("ImageVersion", "v1", patience=60)
            assert body["status"]["regionsReady"] == "2/2"
            await stage.ready("VhdImport", "os")
            await stage.until(lambda: not stage.list("Job"))
            assert stage.list("Secret") == []
            objects = (
                ("Gallery", "platform"),
                ("GalleryImageDefinition", "debian"),
                ("VhdImport", "os"),
                ("ImageVersion", "v1"),
            )
            begun = len(operator.text())
            stage.nudge("Gallery", "platform")
            await operator.at_work(begun)
            assert await operator.terminate() == 0
            killing = asyncio.create_task(monkey(2))
            for kind, name in objects:
                stage.delete(kind, name)
            await killing
            for kind, name in objects:
                await stage.gone(kind, name, patience=60)
        left = [each["id"] for each in stage.azure.state()["resources"] if "Compute" in each["id"]]
        assert left == []
        text = operator.text()
        assert CLIENT_SECRET not in text
        assert "sig=" not in text.replace("sig=***", "")
    finally:
        await operator.kill()
