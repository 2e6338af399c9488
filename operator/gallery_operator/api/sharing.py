"""With whom a gallery or an image definition is shared: models of spec and status.

Names are those of ARM's ``sharingProfile``, ``sharingStatus`` and ``roleAssignments``; there a group is a type with
ids, here each type has a field of its own, so that its limit is a rule of the schema.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import ApiModel, Rule, Time, at_most_one, text

_GUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
MAX_ROLE_ASSIGNMENTS = 64
"""Of one gallery or definition; Azure allows 4000 in a subscription."""
MAX_SUBSCRIPTIONS, MAX_TENANTS = 30, 5

Guid = Annotated[
    str,
    text(
        f"^{_GUID}$",
        "this must be an id such as 00000000-0000-0000-0000-000000000000",
        max_length=36,
    ),
]
PrincipalType = Literal["User", "Group", "ServicePrincipal", "ForeignGroup"]
RoleName = Literal[
    "Reader",
    "Compute Gallery Image Reader",
    "Compute Gallery Artifacts Publisher",
    "Compute Gallery Sharing Admin",
]
Permissions = Literal["Private", "Groups", "Community"]

ROLES: dict[str, str] = {
    "Reader": "acdd72a7-3385-48ef-bd42-f606fba81ae7",
    "Compute Gallery Image Reader": "cf7c76d2-98a3-4358-a134-615aa78bf44d",
    "Compute Gallery Artifacts Publisher": "85a2d0d9-2eba-4c9c-b355-11c2cc0788ab",
    "Compute Gallery Sharing Admin": "1ef6a3be-d0ac-425d-8c01-acb62866290b",
}
"""Built-in roles that concern galleries, and their ids; the same in every tenant."""


class SharingGroups(ApiModel):
    """Who sees a gallery that is shared directly."""

    subscriptions: Annotated[
        tuple[Guid, ...],
        Field(
            max_length=MAX_SUBSCRIPTIONS,
            description="Ids of subscriptions, of any tenant.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()
    tenants: Annotated[
        tuple[Guid, ...],
        Field(
            max_length=MAX_TENANTS,
            description="Ids of tenants: every subscription of theirs.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = ()


class CommunityGalleryInfo(ApiModel):
    """What everybody in Azure sees of a community gallery."""

    publisher_uri: Annotated[
        str, Field(min_length=1, max_length=1024, description="Web site of the publisher; everybody sees it.")
    ]
    publisher_contact: Annotated[
        str, Field(min_length=1, max_length=320, description="Mail address for support; everybody sees it.")
    ]
    eula: Annotated[
        str, Field(min_length=1, max_length=1024, description="Licence agreement, as text or URL; everybody sees it.")
    ]
    public_name_prefix: Annotated[
        str,
        text(
            r"^[A-Za-z0-9]+$",
            "the prefix of a public name has 5 to 16 letters and digits (Azure's rule)",
            min_length=5,
            max_length=16,
            description="Begins the public name, which Azure completes: `<prefix>-<guid>`. 5 to 16 letters and digits.",
        ),
    ]


class SharingProfile(ApiModel):
    """How a gallery is shared beyond Azure RBAC."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.permissions == 'Groups' || !has(self.groups)",
            "groups are for direct sharing: set permissions to Groups, or remove groups",
            ".groups",
        ),
        Rule(
            "self.permissions == 'Community' || !has(self.communityGalleryInfo)",
            "communityGalleryInfo is for a community gallery: set permissions to Community, or remove it",
            ".communityGalleryInfo",
        ),
        Rule(
            "self.permissions != 'Community' || has(self.communityGalleryInfo)",
            "a community gallery shows everybody who publishes it: set communityGalleryInfo with publisherUri, "
            "publisherContact, eula and publicNamePrefix",
            ".communityGalleryInfo",
        ),
        Rule(
            "self.permissions != 'Groups' || oldSelf.permissions == 'Groups'",
            "permissions cannot become Groups: Azure allows it only when a gallery is created. Make a new Gallery with "
            "permissions Groups, or share this one by roleAssignments",
            ".permissions",
        ),
        Rule(
            "!has(self.communityGalleryInfo) || !has(oldSelf.communityGalleryInfo) || "
            "self.communityGalleryInfo.publicNamePrefix == oldSelf.communityGalleryInfo.publicNamePrefix",
            "publicNamePrefix cannot be changed: consumers refer to the public name made from it. Set permissions to "
            "Private first, then to Community with the new prefix; the old public name ends with it",
            ".communityGalleryInfo.publicNamePrefix",
        ),
    )

    permissions: Annotated[
        Permissions,
        Field(
            description="Private: only Azure RBAC (roleAssignments). Groups: direct sharing with subscriptions and "
            "tenants; only a new gallery can have it. Community: everybody in Azure."
        ),
    ] = "Private"
    groups: SharingGroups | None = None
    community_gallery_info: CommunityGalleryInfo | None = None


class RoleAssignment(ApiModel):
    """A role that somebody gets on the gallery or the definition."""

    rules: ClassVar[tuple[Rule, ...]] = (
        at_most_one(
            ("role", "roleDefinitionId"),
            "set at most one of role (a built-in role by name) and roleDefinitionId (any role by id)",
        ),
    )

    principal_id: Annotated[
        str,
        text(
            f"^{_GUID}$",
            "principalId is the object id of the user, group or service principal, such as "
            "00000000-0000-0000-0000-000000000000: not its name, mail address or application id",
            max_length=36,
            description="Object id in Entra ID. Of a service principal: not the application (client) id.",
        ),
    ]
    principal_type: Annotated[
        PrincipalType,
        Field(
            description="What principalId is. ForeignGroup: a group of another tenant. A user of another tenant is a "
            "guest (User), an application of another tenant its service principal in this one."
        ),
    ]
    role: Annotated[RoleName, Field(description="Built-in role; default: Reader.")] | None = None
    role_definition_id: (
        Annotated[
            str,
            text(
                rf"(?i)^(/subscriptions/{_GUID})?/providers/Microsoft\.Authorization/roleDefinitions/{_GUID}$",
                "this must be the id of a role: /providers/Microsoft.Authorization/roleDefinitions/<guid>, with or "
                "without /subscriptions/<id> before it",
                max_length=160,
                description="Any role by its ARM id, instead of role.",
            ),
        ]
        | None
    ) = None
    description: (
        Annotated[str, Field(max_length=512, description="Kept with the assignment in Azure, for people.")] | None
    ) = None

    @property
    def role_guid(self) -> str:
        """Id of the role definition, in lower case."""
        if self.role_definition_id is not None:
            return self.role_definition_id.rsplit("/", 1)[1].lower()
        return ROLES[self.role or "Reader"]


_ONCE = Rule(
    "self.all(x, self.exists_one(y, y.principalId == x.principalId && has(y.role) == has(x.role) && "
    "(!has(x.role) || y.role == x.role) && has(y.roleDefinitionId) == has(x.roleDefinitionId) && "
    "(!has(x.roleDefinitionId) || y.roleDefinitionId == x.roleDefinitionId)))",
    "each principal gets a role once: remove the entry that is there twice",
)
RoleAssignments = Annotated[
    tuple[RoleAssignment, ...],
    Field(
        max_length=MAX_ROLE_ASSIGNMENTS,
        description="Who may use the images, by Azure RBAC. An entry that is removed here is removed in Azure; what "
        "others assigned is never touched.",
        json_schema_extra={"x-kubernetes-validations": [_ONCE.to_schema()]},
    ),
]


class RoleAssignmentStatus(ApiModel):
    """A role assignment as far as it has come.

    Attributes:
        name: Name (a GUID) of the assignment in Azure, made from scope, role and principal.
        principal_id: Who gets the role.
        role_definition_id: GUID of the role.
        state: `Assigned`; `AssignedByOthers`: Azure has one for the same principal and role that was not made from
            this list, which is enough and stays when the entry goes; `Pending`; `Removing`; `Failed`.
        reason: Azure's code, when it failed.
        message: Why it failed, and what to do next.
        since: When it failed first.
    """

    name: str
    principal_id: str
    role_definition_id: str
    state: Literal["Pending", "Assigned", "AssignedByOthers", "Removing", "Failed"]
    reason: str | None = None
    message: str | None = None
    since: Time | None = None


class RegionalSharingStatus(ApiModel):
    """How far sharing is in a region.

    Attributes:
        region: Region.
        state: `Succeeded`, `InProgress`, `Failed` or `Unknown`.
        details: Why it failed.
    """

    region: str
    state: str | None = None
    details: str | None = None


class SharingStatus(ApiModel):
    """How a gallery is shared, as Azure has it.

    Attributes:
        summary: In a few words: `Private`, `RBAC (2)`, `Direct (3 subscriptions, 1 tenant)`, `Community`.
        permissions: `Private`, `Groups` or `Community`.
        community_gallery_enabled: Everybody can see the gallery.
        public_names: Names by which everybody finds it.
        aggregated_state: State over all regions.
        regions: State of each region.
        subscriptions: Subscriptions that it is shared with.
        tenants: Tenants that it is shared with.
    """

    summary: str | None = None
    permissions: str | None = None
    community_gallery_enabled: bool | None = None
    public_names: tuple[str, ...] = ()
    aggregated_state: str | None = None
    regions: tuple[RegionalSharingStatus, ...] = ()
    subscriptions: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
