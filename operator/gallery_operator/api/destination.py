"""Where an import ends: a page blob, a managed disk, a managed image."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import (
    ApiModel,
    BlobContainer,
    LocalRef,
    Region,
    ResourceGroupName,
    Rule,
    SubscriptionId,
    Tags,
    arm_id,
    exactly_one,
    text,
)


class PageBlob(ApiModel):
    """A page blob in a storage account."""

    storage_account_id: Annotated[str, arm_id("Microsoft.Storage/storageAccounts", "a storage account")]
    container: Annotated[BlobContainer, Field(description="Blob container; it must exist.")]
    blob_name: (
        Annotated[str, Field(min_length=1, max_length=1024, description="Default: `<name of the object>.vhd`.")] | None
    ) = None


_DISK_NAME = r"^[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$"
_DISK_NAME_RULE = (
    "has letters, digits, '-', '_' and '.' only, starts with a letter or digit and ends with a letter, digit or '_' "
    "(Azure's rule)"
)
_EncryptionSet = Annotated[
    str,
    arm_id(
        "Microsoft.Compute/diskEncryptionSets",
        "a disk encryption set",
        description="ARM id of the disk encryption set with the customer's key; default: keys of the platform.",
    ),
]
_CUSTOMER_KEY = "ConfidentialVM_DiskEncryptedWithCustomerKey"
DiskSecurityType = Literal[
    "TrustedLaunch",
    "ConfidentialVM_VMGuestStateOnlyEncryptedWithPlatformKey",
    "ConfidentialVM_DiskEncryptedWithPlatformKey",
    "ConfidentialVM_DiskEncryptedWithCustomerKey",
    "ConfidentialVM_NonPersistedTPM",
]


class DiskSecurityProfile(ApiModel):
    """What kind of virtual machine the OS disk is for.

    Attributes:
        security_type: `TrustedLaunch`, or one of the `ConfidentialVM_...`.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"has(self.secureVMDiskEncryptionSetId) == (self.securityType == '{_CUSTOMER_KEY}')",
            f"secureVMDiskEncryptionSetId belongs to securityType {_CUSTOMER_KEY}, which needs it: set both, or choose "
            "another securityType and leave it out",
            ".secureVMDiskEncryptionSetId",
        ),
    )

    security_type: DiskSecurityType
    secure_vm_disk_encryption_set_id: (
        Annotated[
            str,
            arm_id(
                "Microsoft.Compute/diskEncryptionSets",
                "a disk encryption set",
                description="ARM id of the disk encryption set of a confidential disk with the customer's key.",
            ),
        ]
        | None
    ) = Field(default=None, alias="secureVMDiskEncryptionSetId")


class ManagedDisk(ApiModel):
    """A managed disk, filled by direct upload.

    Attributes:
        location: Region of the disk; a version is made in the region of its disks.
        sku: Storage of the disk; PremiumV2_LRS and UltraSSD_LRS are for data disks.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.zones) || self.zones.size() == 0 || !self.sku.endsWith('_ZRS')",
            "a zone-redundant disk is in all zones: leave zones out, or choose an _LRS sku",
            ".zones",
        ),
    )

    subscription_id: SubscriptionId | None = None
    resource_group: ResourceGroupName
    location: Region
    disk_name: (
        Annotated[
            str,
            text(
                _DISK_NAME,
                f"a disk's name {_DISK_NAME_RULE}",
                max_length=80,
                description="Default: the object's name.",
            ),
        ]
        | None
    ) = None
    sku: Literal[
        "Standard_LRS",
        "StandardSSD_LRS",
        "Premium_LRS",
        "StandardSSD_ZRS",
        "Premium_ZRS",
        "PremiumV2_LRS",
        "UltraSSD_LRS",
    ] = "Standard_LRS"
    zones: Annotated[
        tuple[Annotated[str, text(r"^[1-9]$", "a zone is one digit, for example '1'", max_length=1)], ...],
        Field(max_length=1, description="Availability zone of the disk; default: none."),
    ] = ()
    disk_encryption_set_id: _EncryptionSet | None = None
    tags: Tags = {}


class SecurableDisk(ManagedDisk):
    """A managed disk of an import of its own, filled by direct upload."""

    rules: ClassVar[tuple[Rule, ...]] = ManagedDisk.rules

    security_profile: (
        Annotated[
            DiskSecurityProfile,
            Field(
                description="For Trusted Launch and confidential VMs; default: what the definition's SecurityType asks for."
            ),
        ]
        | None
    ) = None


_HostCaching = Annotated[
    Literal["None", "ReadOnly", "ReadWrite"], Field(description="Caching of the disk on the host; default: Azure's.")
]


class ImageDataDisk(ApiModel):
    """A data disk of a managed image; like all its disks in the image's region.

    Attributes:
        storage_account_type: Storage of the disk of virtual machines that are made from the image; default: Azure's.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("vhdImportRef", "blobUri", "diskId", "snapshotId"),
            "set exactly one of vhdImportRef, blobUri, diskId and snapshotId for each data disk",
        ),
    )

    lun: Annotated[int, Field(ge=0, le=63, description="Logical unit number, unique within the image.")]
    vhd_import_ref: (
        Annotated[
            LocalRef,
            Field(description="VhdImport of this namespace, with diskRole data, that brings the disk to this region."),
        ]
        | None
    ) = None
    blob_uri: (
        Annotated[
            str,
            text(
                r"^https?://[^/?#@]+/[^?]+$",
                "blobUri must be the http or https URL of a blob, without a SAS",
                max_length=2048,
                description="URL of a fixed VHD in a page blob, without a SAS.",
            ),
        ]
        | None
    ) = None
    disk_id: Annotated[str, arm_id("Microsoft.Compute/disks", "a managed disk")] | None = None
    snapshot_id: Annotated[str, arm_id("Microsoft.Compute/snapshots", "a snapshot")] | None = None
    host_caching: _HostCaching | None = None
    storage_account_type: Literal["Standard_LRS", "StandardSSD_LRS", "Premium_LRS"] | None = None


class ManagedImage(ApiModel):
    """A managed image: one region, generalized only, for development and tests.

    Attributes:
        location: Region of the image and of all its disks.
        storage_account_type: Storage of the OS disk of virtual machines that are made from the image; default: Azure's.
        zone_resilient: The image is kept in all zones of the region.
        data_disks: Data disks, by lun.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.dataDisks) || self.dataDisks.all(a, self.dataDisks.exists_one(b, b.lun == a.lun))",
            "two data disks have the same lun: each needs its own",
            ".dataDisks",
        ),
    )

    subscription_id: SubscriptionId | None = None
    resource_group: ResourceGroupName
    location: Region
    image_name: (
        Annotated[
            str,
            text(
                _DISK_NAME,
                f"an image's name {_DISK_NAME_RULE}",
                max_length=80,
                description="Default: the object's name.",
            ),
        ]
        | None
    ) = None
    storage_account_type: Literal["Standard_LRS", "StandardSSD_LRS", "Premium_LRS"] | None = None
    zone_resilient: bool = False
    host_caching: _HostCaching | None = None
    disk_encryption_set_id: _EncryptionSet | None = None
    data_disks: Annotated[tuple[ImageDataDisk, ...], Field(max_length=64)] = ()
    tags: Tags = {}


class DiskDestination(ApiModel):
    """Where a disk ends that a version is made of."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("pageBlob", "managedDisk"),
            "set exactly one of destination.pageBlob and destination.managedDisk; for the staging disk leave destination "
            "out",
        ),
    )

    page_blob: PageBlob | None = None
    managed_disk: ManagedDisk | None = None


class Destination(DiskDestination):
    """Where the disk ends."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("pageBlob", "managedDisk", "managedImage"),
            "set exactly one of destination.pageBlob, destination.managedDisk and destination.managedImage; for the "
            "staging disk leave destination out",
        ),
    )

    managed_disk: SecurableDisk | None = None
    managed_image: ManagedImage | None = None
