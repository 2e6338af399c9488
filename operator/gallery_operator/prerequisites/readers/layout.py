"""What is on a disk: volumes (partitions, logical volumes, or the bare disk) and their file systems."""

from __future__ import annotations

from dataclasses import dataclass, field

from gallery_operator.prerequisites.disk import DiskSource
from gallery_operator.prerequisites.readers.base import FileSystem, UnreadableError
from gallery_operator.prerequisites.readers.btrfs import BtrfsFileSystem
from gallery_operator.prerequisites.readers.libyal import LibyalFileSystem
from gallery_operator.prerequisites.readers.lvm import logical_volumes
from gallery_operator.prerequisites.readers.partitions import Partition, PartitionTable
from gallery_operator.prerequisites.readers.probe import Probe, probe
from gallery_operator.prerequisites.readers.region import Region


@dataclass(frozen=True, slots=True)
class Volume:
    """Something that may hold a file system.

    Attributes:
        name: For messages: ``partition 2``, ``LVM volume vg/root``, ``the whole disk``.
        region: Its bytes.
        probe: What it holds.
        partition: Its entry in the table, if it has one.
        mapper: Name below ``/dev/mapper`` of a logical volume.
    """

    name: str
    region: Region
    probe: Probe
    partition: Partition | None = None
    mapper: str | None = None


@dataclass(frozen=True)
class Layout:
    """All volumes of a disk.

    Attributes:
        volumes: In the order of the table; logical volumes follow their physical volume.
        notes: What could not be read, as sentences.
    """

    volumes: tuple[Volume, ...]
    notes: tuple[str, ...] = field(default=())


def read_layout(disk: DiskSource, table: PartitionTable) -> Layout:
    """Find the volumes of a disk and what they hold."""
    volumes: list[Volume] = []
    notes: list[str] = []
    for each in table.partitions:
        region = Region.of_disk(disk, each.start, each.size)
        if region.size == 0 or (table.scheme == "mbr" and each.type in ("05", "0f", "85")):
            continue
        name = f"partition {each.number}"
        found = probe(region)
        volumes.append(Volume(name, region, found, each))
        if found.type == "lvm":
            _add_logical(region, name, volumes, notes)
    if not table.partitions:
        region = Region.of_disk(disk)
        found = probe(region)
        volumes.append(Volume("the whole disk", region, found))
        if found.type == "lvm":
            _add_logical(region, "the whole disk", volumes, notes)
    return Layout(tuple(volumes), tuple(notes))


def _add_logical(region: Region, name: str, volumes: list[Volume], notes: list[str]) -> None:
    try:
        found = logical_volumes(region)
    except UnreadableError as error:
        notes.append(f"{name}: {error}")
        return
    for each in found:
        if each.region is None:
            notes.append(f"LVM volume {each.group}/{each.name}: {each.fault}")
            continue
        try:
            contents = probe(each.region)
        except UnreadableError as error:
            notes.append(f"LVM volume {each.group}/{each.name}: {error}")
            continue
        # device-mapper doubles the hyphens inside a name and joins both names with one.
        mapper = f"{each.group.replace('-', '--')}-{each.name.replace('-', '--')}"
        volumes.append(
            Volume(
                f"LVM volume {each.group}/{each.name}",
                each.region,
                contents,
                mapper=mapper,
            )
        )


def open_file_system(volume: Volume) -> FileSystem:
    """Open the file system of a volume with the reader for its type.

    Raises:
        UnreadableError: There is no reader for it, or it is damaged; the text names the type.
    """
    kind = volume.probe.type
    if kind in ("ext4", "xfs", "vfat"):
        return LibyalFileSystem(volume.region, kind)
    if kind == "btrfs":
        if volume.probe.devices != 1:
            raise UnreadableError(
                f"{volume.name}: Btrfs over {volume.probe.devices} devices is recognised, but not read"
            )
        return BtrfsFileSystem.open(volume.region)
    if kind is None:
        raise UnreadableError(f"{volume.name}: no file system is recognised")
    raise UnreadableError(f"{volume.name}: {kind} is recognised, but not read")
