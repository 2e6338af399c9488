"""Versions that make their imports themselves, from a template: one object from a URL to regions."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.integration.reconcilers.player import MIB, Player, checked, disk, failure
from tests.integration.reconcilers.stage import COMPUTE, Json, Stage, ready
from tests.support.apiserver import ApiServer, tool

from gallery_operator.contract import FailureCode

URL: Json = {"url": {"url": "https://images.example.com/debian.qcow2.xz"}}
OTHER: Json = {"url": {"url": "https://images.example.com/data.raw"}}
BOTH: Json = {
    "osDisk": {
        "importTemplate": {
            "metadata": {"labels": {"team": "platform"}, "annotations": {"example.com/build": "42"}},
            "spec": {"source": URL, "prerequisites": {"policy": "Warn"}},
        },
        "hostCaching": "ReadOnly",
    },
    "dataDisks": [{"lun": 3, "importTemplate": {"spec": {"source": OTHER}}}],
}
OS_ONLY: Json = {"osDisk": {"importTemplate": {"spec": {"source": URL}}}}


@pytest.fixture
async def player(stage: Stage) -> AsyncIterator[Player]:
    async with Player(stage) as found:
        yield found


@pytest.fixture
def collector(apiserver: ApiServer, tmp_path: Path) -> Iterator[None]:
    """Kubernetes' own garbage collector, which a control plane of the tests does without."""
    options = {
        "kubeconfig": apiserver.kubeconfig,
        "controllers": "garbage-collector-controller",
        "leader-elect": "false",
        "secure-port": "0",
        "flex-volume-plugin-dir": tmp_path / "plugins",
    }
    command = [tool("kube-controller-manager"), *(f"--{name}={value}" for name, value in options.items())]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
        finally:
            process.terminate()


async def travel(player: Player, name: str, vhd: bytes) -> None:
    """Play the workers of one import."""
    player.end(await player.job("prepare", of=name), checked(vhd))
    upload = await player.job("upload", of=name)
    player.end(upload, player.upload(upload, vhd))


async def test_one_object_is_enough(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    version = stage.version(source=BOTH, regions=("westeurope", "eastus2"))
    await stage.reason("ImageVersion", "v1", "ImportNotReady")
    found = stage.get("VhdImport", "v1-os")
    data = stage.get("VhdImport", "v1-data-3")
    assert found is not None
    assert data is not None
    for each, role, source in ((found, "os", URL), (data, "data", OTHER)):
        (owner,) = each["metadata"]["ownerReferences"]
        assert owner == {
            "apiVersion": "gallery-operator.dev/v1alpha1",
            "kind": "ImageVersion",
            "name": "v1",
            "uid": version["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
        assert each["spec"]["diskRole"] == role
        assert each["spec"]["definitionRef"] == {"name": "debian"}
        assert each["spec"]["source"] == {"url": {"mirrors": [], **source["url"]}}
    assert found["spec"]["prerequisites"]["policy"] == "Warn"
    assert found["metadata"]["labels"] == {"team": "platform", "app.kubernetes.io/managed-by": "gallery-operator"}
    assert found["metadata"]["annotations"] == {"example.com/build": "42"}
    await asyncio.gather(travel(player, "v1-os", disk()), travel(player, "v1-data-3", disk(24 * MIB)))
    body = await stage.ready("ImageVersion", "v1")
    assert body["status"]["regionsReady"] == "2/2"
    profile = (stage.in_azure(stage.version_id) or {})["properties"]["storageProfile"]
    assert profile["osDiskImage"]["hostCaching"] == "ReadOnly"
    assert [each["lun"] for each in profile["dataDiskImages"]] == [3]
    for name in ("v1-os", "v1-data-3"):
        await stage.reason("VhdImport", name, "Released")
    assert stage.azure.resources("Microsoft.Compute/disks") == []
    told = [each["message"] for each in stage.events("v1") if each["reason"] == "Importing"]
    assert told == ["Made VhdImport v1-os for the OS disk, v1-data-3 for the data disk at LUN 3."]


async def test_a_failed_import_is_told_and_mended_where_it_is(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    stage.version(source=OS_ONLY)
    job = await player.job("prepare")
    player.end(job, failure("prepare", FailureCode.SOURCE_NOT_FOUND, "the server has no such file"))
    body = await stage.reason("ImageVersion", "v1", "ImportFailed")
    assert stage.stalled(body)
    message = ready(body)["message"]
    assert f"VhdImport {stage.namespace}/v1-os for the OS disk failed" in message
    assert "the server has no such file" in message
    assert "gallery-operator.dev/reconcile-requested-at" in message
    stage.nudge("VhdImport", "v1-os")
    job = await player.job("prepare", unlike=job["metadata"]["uid"])
    vhd = disk()
    player.end(job, checked(vhd))
    upload = await player.job("upload")
    player.end(upload, player.upload(upload, vhd))
    await stage.ready("ImageVersion", "v1")


async def test_what_was_deleted_in_azure_is_imported_again(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    stage.version(source=OS_ONLY)
    await travel(player, "v1-os", disk())
    await stage.ready("ImageVersion", "v1")
    await stage.reason("VhdImport", "v1-os", "Released")
    first = (stage.get("VhdImport", "v1-os") or {})["metadata"]["uid"]
    stage.arm("DELETE", stage.version_id)
    await stage.until(
        lambda: ((stage.get("VhdImport", "v1-os") or {}).get("metadata") or {}).get("uid", first) != first
    )
    await travel(player, "v1-os", disk())
    await stage.ready("ImageVersion", "v1")
    await stage.reason("VhdImport", "v1-os", "Released")


async def test_an_import_that_a_person_made_is_left_alone(stage: Stage) -> None:
    stage.gallery()
    stage.definition()
    own = stage.create("VhdImport", "v1-os", {"source": OTHER, "definitionRef": {"name": "debian"}})
    stage.version(source=OS_ONLY)
    body = await stage.reason("ImageVersion", "v1", "ImportNameTaken")
    assert stage.stalled(body)
    assert f"VhdImport {stage.namespace}/v1-os for the OS disk exists" in ready(body)["message"]
    assert (stage.get("VhdImport", "v1-os") or {})["metadata"]["uid"] == own["metadata"]["uid"]


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
@pytest.mark.usefixtures("collector")
async def test_deletion_takes_the_imports_with_it(stage: Stage, player: Player, policy: str) -> None:
    stage.gallery()
    stage.definition()
    stage.version(source=BOTH)
    await player.job("prepare", of="v1-os")
    # One is being uploaded, one is not even prepared.
    vhd = disk()
    player.end(await player.job("prepare", of="v1-data-3"), checked(vhd))
    await player.job("upload", of="v1-data-3")
    assert stage.azure.resources("Microsoft.Compute/disks")
    options = {"propagationPolicy": policy}
    assert stage.api.request("DELETE", stage.path("ImageVersion", "v1"), options).ok
    for kind, name in (("ImageVersion", "v1"), ("VhdImport", "v1-os"), ("VhdImport", "v1-data-3")):
        await stage.gone(kind, name)
    await stage.until(lambda: stage.azure.resources("Microsoft.Compute/disks") == [])


@pytest.mark.usefixtures("collector")
async def test_deletion_while_azure_copies(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    stage.version(source=OS_ONLY)
    await travel(player, "v1-os", disk())
    await stage.until(lambda: stage.in_azure(stage.version_id))
    assert stage.api.request("DELETE", stage.path("ImageVersion", "v1"), {"propagationPolicy": "Foreground"}).ok
    for kind, name in (("ImageVersion", "v1"), ("VhdImport", "v1-os")):
        await stage.gone(kind, name)
    assert stage.in_azure(stage.version_id) is None
    await stage.until(lambda: stage.azure.resources("Microsoft.Compute/disks") == [])


@pytest.mark.usefixtures("collector")
async def test_what_is_retained_has_its_disk_first(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    stage.version(source=OS_ONLY, deletionPolicy="Retain")
    await travel(player, "v1-os", disk())
    await stage.until(lambda: stage.status("ImageVersion", "v1").get("provisioningState") == "Creating")
    stage.delete("ImageVersion", "v1")
    await stage.gone("ImageVersion", "v1")
    assert (stage.in_azure(stage.version_id) or {})["properties"]["provisioningState"] == "Succeeded"
    await stage.gone("VhdImport", "v1-os")
    await stage.until(lambda: stage.azure.resources("Microsoft.Compute/disks") == [])


async def test_destination_of_a_template_stays(stage: Stage, player: Player) -> None:
    stage.gallery()
    stage.definition()
    destination = {"managedDisk": {"resourceGroup": "images", "location": "westeurope"}}
    stage.version(source={"osDisk": {"importTemplate": {"spec": {"source": URL, "destination": destination}}}})
    await travel(player, "v1-os", disk())
    await stage.ready("ImageVersion", "v1")
    await stage.ready("VhdImport", "v1-os")
    assert stage.in_azure(f"{COMPUTE}/disks/v1-os")
