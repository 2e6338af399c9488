"""Cases for how galleries and definitions are shared, and for a gallery's identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import ABSENT, Case
from tests.support import samples

_GROUPS = {"permissions": "Groups", "groups": {"subscriptions": [samples.SUBSCRIPTION]}}
_INFO = {
    "publisherUri": "https://example.com",
    "publisherContact": "images@example.com",
    "eula": "https://example.com/eula",
    "publicNamePrefix": "example",
}
_COMMUNITY = {"permissions": "Community", "communityGalleryInfo": _INFO}
_USER = {"principalId": samples.PRINCIPAL, "principalType": "User"}


def sharing_cases() -> list[Case]:
    """Return the cases of sharingProfile, roleAssignments and identity."""
    return [
        *_profiles(),
        *_transitions(),
        *_assignments("Gallery"),
        *_assignments("GalleryImageDefinition"),
        *_identity(),
    ]


def _gallery(title: str, change: Mapping[str, Any] = {}, message: str | None = None, **more: Any) -> Case:
    return Case("Gallery", title, change, message, **more)


def _profiles() -> list[Case]:
    profile = "spec.sharingProfile"
    return [
        _gallery("sharing: empty is private", {profile: {}}),
        _gallery("sharing: private", {profile: {"permissions": "Private"}}),
        _gallery("sharing: direct", {profile: _GROUPS}),
        _gallery("sharing: direct with nobody yet", {profile: {"permissions": "Groups"}}),
        _gallery("sharing: community", {profile: _COMMUNITY}),
        _gallery(
            "sharing: groups of a private gallery",
            {profile: {"groups": _GROUPS["groups"]}},
            "groups are for direct sharing: set permissions to Groups",
            path=f"{profile}.groups",
        ),
        _gallery(
            "sharing: groups of a community gallery",
            {profile: _COMMUNITY | {"groups": {}}},
            "groups are for direct sharing",
        ),
        _gallery(
            "sharing: community without what everybody sees",
            {profile: {"permissions": "Community"}},
            "set communityGalleryInfo with publisherUri",
            path=f"{profile}.communityGalleryInfo",
        ),
        _gallery(
            "sharing: communityGalleryInfo of a gallery shared directly",
            {profile: _GROUPS | {"communityGalleryInfo": _INFO}},
            "communityGalleryInfo is for a community gallery",
        ),
        _gallery(
            "sharing: public name with a dash",
            {profile: _COMMUNITY | {"communityGalleryInfo": _INFO | {"publicNamePrefix": "my-images"}}},
            "the prefix of a public name has 5 to 16 letters and digits",
        ),
        _gallery(
            "sharing: a subscription by name",
            {profile: {"permissions": "Groups", "groups": {"subscriptions": ["production"]}}},
            "this must be an id such as",
        ),
        _gallery(
            "sharing: a tenant by domain",
            {profile: {"permissions": "Groups", "groups": {"tenants": ["example.onmicrosoft.com"]}}},
            "this must be an id such as",
        ),
        _gallery(
            "sharing: a subscription twice",
            {profile: {"permissions": "Groups", "groups": {"subscriptions": [samples.SUBSCRIPTION] * 2}}},
            "Duplicate value",
        ),
    ]


def _transitions() -> list[Case]:
    profile = "spec.sharingProfile"
    never = "permissions cannot become Groups: Azure allows it only when a gallery is created"
    prefix = f"{profile}.communityGalleryInfo.publicNamePrefix"
    stays = "sharingProfile cannot be removed from a shared gallery"
    return [
        _gallery("sharing: private to direct", {profile: {}}, never, update={profile: _GROUPS}),
        _gallery("sharing: nothing to direct", {}, never, update={profile: _GROUPS}),
        _gallery("sharing: community to direct", {profile: _COMMUNITY}, never, update={profile: _GROUPS}),
        _gallery(
            "sharing: nothing to direct, of a gallery that was adopted",
            {"spec.adoptionPolicy": "Adopt"},
            update={profile: _GROUPS},
        ),
        _gallery("sharing: direct to private", {profile: _GROUPS}, update={profile: {"permissions": "Private"}}),
        _gallery("sharing: direct to community", {profile: _GROUPS}, update={profile: _COMMUNITY}),
        _gallery("sharing: nothing to community", {}, update={profile: _COMMUNITY}),
        _gallery("sharing: community to private", {profile: _COMMUNITY}, update={profile: {}}),
        _gallery("sharing: nobody else", {profile: _GROUPS}, update={f"{profile}.groups": ABSENT}),
        _gallery("sharing: direct, removed", {profile: _GROUPS}, stays, update={profile: ABSENT}, path=profile),
        _gallery("sharing: community, removed", {profile: _COMMUNITY}, stays, update={profile: ABSENT}),
        _gallery("sharing: private, removed", {profile: {}}, update={profile: ABSENT}),
        _gallery(
            "sharing: another public name",
            {profile: _COMMUNITY},
            "publicNamePrefix cannot be changed: consumers refer to the public name",
            update={prefix: "another"},
            path=prefix,
        ),
        _gallery(
            "sharing: another contact",
            {profile: _COMMUNITY},
            update={f"{profile}.communityGalleryInfo.publisherContact": "new@example.com"},
        ),
    ]


def _assignments(kind: str) -> list[Case]:
    field = "spec.roleAssignments"

    def case(title: str, entries: list[dict[str, Any]], message: str | None = None, path: str | None = None) -> Case:
        return Case(kind, f"role assignment: {title}", {field: entries}, message, path=path)

    twice = "each principal gets a role once"
    other = _USER | {"principalId": samples.SUBSCRIPTION}
    return [
        case("of a user", [_USER]),
        case(
            "of each kind", [_each(number, name) for number, name in enumerate(("User", "Group", "ServicePrincipal"))]
        ),
        case("of a group of another tenant", [_USER | {"principalType": "ForeignGroup"}]),
        case("two roles of one user", [_USER | {"role": "Reader"}, _USER | {"roleDefinitionId": samples.ROLE}]),
        case("one role of two users", [_USER, other]),
        case("the most", [_each(number, "Group") | {"roleDefinitionId": samples.ROLE} for number in range(64)]),
        case("twice", [_USER, other, _USER], twice, field),
        case("twice by name", [_USER | {"role": "Reader"}, _USER | {"role": "Reader"}], twice),
        case("twice by id", [_USER | {"roleDefinitionId": samples.ROLE}] * 2, twice),
        case(
            "a mail address",
            [_USER | {"principalId": "someone@example.com"}],
            "principalId is the object id of the user, group or service principal",
        ),
        case(
            "role by name and by id",
            [_USER | {"role": "Reader", "roleDefinitionId": samples.ROLE}],
            "set at most one of role (a built-in role by name) and roleDefinitionId",
        ),
        case("role by bare GUID", [_USER | {"roleDefinitionId": samples.PRINCIPAL}], "this must be the id of a role: "),
        case(
            "role by its id in a subscription",
            [_USER | {"roleDefinitionId": f"/subscriptions/{samples.SUBSCRIPTION}{samples.ROLE}"}],
        ),
    ]


def _each(number: int, kind: str) -> dict[str, Any]:
    return {"principalId": f"00000000-0000-0000-0000-{number:012}", "principalType": kind}


def _identity() -> list[Case]:
    field = "spec.identity"
    both = "userAssignedIdentities goes with a type that has UserAssigned in it"
    of_user = [samples.IDENTITY]
    return [
        _gallery("identity: of the system", {field: {"type": "SystemAssigned"}}),
        _gallery("identity: of the user", {field: {"type": "UserAssigned", "userAssignedIdentities": of_user}}),
        _gallery("identity: taken away", {field: {"type": "None"}}),
        _gallery("identity: of the user, unnamed", {field: {"type": "UserAssigned"}}, both),
        _gallery(
            "identity: of the system, but named",
            {field: {"type": "SystemAssigned", "userAssignedIdentities": of_user}},
            both,
            path=f"{field}.userAssignedIdentities",
        ),
        _gallery(
            "identity: by name",
            {field: {"type": "UserAssigned", "userAssignedIdentities": ["images"]}},
            "this must be the ARM id of a user-assigned managed identity",
        ),
    ]
