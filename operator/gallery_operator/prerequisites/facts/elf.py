"""Architecture of the installed programs."""

import struct
from typing import Final

from gallery_operator.prerequisites.model import Architecture
from gallery_operator.prerequisites.tree import Tree

_PROGRAMS: Final = (
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
    "/sbin/init",
    "/usr/bin/env",
    "/bin/sh",
    "/usr/bin/bash",
)
_MACHINES: Final[dict[int, Architecture]] = {62: "x64", 183: "Arm64"}
_CLASS_64: Final = 2


def architecture_of(tree: Tree) -> Architecture | None:
    """Architecture of the first known program; None when there is none, or it is another (32-bit) one."""
    for path in _PROGRAMS:
        if tree.is_file(path):
            head = tree.pread(path, 20)
            if head[:4] == b"\x7fELF":
                (machine,) = struct.unpack_from("<H", head, 18)
                return _MACHINES.get(machine) if head[4] == _CLASS_64 else None
    return None
