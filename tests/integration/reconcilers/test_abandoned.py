"""What is left of an import that was deleted by force while no operator ran is counted and named."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from tests.integration.reconcilers.player import Player, checked, disk
from tests.integration.reconcilers.stage import Stage

QUICK = {"resync_seconds": 0.5}
SOURCE = {"url": {"url": "https://images.example.com/debian.qcow2.xz"}}


@pytest.fixture
async def player(idle_stage: Stage) -> AsyncIterator[Player]:
    async with Player(idle_stage) as found:
        yield found


def counted(name: str, kind: str) -> float | None:
    return REGISTRY.get_sample_value(f"gallery_operator_{name}", {"kind": kind})


async def until_counted(stage: Stage, name: str, **counts: float) -> None:
    def seen() -> dict[str, float | None]:
        return {kind: counted(name, kind) for kind in counts}

    await stage.until(lambda: seen() == counts, seen)


async def test_an_import_deleted_by_force_while_the_operator_is_down(
    idle_stage: Stage, player: Player, caplog: pytest.LogCaptureFixture
) -> None:
    stage = idle_stage
    await stage.start(**QUICK)
    await stage.base()
    for name in ("os", "other"):
        stage.create("VhdImport", name, {"source": SOURCE, "definitionRef": {"name": "debian"}})
        player.end(await player.job("prepare", of=name), checked(disk()))
        await player.job("upload", of=name)
    await until_counted(stage, "temporaries", Job=4, ScratchClaim=2, OpenUpload=2, StagingDisk=2)
    await until_counted(stage, "abandoned", Job=0, ScratchClaim=0, StagingDisk=0)
    staging = stage.status("VhdImport", "os")["target"]["resourceId"]
    await stage.stop()
    stage.patch("VhdImport", "os", {"metadata": {"finalizers": None}})
    stage.delete("VhdImport", "os")
    await stage.start(**QUICK)
    # The garbage collector would take away what is in the cluster; there is none here.
    await until_counted(stage, "abandoned", Job=2, ScratchClaim=1, StagingDisk=1)
    await until_counted(stage, "temporaries", Job=4, ScratchClaim=2, OpenUpload=1, StagingDisk=1)
    told = [each.getMessage() for each in caplog.records if "abandoned" in each.getMessage()]
    assert len([each for each in told if staging.lower() in each.lower()]) == 1, told
    assert all(f"VhdImport {stage.namespace}/os" in each for each in told)
    assert stage.in_azure(staging) is not None, "it is a person's to delete"
    # Once it is gone, it is no longer told of.
    stage.azure.request("POST", "/_control/reset", {})
    await until_counted(stage, "abandoned", Job=2, ScratchClaim=1, StagingDisk=0)
    await stage.stop()
