"""Paths as a boot loader writes them, found in the guest as it would see them after boot."""

import re
from typing import Final

from gallery_operator.prerequisites.readers.base import NotFoundError, ReadError
from gallery_operator.prerequisites.readers.btrfs import TOP_LEVEL, BtrfsFileSystem, BtrfsNode
from gallery_operator.prerequisites.tree import Tree

_MAX_CHARACTERS: Final = 4096


def find(tree: Tree, path: str, *, relative: bool = False) -> str:
    """A file that a boot loader starts or loads.

    /boot may be a file system of its own. On Btrfs GRUB knows no mount options: it looks for every path in the
    top-level subvolume, so that a path which lacks the subvolume of the root is not found.

    Args:
        tree: The guest.
        path: As the boot loader's configuration has it: ``(hd0,gpt2)/boot/…``, ``($root)/…``, ``/@/boot/…``.
        relative: GRUB looks in the default subvolume as well (``btrfs_relative_path`` of openSUSE and SLES).

    Returns:
        Its path in the guest.

    Raises:
        NotFoundError: The boot loader does not find it, or the guest does not mount where it is.
        UnreadableError: The file system that holds /boot cannot be read.
    """
    plain = re.sub(r"^\([^)]*\)", "", path)[:_MAX_CHARACTERS]
    file_system = tree.file_system("/boot")[0]
    if isinstance(file_system, BtrfsFileSystem):
        try:
            return _in_btrfs(tree, file_system, plain, relative=relative)
        except NotFoundError:
            # Kernels of systemd's loader are on the EFI system partition.
            if tree.is_file(f"/boot/efi{plain}"):
                return f"/boot/efi{plain}"
            raise
    # A tree of files without its disk does not say what a subvolume was.
    if file_system.type == "folder":
        plain = re.sub(r"^/@[^/]*(?:/\.snapshots/\d+/snapshot)?/", "/", plain)
    for candidate in (plain, f"/boot{plain}", f"/boot/efi{plain}"):
        if tree.is_file(candidate):
            return candidate
    raise NotFoundError("which does not exist")


def _in_btrfs(tree: Tree, file_system: BtrfsFileSystem, path: str, *, relative: bool) -> str:
    views = [file_system.subvolume_by_id(TOP_LEVEL)]
    if relative:
        views.insert(0, BtrfsFileSystem(file_system.volume))
    for view in views:
        seen = Tree(view)
        if not seen.is_file(path):
            continue
        node = seen.node(path)
        parts = [each for each in seen.real(path).split("/") if each]
        # The guest sees the file below a mount point: some end of the path leads to it.
        for start in range(len(parts)):
            inside = "/" + "/".join(parts[start:])
            for candidate in (inside, f"/boot{inside}"):
                if _same(tree, candidate, node):
                    return candidate
        raise NotFoundError("which is in a subvolume of the Btrfs that the guest does not mount")
    default = " nor in its default one" if relative else ""
    there = ", only below the subvolume that is mounted as /" if tree.is_file(path) else ""
    raise NotFoundError(
        f"which does not exist in the top-level subvolume of the Btrfs{default}, where GRUB looks for it{there}"
    )


def _same(tree: Tree, path: str, node: object) -> bool:
    """Whether a path of the guest leads to that very inode of that subvolume."""
    try:
        other = tree.node(path)
    except ReadError:
        return False
    return (
        isinstance(other, BtrfsNode)
        and isinstance(node, BtrfsNode)
        and (other.subvolume, other.inode) == (node.subvolume, node.inode)
    )
