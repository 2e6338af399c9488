"""Normal forms, replication over time and the checks of a publishing profile."""

from __future__ import annotations

from typing import Any

import pytest
from azure_simulator.compute.definitions import future_date, normal_features
from azure_simulator.compute.encryption import check_encryption
from azure_simulator.compute.profile import build_profile
from azure_simulator.compute.replication import (
    RegionState,
    aggregate,
    ends_at,
    failure_text,
    plan,
    restore,
    store,
    summary,
)
from azure_simulator.config import Timings
from azure_simulator.errors import ArmError
from azure_simulator.faults import RegionFault
from azure_simulator.replaying.compare import compare
from azure_simulator.store import Resource, Store
from hypothesis import given
from hypothesis import strategies as st

TIMINGS = Timings()
HOME = ("westeurope", "West Europe", 1)
EAST = ("eastus", "East US", 1)


def run(
    before: list[RegionState], *wanted: tuple[str, str, int], now: float = 0.0, **changes: Any
) -> list[RegionState]:
    options: dict[str, Any] = {
        "home": "westeurope",
        "now": now,
        "timings": TIMINGS,
        "shallow": False,
        "largest_gib": 30,
        "fault": lambda region: None,
    }
    options.update(changes)
    return plan(before, wanted, **options)


def test_home_region_comes_first_then_the_others_together() -> None:
    states = run([], EAST, HOME, ("westus", "West US", 1))
    assert [state.region for state in states] == ["eastus", "westeurope", "westus"]
    assert [(state.start, state.end) for state in states] == [(420, 840), (0, 420), (420, 840)]
    assert ends_at(states, 0, 5) == 840


def test_complete_regions_stay_and_scaling_takes_time() -> None:
    states = run([], HOME, EAST)
    later = run(states, HOME, ("eastus", "East US", 5), now=1000)
    assert later[0] == states[0]
    assert (later[1].start, later[1].end, later[1].state(1000)) == (1000, 1120, "Replicating")
    added = run(states, HOME, EAST, ("westus", "West US", 1), now=1000)
    assert [state.state(1000) for state in added] == ["Completed", "Completed", "Replicating"]
    assert added[2].start == 1000


def test_shallow_is_quick_and_has_no_size_limit() -> None:
    assert run([], HOME, shallow=True, largest_gib=5000)[0].end == 45


def test_too_large() -> None:
    states = run([], HOME, largest_gib=2049)
    assert "size 2049 exceeds the max size 2048" in str(failure_text(states, 420))


def test_sticky_failures_need_removal() -> None:
    faults = [RegionFault(1, "East US", details="broken", sticky=True)]
    states = run([], HOME, EAST, fault=lambda region: faults.pop() if region == "East US" and faults else None)
    assert aggregate(states, 840) == "Failed"
    again = run(states, HOME, EAST, now=1000)
    assert failure_text(again, 2000) is not None
    removed = run(again, HOME, now=2000)
    assert failure_text(removed, 2000) is None
    assert aggregate(run(removed, HOME, EAST, now=3000), 4000) == "Completed"


_REGIONS = ("westeurope", "eastus", "westus", "northeurope")
_WANTED = st.lists(
    st.tuples(st.sampled_from(_REGIONS[1:]), st.integers(1, 5)), max_size=3, unique_by=lambda row: row[0]
)


@given(st.lists(st.tuples(_WANTED, st.integers(1, 5), st.floats(0, 2000)), min_size=1, max_size=5))
def test_any_series_of_updates_keeps_what_is_complete(updates: list[tuple[list[tuple[str, int]], int, float]]) -> None:
    """Regions come out as asked for, in order; what is complete and not changed is not copied again."""
    now, states = 0.0, []
    for others, replicas, wait in updates:
        wanted = [("westeurope", "westeurope", replicas), *((name, name, count) for name, count in others)]
        before = {state.region: state for state in states if state.state(now) == "Completed"}
        states = run(states, *wanted, now=now)
        assert [(state.region, state.replicas) for state in states] == [(name, count) for name, _, count in wanted]
        for state in states:
            old = before.get(state.region)
            if old is not None and old.replicas == state.replicas:
                assert state == old
            assert state.end >= state.start
        now += wait
    assert aggregate(states, now + 10_000) == "Completed"


@given(st.floats(0, 2000), st.floats(0, 2000), st.booleans())
def test_progress_never_falls_and_is_100_only_at_the_end(first: float, second: float, fails: bool) -> None:
    state = RegionState("eastus", "East US", 1, 420, 840, "x" if fails else None)
    early, late = sorted((first, second))
    assert state.progress(early) <= state.progress(late)
    assert (state.progress(late) == 100) == (state.state(late) == "Completed")
    assert restore(store([state])) == [state]


def test_summary_says_why_only_when_it_has_failed() -> None:
    states = [RegionState("eastus", "East US", 1, 0, 10, "why")]
    assert summary(states, 5)[0] == {"region": "East US", "state": "Replicating", "details": "", "progress": 50}
    assert summary(states, 10)[0] == {"region": "East US", "state": "Failed", "details": "why", "progress": 99}
    assert "{region:eastus, detail:why}" in str(failure_text(states, 10))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("true", "True"),
        ("FALSE", "False"),
        ("NVMe, SCSI", "SCSI, NVMe"),
        ("nvme,scsi", "SCSI, NVMe"),
        ("SCSI", "SCSI"),
    ],
)
def test_features_are_normalised(sent: str, stored: str) -> None:
    name = "DiskControllerTypes" if "SI" in sent.upper() else "IsHibernateSupported"
    once = normal_features([{"name": name, "value": sent}])
    assert once == [{"name": name, "value": stored}]
    assert normal_features(once) == once


def test_end_of_life() -> None:
    assert future_date("2030-01-01", 0) == "2030-01-01T00:00:00+00:00"
    assert future_date("2030-01-01T02:00:00+02:00", 0) == "2030-01-01T00:00:00+00:00"
    assert future_date("1999-01-01", 1e9, check=False) == "1999-01-01T00:00:00+00:00"
    with pytest.raises(ArmError, match="Could not convert string to DateTimeOffset"):
        future_date("soon", 0)


def profile(*regions: Any, before: dict[str, Any] | None = None, **rest: Any) -> dict[str, Any]:
    targets = [{"name": region} if isinstance(region, str) else region for region in regions]
    return build_profile({"targetRegions": targets, **rest}, "westeurope", before).body


def test_profile_defaults() -> None:
    assert profile("westeurope", {"name": "East US 2", "regionalReplicaCount": 3}, replicaCount=2) == {
        "targetRegions": [
            {"name": "West Europe", "regionalReplicaCount": 2, "storageAccountType": "Standard_LRS"},
            {"name": "East US 2", "regionalReplicaCount": 3, "storageAccountType": "Standard_LRS"},
        ],
        "replicaCount": 2,
        "excludeFromLatest": False,
        "storageAccountType": "Standard_LRS",
    }
    assert build_profile({}, "westeurope", None).targets == [("westeurope", "West Europe", 1)]


def test_profile_is_stable() -> None:
    """What the service answers can be sent back unchanged."""
    first = profile("westeurope", {"name": "eastus", "storageAccountType": "standard_zrs"}, replicaCount=2)
    again = build_profile(first, "westeurope", first)
    assert again.body == first


def test_strategy_prefers_zones_where_there_are_some() -> None:
    body = profile("westeurope", "westus", storageAccountStrategy="PreferStandard_ZRS")
    assert [region["storageAccountType"] for region in body["targetRegions"]] == ["Standard_ZRS", "Standard_LRS"]
    with pytest.raises(ArmError, match="cannot be specified together"):
        profile("westeurope", storageAccountStrategy="PreferStandard_ZRS", storageAccountType="Premium_LRS")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "eastus", "storageAccountType": "Premium_LRS"}, "PropertyChangeNotAllowed"),
        ({"name": "eastus", "storageAccountType": "Standard_LRS"}, "PropertyChangeNotAllowed"),
        ({"name": "eastus"}, "InvalidParameter"),
    ],
)
def test_storage_type_of_a_region_is_for_ever(change: dict[str, Any], code: str) -> None:
    before = profile("westeurope", {"name": "eastus", "storageAccountType": "Standard_ZRS"})
    with pytest.raises(ArmError) as caught:
        profile("westeurope", change, before=before)
    assert caught.value.code == code


def test_replication_mode_is_for_ever() -> None:
    before = profile("westeurope", replicationMode="Shallow")
    assert profile("westeurope", before=before)["replicationMode"] == "Shallow"
    with pytest.raises(ArmError) as caught:
        profile("westeurope", before=before, replicationMode="Full")
    assert caught.value.code == "PropertyChangeNotAllowed"


def encryption_set(location: str, subscription: str = "s") -> str:
    """ARM id of a disk encryption set, one a region."""
    provider = f"/subscriptions/{subscription}/resourceGroups/g/providers/Microsoft.Compute"
    return f"{provider}/diskEncryptionSets/{location.replace(' ', '').lower()}"


def encrypted(name: str, *luns: int, subscription: str = "s") -> dict[str, Any]:
    identity = encryption_set(name, subscription)
    rows = [{"lun": lun, "diskEncryptionSetId": identity} for lun in luns]
    return {"name": name, "encryption": {"osDiskImage": {"diskEncryptionSetId": identity}, "dataDiskImages": rows}}


def test_encryption_everywhere_or_nowhere() -> None:
    store = Store(None)
    for location in ("westeurope", "eastus"):
        identity = encryption_set(location)
        key = identity.lower()
        kind = "microsoft.compute/diskencryptionsets"
        store.put(Resource(key, kind, key.partition("/providers")[0], {"id": identity, "location": location}))
    check_encryption(store, [encrypted("West Europe", 0), encrypted("East US", 0)], [0], "s")
    with pytest.raises(
        ArmError,
        match=r"A disk encryption set is required for disk '.*osDiskImage.diskEncryptionSetId' in target region",
    ):
        check_encryption(store, [encrypted("West Europe"), {"name": "East US"}], [], "s")
    with pytest.raises(ArmError, match=r"An invalid lun \[3\]"):
        check_encryption(store, [encrypted("West Europe", 3)], [0], "s")
    with pytest.raises(ArmError, match="must be in the same subscription"):
        check_encryption(store, [encrypted("West Europe", subscription="other")], [], "s")
    store.close()


def test_comparison_sees_what_matters() -> None:
    recorded = {"id": "/subscriptions/x/resourceGroups/A/y", "when": "2025-01-07T05:56:46.4648477+00:00", "l": [1]}
    same = {"id": "/subscriptions/x/resourceGroups/b/y", "when": "2026-11-23T05:56:46.0000000+00:00", "l": [1]}
    assert compare(recorded, same) == []
    assert compare({"a": 1}, {"a": True}) == [("body.a", 1, True)]
    assert compare({"a": 1}, {"b": 1}) == [("body.a", 1, None), ("body.b", None, 1)]
    assert compare({"l": [1]}, {"l": [1, 2]}) == [("body.l (length)", 1, 2)]
    signed = "https://h/a/b?sv=2018-03-28&sr=b&si=1&sig=x"
    assert compare(signed, "https://other/a/b?sv=2018-03-28&sr=b&si=2&sig=y") == []
    assert compare(signed, "https://other/a/b?sv=2018-03-28&sr=b&sp=r&se=x&sig=y") != []
