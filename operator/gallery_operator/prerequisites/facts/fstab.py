"""/etc/fstab, and which volume a device specification means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.readers.layout import Volume
from gallery_operator.prerequisites.tree import Tree

PATH: Final = "/etc/fstab"

_MAX_BYTES: Final = 1024 * 1024
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_BY_PATH: Final = {
    "/dev/disk/by-uuid/": "UUID",
    "/dev/disk/by-label/": "LABEL",
    "/dev/disk/by-partuuid/": "PARTUUID",
    "/dev/disk/by-partlabel/": "PARTLABEL",
}
_DISK_NAME: Final = re.compile(r"/dev/(?:(?:sd|vd|xvd|hd)[a-z]|nvme\d+n\d+p|mmcblk\d+p)(\d+)$")
_PSEUDO: Final = frozenset(
    {"proc", "sysfs", "tmpfs", "devpts", "devtmpfs", "cgroup", "cgroup2", "debugfs", "securityfs", "efivarfs"}
    | {"overlay", "mqueue", "hugetlbfs", "tracefs", "bpf", "configfs", "fusectl", "pstore", "binfmt_misc"}
)
_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "glusterfs", "ceph", "9p", "virtiofs"})


@dataclass(frozen=True, slots=True)
class FstabEntry:
    """One line.

    Attributes:
        line: Its number.
        device: First field, octal escapes decoded, quotes of a tag's value taken away.
        mount_point: Second field.
        type: Third field.
        options: Fourth field, split.
    """

    line: int
    device: str
    mount_point: str
    type: str
    options: tuple[str, ...]

    @property
    def optional(self) -> bool:
        """Whether boot goes on without it."""
        return "nofail" in self.options or "noauto" in self.options

    @property
    def is_swap(self) -> bool:
        """Whether it is swap space."""
        return self.type == "swap"

    @property
    def is_pseudo(self) -> bool:
        """Whether it needs no device (proc, tmpfs, …) or a bind source."""
        return self.type in _PSEUDO or bool({"bind", "rbind"} & set(self.options)) or self.device == "none"

    @property
    def is_network(self) -> bool:
        """Whether the device is at the other end of a network."""
        return self.type in _NETWORK or self.type.startswith("fuse.") or "_netdev" in self.options

    @property
    def tag(self) -> tuple[str, str] | None:
        """``("UUID", value)`` and the like, also for the links below ``/dev/disk/by-*``."""
        name, separator, value = self.device.partition("=")
        if separator and name in ("UUID", "LABEL", "PARTUUID", "PARTLABEL", "ID"):
            return name, value.strip("\"'")
        for prefix, kind in _BY_PATH.items():
            if self.device.startswith(prefix):
                return kind, self.device.removeprefix(prefix)
        return None

    def option(self, name: str) -> str | None:
        """Value of ``name=value`` among the options."""
        for each in self.options:
            key, separator, value = each.partition("=")
            if separator and key == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Fstab:
    """The file.

    Attributes:
        entries: Lines that could be read, in order.
        faults: Lines that could not, as sentences.
        present: Whether the file exists.
    """

    entries: tuple[FstabEntry, ...]
    faults: tuple[str, ...] = ()
    present: bool = True

    def root(self) -> FstabEntry | None:
        """The last line for ``/``: that is the one in effect."""
        found = [each for each in self.entries if each.mount_point == "/"]
        return found[-1] if found else None


def read_fstab(tree: Tree) -> Fstab:
    """Read ``/etc/fstab``; a guest without one is fine for systemd."""
    if not tree.is_file(PATH):
        return Fstab((), present=False)
    entries: list[FstabEntry] = []
    faults: list[str] = []
    for number, line in enumerate(tree.text(PATH, _MAX_BYTES).splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if len(fields) < 3:
            faults.append(f"{PATH}:{number} has {len(fields)} fields instead of 4 to 6")
            continue
        device, mount_point, kind = (_OCTAL.sub(lambda m: chr(int(m[1], 8)), each) for each in fields[:3])
        options = tuple(fields[3].split(",")) if len(fields) > 3 else ("defaults",)
        entries.append(FstabEntry(number, device, mount_point.rstrip("/") or "/", kind, options))
    return Fstab(tuple(entries), tuple(faults))


def find_volume(entry: FstabEntry, volumes: Sequence[Volume]) -> Volume | None:
    """The volume that a line means, or None when no volume of this disk is meant.

    A kernel name such as ``/dev/sda2`` is taken to mean this disk's partition of that number: that is what
    it meant where the image was made. ``/dev/sdb2`` cannot be told from it here, so only the first disk
    counts.
    """
    tag = entry.tag
    if tag is not None:
        return _by_tag(tag[0], tag[1], volumes)
    if entry.device.startswith("/dev/mapper/"):
        name = entry.device.removeprefix("/dev/mapper/")
        return next((each for each in volumes if each.mapper == name), None)
    match = _DISK_NAME.match(entry.device)
    if match is not None and re.match(r"/dev/(?:[a-z]+a\d|nvme0n1|mmcblk0)", entry.device):
        return next((each for each in volumes if each.partition and each.partition.number == int(match[1])), None)
    parts = entry.device.split("/")
    if len(parts) == 4 and parts[1] == "dev":
        name = f"{parts[2].replace('-', '--')}-{parts[3].replace('-', '--')}"
        return next((each for each in volumes if each.mapper == name), None)
    return None


def _by_tag(name: str, value: str, volumes: Sequence[Volume]) -> Volume | None:
    for each in volumes:
        partition = each.partition
        candidate = {
            "UUID": each.probe.uuid,
            "LABEL": each.probe.label,
            "PARTUUID": partition.uuid if partition else None,
            "PARTLABEL": partition.name if partition else None,
        }.get(name)
        if candidate is None:
            continue
        same = candidate == value if name in ("LABEL", "PARTLABEL") else candidate.lower() == value.lower()
        if same:
            return each
    return None
