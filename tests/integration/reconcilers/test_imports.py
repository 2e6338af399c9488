"""VhdImport from source to Azure; the test plays Job controller, kubelet and worker, and really uploads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from tests.integration.reconcilers.player import MIB, Player, checked, disk, failure
from tests.integration.reconcilers.stage import CANARIES, COMPUTE, RESOURCE_GROUP, Json, Stage, ready

from gallery_operator.api.meta import RECONCILE_ANNOTATION
from gallery_operator.contract import (
    ExitCode,
    FailureCode,
    Finding,
    PrerequisitesReport,
    Progress,
    VerificationFacts,
)
from gallery_operator.reconcilers import import_jobs
from gallery_operator.runtime import progress as progress_module

SOURCE: Json = {"url": {"url": "https://images.example.com/debian.qcow2.xz"}}
MANAGED: Json = {"managedDisk": {"resourceGroup": RESOURCE_GROUP, "location": "westeurope", "diskName": "debian"}}
MANAGED_ID = f"{COMPUTE}/disks/debian"
MENDED_BY_TIME = [each for each in FailureCode if each in import_jobs._MENDED_BY_TIME]
FOR_GOOD = [each for each in FailureCode if each not in import_jobs._MENDED_BY_TIME]


@pytest.fixture
async def player(stage: Stage) -> AsyncIterator[Player]:
    async with Player(stage) as found:
        yield found


def create(stage: Stage, name: str = "os", **spec: object) -> Json:
    base: Json = {"source": SOURCE, "destination": MANAGED}
    return stage.create("VhdImport", name, {**base, **spec})


def no_canary(stage: Stage) -> None:
    """No secret in any object but the Secret itself."""
    kinds = (
        "VhdImport",
        "ImageVersion",
        "GalleryImageDefinition",
        "Gallery",
        "Event",
        "Job",
        "Pod",
        "ConfigMap",
        "PersistentVolumeClaim",
    )
    for kind in kinds:
        text = json.dumps(stage.list(kind))
        for canary in CANARIES:
            assert canary not in text, f"{canary} in a {kind}"


async def test_disk_travels_to_a_managed_disk(stage: Stage, player: Player) -> None:
    vhd = disk()
    stage.post("Secret", {"metadata": {"name": "auth"}, "stringData": {"Authorization": "canary-header-value"}})
    mirrors = ["https://mirror.example.com/disk.vhd"]
    more = {"headersSecretRef": {"name": "auth"}, "mirrors": mirrors, "checksum": "sha256:" + "a" * 64}
    create(stage, source={"url": {**SOURCE["url"], **more}})
    prepare = await player.job("prepare")
    assert player.config(prepare)["source"]["mirrors"] == mirrors
    assert not [each for each in stage.list("Secret") if each["metadata"]["name"] != "auth"]
    assert stage.azure.resources("Microsoft.Compute/disks") == []
    player.end(prepare, checked(vhd))
    upload = await player.job("upload")
    no_canary(stage)
    body = stage.get("VhdImport", "os")
    assert body is not None
    assert body["status"]["disk"]["distribution"] == "debian 12"
    assert body["status"]["prerequisites"]["summary"] == "41 ok 1 warn"
    assert body["status"]["target"] == {
        "type": "ManagedDisk",
        "resourceId": MANAGED_ID,
        "location": "westeurope",
        "staging": False,
    }
    player.end(upload, player.upload(upload, vhd))
    body = await stage.ready("VhdImport", "os")
    assert body["status"]["phase"] == "Succeeded"
    assert body["status"]["sentBytes"] == 4608
    sha256 = hashlib.sha256(vhd).hexdigest()
    told = body["status"]["verification"]
    assert told.pop("time")
    expected: Json = {"readBack": "Sample", "readBackBytes": 4608, "pagesListed": True, "repairedBytes": 0}
    assert told == {**expected, "sha256": sha256}
    assert (body["status"]["progress"]["percentText"], "step" in body["status"]["progress"]) == ("100%", False)
    azure = stage.in_azure(MANAGED_ID)
    assert azure is not None
    assert azure["tags"]["gallery-operator.dev-sha256"] == sha256
    assert azure["properties"]["diskState"] == "Unattached"
    assert azure["properties"]["osType"] == "Linux"
    assert stage.azure.digest(MANAGED_ID)[0]["sha256"] == hashlib.sha256(vhd).hexdigest()
    assert [each["metadata"]["name"] for each in stage.list("Secret")] == ["auth"]
    await stage.until(lambda: stage.list("PersistentVolumeClaim") == [])
    milestones = {"Preparing", "Checked", "Uploading", "Uploaded", "Verified", "Ready"}
    await stage.until(lambda: {each["reason"] for each in stage.events("os")} >= milestones)
    no_canary(stage)
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    assert stage.in_azure(MANAGED_ID) is None
    assert stage.list("Job") == []


async def test_a_signing_key_is_waited_for(stage: Stage, player: Player) -> None:
    sums = "https://images.example.com/SHA256SUMS"
    signature = {"url": f"{sums}.asc", "configMapKeyRef": {"name": "keys", "key": "debian.asc"}}
    checksums = {"url": sums, "file": "debian.qcow2.xz", "signature": signature}
    create(stage, source={"url": {**SOURCE["url"], "checksums": checksums}})
    await stage.reason("VhdImport", "os", "ConfigMapNotFound")
    stage.post("ConfigMap", {"metadata": {"name": "keys"}, "data": {"other.asc": "x"}})
    stage.patch("VhdImport", "os", {"metadata": {"annotations": {RECONCILE_ANNOTATION: "1"}}})
    body = await stage.reason("VhdImport", "os", "KeyNotFound")
    assert "has no key debian.asc" in ready(body)["message"]
    assert "source.url.checksums.signature.configMapKeyRef" in ready(body)["message"]
    stage.patch("ConfigMap", "keys", {"data": {"debian.asc": "x"}})
    stage.patch("VhdImport", "os", {"metadata": {"annotations": {RECONCILE_ANNOTATION: "2"}}})
    prepare = await player.job("prepare")
    assert player.config(prepare)["source"]["checksums"] == {**checksums, "signature": {"url": f"{sums}.asc"}}
    learned = checked(disk())
    assert learned.disk is not None
    facts = learned.disk.model_copy(update={"source_checksum": "sha256:" + "a" * 64})
    player.end(prepare, learned.model_copy(update={"disk": facts}))
    await player.job("upload")
    body = stage.get("VhdImport", "os")
    assert body is not None
    assert body["status"]["disk"]["sourceChecksum"] == "sha256:" + "a" * 64


async def test_disk_travels_to_a_page_blob(stage: Stage, player: Player) -> None:
    vhd = disk()
    stage.blob("other.vhd")  # makes the container
    blob = {"storageAccountId": stage.azure.storage_account_id, "container": "vhds", "blobName": "debian.vhd"}
    create(stage, destination={"pageBlob": blob})
    player.end(await player.job("prepare"), checked(vhd))
    upload = await player.job("upload")
    player.end(upload, player.upload(upload, vhd))
    body = await stage.ready("VhdImport", "os")
    url = body["status"]["target"]["blobUrl"]
    assert url == f"{stage.azure.account_url}/vhds/debian.vhd"
    digest = stage.azure.request("GET", f"/_control/digest?url={url}")
    assert digest["sha256"] == hashlib.sha256(vhd).hexdigest()
    assert stage.list("Secret") == []
    no_canary(stage)
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    with pytest.raises(RuntimeError, match=r"40[04]"):
        stage.azure.request("GET", f"/_control/digest?url={url}")


async def test_blob_of_somebody_else_is_left_alone(stage: Stage, player: Player) -> None:
    stage.blob("theirs.vhd")
    blob = {"storageAccountId": stage.azure.storage_account_id, "container": "vhds", "blobName": "theirs.vhd"}
    create(stage, destination={"pageBlob": blob})
    player.end(await player.job("prepare"), checked(disk()))
    body = await stage.reason("VhdImport", "os", "AlreadyExists")
    assert stage.stalled(body)
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    url = f"{stage.azure.account_url}/vhds/theirs.vhd"
    assert stage.azure.request("GET", f"/_control/digest?url={url}")["sha256"]


async def test_disk_of_somebody_else_is_left_alone(stage: Stage, player: Player) -> None:
    stage.disk("debian")
    create(stage)
    player.end(await player.job("prepare"), checked(disk()))
    body = await stage.reason("VhdImport", "os", "AlreadyExists")
    assert stage.stalled(body)
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    assert stage.in_azure(MANAGED_ID)


async def test_staging_disk_goes_when_the_version_has_its_content(stage: Stage, player: Player) -> None:
    vhd, data = disk(), disk(24 * MIB)
    stage.gallery()
    stage.definition()
    ref = {"definitionRef": {"name": "debian"}}
    stage.create("VhdImport", "os", {"source": SOURCE, **ref})
    stage.create("VhdImport", "data", {"source": SOURCE, "diskRole": "data", **ref})
    disks = [{"lun": 0, "vhdImportRef": {"name": "data"}}]
    stage.version(
        source={"osDisk": {"vhdImportRef": {"name": "os"}}, "dataDisks": disks}, regions=("westeurope", "eastus2")
    )
    for name, bytes_ in (("os", vhd), ("data", data)):
        await _bring(stage, player, name, bytes_)
    version = await stage.ready("ImageVersion", "v1")
    digests = {each["lun"]: each["sha256"] for each in stage.azure.digest(version["status"]["resourceId"])}
    assert digests == {None: hashlib.sha256(vhd).hexdigest(), 0: hashlib.sha256(data).hexdigest()}
    in_azure = stage.in_azure(version["status"]["resourceId"]) or {}
    tags = {name: value for name, value in in_azure["tags"].items() if "sha256" in name}
    assert tags == {
        "gallery-operator.dev-sha256-os": digests[None],
        "gallery-operator.dev-sha256-data-0": digests[0],
    }
    for name in ("os", "data"):
        await stage.reason("VhdImport", name, "Released")
        assert stage.status("VhdImport", name)["stagingReleased"] is True
    assert stage.azure.resources("Microsoft.Compute/disks") == []
    # Another version cannot be made of what is gone, and says so.
    stage.version("v2", version="1.0.1", source={"osDisk": {"vhdImportRef": {"name": "os"}}})
    assert stage.stalled(await stage.reason("ImageVersion", "v2", "ImportReleased"))
    for kind, name in (("VhdImport", "os"), ("ImageVersion", "v1"), ("ImageVersion", "v2"), ("VhdImport", "data")):
        stage.delete(kind, name)
    for kind, name in (("VhdImport", "os"), ("ImageVersion", "v1"), ("ImageVersion", "v2"), ("VhdImport", "data")):
        await stage.gone(kind, name)


async def _bring(stage: Stage, player: Player, name: str, vhd: bytes) -> None:
    player.end(await player.job("prepare", of=name), checked(vhd))
    upload = await player.job("upload", of=name)
    player.end(upload, player.upload(upload, vhd))


async def test_failures_for_good_stall_and_say_what_to_do(stage: Stage, player: Player) -> None:
    names = {code: code.value.lower() for code in FOR_GOOD}
    for name in names.values():
        create(stage, name, destination={"managedDisk": {**MANAGED["managedDisk"], "diskName": name}})
    for code, name in names.items():
        player.end(await player.job("prepare", of=name), failure("prepare", code, f"It did not work: {name}"))
    for code, name in names.items():
        body = await stage.reason("VhdImport", name, code.value)
        assert stage.stalled(body)
        assert body["status"]["phase"] == "Failed"
        step = ready(body)["message"].removeprefix(f"It did not work: {name}. ")
        assert len(step) > 10
        await stage.until(
            lambda what=code, which=name: what.value in {each["reason"] for each in stage.events(which)}  # type: ignore[misc]
        )
    # A person asks for another try.
    job = await player.job("prepare", of="notadisk")
    stage.nudge("VhdImport", "notadisk")
    again = await player.job("prepare", unlike=job["metadata"]["uid"], of="notadisk")
    player.end(again, checked(disk()))
    await player.job("upload")


async def test_failures_that_time_mends_are_tried_again(
    stage: Stage, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {code: code.value.lower() for code in MENDED_BY_TIME}
    jobs = {}
    for name in names.values():
        create(stage, name, destination={"managedDisk": {**MANAGED["managedDisk"], "diskName": name}})
    for code, name in names.items():
        jobs[name] = await player.job("prepare", of=name)
        player.end(jobs[name], failure("prepare", code), exit_code=int(ExitCode.RETRY))
    for code, name in names.items():
        body = await stage.reason("VhdImport", name, code.value)
        assert not stage.stalled(body)
        assert body["status"]["nextRetryTime"] in ready(body)["message"]
    monkeypatch.setattr(import_jobs, "_PAUSE_SECONDS", 0.0)
    for name in names.values():
        stage.nudge("VhdImport", name)
        again = await player.job("prepare", unlike=jobs[name]["metadata"]["uid"], of=name)
        assert again["metadata"]["name"] == jobs[name]["metadata"]["name"]
        body = await stage.reason("VhdImport", name, "Preparing")
        assert "nextRetryTime" not in body["status"]


async def test_pause_ends_by_itself(stage: Stage, player: Player, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_jobs, "_PAUSE_SECONDS", 2.0)
    create(stage)
    job = await player.job("prepare")
    player.end(job, None, exit_code=137, reason="OOMKilled")
    body = await stage.reason("VhdImport", "os", "WorkerFailed")
    assert "memory" in ready(body)["message"]
    await player.job("prepare", unlike=job["metadata"]["uid"])


async def test_progress_of_a_running_worker_is_shown(
    stage: Stage, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def progress(_: web.Request) -> web.Response:
        told = Progress(
            job="prepare", phase="Downloading", bytes_done=61, bytes_total=100 * MIB, bytes_per_second=58 * MIB
        )
        return web.Response(text=told.model_dump_json(), content_type="application/json")

    application = web.Application()
    application.router.add_get("/progress", progress)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setattr(progress_module, "PORT", runner.addresses[0][1])
    try:
        create(stage)
        player.run(await player.job("prepare"), ip="127.0.0.1")
        body = await stage.until(
            lambda: (
                found if (found := stage.get("VhdImport", "os")) and found.get("status", {}).get("progress") else None
            )
        )
        assert body is not None
        assert body["status"]["progress"]["rate"] == "58 MiB/s"
        assert (body["status"]["progress"]["step"], body["status"]["progress"]["remaining"]) == ("Downloading", "10s")
        assert body["status"]["attempts"] == 1
        assert ready(body)["message"] == "Downloading."
    finally:
        await runner.cleanup()


async def test_what_azure_lost_is_told(stage: Stage, player: Player) -> None:
    vhd = disk()
    create(stage, verification={"readBack": "Full"})
    player.end(await player.job("prepare"), checked(vhd))
    upload = await player.job("upload")
    assert player.config(upload)["read_back"] == "Full"
    report = player.upload(upload, vhd)
    assert report.upload is not None
    found = VerificationFacts(
        read_back="Full", listed=True, read_back_bytes=9000, repaired_pieces=1, repaired_bytes=4096
    )
    report = report.model_copy(update={"upload": report.upload.model_copy(update={"verification": found})})
    player.end(upload, report)
    body = await stage.ready("VhdImport", "os")
    assert body["status"]["verification"]["repairedBytes"] == 4096
    await stage.until(
        lambda: {each["reason"]: each["type"] for each in stage.events("os")}.get("Repaired") == "Warning"
    )


async def test_a_refusal_to_be_read_is_mended_by_the_spec(stage: Stage, player: Player) -> None:
    vhd = disk()
    create(stage, verification={"readBack": "Full"})
    player.end(await player.job("prepare"), checked(vhd))
    upload = await player.job("upload")
    player.end(upload, failure("upload", FailureCode.READ_BACK_REFUSED))
    body = await stage.reason("VhdImport", "os", "ReadBackRefused")
    assert stage.stalled(body)
    assert "spec.verification.readBack" in ready(body)["message"]
    await stage.until(lambda: stage.in_azure(MANAGED_ID) is None)
    stage.patch("VhdImport", "os", {"spec": {"verification": {"readBack": "Sample"}}})
    again = await player.job("upload", unlike=upload["metadata"]["uid"])
    player.end(again, player.upload(again, vhd))
    await stage.ready("VhdImport", "os")


async def test_prerequisites_are_shown_and_can_be_waived(stage: Stage, player: Player) -> None:
    create(stage)
    job = await player.job("prepare")
    finding = Finding(id="KRN002", severity="error", message="hv_netvsc is missing from the initramfs")
    found = PrerequisitesReport(passed=40, failures=1, findings=(finding,))
    report = failure("prepare", FailureCode.PREREQUISITES_NOT_MET).model_copy(
        update={"prerequisites": found, "disk": checked(disk()).disk}
    )
    player.end(job, report)
    body = await stage.reason("VhdImport", "os", "PrerequisitesNotMet")
    told = body["status"]["prerequisites"]
    assert told["summary"] == "40 ok 1 err"
    assert told["findings"][0]["id"] == "KRN002"
    assert told["findings"][0]["remedy"]
    assert stage.azure.resources("Microsoft.Compute/disks") == []
    stage.patch("VhdImport", "os", {"spec": {"prerequisites": {"policy": "Warn"}}})
    again = await player.job("prepare", unlike=job["metadata"]["uid"])
    assert player.config(again)["prerequisites"]["policy"] == "Warn"
    await stage.until(lambda: len(stage.list("Job")) == 1)


async def test_advice_of_a_failure_helps(stage: Stage, player: Player) -> None:
    """A bigger scratch claim and more memory make a new Job; the old claim goes."""
    create(stage)
    job = await player.job("prepare")
    player.end(job, failure("prepare", FailureCode.SCRATCH_FULL))
    await stage.reason("VhdImport", "os", "ScratchFull")
    stage.patch("VhdImport", "os", {"spec": {"scratch": {"size": "128Gi"}}})
    again = await player.job("prepare", unlike=job["metadata"]["uid"])
    claims = await stage.until(lambda: found if len(found := stage.list("PersistentVolumeClaim")) == 1 else None)
    assert claims is not None
    assert claims[0]["spec"]["resources"]["requests"]["storage"] == "128Gi"
    volume = next(each for each in again["spec"]["template"]["spec"]["volumes"] if each["name"] == "scratch")
    assert volume["persistentVolumeClaim"]["claimName"] == claims[0]["metadata"]["name"]
    player.end(again, failure("prepare", FailureCode.INTERNAL))
    await stage.reason("VhdImport", "os", "Internal")
    stage.patch("VhdImport", "os", {"spec": {"job": {"resources": {"limits": {"memory": "1Gi"}}}}})
    third = await player.job("prepare", unlike=again["metadata"]["uid"])
    container = third["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["memory"] == "1Gi"


async def test_upload_failure_keeps_what_is_prepared(stage: Stage, player: Player) -> None:
    vhd = disk()
    create(stage)
    prepare = await player.job("prepare")
    player.end(prepare, checked(vhd))
    upload = await player.job("upload")
    player.end(upload, failure("upload", FailureCode.TARGET_CONFLICT))
    assert stage.stalled(await stage.reason("VhdImport", "os", "TargetConflict"))
    stage.nudge("VhdImport", "os")
    again = await player.job("upload", unlike=upload["metadata"]["uid"])
    assert (stage.get("Job", prepare["metadata"]["name"]) or {})["metadata"]["uid"] == prepare["metadata"]["uid"]
    # The source has changed under our hands: everything again.
    player.end(again, failure("upload", FailureCode.SOURCE_CHANGED))
    assert stage.stalled(await stage.reason("VhdImport", "os", "SourceChanged"))
    stage.nudge("VhdImport", "os")
    fresh = await player.job("prepare", unlike=prepare["metadata"]["uid"])
    player.end(fresh, checked(vhd))
    third = await player.job("upload", unlike=again["metadata"]["uid"])
    player.end(third, player.upload(third, vhd))
    await stage.ready("VhdImport", "os")
    assert stage.azure.digest(MANAGED_ID)[0]["sha256"] == hashlib.sha256(vhd).hexdigest()


async def test_disk_without_a_vhd_footer_is_refused_by_azure(stage: Stage, player: Player) -> None:
    vhd = disk()
    create(stage)
    player.end(await player.job("prepare"), checked(vhd))
    upload = await player.job("upload")
    player.end(upload, player.upload(upload, vhd[:-512] + b"\0" * 512))
    body = await stage.reason("VhdImport", "os", "InvalidVhd")
    assert stage.stalled(body)


async def test_lost_secret_and_lost_scratch_are_made_again(stage: Stage, player: Player) -> None:
    vhd = disk()
    create(stage)
    prepare = await player.job("prepare")
    player.end(prepare, checked(vhd))
    upload = await player.job("upload")
    pod = player.run(upload)
    (secret,) = stage.list("Secret")
    stage.delete("Secret", secret["metadata"]["name"])
    await stage.until(lambda: stage.list("Secret"))
    player.end(upload, failure("upload", FailureCode.TARGET_CONFLICT), pod=pod)
    await stage.reason("VhdImport", "os", "TargetConflict")
    (claim,) = stage.list("PersistentVolumeClaim")
    stage.delete("PersistentVolumeClaim", claim["metadata"]["name"])
    await stage.until(lambda: not stage.list("PersistentVolumeClaim"))
    stage.nudge("VhdImport", "os")
    fresh = await player.job("prepare", unlike=prepare["metadata"]["uid"])
    player.end(fresh, checked(vhd))
    again = await player.job("upload", unlike=upload["metadata"]["uid"])
    player.end(again, player.upload(again, vhd))
    await stage.ready("VhdImport", "os")


async def test_disk_that_vanished_is_brought_again(stage: Stage, player: Player) -> None:
    vhd = disk()
    create(stage)
    prepare = await player.job("prepare")
    player.end(prepare, checked(vhd))
    upload = await player.job("upload")
    player.end(upload, player.upload(upload, vhd))
    await stage.ready("VhdImport", "os")
    stage.arm("DELETE", MANAGED_ID)
    fresh = await player.job("prepare", unlike=prepare["metadata"]["uid"])
    player.end(fresh, checked(vhd))
    again = await player.job("upload", unlike=upload["metadata"]["uid"])
    player.end(again, player.upload(again, vhd))
    await stage.ready("VhdImport", "os")
    assert stage.in_azure(MANAGED_ID)


async def test_retained_disk_stays(stage: Stage, player: Player) -> None:
    vhd = disk()
    create(stage, deletionPolicy="Retain")
    player.end(await player.job("prepare"), checked(vhd))
    upload = await player.job("upload")
    player.end(upload, player.upload(upload, vhd))
    await stage.ready("VhdImport", "os")
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    assert (stage.in_azure(MANAGED_ID) or {})["properties"]["diskState"] == "Unattached"


@pytest.mark.parametrize("phase", ["Pending", "Preparing", "Checked", "Uploading", "Failed"])
async def test_deletion_in_every_phase_leaves_nothing(stage: Stage, player: Player, phase: str) -> None:
    if phase == "Pending":
        create(stage, source={"pvc": {"claimName": "missing", "path": "disk.vhd"}})
        await stage.reason("VhdImport", "os", "PVCNotFound")
    else:
        create(stage, deletionPolicy="Retain")  # an unfinished disk is not retained
        prepare = await player.job("prepare")
        if phase == "Preparing":
            player.run(prepare)
        elif phase == "Failed":
            player.end(prepare, failure("prepare", FailureCode.NOT_A_DISK))
            await stage.reason("VhdImport", "os", "NotADisk")
        else:
            player.end(prepare, checked(disk()))
            if phase == "Uploading":
                player.run(await player.job("upload"))
            else:
                await stage.until(lambda: stage.status("VhdImport", "os").get("target"))
    stage.delete("VhdImport", "os")
    await stage.gone("VhdImport", "os")
    await stage.until(lambda: not stage.list("Job") and not stage.list("PersistentVolumeClaim"))
    assert stage.list("Secret") == []
    assert stage.azure.resources("Microsoft.Compute/disks") == []
