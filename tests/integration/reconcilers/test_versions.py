"""Galleries, definitions and versions from an existing disk, on a real API server against the simulator."""

from __future__ import annotations

from tests.integration.reconcilers.stage import Stage

REGIONS = ("westeurope", "eastus2", "northeurope")


async def test_version_becomes_ready_in_three_regions(stage: Stage) -> None:
    stage.disk()
    stage.version(regions=REGIONS)
    stage.definition()
    stage.gallery()
    body = await stage.ready("ImageVersion", "v1")
    status = body["status"]
    assert status["regionsReady"] == "3/3"
    assert [each["name"] for each in status["regions"]] == list(REGIONS)
    assert {each["state"] for each in status["regions"]} == {"Completed"}
    assert status["provisioningState"] == "Succeeded"
    definition = await stage.until(
        lambda: found
        if (found := stage.get("GalleryImageDefinition", "debian") or {})["status"].get("latestVersion")
        else None
    )
    assert definition is not None
    assert definition["status"]["latestVersion"] == "1.0.0"
