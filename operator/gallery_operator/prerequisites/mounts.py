"""Finds the root file system of a disk and mounts, for the reader only, what the image's fstab mounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.facts.fstab import FstabEntry, find_volume, read_fstab
from gallery_operator.prerequisites.readers.base import FileSystem, ReadError, UnreadableError
from gallery_operator.prerequisites.readers.grub import GrubFileSystem
from gallery_operator.prerequisites.readers.layout import Layout, Volume
from gallery_operator.prerequisites.tree import Tree

# Where distributions put the root inside a Btrfs: top level, openSUSE and SLES (snapper), Ubuntu and
# hand-made, Debian's installer, Fedora.
_SUBVOLUMES: Final = ("", "/@/.snapshots/1/snapshot", "/@", "/@rootfs", "/root")
_MAX_MOUNTS: Final = 64

Open = Callable[[Volume], FileSystem]


@dataclass(frozen=True)
class Mounted:
    """The root and its tree.

    Attributes:
        tree: Files with all mounts.
        volume: The volume of the root.
        file_system: The root file system.
        notes: What could not be mounted, as sentences.
    """

    tree: Tree
    volume: Volume
    file_system: FileSystem
    notes: tuple[str, ...]


def mount(layout: Layout, open_volume: Open) -> Mounted:
    """Find the root and mount the rest.

    Args:
        layout: The volumes of the disk.
        open_volume: Opens a volume's file system; raises ``UnreadableError``.

    Raises:
        UnreadableError: No root was found; the text says what was found instead.
    """
    reasons: list[str] = list(layout.notes)
    for volume in layout.volumes:
        if volume.probe.type in ("vfat", "swap", "lvm", None):
            continue
        try:
            root = _as_root(open_volume(volume))
        except ReadError as error:
            reasons.append(str(error))
            continue
        if root is not None:
            return _with_mounts(layout, volume, root, open_volume)
        reasons.append(f"{volume.name} ({volume.probe.type}) has no /etc with /usr or /bin")
    raise UnreadableError(
        "no root file system was found: " + ("; ".join(reasons) or "there is no volume with a file system")
    )


def _as_root(file_system: FileSystem) -> FileSystem | None:
    """The file system (or its subvolume) if it looks like a root."""
    if not isinstance(file_system, GrubFileSystem):
        return file_system if _looks_like_root(file_system) else None
    for prefix in _SUBVOLUMES:
        candidate = file_system.subvolume(prefix)
        try:
            if _looks_like_root(candidate):
                return candidate
        except UnreadableError:
            if prefix == "":
                raise
    return None


def _looks_like_root(file_system: FileSystem) -> bool:
    names = set(file_system.root().names())
    return "etc" in names and bool({"usr", "bin"} & names)


def _with_mounts(layout: Layout, volume: Volume, root: FileSystem, open_volume: Open) -> Mounted:
    plain = Tree(root)
    mounts: dict[str, FileSystem | ReadError] = {}
    notes: list[str] = list(layout.notes)
    try:
        entries = read_fstab(plain).entries
    except ReadError as error:
        notes.append(f"/etc/fstab cannot be read: {error}")
        entries = ()
    for entry in entries[:_MAX_MOUNTS]:
        if entry.mount_point == "/" or entry.is_swap or entry.is_pseudo or entry.is_network:
            continue
        source = find_volume(entry, layout.volumes)
        if source is None or not entry.mount_point.startswith("/"):
            continue
        try:
            mounts[entry.mount_point] = _open(entry, source, volume, root, open_volume)
        except ReadError as error:
            mounts[entry.mount_point] = error
            notes.append(f"{entry.mount_point}: {error}")
    return Mounted(Tree(root, mounts) if mounts else plain, volume, root, tuple(notes))


def _open(entry: FstabEntry, source: Volume, root_volume: Volume, root: FileSystem, open_volume: Open) -> FileSystem:
    subvolume = entry.option("subvol")
    if source is root_volume and isinstance(root, GrubFileSystem):
        if subvolume is None:
            raise UnreadableError(f"{source.name} is mounted twice, without subvol=")
        return root.subvolume("/" + subvolume.strip("/"))
    opened = open_volume(source)
    if subvolume is not None and isinstance(opened, GrubFileSystem):
        return opened.subvolume("/" + subvolume.strip("/"))
    return opened
