"""Pods that end with their node: Kubernetes starts others, and the import goes on as if nothing had been."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest
from tests.integration.reconcilers.player import Player, checked, disk, now
from tests.integration.reconcilers.stage import COMPUTE, RESOURCE_GROUP, Json, Stage

DISK_ID = f"{COMPUTE}/disks/debian"
_SHUT_DOWN: Json = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "TerminationByKubelet",
    "message": "Pod was terminated in response to imminent node shutdown.",
}


@pytest.fixture
async def player(stage: Stage) -> AsyncIterator[Player]:
    async with Player(stage) as found:
        yield found


def lose(stage: Stage, pod: str, how: str) -> None:
    """End a pod as a node does that shuts down, that comes back after a crash, or that is removed."""
    if how == "removed":
        stage.api.request("DELETE", stage.path("Pod", pod), {"gracePeriodSeconds": 0})
        return
    ended = {"exitCode": 255, "reason": "Unknown", "message": "", "startedAt": now(), "finishedAt": now()}
    status: Json = {"phase": "Failed", "containerStatuses": [Player._container({"terminated": ended})]}
    if how == "shut down":
        status |= {"reason": "Terminated", "message": _SHUT_DOWN["message"], "conditions": [_SHUT_DOWN]}
    stage.patch("Pod", pod, {"status": status}, "/status")


@pytest.mark.parametrize("how", ["shut down", "crashed", "removed"])
async def test_a_node_restarts_during_both_steps(how: str, stage: Stage, player: Player) -> None:
    vhd = disk()
    target = {"managedDisk": {"resourceGroup": RESOURCE_GROUP, "location": "westeurope", "diskName": "debian"}}
    source = {"url": {"url": "https://images.example.com/debian.qcow2.xz"}}
    stage.create("VhdImport", "os", {"source": source, "destination": target})
    prepare = await player.job("prepare")
    first = player.run(prepare)
    await stage.until(lambda: stage.status("VhdImport", "os").get("phase") == "Preparing")
    lose(stage, first, how)
    player.end(prepare, checked(vhd))
    upload = await player.job("upload")
    report = player.upload(upload, vhd)
    lose(stage, player.run(upload), how)
    # Nothing that was opened is taken back: the next pod goes on with it.
    await stage.quiet()
    assert (stage.in_azure(DISK_ID) or {})["properties"]["diskState"] == "ActiveUpload"
    assert not stage.stalled(stage.get("VhdImport", "os") or {})
    player.end(upload, report)
    body = await stage.ready("VhdImport", "os")
    assert stage.azure.digest(DISK_ID)[0]["sha256"] == hashlib.sha256(vhd).hexdigest()
    if how != "removed":
        assert body["status"]["attempts"] >= 2
    await stage.until(lambda: not [*stage.list("Job"), *stage.list("PersistentVolumeClaim"), *stage.list("Secret")])
    assert len(stage.azure.resources("Microsoft.Compute/disks")) == 1
