"""Where the disks of an image version come from."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gallery_operator.api.meta import (
    ApiModel,
    LocalRef,
    Rule,
    arm_id,
    exactly_one,
    text,
)

_SOURCES = ("vhdImportRef", "blob", "diskId", "snapshotId")
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


_Disk = Annotated[str, arm_id("Microsoft.Compute/disks", "a managed disk")]
_Snapshot = Annotated[str, arm_id("Microsoft.Compute/snapshots", "a snapshot")]
_Import = Annotated[LocalRef, Field(description="VhdImport of this namespace that brings the disk.")]
_Blob = Annotated[BlobSource, Field(description="Fixed VHD in a page blob.")]


class OsDiskSource(ApiModel):
    """Where the OS disk comes from."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(_SOURCES, "set exactly one of vhdImportRef, blob, diskId and snapshotId for the OS disk"),
    )

    vhd_import_ref: _Import | None = None
    blob: _Blob | None = None
    disk_id: _Disk | None = None
    snapshot_id: _Snapshot | None = None
    host_caching: HostCaching | None = None


class DataDiskSource(ApiModel):
    """Where a data disk comes from."""

    rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(_SOURCES, "set exactly one of vhdImportRef, blob, diskId and snapshotId for each data disk"),
    )

    lun: Annotated[int, Field(ge=0, le=63, description="Logical unit number, unique within the version.")]
    vhd_import_ref: _Import | None = None
    blob: _Blob | None = None
    disk_id: _Disk | None = None
    snapshot_id: _Snapshot | None = None
    host_caching: HostCaching | None = None


class VersionSource(ApiModel):
    """The disks of the version.

    Attributes:
        data_disks: Data disks, by lun.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.dataDisks) || self.dataDisks.all(a, self.dataDisks.exists_one(b, b.lun == a.lun))",
            "two data disks have the same lun: each needs its own",
            ".dataDisks",
        ),
    )

    os_disk: OsDiskSource
    data_disks: Annotated[tuple[DataDiskSource, ...], Field(max_length=64)] = ()
