"""``Gallery``: an Azure Compute Gallery."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.lifecycle import QuotaUse, SoftDeletePolicy
from gallery_operator.api.meta import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    AdoptionPolicy,
    ApiModel,
    Column,
    DeletionPolicy,
    LocalRef,
    Region,
    Resource,
    ResourceGroupName,
    Rule,
    Spec,
    Status,
    SubscriptionId,
    Tags,
    arm_id,
    immutable,
    text,
)
from gallery_operator.api.sharing import RoleAssignments, RoleAssignmentStatus, SharingProfile, SharingStatus

_NAME_HELP = (
    "a gallery name has letters, digits, '_' and '.' only, starts and ends with a letter or digit, and no dash "
    "(Azure's rule): set spec.galleryName, for example to the object's name with '_' in place of '-'"
)
_TOO_LONG = "a gallery's name in Azure has at most 80 characters: set spec.galleryName"


class AllowedNamespaces(ApiModel):
    """Which other namespaces' definitions may refer to this gallery; its own namespace always may."""

    names: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...],
        Field(max_length=256, description="Namespaces by name; `*` stands for all."),
    ] = ()


class GalleryIdentity(ApiModel):
    """Managed identity of a gallery.

    Attributes:
        type: `None` takes every identity away.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type.contains('UserAssigned') == has(self.userAssignedIdentities)",
            "userAssignedIdentities goes with a type that has UserAssigned in it: set both or neither",
            ".userAssignedIdentities",
        ),
    )

    type: Literal["SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned", "None"]
    user_assigned_identities: (
        Annotated[
            tuple[
                Annotated[
                    str, arm_id("Microsoft.ManagedIdentity/userAssignedIdentities", "a user-assigned managed identity")
                ],
                ...,
            ],
            Field(
                min_length=1,
                max_length=16,
                description="ARM ids of user-assigned identities.",
                json_schema_extra={"x-kubernetes-list-type": "set"},
            ),
        ]
        | None
    ) = None


class GalleryIdentityStatus(ApiModel):
    """Identity that Azure gave to a gallery.

    Attributes:
        principal_id: Object id of the system-assigned identity.
        tenant_id: Its tenant.
    """

    principal_id: str | None = None
    tenant_id: str | None = None


class GallerySpec(Spec):
    """Desired state of a gallery.

    Attributes:
        description: For people.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        immutable("galleryName", "make a new Gallery and move the definitions to it"),
        immutable("subscriptionId", "Azure does not move a gallery to another subscription; make a new Gallery"),
        immutable("resourceGroup", "Azure does not move a gallery to another resource group; make a new Gallery"),
        immutable("location", "a gallery cannot be moved to another region; replicate its versions instead"),
        Rule(
            "has(self.sharingProfile) || !has(oldSelf.sharingProfile) || oldSelf.sharingProfile.permissions == 'Private'",
            "sharingProfile cannot be removed from a shared gallery, it would stay shared: set permissions to Private, "
            "which ends the sharing, and remove it after that",
            ".sharingProfile",
        ),
        Rule(
            "has(oldSelf.sharingProfile) || !has(self.sharingProfile) || self.sharingProfile.permissions != 'Groups' || "
            "self.adoptionPolicy == 'Adopt'",
            "permissions cannot become Groups: Azure allows it only when a gallery is created. Make a new Gallery with "
            "permissions Groups, or share this one by roleAssignments",
            ".sharingProfile.permissions",
        ),
    )

    gallery_name: (
        Annotated[
            str,
            text(
                r"^[A-Za-z0-9]([A-Za-z0-9_.]*[A-Za-z0-9])?$",
                _NAME_HELP,
                max_length=80,
                description="Name in Azure, unique within the subscription; default: the object's name. "
                "Letters, digits, `_` and `.`; no dash.",
            ),
        ]
        | None
    ) = None
    subscription_id: SubscriptionId | None = None
    resource_group: ResourceGroupName
    location: Annotated[Region, Field(description="Home region of the gallery.")]
    description: Annotated[str, Field(max_length=1024)] | None = None
    credential_ref: (
        Annotated[
            LocalRef,
            Field(
                description="Secret in this namespace with AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or "
                "AZURE_CLIENT_CERTIFICATE), optionally AZURE_SUBSCRIPTION_ID. Default: the Secret `gallery-operator-credential` "
                "of this namespace, else the operator's own identity."
            ),
        ]
        | None
    ) = None
    allowed_namespaces: AllowedNamespaces | None = None
    identity: Annotated[GalleryIdentity, Field(description="Managed identity; absent: left as it is.")] | None = None
    sharing_profile: (
        Annotated[
            SharingProfile,
            Field(description="How the gallery is shared beyond Azure RBAC; absent: left as it is, Private at first."),
        ]
        | None
    ) = None
    role_assignments: RoleAssignments = ()
    soft_delete_policy: (
        Annotated[
            SoftDeletePolicy,
            Field(description="Whether deleted versions can be restored; left out, it stays as it is in Azure."),
        ]
        | None
    ) = None
    tags: Tags = {}
    adoption_policy: AdoptionPolicy = "Refuse"
    deletion_policy: DeletionPolicy = "Delete"


class GalleryStatus(Status):
    """Observed state of a gallery.

    Attributes:
        unique_name: Azure's `identifier.uniqueName`.
        location: Home region, as Azure has it.
        identity: Managed identity.
        sharing: With whom the gallery is shared.
        role_assignments: What became of the role assignments.
        soft_delete_policy: Soft delete, as Azure has it.
        quota: What is used of the subscription's limits in the gallery's region.
    """

    unique_name: str | None = None
    location: str | None = None
    identity: GalleryIdentityStatus | None = None
    sharing: SharingStatus | None = None
    role_assignments: tuple[RoleAssignmentStatus, ...] = ()
    soft_delete_policy: SoftDeletePolicy | None = None
    quota: Annotated[tuple[QuotaUse, ...], Field(max_length=8)] = ()


class Gallery(Resource):
    """An Azure Compute Gallery."""

    kind_name: ClassVar[str] = "Gallery"
    plural: ClassVar[str] = "galleries"
    short_name: ClassVar[str] = "gal"
    description: ClassVar[str] = "An Azure Compute Gallery: where image definitions and their versions live."
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Location", ".spec.location"),
        Column("Resource Group", ".spec.resourceGroup", priority=1),
        Column("Sharing", ".status.sharing.summary"),
        Column("State", ".status.provisioningState", priority=1),
        READY_COLUMN,
        MESSAGE_COLUMN,
        AGE_COLUMN,
    )
    root_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.spec.galleryName) || self.metadata.name.matches('^[a-z0-9]([a-z0-9.]*[a-z0-9])?$')",
            _NAME_HELP,
            ".metadata.name",
        ),
        Rule("self.metadata.name.size() <= 80 || has(self.spec.galleryName)", _TOO_LONG, ".metadata.name"),
    )

    spec: GallerySpec
    status: GalleryStatus = GalleryStatus()

    @property
    def gallery_name(self) -> str:
        """Name in Azure."""
        return self.spec.gallery_name or self.metadata.name
