"""Where an import ends: managed images, disks for specialized versions, and what is taken back when it ends badly."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.reconcilers.player import MIB, Player, checked, disk, failure
from tests.integration.reconcilers.stage import COMPUTE, RESOURCE_GROUP, Json, Stage, ready
from tests.support.azure import LOCATION

from gallery_operator.contract import FailureCode, Report
from gallery_operator.reconcilers import import_end

SOURCE: Json = {"url": {"url": "https://images.example.com/debian.qcow2.xz"}}
IMAGE_ID = f"{COMPUTE}/images/debian-dev"
DISK_ID = f"{COMPUTE}/disks/debian"
DISKS = "Microsoft.Compute/disks"


@pytest.fixture
async def player(stage: Stage) -> AsyncIterator[Player]:
    async with Player(stage) as found:
        yield found


def image(stage: Stage, name: str = "dev", data_disks: list[Json] | None = None, **spec: Any) -> Json:
    wanted: Json = {"resourceGroup": RESOURCE_GROUP, "location": LOCATION, "imageName": "debian-dev"}
    if data_disks:
        wanted["dataDisks"] = data_disks
    return stage.create("VhdImport", name, {"source": SOURCE, "destination": {"managedImage": wanted}, **spec})


def managed(stage: Stage, name: str = "os", disk_name: str = "debian", more: Json | None = None, **spec: Any) -> Json:
    wanted: Json = {"resourceGroup": RESOURCE_GROUP, "location": LOCATION, "diskName": disk_name, **(more or {})}
    return stage.create("VhdImport", name, {"source": SOURCE, "destination": {"managedDisk": wanted}, **spec})


async def bring(player: Player, name: str, vhd: bytes) -> None:
    player.end(await player.job("prepare", of=name), checked(vhd))
    upload = await player.job("upload", of=name)
    player.end(upload, player.upload(upload, vhd))


def disk_names(stage: Stage) -> list[str]:
    return [each["id"].rsplit("/", 1)[1] for each in stage.azure.resources(DISKS)]


# -- managed images -----------------------------------------------------------------------------------------------


async def test_disks_travel_to_a_managed_image(stage: Stage, player: Player) -> None:
    vhd, data = disk(), disk(24 * MIB)
    managed(stage, "data", "debian-data", diskRole="data")
    snapshot = stage.disk("more", "snapshots")
    image(
        stage,
        data_disks=[
            {"lun": 3, "snapshotId": snapshot},
            {
                "lun": 1,
                "vhdImportRef": {"name": "data"},
                "hostCaching": "ReadOnly",
                "storageAccountType": "Premium_LRS",
            },
        ],
    )
    await bring(player, "dev", vhd)
    body = await stage.reason("VhdImport", "dev", "ImportNotReady")
    assert body["status"]["phase"] == "Finalizing"
    assert body["status"]["target"]["uploadDiskId"].startswith(f"{COMPUTE}/disks/")
    assert "data disk at LUN 1" in ready(body)["message"]
    await bring(player, "data", data)
    body = await stage.ready("VhdImport", "dev")
    assert body["status"]["phase"] == "Succeeded"
    assert body["status"]["provisioningState"] == "Succeeded"
    assert body["status"]["target"] == {
        "type": "ManagedImage",
        "resourceId": IMAGE_ID,
        "location": LOCATION,
        "staging": False,
    }
    found = (stage.in_azure(IMAGE_ID) or {})["properties"]
    assert found["hyperVGeneration"] == "V2"
    profile = found["storageProfile"]
    assert (profile["osDisk"]["osType"], profile["osDisk"]["osState"]) == ("Linux", "Generalized")
    assert [each["lun"] for each in profile["dataDisks"]] == [1, 3]
    assert profile["dataDisks"][0]["caching"] == "ReadOnly"
    assert profile["dataDisks"][0]["storageAccountType"] == "Premium_LRS"
    digests = {each["lun"]: each["sha256"] for each in stage.azure.digest(IMAGE_ID)}
    assert digests[None] == hashlib.sha256(vhd).hexdigest()
    assert digests[1] == hashlib.sha256(data).hexdigest()
    # The disk that it was made from is gone, the other import's own stays.
    await stage.until(lambda: disk_names(stage) == ["debian-data"])
    await stage.until(lambda: {each["reason"] for each in stage.events("dev")} >= {"CreatingImage", "Ready"})
    stage.delete("VhdImport", "dev")
    await stage.gone("VhdImport", "dev")
    assert stage.in_azure(IMAGE_ID) is None
    stage.delete("VhdImport", "data")
    await stage.gone("VhdImport", "data")
    assert stage.azure.resources(DISKS) == []


async def test_staging_disk_of_a_data_disk_goes_with_the_image_that_has_it(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    stage.create("VhdImport", "data", {"source": SOURCE, "diskRole": "data", "definitionRef": {"name": "debian"}})
    image(stage, data_disks=[{"lun": 0, "vhdImportRef": {"name": "data"}}], definitionRef={"name": "debian"})
    await bring(player, "dev", disk())
    await bring(player, "data", disk(24 * MIB))
    await stage.ready("VhdImport", "dev")
    await stage.reason("VhdImport", "data", "Released")
    assert stage.azure.resources(DISKS) == []


async def test_image_that_vanished_is_made_again(stage: Stage, player: Player) -> None:
    vhd = disk()
    image(stage)
    prepare = await player.job("prepare")
    await bring(player, "dev", vhd)
    await stage.ready("VhdImport", "dev")
    stage.arm("DELETE", IMAGE_ID)
    again = await player.job("prepare", unlike=prepare["metadata"]["uid"])
    await stage.until(lambda: "TargetMissing" in {each["reason"] for each in stage.events("dev")})
    player.end(again, checked(vhd))
    upload = await player.job("upload")
    player.end(upload, player.upload(upload, vhd))
    await stage.ready("VhdImport", "dev")
    assert stage.azure.digest(IMAGE_ID)[0]["sha256"] == hashlib.sha256(vhd).hexdigest()


async def test_image_of_somebody_else_is_left_alone(stage: Stage, player: Player) -> None:
    body = {"id": IMAGE_ID, "location": LOCATION, "tags": {}, "properties": {"provisioningState": "Succeeded"}}
    stage.azure.request("PUT", "/_control/resources", {"body": body, "disks": [{"sizeGB": 1}]})
    image(stage)
    player.end(await player.job("prepare"), checked(disk()))
    found = await stage.reason("VhdImport", "dev", "AlreadyExists")
    assert stage.stalled(found)
    assert stage.azure.resources(DISKS) == []  # told before anything is made
    stage.delete("VhdImport", "dev")
    await stage.gone("VhdImport", "dev")
    assert stage.in_azure(IMAGE_ID)


async def test_specialized_definition_has_no_managed_image(stage: Stage) -> None:
    stage.gallery()
    stage.definition(osState="Specialized")
    image(stage, definitionRef={"name": "debian"})
    body = await stage.reason("VhdImport", "dev", "SpecializedManagedImage")
    assert stage.stalled(body)
    assert stage.list("Job") == []


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"diskRole": "os"}, "has diskRole os"),
        ({"diskRole": "data", "region": "eastus2"}, "eastus2"),
    ],
)
async def test_unusable_data_disk_is_told(stage: Stage, player: Player, spec: Json, words: str) -> None:
    region = spec.pop("region", LOCATION)
    managed(stage, "data", "debian-data", {"location": region}, **spec)
    image(stage, data_disks=[{"lun": 0, "vhdImportRef": {"name": "data"}}])
    await bring(player, "data", disk())
    await stage.ready("VhdImport", "data")
    await bring(player, "dev", disk())
    body = await stage.reason("VhdImport", "dev", "DataDiskUnusable")
    assert stage.stalled(body)
    assert words in ready(body)["message"]
    assert stage.in_azure(IMAGE_ID) is None
    stage.delete("VhdImport", "dev")
    await stage.gone("VhdImport", "dev")
    assert disk_names(stage) == ["debian-data"]


async def test_image_that_azure_refuses_says_why(stage: Stage, player: Player) -> None:
    missing = f"{COMPUTE}/disks/nowhere"
    image(stage, data_disks=[{"lun": 0, "diskId": missing}])
    await bring(player, "dev", disk())
    body = await stage.until(
        lambda: found if "nowhere" in ready(found := stage.get("VhdImport", "dev") or {}).get("message", "") else None
    )
    assert ready(body)["status"] == "False"
    # A person mends it, and it goes on without being brought again.
    stage.disk("nowhere")
    stage.nudge("VhdImport", "dev")
    await stage.ready("VhdImport", "dev")
    await stage.until(lambda: disk_names(stage) == ["nowhere"])


async def test_retained_image_stays_without_the_disk_it_was_made_from(stage: Stage, player: Player) -> None:
    image(stage, deletionPolicy="Retain")
    await bring(player, "dev", disk())
    await stage.ready("VhdImport", "dev")
    stage.delete("VhdImport", "dev")
    await stage.gone("VhdImport", "dev")
    assert stage.in_azure(IMAGE_ID)
    assert stage.azure.resources(DISKS) == []


async def test_unfinished_image_is_not_retained(stage: Stage, player: Player) -> None:
    image(stage, data_disks=[{"lun": 0, "vhdImportRef": {"name": "never"}}], deletionPolicy="Retain")
    await bring(player, "dev", disk())
    await stage.reason("VhdImport", "dev", "ImportNotFound")
    stage.delete("VhdImport", "dev")
    await stage.gone("VhdImport", "dev")
    assert stage.in_azure(IMAGE_ID) is None
    assert stage.azure.resources(DISKS) == []


async def test_version_of_an_import_that_makes_an_image_says_how(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    image(stage)
    stage.version(source={"osDisk": {"vhdImportRef": {"name": "dev"}}})
    await bring(player, "dev", disk())
    body = await stage.reason("ImageVersion", "v1", "SourceMismatch")
    assert stage.stalled(body)
    assert "source.managedImageId" in ready(body)["message"]
    stage.version("v2", version="1.0.1", source={"managedImageId": IMAGE_ID})
    await stage.ready("ImageVersion", "v2")


# -- disks for specialized versions -------------------------------------------------------------------------------


async def test_disk_has_what_the_definition_asks_for(stage: Stage, player: Player) -> None:
    stage.gallery()
    features = [
        {"name": "SecurityType", "value": "TrustedLaunch"},
        {"name": "DiskControllerTypes", "value": "SCSI, NVMe"},
        {"name": "IsAcceleratedNetworkSupported", "value": "True"},
    ]
    stage.definition(osState="Specialized", features=features)
    managed(stage, more={"zones": ["2"], "sku": "Premium_LRS"}, definitionRef={"name": "debian"})
    player.end(await player.job("prepare"), checked(disk()))
    await player.job("upload")
    found = stage.in_azure(DISK_ID) or {}
    assert found["zones"] == ["2"]
    assert found["sku"]["name"] == "Premium_LRS"
    properties = found["properties"]
    assert properties["creationData"]["createOption"] == "Upload"
    assert properties["securityProfile"] == {"securityType": "TrustedLaunch"}
    assert properties["supportedCapabilities"] == {
        "architecture": "x64",
        "acceleratedNetwork": True,
        "diskControllerTypes": "SCSI, NVMe",
    }


async def test_confidential_disk_goes_with_its_guest_state(stage: Stage, player: Player) -> None:
    vhd, state = disk(), b"guest state".ljust(4 * MIB + 512, b"\1")
    stage.gallery()
    features = [{"name": "SecurityType", "value": "ConfidentialVM"}]
    stage.definition(osState="Specialized", features=features)
    ref = {"definitionRef": {"name": "debian"}}
    managed(stage, "bare", "bare", **ref)
    body = await stage.reason("VhdImport", "bare", "VMGuestStateMissing")
    assert stage.stalled(body)
    source = {**SOURCE, "vmGuestState": {"url": {"url": "https://images.example.com/debian.vmgs"}}}
    managed(stage, source=source, **ref)
    prepare = await player.job("prepare", of="os")
    assert player.config(prepare)["guest_state"]["url"] == "https://images.example.com/debian.vmgs"
    report = checked(vhd)
    assert report.disk is not None
    digest = hashlib.sha256(state).hexdigest()
    player.end(
        prepare, report.model_copy(update={"disk": report.disk.model_copy(update={"guest_state_sha256": digest})})
    )
    upload = await player.job("upload", of="os")
    assert player.config(upload)["guest_state_sha256"] == digest
    found = (stage.in_azure(DISK_ID) or {})["properties"]
    assert found["creationData"]["createOption"] == "UploadPreparedSecure"
    kind = "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey"
    assert found["securityProfile"] == {"securityType": kind}
    player.upload_guest_state(upload, state)
    player.end(upload, player.upload(upload, vhd))
    await stage.ready("VhdImport", "os")
    assert [each for each in stage.list("Secret") if each["metadata"]["name"].startswith("os-")] == []


# -- what is taken back -------------------------------------------------------------------------------------------


def _nothing_open(stage: Stage) -> bool:
    return not stage.list("Secret") and not stage.azure.resources(DISKS)


async def test_upload_that_fails_for_good_leaves_nothing_open(stage: Stage, player: Player) -> None:
    managed(stage)
    vhd = disk()
    player.end(await player.job("prepare"), checked(vhd))
    upload = await player.job("upload")
    assert (stage.in_azure(DISK_ID) or {})["properties"]["diskState"] == "ActiveUpload"
    player.end(upload, failure("upload", FailureCode.TARGET_CONFLICT))
    await stage.until(lambda: _nothing_open(stage))
    body = await stage.reason("VhdImport", "os", "TargetConflict")
    assert "target" not in body["status"] or await stage.until(lambda: "target" not in stage.status("VhdImport", "os"))
    assert stage.stalled(body)
    # Asked for another try, it needs no second fetch and gets to its end.
    stage.nudge("VhdImport", "os")
    again = await player.job("upload", unlike=upload["metadata"]["uid"])
    player.end(again, player.upload(again, vhd))
    await stage.ready("VhdImport", "os")


async def test_upload_that_time_mends_keeps_what_it_has(stage: Stage, player: Player) -> None:
    managed(stage)
    player.end(await player.job("prepare"), checked(disk()))
    upload = await player.job("upload")
    player.end(upload, failure("upload", FailureCode.TARGET_UNREACHABLE))
    await stage.reason("VhdImport", "os", "TargetUnreachable")
    assert (stage.in_azure(DISK_ID) or {})["properties"]["diskState"] == "ActiveUpload"
    assert len(stage.list("Secret")) == 1


@pytest.mark.parametrize("fault", ["endGetAccess", "DELETE"])
async def test_taking_back_is_tried_until_it_works(
    stage: Stage, player: Player, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_end, "_RETRY_SECONDS", 0.5)
    managed(stage)
    player.end(await player.job("prepare"), checked(disk()))
    upload = await player.job("upload")
    rule = {"path": "endGetAccess"} if fault == "endGetAccess" else {"method": "DELETE", "path": "/disks/"}
    stage.azure.add_fault(**rule, status=403, code="AuthorizationFailed", message="No.", count=None)
    player.end(upload, failure("upload", FailureCode.TARGET_CONFLICT))
    body = await stage.until(
        lambda: (
            found
            if "could not be removed yet" in ready(found := stage.get("VhdImport", "os") or {}).get("message", "")
            else None
        )
    )
    assert ready(body)["reason"] == "TargetConflict"
    assert stage.list("Secret") == []
    stage.azure.clear_faults()
    await stage.until(lambda: _nothing_open(stage))


async def test_disk_that_azure_refuses_is_not_left_behind(stage: Stage, player: Player) -> None:
    managed(stage)
    vhd = disk()
    prepare = await player.job("prepare")
    player.end(prepare, checked(vhd))
    upload = await player.job("upload")
    player.end(upload, player.upload(upload, vhd[:-512] + b"\0" * 512))
    body = await stage.reason("VhdImport", "os", "InvalidVhd")
    assert stage.stalled(body)
    await stage.until(lambda: _nothing_open(stage))
    # It does not start over by itself: not at the next look, not after a restart, not when its conditions are lost.
    await stage.stop()
    stage.patch("VhdImport", "os", {"status": {"conditions": []}}, "/status")
    await stage.start()
    await stage.until(lambda: "target" not in stage.status("VhdImport", "os"))
    await stage.quiet()
    assert ready(stage.get("VhdImport", "os"))["reason"] == "InvalidVhd"
    assert [each["metadata"]["uid"] for each in stage.list("Job", "app.kubernetes.io/component=upload")] == [
        upload["metadata"]["uid"]
    ]
    stage.nudge("VhdImport", "os")
    again = await player.job("prepare", unlike=prepare["metadata"]["uid"])
    player.end(again, checked(vhd))
    third = await player.job("upload", unlike=upload["metadata"]["uid"])
    player.end(third, player.upload(third, vhd))
    await stage.ready("VhdImport", "os")


async def test_operator_killed_between_failure_and_taking_back(stage: Stage, player: Player) -> None:
    managed(stage)
    player.end(await player.job("prepare"), checked(disk()))
    upload = await player.job("upload")
    await stage.stop()
    player.end(upload, failure("upload", FailureCode.TARGET_CONFLICT))
    await stage.start()
    await stage.until(lambda: _nothing_open(stage))


async def test_other_prerequisites_end_an_upload_under_way(stage: Stage, player: Player) -> None:
    managed(stage)
    prepare = await player.job("prepare")
    player.end(prepare, checked(disk()))
    player.run(await player.job("upload"))
    stage.patch("VhdImport", "os", {"spec": {"prerequisites": {"level": "Strict"}}})
    again = await player.job("prepare", unlike=prepare["metadata"]["uid"])
    assert _nothing_open(stage)
    player.end(again, failure("prepare", FailureCode.PREREQUISITES_NOT_MET))
    await stage.reason("VhdImport", "os", "PrerequisitesNotMet")
    assert _nothing_open(stage)


async def test_blob_of_a_failed_upload_is_removed(stage: Stage, player: Player) -> None:
    stage.blob("other.vhd")  # makes the container
    blob = {"storageAccountId": stage.azure.storage_account_id, "container": "vhds", "blobName": "debian.vhd"}
    stage.create("VhdImport", "os", {"source": SOURCE, "destination": {"pageBlob": blob}})
    vhd = disk()
    player.end(await player.job("prepare"), checked(vhd))
    upload = await player.job("upload")
    player.upload(upload, vhd, lease=True)
    player.end(upload, failure("upload", FailureCode.TARGET_CONFLICT))
    await stage.until(lambda: not stage.list("Secret"))
    url = f"{stage.azure.account_url}/vhds/debian.vhd"

    def gone() -> bool:
        try:
            stage.azure.request("GET", f"/_control/digest?url={url}")
        except RuntimeError:
            return True
        return False

    await stage.until(gone)


async def test_small_disk_is_refused_before_anything_is_made(stage: Stage, player: Player) -> None:
    managed(stage)
    prepare = await player.job("prepare")
    assert player.config(prepare)["min_virtual_size"] == 20 * MIB
    player.end(
        prepare, Report(job="prepare", succeeded=False, code=FailureCode.TOO_SMALL, message="It has 1048576 bytes.")
    )
    body = await stage.reason("VhdImport", "os", "TooSmall")
    assert "pageBlob" in ready(body)["message"]
    assert stage.azure.resources(DISKS) == []
