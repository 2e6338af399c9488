"""Image version: its source as ARM's ``storageProfile``, and the imports that it makes itself. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gallery_operator.api import GROUP, VERSION, ImageVersion
from gallery_operator.api.import_template import ImportTemplate
from gallery_operator.api.version_source import DataDiskSource, OsDiskSource, VersionSource
from gallery_operator.planning.jobs import MANAGED_BY, MANAGED_BY_LABEL
from gallery_operator.planning.names import import_name

_GIB = 1024**3
_LARGEST_GIB: Mapping[str, int] = {"Full": 2048, "Shallow": 32 * 1024}
"""Largest disk of a version by replicationMode (Azure Compute Gallery, Limits and Shallow replication)."""


@dataclass(frozen=True)
class DiskPart:
    """A resolved source of one disk, as ARM wants it under ``source``.

    Attributes:
        source: ``{"id": …}`` or ``{"storageAccountId": …, "uri": …}``.
        host_caching: ARM ``hostCaching`` or None.
        lun: LUN of a data disk; None for the OS disk.
    """

    source: Mapping[str, str]
    host_caching: str | None = None
    lun: int | None = None

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


def too_large(replication_mode: str, size: int | None) -> str | None:
    """Return why Azure would fail to replicate a disk, after hours and in every region; None when it would not.

    Args:
        replication_mode: ``Full`` or ``Shallow``.
        size: Bytes of the disk; None while not known.
    """
    limit = _LARGEST_GIB[replication_mode]
    if size is None or size <= limit * _GIB:
        return None
    return f"has {-(-size // _GIB)} GiB, and replicationMode {replication_mode} takes at most {limit} GiB a disk"


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
