"""``GalleryImageDefinition``: an image definition in a gallery."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.lifecycle import (
    NextEndOfLife,
    QuotaUse,
    RegionLatest,
    Retention,
    RetentionStatus,
    SoftDeletedStatus,
)
from gallery_operator.api.meta import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    VERSION_PATTERN,
    AdoptionPolicy,
    ApiModel,
    Column,
    DeletionPolicy,
    ManagedFields,
    ObjectName,
    Resource,
    Rule,
    Spec,
    Status,
    Tags,
    Time,
    arm_id,
    exactly_one,
    immutable,
    text,
)
from gallery_operator.api.sharing import RoleAssignments, RoleAssignmentStatus

SECURITY_TYPES = (
    "Standard",
    "TrustedLaunchSupported",
    "TrustedLaunch",
    "ConfidentialVmSupported",
    "ConfidentialVm",
    "TrustedLaunchAndConfidentialVmSupported",
)
"""Values of the feature ``SecurityType``; Azure does not heed their case."""

_NEW = "make a new definition"


def _lower(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{name.lower()}'" for name in names) + "]"


_IDENTIFIER = r"^[A-Za-z0-9._-]*[A-Za-z0-9_-]$"
_IDENTIFIER_HELP = "this has letters, digits, '-', '.' and '_' only, and does not end with '.' (Azure's rule)"


class GalleryRef(ApiModel):
    """A Gallery object, in this namespace or in one that lists this namespace in ``allowedNamespaces``.

    Attributes:
        namespace: Namespace of the Gallery; default: this object's.
    """

    name: ObjectName
    namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = None


class ExternalGallery(ApiModel):
    """A gallery that is managed elsewhere (Terraform, the portal)."""

    resource_id: Annotated[str, arm_id("Microsoft.Compute/galleries", "a gallery")]


class Identifier(ApiModel):
    """Publisher, offer and sku; the triple is unique within a gallery.

    Attributes:
        publisher: Who publishes the image, for example the platform team.
        offer: What is offered, for example `debian`.
        sku: The variant, for example `12-gen2`.
    """

    publisher: Annotated[str, text(_IDENTIFIER, _IDENTIFIER_HELP, max_length=128)]
    offer: Annotated[str, text(_IDENTIFIER, _IDENTIFIER_HELP, max_length=64)]
    sku: Annotated[str, text(_IDENTIFIER, _IDENTIFIER_HELP, max_length=64)]


class Feature(ApiModel):
    """A feature of the image, for example ``SecurityType`` or ``DiskControllerTypes``.

    Attributes:
        name: ARM's name of the feature.
        value: Its value, as text.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.name.lowerAscii() != 'securitytype' || self.value.lowerAscii() in {_lower(SECURITY_TYPES)}",
            f"SecurityType is one of {', '.join(SECURITY_TYPES)}",
            ".value",
        ),
        Rule(
            "self.name.lowerAscii() != 'diskcontrollertypes' || "
            "self.value.split(',').all(kind, kind.trim().lowerAscii() in ['scsi', 'nvme'])",
            "DiskControllerTypes is SCSI, NVMe, or both with a comma between",
            ".value",
        ),
        Rule(
            "!(self.name.lowerAscii() in ['isacceleratednetworksupported', 'ishibernatesupported']) || "
            "self.value.lowerAscii() in ['true', 'false']",
            "this feature is either True or False (in quotes: it is text)",
            ".value",
        ),
    )

    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[str, Field(min_length=1, max_length=128)]
    starts_at_version: (
        Annotated[
            str,
            text(
                VERSION_PATTERN,
                "startsAtVersion must be Major.Minor.Patch, for example 2.0.0",
                max_length=32,
                description="First version of the definition that has the feature; default: all have it.",
            ),
        ]
        | None
    ) = None


class Range(ApiModel):
    """A range of a recommended size.

    Attributes:
        min: Smallest.
        max: Largest.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.min) || !has(self.max) || self.min <= self.max",
            "min must not be greater than max: correct one of them",
        ),
    )

    min: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class Recommended(ApiModel):
    """Recommended sizes of the virtual machine.

    Attributes:
        v_cpus: Number of virtual processors.
        memory: Memory in GiB.
    """

    v_cpus: Annotated[Range | None, Field(alias="vCPUs")] = None
    memory: Range | None = None


class Disallowed(ApiModel):
    """Disk types that a VM made from the image must not use.

    Attributes:
        disk_types: For example `Standard_LRS`.
    """

    disk_types: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=64)], ...], Field(max_length=16)] = ()


class PurchasePlan(ApiModel):
    """Marketplace purchase plan that a VM made from the image needs.

    Attributes:
        name: Plan.
        publisher: Publisher of the plan.
        product: Offer that the plan belongs to.
    """

    name: Annotated[str, Field(min_length=1, max_length=128)]
    publisher: Annotated[str, Field(min_length=1, max_length=128)]
    product: Annotated[str, Field(min_length=1, max_length=128)]


class DefinitionSpec(Spec):
    """Desired state of an image definition.

    Attributes:
        architecture: Of the processors that the image runs on.
        end_of_life_date: When the image stops being supported; Azure goes on serving it.
        description: For people.
        eula: Licence agreement, as text or URL.
        privacy_statement_uri: URL of the privacy statement.
        release_note_uri: URL of the release notes.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("galleryRef", "gallery"),
            "set exactly one of galleryRef (a Gallery object) and gallery (an ARM id)",
        ),
        immutable("galleryRef", _NEW),
        immutable("gallery", _NEW),
        immutable("imageDefinitionName", _NEW),
        immutable("osType", f"Azure does not allow it; {_NEW}"),
        immutable("osState", f"Azure does not allow it; {_NEW}"),
        immutable("hyperVGeneration", f"Azure does not allow it; {_NEW}"),
        immutable("architecture", f"Azure does not allow it; {_NEW}"),
        immutable("identifier", f"Azure does not allow it; {_NEW}"),
        immutable("purchasePlan", f"Azure does not allow it; {_NEW}"),
        immutable("eula", f"Azure does not allow it; {_NEW}"),
        Rule(
            "self.architecture != 'Arm64' || self.hyperVGeneration == 'V2'",
            "Arm64 images are V2 (UEFI) only: set hyperVGeneration to V2",
        ),
        Rule(
            "!has(self.features) || self.features.all(a, self.features.exists_one(b, "
            "b.name.lowerAscii() == a.name.lowerAscii()))",
            "a feature is named twice (Azure does not heed the case of names): name each once",
            ".features",
        ),
        Rule(
            "self.hyperVGeneration == 'V2' || !has(self.features) || self.features.all(f, "
            "f.name.lowerAscii() != 'securitytype' || f.value.lowerAscii() == 'standard')",
            "Trusted Launch and confidential VMs boot by UEFI: set hyperVGeneration to V2, or SecurityType to Standard",
        ),
    )

    gallery_ref: GalleryRef | None = None
    gallery: ExternalGallery | None = None
    image_definition_name: (
        Annotated[
            str,
            text(
                r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
                "an image definition's name has letters, digits, '-', '_' and '.' only, and starts and ends with a "
                "letter or digit (Azure's rule)",
                max_length=80,
                description="Name in Azure; default: the object's name.",
            ),
        ]
        | None
    ) = None
    os_type: Annotated[Literal["Linux"], Field(description="Operating system; this operator brings Linux images.")] = (
        "Linux"
    )
    os_state: Annotated[
        Literal["Generalized", "Specialized"],
        Field(description="Generalized images are provisioned at first boot; specialized ones start as they are."),
    ]
    hyper_v_generation: Annotated[Literal["V1", "V2"], Field(description="V1 boots by BIOS, V2 by UEFI.")] = "V2"
    architecture: Literal["x64", "Arm64"] = "x64"
    identifier: Identifier
    features: Annotated[
        tuple[Feature, ...],
        Field(
            max_length=16,
            description="ARM features; `SecurityType` is always sent, as `Standard` unless it is named here.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    recommended: Recommended | None = None
    disallowed: Disallowed | None = None
    purchase_plan: PurchasePlan | None = None
    end_of_life_date: Time | None = None
    description: Annotated[str, Field(max_length=1024)] | None = None
    eula: Annotated[str, Field(max_length=1024)] | None = None
    privacy_statement_uri: Annotated[str, Field(max_length=1024)] | None = None
    release_note_uri: Annotated[str, Field(max_length=1024)] | None = None
    role_assignments: RoleAssignments = ()
    retention: (
        Annotated[
            Retention, Field(description="Which versions stay, and what happens to the others; default: all stay.")
        ]
        | None
    ) = None
    tags: Tags = {}
    adoption_policy: AdoptionPolicy = "Refuse"
    deletion_policy: DeletionPolicy = "Delete"


class DefinitionStatus(Status):
    """Observed state of an image definition.

    Attributes:
        versions: Number of versions that Azure has under the definition.
        latest_version: What ``latest`` resolves to.
        role_assignments: What became of the role assignments.
        latest_version: What ``latest`` resolves to, where no region says otherwise.
        latest_by_region: Regions in which ``latest`` resolves to another version.
        next_end_of_life: The version whose end of life comes next.
        soft_deleted: Deleted versions that can be restored.
        retention: What ``spec.retention`` has found.
        quota: What is used of the subscription's limits; only for a definition in a gallery that is managed elsewhere.
        managed_fields: Optional fields that the spec has set in Azure: taken out of the spec they are taken out there.
    """

    versions: int | None = None
    latest_version: str | None = None
    role_assignments: tuple[RoleAssignmentStatus, ...] = ()
    latest_by_region: Annotated[tuple[RegionLatest, ...], Field(max_length=256)] = ()
    next_end_of_life: NextEndOfLife | None = None
    soft_deleted: SoftDeletedStatus | None = None
    retention: RetentionStatus | None = None
    quota: Annotated[tuple[QuotaUse, ...], Field(max_length=8)] = ()
    managed_fields: ManagedFields = ()


class GalleryImageDefinition(Resource):
    """An image definition."""

    kind_name: ClassVar[str] = "GalleryImageDefinition"
    plural: ClassVar[str] = "galleryimagedefinitions"
    short_name: ClassVar[str] = "gid"
    description: ClassVar[str] = (
        "An image definition in an Azure Compute Gallery: what all its versions have in common."
    )
    columns: ClassVar[tuple[Column, ...]] = (
        Column("OS State", ".spec.osState"),
        Column("Gen", ".spec.hyperVGeneration"),
        Column("Arch", ".spec.architecture"),
        Column("Latest", ".status.latestVersion"),
        Column("Versions", ".status.versions", type="integer"),
        READY_COLUMN,
        MESSAGE_COLUMN,
        AGE_COLUMN,
    )
    root_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.spec.imageDefinitionName) || self.metadata.name.size() <= 80",
            "an image definition's name in Azure has at most 80 characters: set spec.imageDefinitionName",
            ".metadata.name",
        ),
    )

    spec: DefinitionSpec
    status: DefinitionStatus = DefinitionStatus()

    @property
    def definition_name(self) -> str:
        """Name in Azure."""
        return self.spec.image_definition_name or self.metadata.name
