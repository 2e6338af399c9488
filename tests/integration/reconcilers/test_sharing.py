"""Sharing as desired state: role assignments, direct sharing, community galleries; with faults, beside others' own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.reconcilers.stage import Json, Stage, ready
from tests.support.azure import SUBSCRIPTION

from gallery_operator.azure.gateway import RoleAssignments
from gallery_operator.planning.roles import MARK, assignment_name

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
IMAGE_READER = "cf7c76d2-98a3-4358-a134-615aa78bf44d"
TYPE = "Microsoft.Authorization/roleAssignments"
ALICE, TEAM, ROBOT = (str(uuid.UUID(int=number)) for number in (101, 102, 103))
SUBSCRIPTIONS = [str(uuid.UUID(int=number)) for number in range(200, 205)]
TENANT = str(uuid.UUID(int=300))
INFO = {
    "publisherUri": "https://example.com",
    "publisherContact": "images@example.com",
    "eula": "https://example.com/eula",
    "publicNamePrefix": "example",
}
SLOW = 3.0
"""Time scale at which a share call takes a second, and a region some more."""
PRIVATE = {"permissions": "Private", "groups": None, "communityGalleryInfo": None}


def user(principal: str = ALICE, kind: str = "User", **more: Any) -> Json:
    return {"principalId": principal, "principalType": kind, **more}


def direct(subscriptions: list[str], *tenants: str) -> Json:
    return {"permissions": "Groups", "groups": {"subscriptions": subscriptions, "tenants": list(tenants)}}


def condition(body: Json | None, kind: str = "Shared") -> Json:
    found = ((body or {}).get("status") or {}).get("conditions") or []
    return next((each for each in found if each["type"] == kind), {})


def assignments(stage: Stage, scope: str) -> dict[str, Json]:
    """Role assignments in Azure at a scope, by name."""
    rows = stage.azure.resources(TYPE)
    return {
        row["body"]["name"]: row["body"]["properties"]
        for row in rows
        if row["body"]["properties"]["scope"].lower() == scope.lower()
    }


def groups(stage: Stage) -> dict[str, set[str]]:
    """Whom Azure shares the gallery with."""
    row = next(row for row in stage.azure.resources("Microsoft.Compute/galleries"))
    return {each["type"]: set(each["ids"]) for each in row["internal"].get("groups") or []}


def calls(stage: Stage, method: str, end: str) -> int:
    """How often Azure was asked so, whatever it answered."""
    rows = stage.azure.counts()["counts"]
    return sum(row["count"] for row in rows if row["method"] == method and row["path"].lower().endswith(end.lower()))


async def shared(
    stage: Stage, kind: str = "Gallery", name: str = "platform", status: str = "True", reason: str = ""
) -> Json:
    """Wait for a status (and reason) of the condition, of the newest generation."""

    def look() -> Json | None:
        body = stage.get(kind, name)
        found = condition(body)
        good = found.get("status") == status and found["reason"].startswith(reason)
        return body if body and good and found["observedGeneration"] == body["metadata"]["generation"] else None

    body = await stage.until(look, lambda: stage.status(kind, name))
    assert body is not None
    return body


async def put_elsewhere(stage: Stage, scope: str, principal: str, role: str = READER, **more: Any) -> str:
    """Assign a role as a person in the portal does; returns the name."""
    name = str(uuid.uuid4())
    properties = {
        "roleDefinitionId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}",
        "principalId": principal,
        "principalType": "User",
        **more,
    }
    stage.arm("PUT", f"{scope}/providers/{TYPE}/{name}", {"properties": properties})
    return name


# -- role assignments -------------------------------------------------------------------------------------------------


async def test_roles_are_given_kept_and_taken(stage: Stage) -> None:
    entries = [
        user(ALICE, description="Auditor"),
        user(TEAM, "Group", role="Compute Gallery Image Reader"),
        user(ROBOT, "ServicePrincipal"),
        user(str(uuid.UUID(int=104)), "ForeignGroup"),
    ]
    stage.gallery(roleAssignments=entries)
    body = await stage.ready("Gallery", "platform")
    body = await shared(stage)
    assert body["status"]["sharing"]["summary"] == "RBAC (4)"
    made = assignments(stage, stage.gallery_id)
    alice = made[assignment_name(stage.gallery_id, READER, ALICE)]
    assert alice["description"].startswith("Auditor (") and MARK in alice["description"]
    assert made[assignment_name(stage.gallery_id, IMAGE_READER, TEAM)]["principalType"] == "Group"
    assert len(made) == 4
    foreign = await put_elsewhere(stage, stage.gallery_id, str(uuid.UUID(int=999)), description=MARK)

    # Somebody removes one and edits another.
    stage.arm("DELETE", f"{stage.gallery_id}/providers/{TYPE}/{assignment_name(stage.gallery_id, READER, ROBOT)}")
    changed = {**alice, "description": f"edited {MARK}"}
    stage.arm(
        "PUT",
        f"{stage.gallery_id}/providers/{TYPE}/{assignment_name(stage.gallery_id, READER, ALICE)}",
        {"properties": changed},
    )
    stage.nudge("Gallery", "platform")
    await stage.until(
        lambda: (
            len(found := assignments(stage, stage.gallery_id)) == 5
            and found[assignment_name(stage.gallery_id, READER, ALICE)]["description"] == alice["description"]
        )
    )

    stage.patch("Gallery", "platform", {"spec": {"roleAssignments": entries[:1]}})
    await stage.until(lambda: len(assignments(stage, stage.gallery_id)) == 2)
    assert foreign in assignments(stage, stage.gallery_id)
    stage.patch("Gallery", "platform", {"spec": {"roleAssignments": None}})
    await stage.until(lambda: set(assignments(stage, stage.gallery_id)) == {foreign})
    body = await stage.ready("Gallery", "platform")
    assert condition(body) == {}
    assert "roleAssignments" not in body["status"]
    assert body["status"]["sharing"]["summary"] == "Private"


async def test_steady_state_asks_little_and_writes_nothing(stage: Stage) -> None:
    stage.gallery(roleAssignments=[user()], sharingProfile=direct(SUBSCRIPTIONS[:1]))
    await shared(stage)
    await stage.ready("Gallery", "platform")
    await stage.quiet()
    stage.azure.clear_counts()
    before = stage.kubernetes_writes()
    await stage.until(lambda: calls(stage, "GET", "roleAssignments") >= 2)
    counts = stage.azure.counts()
    assert counts["writes"] == 0
    assert stage.kubernetes_writes() == before
    # The gallery, and with whom it is shared.
    assert calls(stage, "GET", "/galleries/{}") <= 2 * (calls(stage, "GET", "roleAssignments") + 1)


async def test_what_others_assigned_is_enough_and_stays(stage: Stage) -> None:
    stage.gallery()
    await stage.ready("Gallery", "platform")
    await stage.quiet(0.3)
    name = await put_elsewhere(stage, stage.gallery_id, ALICE)
    stage.patch("Gallery", "platform", {"spec": {"roleAssignments": [user()]}})
    body = await shared(stage)
    assert [row["state"] for row in body["status"]["roleAssignments"]] == ["AssignedByOthers"]
    stage.patch("Gallery", "platform", {"spec": {"roleAssignments": None}})
    await stage.until(lambda: "roleAssignments" not in stage.status("Gallery", "platform"))
    assert set(assignments(stage, stage.gallery_id)) == {name}
    # Ours is made when theirs goes.
    stage.patch("Gallery", "platform", {"spec": {"roleAssignments": [user()]}})
    await shared(stage)
    stage.arm("DELETE", f"{stage.gallery_id}/providers/{TYPE}/{name}")
    ours = assignment_name(stage.gallery_id, READER, ALICE)
    await stage.until(lambda: set(assignments(stage, stage.gallery_id)) == {ours})


async def test_the_right_is_missing_and_the_rest_goes_on(stage: Stage) -> None:
    message = f"The client 'x' does not have authorization to perform action '{TYPE}/write' over scope 'y'."
    stage.azure.add_fault(
        method="PUT", path="roleAssignments", status=403, code="AuthorizationFailed", message=message, count=None
    )
    stage.gallery(roleAssignments=[user(ALICE), user(ROBOT)], sharingProfile=direct(SUBSCRIPTIONS[:1]))
    stage.definition()
    body = await shared(stage, status="False", reason="AuthorizationFailed")
    assert "Role Based Access Control Administrator" in condition(body)["message"]
    assert ready(body)["status"] == "True"
    assert not stage.stalled(body)
    await stage.until(lambda: groups(stage) == {"Subscriptions": set(SUBSCRIPTIONS[:1])})
    await stage.ready("GalleryImageDefinition", "debian")
    warnings = await stage.until(
        lambda: [each for each in stage.events("platform") if each["reason"] == "AuthorizationFailed"]
    )
    assert warnings[0]["type"] == "Warning"
    states = {row["state"] for row in stage.status("Gallery", "platform")["roleAssignments"]}
    assert states == {"Failed", "Pending"}
    stage.azure.clear_faults()
    stage.nudge("Gallery", "platform")
    await shared(stage)
    assert len(assignments(stage, stage.gallery_id)) == 2


async def test_a_principal_that_is_not_known_yet(stage: Stage) -> None:
    stage.azure.add_fault(
        method="PUT",
        path="roleAssignments",
        status=400,
        code="PrincipalNotFound",
        message="Principal x does not exist.",
        count=3,
    )
    stage.gallery(roleAssignments=[user()])
    body = await shared(stage, status="False", reason="PrincipalNotFound")
    row = body["status"]["roleAssignments"][0]
    assert (row["state"], row["reason"]) == ("Pending", "PrincipalNotFound")
    assert "since" in row
    body = await shared(stage)
    assert body["status"]["roleAssignments"][0].keys() == {"name", "principalId", "roleDefinitionId", "state"}


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_connection_lost_while_a_role_is_given(stage: Stage, moment: str) -> None:
    stage.azure.add_fault(method="PUT", path="roleAssignments", drop=moment, count=2)
    stage.gallery(roleAssignments=[user(), user(ROBOT, "ServicePrincipal")])
    await shared(stage)
    assert len(assignments(stage, stage.gallery_id)) == 2


async def test_an_entry_taken_out_while_the_operator_is_down(
    idle_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = idle_stage
    put = RoleAssignments.put

    async def put_and_hear_nothing(*arguments: Any) -> None:
        await put(*arguments)
        await asyncio.Event().wait()

    # The assignment is made, but the operator is gone before it hears of it.
    monkeypatch.setattr(RoleAssignments, "put", put_and_hear_nothing)
    await stage.start()
    stage.gallery(roleAssignments=[user()])
    await stage.until(lambda: assignments(stage, stage.gallery_id))
    await stage.stop()
    monkeypatch.undo()
    stage.patch("Gallery", "platform", {"spec": {"roleAssignments": None}})
    await stage.start()
    await stage.until(lambda: not assignments(stage, stage.gallery_id))
    await stage.until(lambda: "roleAssignments" not in stage.status("Gallery", "platform"))


async def test_roles_on_a_definition_end_with_it(stage: Stage) -> None:
    stage.gallery(roleAssignments=[user(TEAM, "Group")])
    stage.definition(roleAssignments=[user(description="Consumer")])
    body = await shared(stage, "GalleryImageDefinition", "debian")
    assert body["status"]["roleAssignments"][0]["state"] == "Assigned"
    assert len(assignments(stage, stage.definition_id)) == 1
    stage.delete("GalleryImageDefinition", "debian")
    await stage.gone("GalleryImageDefinition", "debian")
    assert calls(stage, "DELETE", "roleAssignments/{}") == 1
    assert not assignments(stage, stage.definition_id)
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert calls(stage, "DELETE", "roleAssignments/{}") == 2


async def test_deletion_does_not_hang_on_roles_that_may_not_be_removed(stage: Stage) -> None:
    stage.gallery(roleAssignments=[user()])
    await shared(stage)
    stage.azure.add_fault(
        method="DELETE", path="roleAssignments", status=403, code="AuthorizationFailed", message="no", count=None
    )
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert [each["reason"] for each in stage.events("platform")].count("RoleAssignmentsLeft") == 1


# -- direct sharing ---------------------------------------------------------------------------------------------------


async def test_direct_sharing_with_the_fewest_calls(stage: Stage) -> None:
    stage.azure.set_scale(SLOW)
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:3], TENANT))
    body = await shared(stage)
    stage.azure.set_scale(stage.azure.time_scale)
    assert groups(stage) == {"Subscriptions": set(SUBSCRIPTIONS[:3]), "AADTenants": {TENANT}}
    assert calls(stage, "POST", "/share") == 1
    sharing = body["status"]["sharing"]
    assert (sharing["permissions"], sharing["summary"]) == ("Groups", "Direct (3 subscriptions, 1 tenant)")
    assert sharing["subscriptions"] == SUBSCRIPTIONS[:3] and sharing["tenants"] == [TENANT]
    # Two go, two come: one call each, whatever the number.
    stage.patch("Gallery", "platform", {"spec": {"sharingProfile": direct(SUBSCRIPTIONS[2:])}})
    await shared(stage)
    await stage.until(lambda: groups(stage) == {"Subscriptions": set(SUBSCRIPTIONS[2:])})
    assert calls(stage, "POST", "/share") == 3
    # Behind our back.
    path = f"{stage.gallery_id}/share"
    stage.arm("POST", path, {"operationType": "Add", "groups": [{"type": "AADTenants", "ids": [TENANT]}]})
    await stage.until(lambda: "AADTenants" in groups(stage))
    stage.nudge("Gallery", "platform")
    await stage.until(lambda: groups(stage) == {"Subscriptions": set(SUBSCRIPTIONS[2:])})
    stage.patch("Gallery", "platform", {"spec": {"sharingProfile": PRIVATE}})
    await stage.until(lambda: stage.status("Gallery", "platform")["sharing"]["summary"] == "Private")
    body = await stage.ready("Gallery", "platform")
    assert condition(body) == {}
    assert (stage.in_azure(stage.gallery_id) or {})["properties"]["sharingProfile"] == {"permissions": "Private"}


async def test_a_throttled_share_call(stage: Stage) -> None:
    stage.azure.add_fault(
        method="POST",
        path="/share$",
        status=429,
        code="OperationNotAllowed",
        message="too many requests",
        retry_after=1,
        count=2,
    )
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:1]))
    body = await shared(stage, status="False", reason="OperationNotAllowed")
    assert ready(body)["status"] == "True"
    await shared(stage)
    assert groups(stage) == {"Subscriptions": set(SUBSCRIPTIONS[:1])}


async def test_share_is_refused(stage: Stage) -> None:
    stage.azure.add_fault(
        method="POST", path="/share$", status=403, code="AuthorizationFailed", message="no right", count=None
    )
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:1]))
    body = await shared(stage, status="False", reason="AuthorizationFailed")
    assert "Microsoft.Compute/galleries/share/action" in condition(body)["message"]
    count = calls(stage, "POST", "/share")
    await stage.quiet(1.0)
    assert calls(stage, "POST", "/share") == count == 1


@pytest.mark.parametrize("pause", [0.0, 0.4, 1.5])
async def test_killed_while_it_shares(idle_stage: Stage, pause: float) -> None:
    stage = idle_stage
    stage.azure.set_scale(SLOW)
    await stage.start()
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:2], TENANT), roleAssignments=[user()])
    await stage.until(lambda: calls(stage, "POST", "/share"))
    await stage.quiet(pause)
    await stage.stop()
    await stage.start()
    await shared(stage)
    assert groups(stage) == {"Subscriptions": set(SUBSCRIPTIONS[:2]), "AADTenants": {TENANT}}
    assert calls(stage, "POST", "/share") <= 2
    assert len(assignments(stage, stage.gallery_id)) == 1


async def test_direct_sharing_of_a_gallery_that_has_been_private(stage: Stage) -> None:
    stage.arm("PUT", stage.gallery_id, {"location": "westeurope"})
    await stage.settled(stage.gallery_id)
    stage.gallery(adoptionPolicy="Adopt", sharingProfile=direct(SUBSCRIPTIONS[:1]))
    body = await shared(stage, status="False", reason="PropertyChangeNotAllowed")
    assert ready(body)["status"] == "True"
    assert calls(stage, "POST", "/share") == 0


async def test_what_the_spec_does_not_speak_of_stays(stage: Stage) -> None:
    stage.arm(
        "PUT", stage.gallery_id, {"location": "westeurope", "properties": {"sharingProfile": {"permissions": "Groups"}}}
    )
    await stage.settled(stage.gallery_id)
    group = [{"type": "Subscriptions", "ids": SUBSCRIPTIONS[:1]}]
    stage.arm("POST", f"{stage.gallery_id}/share", {"operationType": "Add", "groups": group})
    await stage.until(lambda: groups(stage))
    stage.gallery(adoptionPolicy="Adopt", description="ours now")
    body = await stage.ready("Gallery", "platform")
    assert groups(stage) == {"Subscriptions": set(SUBSCRIPTIONS[:1])}
    assert condition(body) == {}
    assert body["status"]["sharing"]["summary"] == "Direct (1 subscription)"
    assert calls(stage, "POST", "/share") == 1


async def test_a_region_that_fails_is_told(stage: Stage) -> None:
    stage.azure.add_fault(sharing="westeurope", details="Internal error.")
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:1]))
    body = await shared(stage, status="False", reason="RegionsFailed")
    assert ready(body)["status"] == "True"
    assert "West Europe: Internal error." in condition(body)["message"]
    sharing = body["status"]["sharing"]
    assert sharing["aggregatedState"] == "Failed"
    assert sharing["regions"] == [{"region": "West Europe", "state": "Failed", "details": "Internal error."}]
    # The next call that succeeds everywhere mends it.
    stage.patch("Gallery", "platform", {"spec": {"sharingProfile": direct(SUBSCRIPTIONS[:2])}})
    body = await shared(stage)
    assert body["status"]["sharing"]["regions"] == [{"region": "West Europe", "state": "Succeeded"}]


async def test_an_observer_sees_and_shares_nothing(stage: Stage) -> None:
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:1]), deletionPolicy="Retain")
    await shared(stage)
    change = {"managementPolicy": "Observe", "roleAssignments": [user()], "sharingProfile": direct(SUBSCRIPTIONS[:2])}
    stage.azure.clear_counts()
    stage.patch("Gallery", "platform", {"spec": change})
    body = await stage.reason("Gallery", "platform", "Observed")
    assert condition(body) == {}
    assert body["status"]["sharing"]["subscriptions"] == SUBSCRIPTIONS[:1]
    await stage.quiet()
    assert stage.azure.counts()["writes"] == 0


# -- community --------------------------------------------------------------------------------------------------------


async def test_community_there_and_back(stage: Stage) -> None:
    profile = {"permissions": "Community", "communityGalleryInfo": INFO}
    stage.gallery(sharingProfile=profile)
    body = await shared(stage)
    sharing = body["status"]["sharing"]
    assert sharing["communityGalleryEnabled"] is True
    assert sharing["publicNames"][0].startswith("example-")
    assert sharing["summary"] == "Community"
    changed = INFO | {"publisherContact": "new@example.com"}
    stage.patch("Gallery", "platform", {"spec": {"sharingProfile": {"communityGalleryInfo": changed}}})
    body = await shared(stage)
    info = (stage.in_azure(stage.gallery_id) or {})["properties"]["sharingProfile"]["communityGalleryInfo"]
    assert info["publisherContact"] == "new@example.com"
    assert info["publicNames"] == sharing["publicNames"]
    # Another property is changed meanwhile: the sharing stays.
    stage.patch("Gallery", "platform", {"spec": {"description": "another"}})
    await stage.until(lambda: (stage.in_azure(stage.gallery_id) or {})["properties"].get("description") == "another")
    await shared(stage)
    assert calls(stage, "POST", "/share") == 1
    stage.patch("Gallery", "platform", {"spec": {"sharingProfile": PRIVATE}})
    await stage.until(lambda: stage.status("Gallery", "platform")["sharing"]["summary"] == "Private")
    assert "publicNames" not in stage.status("Gallery", "platform")["sharing"]
    assert calls(stage, "POST", "/share") == 2


async def test_direct_becomes_community(stage: Stage) -> None:
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:1]))
    await shared(stage)
    change = {"permissions": "Community", "groups": None, "communityGalleryInfo": INFO}
    stage.patch("Gallery", "platform", {"spec": {"sharingProfile": change}})
    body = await shared(stage)
    assert body["status"]["sharing"]["summary"] == "Community"
    assert not groups(stage)


async def test_a_shared_gallery_is_made_private_before_it_is_deleted(stage: Stage) -> None:
    stage.gallery(sharingProfile={"permissions": "Community", "communityGalleryInfo": INFO})
    await shared(stage)
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert calls(stage, "POST", "/share") == 2
    assert stage.in_azure(stage.gallery_id) is None


async def test_deleted_although_sharing_may_not_be_ended(stage: Stage) -> None:
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:1]))
    await shared(stage)
    stage.azure.add_fault(
        method="POST", path="/share$", status=403, code="AuthorizationFailed", message="no", count=None
    )
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert stage.in_azure(stage.gallery_id) is None


async def test_a_gallery_that_is_kept_stays_shared(stage: Stage) -> None:
    stage.gallery(sharingProfile=direct(SUBSCRIPTIONS[:1]), roleAssignments=[user()], deletionPolicy="Retain")
    await shared(stage)
    stage.delete("Gallery", "platform")
    await stage.gone("Gallery", "platform")
    assert groups(stage) and assignments(stage, stage.gallery_id)


# -- identity ---------------------------------------------------------------------------------------------------------


async def test_identity(stage: Stage) -> None:
    first, second = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/images/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
        for name in ("one", "two")
    )
    stage.gallery(identity={"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": [first]})
    body = await stage.ready("Gallery", "platform")
    assert body["status"]["identity"]["principalId"]
    there: Callable[[], Json] = lambda: (stage.in_azure(stage.gallery_id) or {}).get("identity") or {}  # noqa: E731
    stage.patch(
        "Gallery", "platform", {"spec": {"identity": {"type": "UserAssigned", "userAssignedIdentities": [second]}}}
    )
    await stage.until(
        lambda: there().get("type") == "UserAssigned" and set(there()["userAssignedIdentities"]) == {second}
    )
    await stage.ready("Gallery", "platform")
    # Absent: left as it is, also when something else is changed.
    stage.patch("Gallery", "platform", {"spec": {"identity": None, "description": "another"}})
    await stage.until(lambda: (stage.in_azure(stage.gallery_id) or {})["properties"].get("description") == "another")
    await stage.ready("Gallery", "platform")
    assert there()["type"] == "UserAssigned"
