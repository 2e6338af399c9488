"""``ImageVersion``: one version of an image definition."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api import publishing
from gallery_operator.api.lifecycle import RetentionDue
from gallery_operator.api.meta import (
    AGE_COLUMN,
    READY_COLUMN,
    VERSION_PATTERN,
    AdoptionPolicy,
    ApiModel,
    Column,
    DeletionPolicy,
    LocalRef,
    ManagedFields,
    Resource,
    Rule,
    Spec,
    Status,
    Tags,
    Time,
    immutable,
    text,
)
from gallery_operator.api.publishing import (
    SafetyProfile,
    StorageAccountType,
    TargetExtendedLocation,
    TargetRegion,
)
from gallery_operator.api.security import SecurityProfile
from gallery_operator.api.version_source import VersionSource

_NEW = "Azure does not allow it; make a new version"


def _uefi(spec: str) -> str:
    return f"(has({spec}.securityProfile) && has({spec}.securityProfile.uefiSettings))"


class ImageVersionSpec(Spec):
    """Desired state of an image version.

    Attributes:
        target_regions: Regions to replicate to; regions may be added and removed at any time.
        exclude_from_latest: The version is not what `latest` stands for, in any region.
        end_of_life_date: When the version stops being supported.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.source) || self.managementPolicy == 'Observe' || self.adoptionPolicy == 'Adopt'",
            "set source: where the disks of the version come from. Only a version that exists already can do without "
            "(managementPolicy Observe, or adoptionPolicy Adopt)",
            ".source",
        ),
        immutable("definitionRef", "make a new ImageVersion"),
        immutable("version", "make a new ImageVersion"),
        immutable("source", _NEW),
        immutable("replicationMode", _NEW),
        Rule(
            # Also true for what is no version at all: the pattern's own message says that.
            f"!self.version.matches(r'{VERSION_PATTERN}') || "
            "self.version.split('.').all(part, part.size() <= 10 && int(part) <= 2147483647)",
            "each part of version must be at most 2147483647",
            ".version",
        ),
        *publishing.RULES,
        Rule(
            f"{_uefi('self')} == {_uefi('oldSelf')} && (!{_uefi('self')} || "
            "self.securityProfile.uefiSettings == oldSelf.securityProfile.uefiSettings)",
            f"securityProfile.uefiSettings cannot be changed: {_NEW}",
            ".securityProfile",
        ),
        Rule(
            "!has(self.safetyProfile) || !has(self.safetyProfile.blockDeletionBeforeEndOfLife) || "
            "!self.safetyProfile.blockDeletionBeforeEndOfLife || has(self.endOfLifeDate)",
            "blockDeletionBeforeEndOfLife needs endOfLifeDate: set it, or leave blockDeletionBeforeEndOfLife out",
        ),
    )

    definition_ref: Annotated[
        LocalRef, Field(description="Definition (of this namespace) that the version belongs to.")
    ]
    version: Annotated[
        str,
        text(
            VERSION_PATTERN,
            "version must be Major.Minor.Patch, three numbers of at most 2147483647, for example 12.7.20261123",
            max_length=32,
            description="`Major.Minor.Patch`, each an int32.",
        ),
    ]
    source: (
        Annotated[
            VersionSource,
            Field(
                description="Disks of the version; a version that exists already and is adopted or observed needs none."
            ),
        ]
        | None
    ) = None
    target_regions: Annotated[
        tuple[TargetRegion, ...],
        Field(
            min_length=1,
            max_length=100,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    target_extended_locations: Annotated[
        tuple[TargetExtendedLocation, ...],
        Field(max_length=32, description="Edge zones to replicate to; they may be added and removed at any time."),
    ] = ()
    replica_count: Annotated[
        int | None,
        Field(ge=1, le=100, description="Replicas in each region that names no regionalReplicaCount; default: 1."),
    ] = None
    storage_account_type: Annotated[
        StorageAccountType | None,
        Field(description="Storage in each region that names none; default: Azure's, Standard_LRS. Cannot be changed."),
    ] = None
    storage_account_strategy: Annotated[
        Literal["PreferStandard_ZRS", "DefaultStandard_LRS"] | None,
        Field(
            description="How Azure chooses the storage in each region that names none: PreferStandard_ZRS: "
            "zone-redundant where the region has it. Cannot be changed."
        ),
    ] = None
    replication_mode: Annotated[
        Literal["Full", "Shallow"],
        Field(description="Shallow is quick and for tests: one region, one replica, disks up to 32 TiB."),
    ] = "Full"
    exclude_from_latest: bool = False
    end_of_life_date: Time | None = None
    safety_profile: SafetyProfile = SafetyProfile()
    security_profile: SecurityProfile | None = None
    ready_policy: Annotated[
        Literal["AllRegions", "AnyRegion", "HomeRegion"],
        Field(
            description="When the version counts as Ready: replicated to all regions, to any, or to the home region."
        ),
    ] = "AllRegions"
    tags: Tags = {}
    adoption_policy: AdoptionPolicy = "Refuse"
    deletion_policy: DeletionPolicy = "Delete"
    bypass_soft_delete: Annotated[
        bool,
        Field(description="Deletion is for good, also where the gallery has soft delete: nothing can be restored."),
    ] = False
    restore_policy: Annotated[
        Literal["Restore", "Refuse"],
        Field(
            description="What to do when the version is soft-deleted in Azure: `Restore` brings it back as it was (the "
            "source is not read), if it is ours or `adoptionPolicy` is `Adopt`; `Refuse` leaves it and says so."
        ),
    ] = "Restore"


class RegionStatus(ApiModel):
    """Replication to a region.

    Attributes:
        state: ``Pending``, ``Replicating``, ``Completed``, ``Failed``, ``Removing`` or ``Unknown``.
        name: Region, as in `spec.targetRegions`.
        progress: Percent.
        replicas: Replicas asked for.
        details: What Azure says about a failure.
        repairs: How often the region was taken out and added again after a failure.
    """

    name: str
    state: str
    progress: int | None = None
    replicas: int | None = None
    details: str | None = None
    repairs: int | None = None


class PolicyViolation(ApiModel):
    """A policy violation that Azure reports.

    Attributes:
        category: `ImageFlaggedUnsafe`, `CopyrightValidation`, `IpTheft` or `Other`.
        details: What Azure says about it.
    """

    category: str
    details: str | None = None


class ExecutedValidation(ApiModel):
    """A validation of the image that Azure has run.

    Attributes:
        type: What was validated, for example `LinuxSecurityBaseline`.
        status: `Succeeded`, `Failed` or `Unknown`.
        version: Of the validation.
        execution_time: When it ran.
    """

    type: str
    status: str
    version: str | None = None
    execution_time: Time | None = None


class PlatformAttribute(ApiModel):
    """Something that Azure says about where the image comes from.

    Attributes:
        name: For example `source_image_publisher`.
        value: What it is.
    """

    name: str
    value: str | None = None


class ValidationsProfile(ApiModel):
    """What Azure has found out about the image.

    Attributes:
        validation_etag: Which state of the version was validated.
        executed_validations: What was run, and how it ended.
        platform_attributes: Where the image comes from.
    """

    validation_etag: str | None = None
    executed_validations: Annotated[tuple[ExecutedValidation, ...], Field(max_length=64)] = ()
    platform_attributes: Annotated[tuple[PlatformAttribute, ...], Field(max_length=64)] = ()


class ImageVersionStatus(Status):
    """Observed state of a version.

    Attributes:
        regions: Replication, region by region.
        regions_ready: Regions that are replicated, and all: `2/3`.
        published_date: When Azure made the version.
        policy_violations: Why Azure may refuse to deploy the version.
        validations_profile: What Azure's validation of the version said.
        managed_fields: Optional fields that the spec has set in Azure: taken out of the spec they are taken out there.
        retention: Set while the definition's retention lists this version as due.
    """

    regions: Annotated[
        tuple[RegionStatus, ...],
        Field(
            max_length=256,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    regions_ready: str | None = None
    published_date: Time | None = None
    policy_violations: Annotated[tuple[PolicyViolation, ...], Field(max_length=64)] = ()
    validations_profile: ValidationsProfile | None = None
    managed_fields: ManagedFields = ()
    retention: RetentionDue | None = None


class ImageVersion(Resource):
    """One version of an image definition."""

    kind_name: ClassVar[str] = "ImageVersion"
    plural: ClassVar[str] = "imageversions"
    short_name: ClassVar[str] = "imgv"
    description: ClassVar[str] = "One version of an image definition, replicated to regions."
    columns: ClassVar[tuple[Column, ...]] = (
        Column("Version", ".spec.version"),
        Column("Regions", ".status.regionsReady"),
        Column("State", ".status.provisioningState"),
        READY_COLUMN,
        Column("Message", '.status.conditions[?(@.type=="Ready")].message'),
        AGE_COLUMN,
    )

    root_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.spec.source) || !has(self.spec.source.imageVersionRef) || self.spec.source.imageVersionRef.name != self.metadata.name",
            "imageVersionRef names the version itself: name another one",
            ".spec.source.imageVersionRef",
        ),
    )

    spec: ImageVersionSpec
    status: ImageVersionStatus = ImageVersionStatus()
