"""Publishing: replicas, storage, sets, edge zones, encryption; what Azure does not report is sent once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api import ImageVersion
from gallery_operator.api.imageversion import RegionStatus
from gallery_operator.planning import publishing, replication
from gallery_operator.planning import version as plan
from gallery_operator.planning.regions import normal

Json = dict[str, Any]
OWNER = {"o": "1"}
DISPLAY = {"westeurope": "West Europe", "eastus2": "East US 2", "northeurope": "North Europe"}
KEY = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/diskEncryptionSets/k"
_DEFAULTS = {"regionalReplicaCount": 1, "storageAccountType": "Standard_LRS"}


def version(*regions: str | Json, managed: list[str] | None = None, **spec: Any) -> ImageVersion:
    wanted = [each if isinstance(each, dict) else {"name": each} for each in regions or ("westeurope",)]
    disk = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/disks/d"
    found = ImageVersion.from_wire(
        {
            "metadata": {"name": "v", "namespace": "n"},
            "spec": {
                "definitionRef": {"name": "d"},
                "version": "1.0.0",
                "source": {"osDisk": {"diskId": disk}},
                "targetRegions": wanted,
                **spec,
            },
            "status": {"managedFields": managed or []},
        }
    )
    assert isinstance(found, ImageVersion)
    return found


def azure(body: Json, *, silent: bool = False) -> Json:
    """What Azure answers to a PUT: display names, defaults; silent about what it may not report."""
    result = copy.deepcopy(body)
    profile = result["properties"]["publishingProfile"]
    fallback = profile.get("storageAccountType", "Standard_LRS")
    for region in profile["targetRegions"]:
        region["name"] = DISPLAY.get(normal(region["name"]), region["name"])
        region.setdefault("storageAccountType", fallback)
        if silent:
            region.pop("excludeFromLatest", None)
            region.pop("additionalReplicaSets", None)
    for zone in profile.get("targetExtendedLocations") or []:
        zone.setdefault("storageAccountType", "StandardSSD_LRS(default)")
    if "storageAccountStrategy" not in profile:
        profile["storageAccountType"] = fallback
    if silent:
        result["properties"].pop("securityProfile", None)
    result["properties"]["provisioningState"] = "Succeeded"
    return result


def created(wanted: ImageVersion, *, silent: bool = False) -> Json:
    return azure(plan.create_body(wanted, "westeurope", {}, OWNER), silent=silent)


def updated(wanted: ImageVersion, existing: Json, *, silent: bool = False) -> Json:
    regions = publishing.wanted_regions(wanted, existing)
    return azure(plan.update_body(wanted, existing, regions, OWNER), silent=silent)


regions_given = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(list(DISPLAY))},
        optional={
            "regionalReplicaCount": st.integers(1, 3),
            "excludeFromLatest": st.booleans(),
            "additionalReplicaSets": st.lists(
                st.fixed_dictionaries(
                    {"storageAccountType": st.just("PremiumV2_LRS"), "regionalReplicaCount": st.integers(1, 2)}
                ),
                max_size=1,
            ),
        },
    ),
    max_size=3,
    unique_by=lambda each: str(each["name"]),
).map(lambda each: each if any(one["name"] == "westeurope" for one in each) else [{"name": "westeurope"}, *each])
specs = st.fixed_dictionaries(
    {"targetRegions": regions_given},
    optional={
        "replicaCount": st.integers(1, 3),
        "excludeFromLatest": st.booleans(),
        "endOfLifeDate": st.sampled_from(["2030-01-01T00:00:00Z", "2031-01-01T00:00:00+02:00"]),
        "safetyProfile": st.sampled_from(
            [{}, {"blockDeletionBeforeEndOfLife": True}, {"allowDeletionOfReplicatedLocations": False}]
        ),
        "securityProfile": st.sampled_from(
            [{"secretsProvisioningSettings": {"isSupported": True, "osName": each}} for each in ("a", "b")]
        ),
        "targetExtendedLocations": st.lists(
            st.sampled_from(["los", "new"]), max_size=2, unique=True
        ).map(lambda names: [{"name": "westeurope", "extendedLocation": {"name": name}} for name in names]),
        "tags": st.sampled_from([{}, {"a": "1"}, {"a": "2", "b": "1"}]),
    },
)  # fmt: skip


@given(specs, st.booleans())
def test_what_was_created_is_no_difference(spec: Json, silent: bool) -> None:
    wanted = version(**spec)
    existing = created(wanted, silent=silent)
    settled = version(managed=plan.managed_fields(wanted), **spec)
    assert plan.differences(settled, OWNER, existing) == []
    assert publishing.fixed_differences(settled, existing) == []


@given(specs, specs, st.booleans())
def test_any_edit_ends_at_the_spec_in_one_update_and_stays_there(first: Json, second: Json, silent: bool) -> None:
    existing = created(version(**first), silent=silent)
    wanted = version(managed=plan.managed_fields(version(**first)), **second)
    if not plan.differences(wanted, OWNER, existing):
        after = existing
    else:
        after = updated(wanted, existing, silent=silent)
    settled = version(managed=plan.managed_fields(wanted), **second)
    assert plan.differences(settled, OWNER, after) == []
    fresh = created(version(**second), silent=silent)
    mine, theirs = (body["properties"]["publishingProfile"] for body in (after, fresh))
    for field in ("excludeFromLatest", "endOfLifeDate"):
        assert mine.get(field) == theirs.get(field)
    counts = [
        {normal(each["name"]): each["regionalReplicaCount"] for each in profile["targetRegions"]}
        for profile in (mine, theirs)
    ]
    assert counts[0] == counts[1]
    zones = [
        {each["extendedLocation"]["name"] for each in profile.get("targetExtendedLocations") or []}
        for profile in (mine, theirs)
    ]
    assert zones[0] == zones[1]
    if not silent:
        for field, default in (("excludeFromLatest", False), ("additionalReplicaSets", [])):
            told = [
                {normal(each["name"]): each.get(field) or default for each in profile["targetRegions"]}
                for profile in (mine, theirs)
            ]
            assert told[0] == told[1]
    assert after["tags"] == fresh["tags"]
    blocked = [bool(body["properties"]["safetyProfile"].get("blockDeletionBeforeEndOfLife")) for body in (after, fresh)]
    assert blocked[0] == blocked[1]


def test_what_is_not_reported_is_sent_once_and_taken_back_once() -> None:
    plain, hidden = version("westeurope"), version({"name": "westeurope", "excludeFromLatest": True})
    existing = created(plain, silent=True)
    assert plan.differences(hidden, OWNER, existing) == ["excludeFromLatest in westeurope"]
    asked = plan.managed_fields(hidden)
    again = version({"name": "westeurope", "excludeFromLatest": True}, managed=asked)
    assert plan.differences(again, OWNER, existing) == []
    back = version("westeurope", managed=asked)
    assert plan.differences(back, OWNER, existing) == ["excludeFromLatest in westeurope"]
    body = plan.update_body(back, existing, publishing.wanted_regions(back, existing), OWNER)
    assert body["properties"]["publishingProfile"]["targetRegions"][0]["excludeFromLatest"] is False
    assert plan.differences(version("westeurope", managed=plan.managed_fields(back)), OWNER, existing) == []


def test_secrets_provisioning_is_asked_for_once_even_if_azure_keeps_its_own() -> None:
    first = {"securityProfile": {"secretsProvisioningSettings": {"isSupported": True}}}
    second = {"securityProfile": {"secretsProvisioningSettings": {"isSupported": False}}}
    existing = created(version(**first))
    asked = version(managed=plan.managed_fields(version(**first)), **second)
    assert plan.differences(asked, OWNER, existing) == ["securityProfile.secretsProvisioningSettings"]
    again = version(managed=plan.managed_fields(asked), **second)
    assert plan.differences(again, OWNER, existing) == []


def test_a_block_that_leaves_the_spec_is_lifted() -> None:
    blocked = version(safetyProfile={"blockDeletionBeforeEndOfLife": True})
    existing = created(blocked)
    lifted = version(managed=plan.managed_fields(blocked))
    assert plan.differences(lifted, OWNER, existing) == ["safetyProfile.blockDeletionBeforeEndOfLife"]
    after = updated(lifted, existing)
    assert after["properties"]["safetyProfile"]["blockDeletionBeforeEndOfLife"] is False
    assert plan.differences(version(), OWNER, existing) == [], "somebody else's block stays"


def test_what_others_have_set_stays() -> None:
    existing = created(version("westeurope"))
    profile = existing["properties"]["publishingProfile"]
    theirs = {
        "excludeFromLatest": True,
        "encryption": {"osDiskImage": {"diskEncryptionSetId": KEY}},
        "additionalReplicaSets": [{"storageAccountType": "PremiumV2_LRS", "regionalReplicaCount": 1}],
        "storageAccountType": "Premium_LRS",
    }
    profile["targetRegions"][0] |= theirs
    profile["endOfLifeDate"] = "2030-01-01T00:00:00+00:00"
    zone = {"name": "West Europe", "extendedLocation": {"name": "los", "type": "EdgeZone"}}
    profile["targetExtendedLocations"] = [zone | {"storageAccountType": "StandardSSD_LRS(default)"}]
    existing["tags"]["policy"] = "theirs"
    mine = version("westeurope")
    assert plan.differences(mine, OWNER, existing) == []
    assert publishing.fixed_differences(mine, existing) == []
    more = version("westeurope", "eastus2")
    body = plan.update_body(more, existing, publishing.wanted_regions(more, existing), OWNER)
    sent = body["properties"]["publishingProfile"]
    assert sent["targetRegions"][0] == {"name": "westeurope", "regionalReplicaCount": 1, **theirs}
    assert sent["endOfLifeDate"] == profile["endOfLifeDate"]
    assert sent["targetExtendedLocations"][0]["storageAccountType"] == "StandardSSD_LRS"
    assert body["tags"] == {"policy": "theirs", **OWNER}


def test_storage_is_said_only_where_the_spec_says_it() -> None:
    body = plan.create_body(version("westeurope"), "westeurope", {}, OWNER)
    assert body["properties"]["publishingProfile"]["targetRegions"] == [
        {"name": "westeurope", "regionalReplicaCount": 1}
    ]
    strategy = version("westeurope", storageAccountStrategy="PreferStandard_ZRS", replicaCount=2)
    profile = plan.create_body(strategy, "westeurope", {}, OWNER)["properties"]["publishingProfile"]
    assert (profile["storageAccountStrategy"], profile["replicaCount"]) == ("PreferStandard_ZRS", 2)
    assert profile["targetRegions"] == [{"name": "westeurope", "regionalReplicaCount": 2}]
    assert "storageAccountType" not in profile


@pytest.mark.parametrize(
    ("spec", "there", "field"),
    [
        ({"targetRegions": [{"name": "westeurope", "storageAccountType": "Standard_ZRS"}]}, {}, "storageAccountType"),
        ({"storageAccountType": "Premium_LRS"}, {}, "storageAccountType"),
        (
            {"targetRegions": [{"name": "westeurope", "encryption": {"osDiskImage": {"diskEncryptionSetId": KEY}}}]},
            {},
            "encryption",
        ),
        (
            {"targetRegions": [{"name": "westeurope", "encryption": {"osDiskImage": {"diskEncryptionSetId": KEY}}}]},
            {"encryption": {"osDiskImage": {"diskEncryptionSetId": KEY + "2"}}},
            "encryption",
        ),
        (
            {"targetRegions": [{"name": "westeurope", "encryption": {"osDiskImage": {"diskEncryptionSetId": KEY}}}]},
            {"encryption": {"osDiskImage": {"diskEncryptionSetId": KEY.upper(), "securityProfile": {}}}},
            None,
        ),
        ({"replicationMode": "Full"}, {}, None),
        ({"targetRegions": [{"name": "westeurope", "storageAccountType": "Standard_LRS"}]}, {}, None),
    ],
)
def test_what_azure_never_changes_is_named(spec: Json, there: Json, field: str | None) -> None:
    existing = created(version("westeurope"))
    existing["properties"]["publishingProfile"]["targetRegions"][0] |= there
    found = publishing.fixed_differences(version(**spec), existing)
    assert [name for name, _, _ in found] == ([f"targetRegions[westeurope].{field}"] if field else [])


def test_mode_and_strategy_are_compared_where_azure_tells_them() -> None:
    existing = created(version("westeurope"))
    profile = existing["properties"]["publishingProfile"]
    profile |= {"replicationMode": "Shallow", "storageAccountStrategy": "DefaultStandard_LRS"}
    found = publishing.fixed_differences(version("westeurope", storageAccountStrategy="PreferStandard_ZRS"), existing)
    assert [name for name, _, _ in found] == ["replicationMode", "storageAccountStrategy"]


def test_regions_to_look_at_before_they_are_added() -> None:
    zones = [{"name": "northeurope", "extendedLocation": {"name": "los"}}]
    wanted = version("westeurope", "eastus2", targetExtendedLocations=zones)
    assert publishing.added_regions(wanted, None) == {"westeurope", "eastus2", "northeurope"}
    assert publishing.added_regions(wanted, created(version("westeurope"))) == {"eastus2", "northeurope"}
    assert publishing.added_regions(wanted, created(wanted)) == set()


def state(name: str, state: str, details: str | None = None) -> RegionStatus:
    return RegionStatus(name=name, state=state, replicas=2, details=details)


def test_milestones_are_told_once() -> None:
    before = [state("a", "Replicating"), state("b", "Replicating"), state("c", "Completed"), state("d", "Removing")]
    after = [state("a", "Completed"), state("b", "Failed", "Out of luck."), state("c", "Completed")]
    assert replication.milestones(before, after) == [
        ("Normal", "RegionCompleted", "Replicated to a (2 replicas)."),
        ("Warning", "RegionFailed", "Replication to b failed: Out of luck."),
        ("Normal", "RegionRemoved", "Removed from d."),
    ]
    assert replication.milestones(after, after) == []
