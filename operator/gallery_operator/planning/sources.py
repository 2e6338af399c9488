"""Image version: its source as ARM's ``storageProfile``, and the imports that it makes itself. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import GROUP, VERSION, ImageVersion
from gallery_operator.api.import_template import ImportTemplate
from gallery_operator.api.version_source import DataDiskSource, OsDiskSource, VersionSource
from gallery_operator.planning.jobs import MANAGED_BY, MANAGED_BY_LABEL
from gallery_operator.planning.names import import_name


@dataclass(frozen=True)
class DiskPart:
    """A resolved source of one disk, as ARM wants it under ``source``.

    Attributes:
        source: ``{"id": …}`` or ``{"storageAccountId": …, "uri": …}``.
        host_caching: ARM ``hostCaching`` or None.
        lun: LUN of a data disk; None for the OS disk.
        sha256: Digest (hex) of the VHD that an import has brought; None: not known.
    """

    source: Mapping[str, str]
    host_caching: str | None = None
    lun: int | None = None
    sha256: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the disk as an item of ``storageProfile``."""
        wire: dict[str, Any] = {"source": dict(self.source)}
        if self.lun is not None:
            wire["lun"] = self.lun
        if self.host_caching is not None:
            wire["hostCaching"] = self.host_caching
        return wire


def disks_of(source: VersionSource | None) -> tuple[OsDiskSource | DataDiskSource, ...]:
    """Return the disks that a source names one by one, OS disk first; none for a source that is an image as a whole."""
    return (source.os_disk, *source.data_disks) if source is not None and source.os_disk is not None else ()


def lun_of(disk: OsDiskSource | DataDiskSource) -> int | None:
    """Return the LUN of a data disk, None for the OS disk."""
    return disk.lun if isinstance(disk, DataDiskSource) else None


def disk_words(lun: int | None) -> str:
    """Return which disk is meant, for people."""
    return "the OS disk" if lun is None else f"the data disk at LUN {lun}"


def field_of(lun: int | None, name: str) -> str:
    """Return the path of a field of a disk, for messages."""
    return f"source.osDisk.{name}" if lun is None else f"source.dataDisks (lun {lun}).{name}"


def part_of(disk: OsDiskSource | DataDiskSource) -> DiskPart | None:
    """Return a disk that is in Azure already as a source; None for one that an import brings."""
    lun = lun_of(disk)
    if disk.blob is not None:
        return DiskPart(disk.blob.to_wire(), disk.host_caching, lun)
    resource_id = disk.disk_id or disk.snapshot_id
    return DiskPart({"id": resource_id}, disk.host_caching, lun) if resource_id is not None else None


def profile_of_disks(disks: Sequence[DiskPart]) -> dict[str, Any]:
    """Return the ``storageProfile`` of a version made of single disks.

    Args:
        disks: OS disk first, then data disks.
    """
    storage: dict[str, Any] = {"osDiskImage": disks[0].to_wire()}
    if len(disks) > 1:
        storage["dataDiskImages"] = [each.to_wire() for each in disks[1:]]
    return storage


def profile_of_image(source: VersionSource, referred: str | None = None) -> dict[str, Any]:
    """Return the ``storageProfile`` of a version made of an image as a whole.

    Args:
        source: The source; it names no disks.
        referred: ARM id of the version that ``imageVersionRef`` stands for.
    """
    if source.virtual_machine_id is not None:
        return {"source": {"virtualMachineId": source.virtual_machine_id}}
    if source.community_gallery_image_id is not None:
        return {"source": {"communityGalleryImageId": source.community_gallery_image_id}}
    return {"source": {"id": referred or source.managed_image_id or source.gallery_image_version_id}}


def templates(version: ImageVersion) -> dict[str, tuple[int | None, ImportTemplate]]:
    """Return the imports that a version makes: name of the VhdImport, LUN (None: OS disk) and template."""
    return {
        import_name(version.metadata.name, lun_of(each)): (lun_of(each), each.import_template)
        for each in disks_of(version.spec.source)
        if each.import_template is not None
    }


def import_body(version: ImageVersion, name: str, lun: int | None, template: ImportTemplate) -> dict[str, Any]:
    """Return the VhdImport that a template stands for.

    Args:
        version: The version; it becomes the owner.
        name: Name of the VhdImport.
        lun: LUN of the data disk, None for the OS disk.
        template: The template.
    """
    meta = version.metadata
    owner = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": version.kind_name,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "metadata": {
            "name": name,
            "namespace": meta.namespace,
            "labels": {**template.metadata.labels, MANAGED_BY_LABEL: MANAGED_BY},
            "annotations": dict(template.metadata.annotations),
            "ownerReferences": [owner],
        },
        "spec": {
            **template.spec.to_wire(),
            "definitionRef": version.spec.definition_ref.to_wire(),
            "diskRole": "os" if lun is None else "data",
        },
    }


def rights(source: VersionSource | None) -> list[str]:
    """Return what an identity needs besides its rights on the gallery, each as ``<action> on <id>``.

    From "Store and share images in an Azure Compute Gallery": a disk, snapshot or machine is written (Azure takes hold
    of it while it copies), an image or version is read, and a storage account's keys are listed.
    """
    if source is None:
        return []
    found = []
    for disk in disks_of(source):
        if disk.disk_id is not None:
            found.append(f"Microsoft.Compute/disks/write on {disk.disk_id}")
        if disk.snapshot_id is not None:
            found.append(f"Microsoft.Compute/snapshots/write on {disk.snapshot_id}")
        if disk.blob is not None:
            found.append(f"Microsoft.Storage/storageAccounts/listKeys/action on {disk.blob.storage_account_id}")
    if source.managed_image_id is not None:
        found.append(f"Microsoft.Compute/images/read on {source.managed_image_id}")
    if source.virtual_machine_id is not None:
        found.append(f"Microsoft.Compute/virtualMachines/write on {source.virtual_machine_id}")
    if source.gallery_image_version_id is not None:
        found.append(f"Microsoft.Compute/galleries/images/versions/read on {source.gallery_image_version_id}")
    return found
