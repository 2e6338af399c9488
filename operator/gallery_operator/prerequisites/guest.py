"""The read-only view of a disk that the checks get: every fact is computed when first asked for, once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import Self

from gallery_operator.contract import GuestProfile
from gallery_operator.prerequisites.container import ContainerFacts
from gallery_operator.prerequisites.disk import DiskSource
from gallery_operator.prerequisites.facts.agent import Waagent, read_waagent
from gallery_operator.prerequisites.facts.boot import Boot, read_boot
from gallery_operator.prerequisites.facts.cloud_init import CloudInit, read_cloud_init
from gallery_operator.prerequisites.facts.configuration import Configuration
from gallery_operator.prerequisites.facts.elf import architecture_of
from gallery_operator.prerequisites.facts.esp import Esp, read_esp
from gallery_operator.prerequisites.facts.fstab import Fstab, read_fstab
from gallery_operator.prerequisites.facts.kernel import Kernel, read_kernel
from gallery_operator.prerequisites.facts.modprobe import Disabled, disabled_in_files, disabled_on_cmdline
from gallery_operator.prerequisites.facts.os_release import OsRelease, read_os_release
from gallery_operator.prerequisites.facts.sshd import read_sshd
from gallery_operator.prerequisites.facts.units import Units
from gallery_operator.prerequisites.facts.users import Users, read_users
from gallery_operator.prerequisites.model import Architecture
from gallery_operator.prerequisites.mounts import Mounted, mount
from gallery_operator.prerequisites.readers.base import FileSystem, NotFoundError, ReadError, UnreadableError
from gallery_operator.prerequisites.readers.layout import Layout, Volume, open_file_system, read_layout
from gallery_operator.prerequisites.readers.partitions import PartitionTable, read_table
from gallery_operator.prerequisites.tree import Tree


class Guest(Configuration):
    """A disk and what is on it.

    Args:
        disk: The disk; None for a guest that is only a tree of files.
        profile: What the image is declared to be.
        container: The file the disk came in.
        tree: Files in the place of those on the disk (tests).
    """

    def __init__(
        self,
        disk: DiskSource | None,
        profile: GuestProfile,
        container: ContainerFacts | None = None,
        tree: Tree | None = None,
    ) -> None:
        self._disk = disk
        self.profile = profile
        self.container = container
        self._given_tree = tree
        self._open: dict[str, FileSystem | ReadError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of readers; the disk stays the caller's."""
        for each in self._open.values():
            if not isinstance(each, ReadError):
                each.close()
        self._open.clear()

    @property
    def disk(self) -> DiskSource:
        """The disk; raises ``UnreadableError`` for a guest that is only a tree of files."""
        if self._disk is None:
            raise UnreadableError("there is no disk, only a tree of files")
        return self._disk

    @property
    def has_disk(self) -> bool:
        """Whether there is a disk below the files."""
        return self._disk is not None

    @cached_property
    def table(self) -> PartitionTable:
        """The partition table."""
        return read_table(self.disk)

    @cached_property
    def layout(self) -> Layout:
        """The volumes."""
        return read_layout(self.disk, self.table)

    def open_volume(self, volume: Volume) -> FileSystem:
        """The file system of a volume, opened once; raises ``UnreadableError``."""
        known = self._open.get(volume.name)
        if known is None:
            try:
                known = open_file_system(volume)
            except ReadError as error:
                known = error
            self._open[volume.name] = known
        if isinstance(known, ReadError):
            raise UnreadableError(str(known)) from known
        return known

    @cached_property
    def _mounted(self) -> Mounted | ReadError:
        # A failure is kept as well: every row asks again.
        try:
            return mount(self.layout, self.open_volume)
        except ReadError as error:
            return error

    @property
    def mounted(self) -> Mounted:
        """The root file system; ``UnreadableError`` when there is none."""
        if isinstance(self._mounted, ReadError):
            raise UnreadableError(str(self._mounted))
        return self._mounted

    @property
    def tree(self) -> Tree:
        """The files, with everything mounted that fstab mounts; ``UnreadableError`` without a root."""
        return self._given_tree if self._given_tree is not None else self.mounted.tree

    @cached_property
    def esp(self) -> Esp:
        """The EFI system partition; ``NotFoundError`` when there is none."""
        return read_esp(self.table, self.layout, self.open_volume)

    @cached_property
    def os_release(self) -> OsRelease:
        """The distribution."""
        return read_os_release(self.tree)

    @property
    def family(self) -> str:
        """The distribution's family; ``other`` when the guest does not say what it is."""
        try:
            return self.os_release.family
        except NotFoundError:
            return "other"

    @property
    def major(self) -> int | None:
        """The distribution's major version; None when it has none."""
        try:
            return next(iter(self.os_release.number), None)
        except NotFoundError:
            return None

    @cached_property
    def boot(self) -> Boot:
        """Default kernel and its command line."""
        return read_boot(self.tree)

    @cached_property
    def kernel(self) -> Kernel:
        """Modules of the default kernel and of its initramfs."""
        return read_kernel(self.tree, self.boot)

    @cached_property
    def disabled_modules(self) -> tuple[Disabled, ...]:
        """Drivers that modprobe.d or the command line keeps from loading."""
        try:
            on_cmdline = disabled_on_cmdline(self.boot)
        except ReadError:
            on_cmdline = ()
        return disabled_in_files(self.tree) + on_cmdline

    @cached_property
    def sshd(self) -> Mapping[str, tuple[str, str]]:
        """Value and place of sshd's settings by keyword in lower case."""
        return read_sshd(self.tree)

    @cached_property
    def units(self) -> Units:
        """Units of systemd."""
        return Units(self.tree)

    @cached_property
    def fstab(self) -> Fstab:
        """``/etc/fstab``."""
        return read_fstab(self.tree)

    @cached_property
    def users(self) -> Users:
        """Accounts."""
        return read_users(self.tree)

    @cached_property
    def waagent(self) -> Waagent:
        """The Azure Linux Agent."""
        return read_waagent(self.tree)

    @cached_property
    def cloud_init(self) -> CloudInit:
        """cloud-init's files and merged configuration."""
        return read_cloud_init(self.tree)

    @cached_property
    def architecture(self) -> Architecture | None:
        """Of the installed programs; ``UnreadableError`` when no file system can be read."""
        return architecture_of(self.tree)

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be read, as sentences."""
        if isinstance(self._mounted, ReadError):
            return (str(self._mounted),)
        return self._mounted.notes
