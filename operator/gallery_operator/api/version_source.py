"""Where the disks of an image version come from."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.import_template import ImportTemplate
from gallery_operator.api.meta import (
    ApiModel,
    LocalRef,
    Rule,
    arm_id,
    exactly_one,
    text,
)

_OF_A_DISK = ("vhdImportRef", "importTemplate", "blob", "diskId", "snapshotId")
_WHOLE = (
    "managedImageId",
    "virtualMachineId",
    "galleryImageVersionId",
    "imageVersionRef",
    "communityGalleryImageId",
)
HostCaching = Annotated[
    Literal["None", "ReadOnly", "ReadWrite"],
    Field(description="Caching of the disk on the host; default: Azure's, ReadWrite for an OS disk."),
]


class BlobSource(ApiModel):
    """A fixed VHD in a page blob.

    Attributes:
        uri: URL of the blob, without a SAS.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!self.uri.contains('?')",
            "uri must not contain a query: a SAS is a secret and is not needed here",
            ".uri",
        ),
    )

    storage_account_id: Annotated[str, arm_id("Microsoft.Storage/storageAccounts", "a storage account")]
    uri: Annotated[str, text(r"^https?://[^/?#@]+/.+", "uri must be the http or https URL of a blob", max_length=2048)]


class _Numbered(ApiModel):
    """What only a data disk has."""

    lun: Annotated[int, Field(ge=0, le=63, description="Logical unit number, unique within the version.")]


class DiskFrom(ApiModel):
    """Where a disk comes from."""

    vhd_import_ref: (
        Annotated[LocalRef, Field(description="VhdImport of this namespace that brings the disk.")] | None
    ) = None
    import_template: (
        Annotated[
            ImportTemplate,
            Field(
                description="VhdImport that the version makes, owns and takes with it: no second manifest is needed."
            ),
        ]
        | None
    ) = None
    blob: Annotated[BlobSource, Field(description="Fixed VHD in a page blob.")] | None = None
    disk_id: Annotated[str, arm_id("Microsoft.Compute/disks", "a managed disk")] | None = None
    snapshot_id: Annotated[str, arm_id("Microsoft.Compute/snapshots", "a snapshot")] | None = None
    host_caching: HostCaching | None = None


class OsDiskSource(DiskFrom):
    """Where the OS disk comes from."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            _OF_A_DISK,
            "set exactly one of vhdImportRef, importTemplate, blob, diskId and snapshotId for the OS disk",
        ),
        Rule(
            "!has(self.importTemplate) || !has(self.importTemplate.spec.destination) || "
            "!has(self.importTemplate.spec.destination.managedDisk) || "
            "!(self.importTemplate.spec.destination.managedDisk.sku in ['PremiumV2_LRS', 'UltraSSD_LRS'])",
            "PremiumV2_LRS and UltraSSD_LRS are for data disks: choose another sku for an OS disk (Azure's rule)",
            ".importTemplate",
        ),
    )


# The last base's fields come first: the lun heads a data disk's fields.
class DataDiskSource(DiskFrom, _Numbered):
    """Where a data disk comes from."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            _OF_A_DISK,
            "set exactly one of vhdImportRef, importTemplate, blob, diskId and snapshotId for each data disk",
        ),
    )


def _no_two(field: str, value: str, message: str, *, cased: bool = True) -> Rule:
    """Return a rule: no two disks have the same source.

    Args:
        field: The kind of source.
        value: Where its value is, below the disk.
        message: What is wrong and what to do.
        cased: Case makes a difference.
    """

    def of(disk: str) -> str:
        return f"{disk}.{value}" if cased else f"{disk}.{value}.lowerAscii()"

    return Rule(
        f"!has(self.dataDisks) || self.dataDisks.all(a, !has(a.{field}) || "
        f"((!has(self.osDisk) || !has(self.osDisk.{field}) || {of('self.osDisk')} != {of('a')}) && "
        f"self.dataDisks.exists_one(b, has(b.{field}) && {of('b')} == {of('a')})))",
        message,
        ".dataDisks",
    )


class VersionSource(ApiModel):
    """What the version is made of: disks one by one, or an image as a whole.

    Attributes:
        data_disks: Data disks, by lun; only beside `osDisk`.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            ("osDisk", *_WHOLE),
            "set exactly one of osDisk, managedImageId, virtualMachineId, galleryImageVersionId, imageVersionRef and "
            "communityGalleryImageId",
        ),
        Rule(
            "has(self.osDisk) || !has(self.dataDisks) || self.dataDisks.size() == 0",
            "dataDisks need osDisk: a managed image, virtual machine or version brings the data disks that it has",
            ".dataDisks",
        ),
        Rule(
            "!has(self.dataDisks) || self.dataDisks.all(a, self.dataDisks.exists_one(b, b.lun == a.lun))",
            "two data disks have the same lun: each needs its own",
            ".dataDisks",
        ),
        _no_two(
            "vhdImportRef",
            "vhdImportRef.name",
            "two disks of the version name the same vhdImportRef: make an import for each disk",
        ),
        _no_two("blob", "blob.uri", "two disks of the version name the same blob: each needs its own (Azure's rule)"),
        _no_two(
            "diskId",
            "diskId",
            "two disks of the version name the same diskId: each needs its own (Azure's rule)",
            cased=False,
        ),
        _no_two(
            "snapshotId",
            "snapshotId",
            "two disks of the version name the same snapshotId: each needs its own (Azure's rule)",
            cased=False,
        ),
    )

    os_disk: OsDiskSource | None = None
    data_disks: Annotated[tuple[DataDiskSource, ...], Field(max_length=64)] = ()
    managed_image_id: (
        Annotated[
            str,
            arm_id(
                "Microsoft.Compute/images",
                "a managed image",
                description="ARM id of a managed image, for a generalized definition.",
            ),
        ]
        | None
    ) = None
    virtual_machine_id: (
        Annotated[
            str,
            arm_id(
                "Microsoft.Compute/virtualMachines",
                "a virtual machine",
                description="ARM id of a virtual machine; it is generalized if the definition is, and only then.",
            ),
        ]
        | None
    ) = None
    gallery_image_version_id: (
        Annotated[
            str,
            arm_id(
                "Microsoft.Compute/galleries/images/versions",
                "a gallery image version",
                description="ARM id of another version: of another definition, gallery or subscription.",
            ),
        ]
        | None
    ) = None
    image_version_ref: (
        Annotated[LocalRef, Field(description="Another ImageVersion of this namespace, for promoting it.")] | None
    ) = None
    community_gallery_image_id: (
        Annotated[
            str,
            text(
                r"(?i)^/CommunityGalleries/[^/?#]+/Images/[^/?#]+(/Versions/[^/?#]+)?$",
                "this must be the id of a community gallery's image version: "
                "/CommunityGalleries/<public name>/Images/<name>/Versions/<version>",
                max_length=1024,
                description="Id of a version in a community gallery; without `/Versions/<version>` Azure takes the latest.",
            ),
        ]
        | None
    ) = None
