"""Disks that are too large for where they shall go are told of early."""

from __future__ import annotations

import json

import pytest
from tests.integration.reconcilers.player import Player, checked, disk
from tests.integration.reconcilers.stage import Stage
from tests.integration.reconcilers.test_imports import SOURCE


@pytest.mark.parametrize(("mode", "reason"), [("Full", "DiskTooLarge"), ("Shallow", "ImportNotReady")])
async def test_a_disk_too_large_for_its_version_is_told_before_its_upload_ends(
    stage: Stage, mode: str, reason: str
) -> None:
    stage.gallery()
    stage.definition()
    stage.create("VhdImport", "os", {"source": SOURCE, "definitionRef": {"name": "debian"}})
    stage.version(source={"osDisk": {"vhdImportRef": {"name": "os"}}}, replicationMode=mode)
    facts = checked(disk()).disk
    assert facts is not None
    report = checked(disk(), disk=facts.model_copy(update={"virtual_size": 2049 * 1024**3}))
    async with Player(stage) as player:
        player.end(await player.job("prepare"), report)
        await player.job("upload")
    await stage.until(lambda: stage.status("VhdImport", "os").get("disk"))
    stage.nudge("ImageVersion", "v1")
    body = await stage.reason("ImageVersion", "v1", reason)
    assert ("2049 GiB" in json.dumps(body["status"]["conditions"])) == (reason == "DiskTooLarge")
