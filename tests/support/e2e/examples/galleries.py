"""What the examples of galleries must have done in Azure."""

from __future__ import annotations

from tests.support.e2e.examples.run import Applied, Json, example
from tests.support.e2e.examples.world import COMPUTE
from tests.support.e2e.kube import condition

_READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
_IMAGE_READER = "cf7c76d2-98a3-4358-a134-615aa78bf44d"


def principal(number: str) -> str:
    """Return an object id as the examples have them."""
    return f"00000000-0000-0000-0000-0000000000{number}"


def assigned(applied: Applied, scope: str) -> dict[str, tuple[str, str]]:
    """Return type and role (its GUID) by principal of the role assignments at a scope."""
    rows = applied.azure.resources("Microsoft.Authorization/roleAssignments")
    found: list[Json] = [row["body"]["properties"] for row in rows]
    return {
        each["principalId"]: (each["principalType"], each["roleDefinitionId"].rsplit("/", 1)[-1])
        for each in found
        if each["scope"].lower() == scope.lower()
    }


@example("01-gallery.yaml")
def gallery(applied: Applied) -> None:
    """A gallery in the region, with description and tags."""
    body = applied.only("01-gallery.yaml")
    assert body["id"] == f"{COMPUTE}/galleries/platform"
    assert body["location"] == "westeurope"
    assert body["properties"]["description"] == "Linux images of the platform team"
    assert body["tags"]["team"] == "platform"


@example("gallery-shared-namespaces.yaml")
def shared_namespaces(applied: Applied) -> None:
    """A definition of another namespace is in the platform team's gallery."""
    parent, definition = applied.bodies("gallery-shared-namespaces.yaml")
    assert parent["id"] == f"{COMPUTE}/galleries/shared_images"
    assert definition["id"] == f"{parent['id']}/images/team-a-debian"


@example("gallery-observe.yaml")
def observed(applied: Applied) -> None:
    """The difference is told, and Azure is as it was."""
    (found,) = applied.ready("gallery-observe.yaml")
    assert condition(found)["reason"] == "Observed"
    (told,) = found["status"]["differences"]
    assert (told["field"], told["found"], told["wanted"]) == ("description", "theirs", "Images of the platform team")
    body = applied.body(f"{COMPUTE}/galleries/terraformed")
    assert (body["properties"]["description"], body.get("tags") or {}) == ("theirs", {})


@example("gallery-adopt.yaml")
def adopted(applied: Applied) -> None:
    """The gallery is ours now, and is as the example says."""
    body = applied.only("gallery-adopt.yaml")
    assert body["id"] == f"{COMPUTE}/galleries/handmade"
    assert body["properties"]["description"] == "Images of the platform team"
    assert body["tags"]["gallery-operator.dev-name"] == "handmade"


@example("gallery-rbac.yaml")
def rbac(applied: Applied) -> None:
    """Each principal has its role on the gallery, and nobody else has one."""
    body = applied.only("gallery-rbac.yaml")
    assert assigned(applied, body["id"]) == {
        principal("a1"): ("User", _READER),
        principal("a2"): ("Group", _IMAGE_READER),
        principal("a3"): ("ServicePrincipal", _READER),
        principal("a4"): ("ServicePrincipal", _READER),
        principal("a5"): ("ForeignGroup", _READER),
    }


@example("gallery-direct.yaml")
def direct(applied: Applied) -> None:
    """Subscriptions and tenants are in the gallery's groups."""
    (found,) = applied.ready("gallery-direct.yaml")
    profile = applied.body(found["status"]["resourceId"])["properties"]["sharingProfile"]
    assert profile["permissions"] == "Groups"
    groups = applied.internal(found["status"]["resourceId"])["groups"]
    assert {each["type"]: sorted(each["ids"]) for each in groups} == {
        "Subscriptions": [principal("b1"), principal("b2")],
        "AADTenants": [principal("c1")],
    }


@example("gallery-community.yaml")
def community(applied: Applied) -> None:
    """The gallery is public, and status has the name that Azure gave it."""
    (found,) = applied.ready("gallery-community.yaml")
    profile = applied.body(found["status"]["resourceId"])["properties"]["sharingProfile"]
    info = profile["communityGalleryInfo"]
    assert (profile["permissions"], info["communityGalleryEnabled"]) == ("Community", True)
    (name,) = info["publicNames"]
    assert name.startswith("exampleimages-")
    assert found["status"]["sharing"]["publicNames"] == [name]
    assert info["eula"] == "https://images.example.com/eula"


@example("definition-rbac.yaml")
def one_definition(applied: Applied) -> None:
    """The partner has a role on the definition, not on the gallery."""
    body = applied.only("definition-rbac.yaml")
    assert assigned(applied, body["id"]) == {principal("a6"): ("User", _READER)}
    assert principal("a6") not in assigned(applied, body["id"].rsplit("/images/", 1)[0])
