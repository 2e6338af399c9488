"""Finds the root file system of a disk and mounts, for the reader only, what the image's fstab mounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.facts.fstab import Fstab, FstabEntry, find_volume, read_fstab
from gallery_operator.prerequisites.readers.base import FileSystem, ReadError, UnreadableError
from gallery_operator.prerequisites.readers.btrfs import TOP_LEVEL, BtrfsFileSystem
from gallery_operator.prerequisites.readers.layout import Layout, Volume
from gallery_operator.prerequisites.tree import Tree

# Where distributions put the root inside a Btrfs whose default subvolume is not the root: Ubuntu and hand-made,
# Debian's installer, Fedora, openSUSE and SLES (snapper). Any other subvolume is looked into after these.
_SUBVOLUMES: Final = ("/@", "/@rootfs", "/root", "/@/.snapshots/1/snapshot")
_MAX_CANDIDATES: Final = 64
_MAX_MOUNTS: Final = 64
# Further partitions of Flatcar, by GPT name, and where it mounts them
_FLATCAR: Final = {"EFI-SYSTEM": "/boot", "OEM": "/oem"}

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
    image_based = _image_based(layout, open_volume)
    if image_based is not None:
        return image_based
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
        journal = "; it was not unmounted, and what is only in its journal is not read" if volume.probe.dirty else ""
        reasons.append(f"{volume.name} ({volume.probe.type}) has no /etc with /usr or /bin{journal}")
    raise UnreadableError(
        "no root file system was found: " + ("; ".join(reasons) or "there is no volume with a file system")
    )


def _as_root(file_system: FileSystem) -> FileSystem | None:
    """The file system (or its subvolume) if it looks like a root."""
    if _looks_like_root(file_system):
        return _named_by_fstab(file_system) if isinstance(file_system, BtrfsFileSystem) else file_system
    if not isinstance(file_system, BtrfsFileSystem):
        return None
    for candidate in _candidates(file_system):
        if _looks_like_root(candidate):
            return _named_by_fstab(candidate)
    return None


def _candidates(file_system: BtrfsFileSystem) -> Iterator[BtrfsFileSystem]:
    for path in _SUBVOLUMES:
        with suppress(UnreadableError):
            yield file_system.subvolume(path)
    for each in (TOP_LEVEL, *file_system.volume.subvolumes()[:_MAX_CANDIDATES]):
        yield file_system.subvolume_by_id(each)


def _named_by_fstab(root: BtrfsFileSystem) -> FileSystem:
    """The subvolume that the root's own fstab mounts as /; several may look like a root (snapshots)."""
    try:
        entry = Fstab(read_fstab(Tree(root)).entries).root()
        named = _subvolume(root, entry) if entry is not None else None
        if named is not None and _looks_like_root(named):
            return named
    except ReadError:
        pass
    return root


def _subvolume(file_system: BtrfsFileSystem, entry: FstabEntry) -> BtrfsFileSystem | None:
    """What a line mounts, or None where it names no subvolume; raises ``UnreadableError`` when there is none."""
    path, number = entry.option("subvol"), entry.option("subvolid")
    if path is not None:
        return file_system.subvolume(path)
    if number is not None and number.isdecimal():
        return file_system.subvolume_by_id(int(number))
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
            mounts[entry.mount_point] = _open(entry, source, open_volume)
        except ReadError as error:
            mounts[entry.mount_point] = error
            notes.append(f"{entry.mount_point}: {error}")
    return Mounted(Tree(root, mounts) if mounts else plain, volume, root, tuple(notes))


def _open(entry: FstabEntry, source: Volume, open_volume: Open) -> FileSystem:
    opened = open_volume(source)
    if isinstance(opened, BtrfsFileSystem):
        return _subvolume(opened, entry) or opened
    return opened


def _image_based(layout: Layout, open_volume: Open) -> Mounted | None:
    """Flatcar: a fresh root is empty, /usr is a partition of its own, and no fstab says so (GPT names do)."""
    named = {each.partition.name: each for each in layout.volumes if each.partition is not None}
    if "USR-A" not in named or "ROOT" not in named:
        return None
    notes: list[str] = list(layout.notes)
    mounts: dict[str, FileSystem | ReadError] = {}
    try:
        root = open_volume(named["ROOT"])
        usr = _usr(named, open_volume)
    except ReadError:
        return None
    if usr is None:
        return None
    mounts["/usr"] = usr
    if isinstance(usr, ReadError):
        notes.append(f"/usr: {usr}")
    for name, point in _FLATCAR.items():
        if name in named:
            try:
                mounts[point] = open_volume(named[name])
            except ReadError as error:
                mounts[point] = error
                notes.append(f"{point}: {error}")
    return Mounted(Tree(root, mounts), named["ROOT"], root, tuple(notes))


def _usr(named: dict[str, Volume], open_volume: Open) -> FileSystem | ReadError | None:
    """What is /usr: the partition that GRUB's ``gptprio.next`` starts, read or not; without one, any that has a tree.

    It takes the highest priority (bits 48 to 51) among those that were started with success (bit 56) or may still
    be tried (bits 52 to 55): grub-core/commands/gptprio.c of coreos/grub, which Flatcar uses.
    """
    both = [named[each] for each in ("USR-A", "USR-B") if each in named]
    active = max(both, key=_priority)
    if _priority(active):
        try:
            return open_volume(active)
        except ReadError as error:
            return error
    for each in both:
        with suppress(ReadError):
            usr = open_volume(each)
            if {"bin", "lib", "share"} <= set(usr.root().names()):
                return usr
    return None


def _priority(volume: Volume) -> int:
    attributes = volume.partition.attributes if volume.partition is not None else 0
    priority, tries, successful = attributes >> 48 & 15, attributes >> 52 & 15, attributes >> 56 & 1
    return priority if tries or successful else 0
