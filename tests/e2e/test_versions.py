"""Versions: regions come, change, fail and go."""

from __future__ import annotations

from tests.support.e2e import journeys
from tests.support.e2e.kube import is_ready
from tests.support.e2e.sandbox import LOCATION, Sandbox
from tests.support.e2e.scenarios import scenario


@scenario
def test_regions_change(sandbox: Sandbox) -> None:
    """A region is added, gets more replicas, is removed; all at once, too."""
    journeys.change_regions(sandbox)


@scenario
def test_failed_region_is_repaired(sandbox: Sandbox) -> None:
    """A region that fails is named in status, taken out and added again."""
    region = "japanwest"  # no other scenario uses it
    sandbox.azure.add_fault(region=region, count=1, sticky=True)
    journeys.scaffold(sandbox)
    sandbox.small_import("os", 7)
    sandbox.version("v1", "1.0.0", (LOCATION, region))
    sandbox.wait(
        "the version to be Ready after a repair", lambda: is_ready(sandbox.get("ImageVersion", "v1")), seconds=240
    )
    regions = {each["name"]: each for each in sandbox.status("ImageVersion", "v1")["regions"]}
    assert regions[region]["state"] == "Completed"
    assert journeys.regions_in_azure(sandbox, "1.0.0") == {LOCATION: 1, region: 1}
    told = {event["reason"]: event["message"] for event in sandbox.kube.list("Event", sandbox.namespace)}
    assert region in told["ReplicationFailed"], "the failure was never shown by name"
    assert "internal server error" in told["ReplicationFailed"]


@scenario
def test_latest_and_count_of_a_definition(sandbox: Sandbox) -> None:
    """The definition tells how many versions there are and which is the latest."""
    journeys.small_image(sandbox)
    sandbox.small_import("second", 9)
    sandbox.version("v2", "1.1.0", source={"osDisk": {"vhdImportRef": {"name": "second"}}}, excludeFromLatest=True)
    sandbox.ready("ImageVersion", "v2")
    sandbox.wait(
        "the definition to count two versions and to name the first as the latest",
        lambda: (
            (status := sandbox.status("GalleryImageDefinition", "debian-12")).get("versions") == 2
            and status.get("latestVersion") == "1.0.0"
        ),
        seconds=60,
    )
