"""Logical volumes by libyal's libvslvm: linear ones on one physical volume.

libvslvm does not say of what type a volume's segments are, and reads a striped or thin volume as if it were linear;
so the types are taken from the text metadata first, and what is not linear is said to be unreadable.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any, Final

from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.readers.region import Region, RegionFile

_MAX_VOLUMES: Final = 256
_MAX_METADATA: Final = 16 * 1024 * 1024
_MAX_AREAS: Final = 16
_MAGIC: Final = b" LVM2 x[5A%r0N*>"
_ERRORS: Final = (OSError, ValueError, OverflowError, MemoryError, TypeError, SystemError)


@dataclass(frozen=True, slots=True)
class LogicalVolume:
    """A logical volume.

    Attributes:
        group: Volume group.
        name: Its name in the group.
        region: Its bytes; None when it cannot be read.
        fault: Why it cannot be read.
    """

    group: str
    name: str
    region: Region | None
    fault: str = ""


def logical_volumes(region: Region) -> list[LogicalVolume]:
    """The logical volumes of a physical volume.

    Args:
        region: The physical volume.

    Raises:
        UnreadableError: The metadata is damaged, or the group has further physical volumes.
    """
    # Imported here: the operator loads the catalogue without any reader.
    import pyvslvm

    text = metadata(region)
    physical = len(_blocks(_block(text, "physical_volumes")))
    if physical != 1:
        raise UnreadableError(f"the LVM group is spread over {physical} physical volumes")
    segments = {name: _fault(body) for name, body in _blocks(_block(text, "logical_volumes")).items()}
    try:
        handle: Any = pyvslvm.handle()
        file = RegionFile(region)
        handle.open_file_object(file)
        handle.open_physical_volume_files_as_file_objects([file])
        group = handle.get_volume_group()
        count = group.number_of_logical_volumes
        if count > _MAX_VOLUMES:
            raise UnreadableError(f"LVM group {group.name} has {count} logical volumes")
        volumes = [group.get_logical_volume(index) for index in range(count)]
        return [
            _volume(handle, str(group.name), each, segments.get(str(each.name), "not in the text")) for each in volumes
        ]
    except _ERRORS as error:
        raise UnreadableError(f"LVM metadata cannot be read: {str(error).split('. ')[0][:200]}") from error


def _volume(handle: Any, group: str, volume: Any, fault: str) -> LogicalVolume:
    name = str(volume.name)
    if fault:
        return LogicalVolume(group, name, None, fault)

    # The handle must live as long as its volumes: the default argument keeps it.
    def read_at(length: int, offset: int, _handle: Any = handle) -> bytes:
        try:
            return bytes(volume.read_buffer_at_offset(length, offset))
        except _ERRORS as error:
            raise UnreadableError(f"LVM volume {name} cannot be read") from error

    return LogicalVolume(group, name, Region(int(volume.size), read_at))


def metadata(region: Region) -> str:
    """The text metadata in effect (LVM2, lib/format_text/layout.h).

    Raises:
        UnreadableError: There is none, or it is damaged.
    """
    for sector in range(4):
        label = region.pread(512, sector * 512)
        if label[:8] == b"LABELONE":
            break
    else:
        raise UnreadableError("there is no LVM label")
    (header,) = struct.unpack_from("<I", label, 20)
    if not 32 <= header <= 256:
        raise UnreadableError("the LVM label is damaged")
    lists = [
        struct.unpack_from("<QQ", label, at)
        for at in range(header + 40, min(512, header + 40 + 16 * _MAX_AREAS) - 15, 16)
    ]
    # Data areas, a zero pair, metadata areas, a zero pair
    ends = [index for index, pair in enumerate(lists) if pair == (0, 0)]
    areas = lists[ends[0] + 1 : ends[1]] if len(ends) > 1 else []
    for offset, size in areas:
        text = _area(region, offset, size)
        if text:
            return text
    raise UnreadableError("the LVM label has no readable metadata area")


def _area(region: Region, offset: int, size: int) -> str:
    head = region.pread(512, offset)
    if head[4:20] != _MAGIC or len(head) < 64:
        return ""
    start, length = struct.unpack_from("<QQ", head, 40)
    if not 0 < length <= min(size, _MAX_METADATA) or start >= size:
        return ""
    # The area is a ring behind its header.
    first = region.pread(min(length, size - start), offset + start)
    rest = region.pread(length - len(first), offset + 512) if len(first) < length else b""
    return (first + rest).decode("utf-8", "replace").rstrip("\0")


def _blocks(text: str) -> dict[str, str]:
    """The named ``{ … }`` blocks at the outermost level of a text."""
    found: dict[str, str] = {}
    depth, start, name = 0, 0, ""
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|#[^\n]*|([A-Za-z0-9_+.\-]+)\s*\{|\}', text):
        part = match[0]
        if part.endswith("{") and match[1]:
            if depth == 0:
                name, start = match[1], match.end()
            depth += 1
        elif part == "}":
            depth -= 1
            if depth == 0:
                found[name] = text[start : match.start()]
            elif depth < 0:
                break
    return found


def _block(text: str, name: str) -> str:
    """A block of the volume group, which is itself the outermost block."""
    return next((inner[name] for body in _blocks(text).values() if name in (inner := _blocks(body))), "")


def _fault(body: str) -> str:
    """Why a logical volume cannot be read as a linear one; empty when it can."""
    for segment in _blocks(body).values():
        kind = re.search(r'\btype\s*=\s*"([^"]*)"', segment)
        stripes = re.search(r"\bstripe_count\s*=\s*(\d+)", segment)
        if kind is None or kind[1] != "striped":
            return f"LVM type {kind[1] if kind else 'unknown'} is recognised, but not read"
        if stripes is None or int(stripes[1]) != 1:
            return "a striped LVM volume is recognised, but not read"
    return ""
