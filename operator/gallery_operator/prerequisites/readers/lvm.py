"""Logical volumes by libyal's libvslvm: linear ones on one physical volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.readers.region import Region, RegionFile

_MAX_VOLUMES: Final = 256
_ERRORS: Final = (OSError, ValueError, OverflowError, MemoryError, TypeError, SystemError)


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume.

    Attributes:
        group: Volume group.
        name: Its name in the group.
        region: Its bytes.
    """

    group: str
    name: str
    region: Region


def logical_volumes(region: Region) -> list[LogicalVolume]:
    """The logical volumes of a physical volume.

    Args:
        region: The physical volume.

    Raises:
        UnreadableError: The metadata is damaged, or the group has further physical volumes.
    """
    # Imported here: the operator loads the catalogue without any reader.
    import pyvslvm

    try:
        handle: Any = pyvslvm.handle()
        file = RegionFile(region)
        handle.open_file_object(file)
        handle.open_physical_volume_files_as_file_objects([file])
        group = handle.get_volume_group()
        physical, count = group.number_of_physical_volumes, group.number_of_logical_volumes
        if physical != 1:
            raise UnreadableError(f"LVM group {group.name} is spread over {physical} physical volumes")
        if count > _MAX_VOLUMES:
            raise UnreadableError(f"LVM group {group.name} has {count} logical volumes")
        return [_volume(handle, group, group.get_logical_volume(index)) for index in range(count)]
    except _ERRORS as error:
        raise UnreadableError(f"LVM metadata cannot be read: {str(error).split('. ')[0][:200]}") from error


def _volume(handle: Any, group: Any, volume: Any) -> LogicalVolume:
    def read_at(length: int, offset: int) -> bytes:
        try:
            return bytes(volume.read_buffer_at_offset(length, offset))
        except _ERRORS as error:
            raise UnreadableError(f"LVM volume {volume.name} cannot be read") from error

    # The handle must live as long as its volumes: the closure keeps it.
    read_at.__dict__["handle"] = handle
    return LogicalVolume(str(group.name), str(volume.name), Region(int(volume.size), read_at))
