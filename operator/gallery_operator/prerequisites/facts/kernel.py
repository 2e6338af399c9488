"""Drivers of the default kernel: built in, in its initramfs, loadable, or missing."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from gallery_operator.prerequisites.facts import initramfs
from gallery_operator.prerequisites.facts.boot import Boot
from gallery_operator.prerequisites.readers.base import NotFoundError, ReadError, UnreadableError
from gallery_operator.prerequisites.tree import Tree

_ROOTS: Final = ("/lib", "/usr/lib")
_MAX_BYTES: Final = 32 * 1024 * 1024
_MAX_INITRAMFS: Final = 512 * 1024 * 1024
_MODULE: Final = re.compile(r"([^/]+)\.ko(?:\.(?:xz|zst|gz))?$")

# Options that make a driver part of the kernel, as a second witness beside modules.builtin.
_CONFIG: Final = {
    "hv_vmbus": "CONFIG_HYPERV",
    "hv_storvsc": "CONFIG_HYPERV_STORAGE",
    "hv_netvsc": "CONFIG_HYPERV_NET",
    "hv_utils": "CONFIG_HYPERV_UTILS",
    "hv_balloon": "CONFIG_HYPERV_BALLOON",
    "ext4": "CONFIG_EXT4_FS",
    "xfs": "CONFIG_XFS_FS",
    "btrfs": "CONFIG_BTRFS_FS",
    "vfat": "CONFIG_VFAT_FS",
    "udf": "CONFIG_UDF_FS",
    "dm_mod": "CONFIG_BLK_DEV_DM",
    "nvme": "CONFIG_BLK_DEV_NVME",
    "sd_mod": "CONFIG_BLK_DEV_SD",
}


class Driver(StrEnum):
    """Where a driver is."""

    BUILTIN = "built into the kernel"
    INITRAMFS = "in the initramfs"
    MODULE = "a module outside the initramfs"
    MISSING = "missing"


@dataclass(frozen=True)
class Kernel:
    """Drivers of one kernel.

    Attributes:
        version: Its release.
        folder: Its folder of modules.
        builtin: Drivers that are part of it.
        modules: Drivers that can be loaded from the root file system.
        initrds: Paths of its initramfs files.
        in_initramfs: Drivers in the initramfs; an exception when it could not be read, None without one.
    """

    version: str
    folder: str
    builtin: frozenset[str]
    modules: frozenset[str]
    initrds: tuple[str, ...]
    in_initramfs: frozenset[str] | ReadError | None = field(default=None)

    def driver(self, name: str) -> Driver:
        """Where a driver is.

        Raises:
            UnreadableError: It is not built in, and the initramfs could not be read.
        """
        name = normal(name)
        if name in self.builtin:
            return Driver.BUILTIN
        if isinstance(self.in_initramfs, ReadError):
            raise UnreadableError(str(self.in_initramfs)) from self.in_initramfs
        if self.in_initramfs is not None and name in self.in_initramfs:
            return Driver.INITRAMFS
        return Driver.MODULE if name in self.modules else Driver.MISSING

    def loadable(self, name: str) -> Driver:
        """Where a driver is that is needed only after the root is mounted; never asks the initramfs first."""
        name = normal(name)
        if name in self.builtin:
            return Driver.BUILTIN
        return Driver.MODULE if name in self.modules else self.driver(name)


def normal(name: str) -> str:
    """Dash and underscore are the same in names of modules."""
    return name.replace("-", "_")


def module_of(path: str) -> str | None:
    """Name of the module in a file, or None when it is none."""
    match = _MODULE.search(path)
    return normal(match[1]) if match else None


def read_kernel(tree: Tree, boot: Boot) -> Kernel:
    """Read the drivers of a kernel.

    Raises:
        NotFoundError: It has no folder of modules.
    """
    folder = next((path for root in _ROOTS if tree.is_dir(path := f"{root}/modules/{boot.version}")), None)
    if folder is None:
        raise NotFoundError(f"kernel {boot.version} has no /lib/modules/{boot.version}")
    return Kernel(
        version=boot.version,
        folder=folder,
        builtin=frozenset(_listed(tree, f"{folder}/modules.builtin") | _configured(tree, boot)),
        modules=frozenset(_modules(tree, folder)),
        initrds=boot.initrds,
        in_initramfs=_initramfs(tree, boot),
    )


def _listed(tree: Tree, path: str) -> set[str]:
    if not tree.is_file(path):
        return set()
    found = (module_of(line.split(":", 1)[0].strip()) for line in tree.text(path, _MAX_BYTES).splitlines())
    return {each for each in found if each}


def _modules(tree: Tree, folder: str) -> set[str]:
    listed = _listed(tree, f"{folder}/modules.dep")
    if listed:
        return listed
    # No depmod has run: what is there is what counts.
    return {name for path, _ in tree.walk(folder) if (name := module_of(path))}


def read_config(tree: Tree, boot: Boot) -> dict[str, str] | None:
    """``CONFIG_*`` of a kernel; None when its file is not installed."""
    # /usr/boot is Flatcar's.
    files = [f"{folder}/config-{boot.version}" for folder in ("/boot", "/usr/boot")]
    files += [f"{root}/modules/{boot.version}/config" for root in _ROOTS]
    for path in files:
        if tree.is_file(path):
            pairs = (line.partition("=") for line in tree.text(path, _MAX_BYTES).splitlines())
            return {key: value for key, separator, value in pairs if separator and key.startswith("CONFIG_")}
    return None


def _configured(tree: Tree, boot: Boot) -> set[str]:
    config = read_config(tree, boot) or {}
    return {name for name, option in _CONFIG.items() if config.get(option) == "y"}


def _initramfs(tree: Tree, boot: Boot) -> frozenset[str] | ReadError | None:
    if not boot.initrds and not boot.slices:
        return None
    found: set[str] = set()
    budget = initramfs.Budget()
    path = boot.kernel
    try:
        pieces = [(each, 0, tree.stat(each).size) for each in boot.initrds]
        for path, start, size in (*pieces, *boot.slices):
            if size > _MAX_INITRAMFS:
                return UnreadableError(f"{path} has {size} bytes")

            def read_at(length: int, offset: int, path: str = path, start: int = start, size: int = size) -> bytes:
                return tree.pread(path, max(0, min(length, size - offset)), start + offset)

            found |= initramfs.names(read_at, size, budget)
    except NotFoundError as error:
        return NotFoundError(f"initramfs: {error}")
    except ReadError as error:
        return UnreadableError(f"{path}: {error}")
    return frozenset(name for each in found if (name := module_of(each)))
