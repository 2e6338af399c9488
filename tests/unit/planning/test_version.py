"""Image versions: bodies, differences in normal form, regions and their repair."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from gallery_operator.api import ImageVersion
from gallery_operator.api.imageversion import RegionStatus
from gallery_operator.planning import publishing, replication
from gallery_operator.planning import version as plan
from gallery_operator.planning.regions import normal
from gallery_operator.planning.sources import DiskPart, profile_of_disks

Json = dict[str, Any]
OWNER = {"gallery-operator.dev-name": "v"}


def version(*regions: str | Json, status: Json | None = None, **spec: Any) -> ImageVersion:
    wanted = [each if isinstance(each, dict) else {"name": each} for each in regions or ("westeurope",)]
    disk = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/disks/d"
    return ImageVersion.from_wire(
        {
            "metadata": {"name": "v", "namespace": "n"},
            "spec": {
                "definitionRef": {"name": "d"},
                "version": "1.0.0",
                "source": {"osDisk": {"diskId": disk}},
                "targetRegions": wanted,
                **spec,
            },
            "status": status or {},
        }
    )


def azure(*regions: str, **publishing: Any) -> Json:
    """What Azure answers: display names, defaults filled in."""
    targets = [{"name": each, "regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"} for each in regions]
    return {
        "location": "westeurope",
        "tags": dict(OWNER),
        "properties": {
            "provisioningState": "Succeeded",
            "publishingProfile": {"targetRegions": targets, "excludeFromLatest": False, **publishing},
            "safetyProfile": {"allowDeletionOfReplicatedLocations": True, "reportedForPolicyViolation": False},
        },
    }


def summary(existing: Json, **states: Any) -> Json:
    result = copy.deepcopy(existing)
    rows = [{"region": name.replace("_", " "), **row} for name, row in states.items()]
    result["properties"]["replicationStatus"] = {"summary": rows}
    return result


@pytest.mark.parametrize("name", ["westeurope", "West Europe", "WESTEUROPE", "west europe"])
def test_regions_have_a_normal_form(name: str) -> None:
    assert normal(name) == "westeurope"
    assert plan.differences(version(name), OWNER, azure("West Europe")) == []


@pytest.mark.parametrize(
    ("wanted", "existing", "told"),
    [
        (version("westeurope", "eastus2"), azure("West Europe"), ["add region eastus2"]),
        (version("westeurope"), azure("West Europe", "East US 2"), ["remove region East US 2"]),
        (version({"name": "westeurope", "regionalReplicaCount": 3}), azure("West Europe"), ["replicas in westeurope"]),
        (
            version({"name": "westeurope", "excludeFromLatest": True}),
            azure("West Europe"),
            ["excludeFromLatest in westeurope"],
        ),
        (version(excludeFromLatest=True), azure("West Europe"), ["excludeFromLatest"]),
        (version(endOfLifeDate="2030-01-01T00:00:00Z"), azure("West Europe"), ["endOfLifeDate"]),
        (
            version(endOfLifeDate="2030-01-01T00:00:00Z"),
            azure("West Europe", endOfLifeDate="2030-01-01T00:00:00.0000000+00:00"),
            [],
        ),
        (version(tags={"a": "b"}), azure("West Europe"), ["tags"]),
        (
            version(safetyProfile={"allowDeletionOfReplicatedLocations": False}),
            azure("West Europe"),
            ["safetyProfile.allowDeletionOfReplicatedLocations"],
        ),
    ],
)
def test_differences(wanted: ImageVersion, existing: Json, told: list[str]) -> None:
    assert plan.differences(wanted, OWNER, existing) == told


def test_create_body_names_disks_by_lun() -> None:
    disks = [DiskPart({"id": "os"}, "ReadOnly"), DiskPart({"id": "d"}, None, 3)]
    body = plan.create_body(version(), "westeurope", profile_of_disks(disks), OWNER)
    assert body["properties"]["storageProfile"] == {
        "osDiskImage": {"source": {"id": "os"}, "hostCaching": "ReadOnly"},
        "dataDiskImages": [{"source": {"id": "d"}, "lun": 3}],
    }
    assert body["properties"]["publishingProfile"]["replicationMode"] == "Full"


def test_digests_are_put_on_what_is_new_and_left_alone_ever_after() -> None:
    marks = {**OWNER, "gallery-operator.dev-sha256-os": "ab" * 32}
    body = plan.create_body(version(), "westeurope", {}, marks)
    assert body["tags"] == marks
    with_digest = azure("West Europe")
    with_digest["tags"] |= marks
    for existing in (azure("West Europe"), with_digest):
        assert plan.differences(version(), OWNER, existing) == []
        update = plan.update_body(version(), existing, publishing.wanted_regions(version(), existing), OWNER)
        assert update["tags"] == existing["tags"]


def test_update_body_leaves_the_source_and_keeps_foreign_tags() -> None:
    existing = azure("West Europe")
    existing["tags"]["cost"] = "42"
    body = plan.update_body(version(), existing, publishing.wanted_regions(version(), existing), OWNER)
    assert body["properties"]["storageProfile"] == {}
    assert body["tags"] == {**OWNER, "cost": "42"}
    # Azure answers the mode only when it was sent, and it cannot be changed.
    assert "replicationMode" not in body["properties"]["publishingProfile"]


def test_permission_to_remove_is_asked_first() -> None:
    existing = azure("West Europe", "East US 2")
    assert not plan.needs_removal_permit(version(), existing)
    existing["properties"]["safetyProfile"]["allowDeletionOfReplicatedLocations"] = False
    assert plan.needs_removal_permit(version(), existing)
    assert not plan.needs_removal_permit(version("westeurope", "eastus2"), existing)
    forbidden = version(safetyProfile={"allowDeletionOfReplicatedLocations": False})
    assert not plan.needs_removal_permit(forbidden, existing)
    assert [normal(each["name"]) for each in publishing.existing_regions(version(), existing)] == [
        "westeurope",
        "eastus2",
    ]


def test_region_states() -> None:
    wanted = version(
        "westeurope", "eastus2", "northeurope", status={"regions": [{"name": "eastus2", "state": "x", "repairs": 2}]}
    )
    existing = summary(
        azure("West Europe", "East US 2", "UK South"),
        West_Europe={"state": "Completed", "progress": 100, "details": ""},
        East_US_2={"state": "Failed", "progress": 3, "details": "no capacity"},
    )
    found = {each.name: each for each in replication.region_statuses(wanted, existing)}
    assert {name: each.state for name, each in found.items()} == {
        "westeurope": "Completed",
        "eastus2": "Failed",
        "northeurope": "Pending",
        "uksouth": "Removing",
    }
    assert (found["eastus2"].repairs, found["eastus2"].details) == (2, "no capacity")
    assert replication.completed(list(found.values()), wanted) == (1, 3)
    assert replication.region_statuses(wanted, None)[0].state == "Pending"


@pytest.mark.parametrize(
    ("repairs", "region", "expected"),
    [
        (None, "eastus2", replication.Repair(remove=("eastus2",), failed=(("eastus2", "why"),))),
        (replication.MAX_REPAIRS - 1, "eastus2", replication.Repair(remove=("eastus2",), failed=(("eastus2", "why"),))),
        (replication.MAX_REPAIRS, "eastus2", replication.Repair(exhausted=("eastus2",), failed=(("eastus2", "why"),))),
        (None, "westeurope", replication.Repair(again=True, failed=(("westeurope", "why"),))),
    ],
)
def test_repair(repairs: int | None, region: str, expected: replication.Repair) -> None:
    status = RegionStatus(name=region, state="Failed", details="why", repairs=repairs)
    assert replication.repair([status], "West Europe") == expected
    counted = replication.with_repairs([status], [region])
    assert counted[0].repairs == (repairs or 0) + 1


@pytest.mark.parametrize(
    ("policy", "states", "good"),
    [
        ("AllRegions", ("Completed", "Completed"), True),
        ("AllRegions", ("Completed", "Replicating"), False),
        ("AnyRegion", ("Failed", "Completed"), True),
        ("AnyRegion", ("Failed", "Replicating"), False),
        ("HomeRegion", ("Completed", "Failed"), True),
        ("HomeRegion", ("Replicating", "Completed"), False),
    ],
)
def test_ready_policy(policy: str, states: tuple[str, str], good: bool) -> None:
    wanted = version("westeurope", "eastus2", readyPolicy=policy)
    statuses = [
        RegionStatus(name=name, state=state) for name, state in zip(("westeurope", "eastus2"), states, strict=True)
    ]
    assert replication.is_ready(wanted, statuses, "West Europe") is good


def test_progress_in_words() -> None:
    states = [
        RegionStatus(name="a", state="Replicating", progress=40),
        RegionStatus(name="b", state="Pending"),
        RegionStatus(name="c", state="Removing"),
    ]
    assert replication.progress_text(states) == "replicating to a (40%), b; removing c"
    assert replication.progress_text([]) == "finishing"


@pytest.mark.parametrize(
    ("block", "end", "blocked"),
    [
        (True, "2030-01-01T00:00:00+00:00", True),
        (True, "2030-01-01T00:00:00.0000000Z", True),
        (True, "2029-12-31T23:59:59Z", False),
        (True, None, False),
        (False, "2031-01-01T00:00:00Z", False),
        (None, "2031-01-01T00:00:00Z", False),
    ],
)
def test_deletion_is_blocked_before_the_end_of_life(block: bool | None, end: str | None, blocked: bool) -> None:
    existing = azure("West Europe", endOfLifeDate=end)
    existing["properties"]["safetyProfile"]["blockDeletionBeforeEndOfLife"] = block
    now = datetime(2029, 12, 31, 23, 59, 59, tzinfo=UTC)
    until = plan.blocked_until(existing, now)
    assert until == (datetime(2030, 1, 1, tzinfo=UTC) if blocked else None)


def test_a_block_is_lifted_only_when_the_spec_says_so() -> None:
    mine = {"managedFields": ["safetyProfile/blockDeletionBeforeEndOfLife"]}
    assert plan.lifts_block(version(safetyProfile={"blockDeletionBeforeEndOfLife": False}))
    assert plan.lifts_block(version(status=mine))
    assert not plan.lifts_block(version(safetyProfile={"blockDeletionBeforeEndOfLife": True}, status=mine))
    assert not plan.lifts_block(version()), "somebody else has set it"
