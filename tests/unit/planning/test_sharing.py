"""Sharing of a gallery: from any state to any other in few calls, never past Azure's limits."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.api.sharing import (
    MAX_SUBSCRIPTIONS,
    MAX_TENANTS,
    CommunityGalleryInfo,
    SharingGroups,
    SharingProfile,
)
from gallery_operator.planning.sharing import (
    Impossible,
    Observed,
    SetProfile,
    ShareCall,
    failed_regions,
    kept_profile,
    next_step,
    observe,
    profile_body,
    status,
    summary,
)

IDS = [str(uuid.UUID(int=number + 0xABC000)) for number in range(40)]
INFO = CommunityGalleryInfo(
    publisher_uri="https://example.com", publisher_contact="a@example.com", eula="eula", public_name_prefix="example"
)
MAX_CALLS = 4


def _ids(most: int) -> st.SearchStrategy[tuple[str, ...]]:
    spelled = st.sampled_from(IDS).flatmap(lambda text: st.sampled_from([text, text.upper()]))
    return st.lists(spelled, max_size=most, unique_by=str.lower).map(tuple)


profiles = st.one_of(
    st.just(SharingProfile()),
    st.builds(
        lambda subscriptions, tenants: SharingProfile(
            permissions="Groups", groups=SharingGroups(subscriptions=subscriptions, tenants=tenants)
        ),
        _ids(MAX_SUBSCRIPTIONS),
        _ids(MAX_TENANTS),
    ),
    st.just(SharingProfile(permissions="Groups")),
    st.just(SharingProfile(permissions="Community", community_gallery_info=INFO)),
)


class Azure:
    """A gallery as Azure keeps it, as far as sharing goes; refuses what Azure refuses."""

    def __init__(self, profile: SharingProfile | None = None) -> None:
        self.permissions = "Private"
        self.groups: dict[str, list[str]] = {}
        self.info: dict[str, Any] | None = None
        self.calls = 0
        if profile is not None:
            self.permissions = profile.permissions
            self.put(profile_body(profile))
            groups = profile.groups or SharingGroups()
            self.groups = {"Subscriptions": list(groups.subscriptions), "AADTenants": list(groups.tenants)}

    def document(self) -> dict[str, Any]:
        groups = [{"type": kind, "ids": ids} for kind, ids in self.groups.items() if ids]
        profile = {"permissions": self.permissions, "groups": groups or None, "communityGalleryInfo": self.info}
        return {"properties": {"sharingProfile": {key: value for key, value in profile.items() if value}}}

    def put(self, body: dict[str, Any]) -> None:
        assert body["permissions"] == self.permissions or body["permissions"] == "Community"
        assert self.permissions != "Groups" or body["permissions"] == "Groups"
        self.permissions = body["permissions"]
        if self.permissions == "Community":
            public = self.info or {"communityGalleryEnabled": False, "publicNames": ["example-1"]}
            self.info = {**public, **body["communityGalleryInfo"]}

    def share(self, body: Any) -> None:
        self.calls += 1
        kind = body["operationType"]
        if kind == "Reset":
            self.permissions, self.groups, self.info = "Private", {}, None
        elif kind == "EnableCommunity":
            assert self.permissions == "Community" and self.info is not None
            self.info["communityGalleryEnabled"] = True
        else:
            assert self.permissions == "Groups"
            for group in body["groups"]:
                ids = self.groups.setdefault(group["type"], [])
                asked = {each.lower() for each in group["ids"]}
                assert asked
                there = {each.lower() for each in ids}
                # A call that says nothing new is a call too many.
                assert not asked & there if kind == "Add" else asked <= there
                self.groups[group["type"]] = (
                    [*ids, *group["ids"]] if kind == "Add" else [each for each in ids if each.lower() not in asked]
                )
            assert len(self.groups.get("Subscriptions", [])) <= MAX_SUBSCRIPTIONS
            assert len(self.groups.get("AADTenants", [])) <= MAX_TENANTS


@given(profiles, profiles)
def test_from_any_state_to_any_other(before: SharingProfile, wanted: SharingProfile) -> None:
    azure = Azure(before)
    for _ in range(MAX_CALLS):
        step = next_step(wanted, observe(azure.document()))
        if step is None:
            break
        if isinstance(step, Impossible) or (isinstance(step, SetProfile) and wanted.permissions == "Groups"):
            assert wanted.permissions == "Groups" and before.permissions != "Groups"
            assert azure.calls == 0  # nothing is given up for what cannot be had
            return
        if isinstance(step, SetProfile):
            azure.put(profile_body(wanted))
        else:
            azure.share(step.body)
    assert step is None
    assert azure.permissions == wanted.permissions
    groups = wanted.groups or SharingGroups()
    if wanted.permissions == "Groups":
        assert {each.lower() for each in azure.groups.get("Subscriptions", [])} == {
            each.lower() for each in groups.subscriptions
        }
        assert {each.lower() for each in azure.groups.get("AADTenants", [])} == {
            each.lower() for each in groups.tenants
        }
    assert azure.calls <= 2
    assert next_step(None, observe(azure.document())) is None


@given(profiles)
def test_what_is_kept_changes_nothing(profile: SharingProfile) -> None:
    azure = Azure(profile)
    kept = kept_profile(azure.document())
    if profile.permissions == "Private":
        assert kept is None
    else:
        assert kept == profile_body(profile)


def test_access_is_taken_before_it_is_given() -> None:
    have = Observed("Groups", subscriptions=(IDS[0],), tenants=(IDS[1],))
    wanted = SharingProfile(permissions="Groups", groups=SharingGroups(subscriptions=(IDS[2],)))
    step = next_step(wanted, have)
    assert isinstance(step, ShareCall)
    assert step.narrows
    assert step.body == {
        "operationType": "Remove",
        "groups": [{"type": "Subscriptions", "ids": [IDS[0]]}, {"type": "AADTenants", "ids": [IDS[1]]}],
    }
    assert step.message == "No longer sharing with 1 subscription and 1 tenant."


def test_one_id_may_be_a_subscription_and_a_tenant() -> None:
    have = Observed("Groups", subscriptions=(IDS[0],))
    wanted = SharingProfile(permissions="Groups", groups=SharingGroups(subscriptions=(IDS[0],), tenants=(IDS[0],)))
    step = next_step(wanted, have)
    assert isinstance(step, ShareCall)
    assert step.body["groups"] == [{"type": "AADTenants", "ids": [IDS[0]]}]


@pytest.mark.parametrize(
    ("have", "assignments", "text"),
    [
        (Observed(), 0, "Private"),
        (Observed(), 3, "RBAC (3)"),
        (Observed("Groups"), 0, "Direct (nobody)"),
        (Observed("Groups", ("a", "b"), ("c",)), 0, "Direct (2 subscriptions, 1 tenant)"),
        (Observed("Groups", ("a",)), 1, "Direct (1 subscription) + RBAC (1)"),
        (Observed("Community", info={"communityGalleryEnabled": False}), 0, "Community (not enabled)"),
        (Observed("Community", info={"communityGalleryEnabled": True}), 0, "Community"),
    ],
)
def test_summary(have: Observed, assignments: int, text: str) -> None:
    assert summary(have, assignments) == text


def test_status_and_failed_regions() -> None:
    regions = [
        {"region": "West Europe", "state": "Succeeded"},
        {"region": "East US 2", "state": "Failed", "details": "Internal error."},
    ]
    document = {
        "properties": {
            "sharingProfile": {"permissions": "Groups", "groups": [{"type": "Subscriptions", "ids": [IDS[1], IDS[0]]}]},
            "sharingStatus": {"aggregatedState": "Failed", "summary": regions},
        }
    }
    have = observe(document)
    assert failed_regions(have) == "East US 2: Internal error."
    assert failed_regions(Observed(state="Failed")) == "Azure does not say where"
    assert failed_regions(Observed(state="Succeeded")) is None
    found = status(have, 0)
    assert [each["region"] for each in found["regions"]] == ["East US 2", "West Europe"]
    assert found["subscriptions"] == [IDS[0], IDS[1]]
    assert found["communityGalleryEnabled"] is None
