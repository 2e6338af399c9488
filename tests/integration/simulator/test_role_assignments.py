"""Role assignments: the lines between created, kept, refused and gone."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.support.azure import GROUP, SUBSCRIPTION, AzureStand

from .plain import Send, client

READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
SCOPE = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/galleries/platform"
API = "api-version=2022-04-01"
GALLERY = "api-version=2026-03-03"


@pytest.fixture
def send(azure: AzureStand) -> Send:
    found = client(azure)
    assert found("PUT", f"{SCOPE}?{GALLERY}", {"location": "westeurope"}).status == 201
    return found


def assignment(principal: str, role: str = READER, **more: Any) -> dict[str, Any]:
    identity = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    properties = {"roleDefinitionId": identity, "principalId": principal, "principalType": "Group", **more}
    return {"properties": {name: value for name, value in properties.items() if value is not None}}


def path(name: str, scope: str = SCOPE) -> str:
    return f"{scope}/providers/Microsoft.Authorization/roleAssignments/{name}?{API}"


def code(answer: Any) -> tuple[int, str]:
    return answer.status, answer.body["error"]["code"]


def test_made_shown_and_removed(azure: AzureStand, send: Send) -> None:
    name, who = str(uuid.uuid4()), str(uuid.uuid4())
    made = send("PUT", path(name), assignment(who, principalType="ForeignGroup", description="for the shop"))
    assert made.status == 201
    shown = made.body["properties"]
    assert (shown["principalType"], shown["scope"], shown["createdBy"]) == ("ForeignGroup", SCOPE, None)
    assert (made.body["name"], made.body["id"]) == (name, path(name).split("?")[0])
    again = send("PUT", path(name), assignment(who, principalType="ForeignGroup", description="for the shop"))
    assert again.status == 200
    found = send("GET", path(name), None)
    assert found.status == 200 and found.body["properties"]["createdBy"] == shown["updatedBy"]
    rows = azure.resources("Microsoft.Authorization/roleAssignments")
    assert [row["body"]["properties"]["principalId"] for row in rows] == [who]
    gone = send("DELETE", path(name), None)
    assert (gone.status, gone.body["name"]) == (200, name)
    assert send("DELETE", path(name), None).status == 204
    assert code(send("GET", path(name), None)) == (404, "RoleAssignmentNotFound")


def test_the_same_triple_under_another_name_exists_already(send: Send) -> None:
    who = str(uuid.uuid4())
    assert send("PUT", path(str(uuid.uuid4())), assignment(who)).status == 201
    assert code(send("PUT", path(str(uuid.uuid4())), assignment(who.upper()))) == (409, "RoleAssignmentExists")
    group = SCOPE.split("/providers")[0]
    assert send("PUT", path(str(uuid.uuid4()), group), assignment(who)).status == 201, "another scope is another triple"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (assignment(str(uuid.uuid4()), principalType=None), (400, "PrincipalNotFound")),
        (assignment("somebody"), (400, "InvalidPrincipalId")),
        (assignment(str(uuid.uuid4()), role=str(uuid.uuid4())), (404, "RoleDefinitionDoesNotExist")),
        (assignment(str(uuid.uuid4()), role="Reader"), (400, "InvalidRoleDefinitionId")),
        ({"properties": {"principalId": str(uuid.uuid4())}}, (400, "InvalidParameter")),
    ],
)
def test_refused(send: Send, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert code(send("PUT", path(str(uuid.uuid4())), body)) == expected


def test_scope_and_name_are_checked(send: Send) -> None:
    body = assignment(str(uuid.uuid4()))
    assert code(send("PUT", path("reader"), body)) == (400, "InvalidRoleAssignmentId")
    name = str(uuid.uuid4())
    assert code(send("PUT", path(name, f"{SCOPE}x"), body)) == (404, "ResourceNotFound")
    assert code(send("PUT", path(name, f"/subscriptions/{uuid.uuid4()}"), body)) == (404, "SubscriptionNotFound")


def test_the_directory_knows_kinds(azure: AzureStand, send: Send) -> None:
    who = str(uuid.uuid4())
    azure.request("PUT", "/_control/principals", {"id": who, "type": "User"})
    assert code(send("PUT", path(str(uuid.uuid4())), assignment(who))) == (400, "UnmatchedPrincipalType")
    made = send("PUT", path(str(uuid.uuid4())), assignment(who, principalType=None))
    assert made.body["properties"]["principalType"] == "User"


def test_another_principal_under_the_same_name_is_refused(send: Send) -> None:
    name = str(uuid.uuid4())
    assert send("PUT", path(name), assignment(str(uuid.uuid4()))).status == 201
    changed = send("PUT", path(name), assignment(str(uuid.uuid4())))
    assert code(changed) == (400, "RoleAssignmentUpdateNotPermitted")


def test_lists_know_above_and_below(send: Send) -> None:
    who, other = str(uuid.uuid4()), str(uuid.uuid4())
    definition = f"{SCOPE}/images/debian"
    body = {
        "location": "westeurope",
        "properties": {
            "osType": "Linux",
            "osState": "Generalized",
            "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
        },
    }
    assert send("PUT", f"{definition}?{GALLERY}", body).status == 201
    names = [str(uuid.uuid4()) for _ in range(4)]
    places = (SCOPE.split("/providers")[0], SCOPE, definition, SCOPE)
    for name, place, principal in zip(names, places, (who, who, who, other), strict=True):
        assert send("PUT", path(name, place), assignment(principal)).status == 201

    def listed(scope: str, query: str = "") -> set[str]:
        answer = send("GET", f"{scope}/providers/Microsoft.Authorization/roleAssignments?{API}{query}", None)
        return {row["name"] for row in answer.body["value"]}

    assert listed(SCOPE) == set(names)
    assert listed(SCOPE, "&$filter=atScope()") == {names[0], names[1], names[3]}
    assert listed(SCOPE, f"&$filter=principalId%20eq%20'{who}'") == set(names[:3])
    assert listed(SCOPE, f"&$filter=atScope()%20and%20principalId%20eq%20'{other}'") == {names[3]}
    assert send("DELETE", f"{definition}?{GALLERY}", None).status == 202


def test_assignments_go_with_their_scope(azure: AzureStand, send: Send) -> None:
    assert send("PUT", path(str(uuid.uuid4())), assignment(str(uuid.uuid4()))).status == 201
    azure.skip(10)
    assert send("DELETE", f"{SCOPE}?{GALLERY}", None).status == 202
    azure.skip(10)
    assert azure.resources("Microsoft.Authorization/roleAssignments") == []


def test_roles_are_found_by_name_and_id(azure: AzureStand, send: Send) -> None:
    base = f"{SCOPE}/providers/Microsoft.Authorization/roleDefinitions"
    found = send("GET", f"{base}?$filter=roleName%20eq%20'Compute%20Gallery%20Image%20Reader'&{API}", None)
    assert [row["name"] for row in found.body["value"]] == ["cf7c76d2-98a3-4358-a134-615aa78bf44d"]
    one = send("GET", f"{base}/{READER}?{API}", None)
    assert one.body["properties"]["permissions"][0]["actions"] == ["*/read"]
    assert code(send("GET", f"{base}/{uuid.uuid4()}?{API}", None)) == (404, "RoleDefinitionDoesNotExist")
    custom = str(uuid.uuid4())
    azure.request("PUT", "/_control/roles", {"name": custom, "roleName": "Image user", "actions": ["*/read"]})
    assert send("PUT", path(str(uuid.uuid4())), assignment(str(uuid.uuid4()), role=custom)).status == 201
