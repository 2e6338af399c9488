"""``Gallery``: an Azure Compute Gallery."""

from typing import Annotated, ClassVar

from pydantic import Field

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
    Status,
    SubscriptionId,
    Tags,
    immutable,
    text,
)

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


class GallerySpec(ApiModel):
    """Desired state of a gallery.

    Attributes:
        description: For people.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        immutable("galleryName", "make a new Gallery and move the definitions to it"),
        immutable("subscriptionId", "gallery resources cannot be moved between subscriptions"),
        immutable("resourceGroup", "gallery resources cannot be moved between resource groups"),
        immutable("location", "a gallery cannot be moved to another region; replicate its versions instead"),
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
    tags: Tags = {}
    adoption_policy: AdoptionPolicy = "Refuse"
    deletion_policy: DeletionPolicy = "Delete"


class GalleryStatus(Status):
    """Observed state of a gallery.

    Attributes:
        unique_name: Azure's `identifier.uniqueName`.
        location: Home region, as Azure has it.
    """

    unique_name: str | None = None
    location: str | None = None


class Gallery(Resource):
    """An Azure Compute Gallery."""

    kind_name: ClassVar[str] = "Gallery"
    plural: ClassVar[str] = "galleries"
    short_name: ClassVar[str] = "gal"
    description: ClassVar[str] = "An Azure Compute Gallery: where image definitions and their versions live."
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Location", ".spec.location"),
        Column("Resource Group", ".spec.resourceGroup", priority=1),
        Column("State", ".status.provisioningState"),
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
