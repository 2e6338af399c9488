"""The read-only view of a disk that the checks get: every fact is computed when first asked for, once."""

from __future__ import annotations

from functools import cached_property
from types import TracebackType
from typing import Self

from gallery_operator.contract import GuestProfile
from gallery_operator.prerequisites.container import ContainerFacts
from gallery_operator.prerequisites.disk import DiskSource
from gallery_operator.prerequisites.facts.os_release import OsRelease, read_os_release
from gallery_operator.prerequisites.model import Architecture
from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.readers.partitions import PartitionTable, read_table
from gallery_operator.prerequisites.tree import Tree


class Guest:
    """A disk and what is on it.

    Args:
        disk: The disk; None for a guest that is only a tree of files.
        profile: What the image is declared to be.
        container: The file the disk came in.
    """

    def __init__(self, disk: DiskSource | None, profile: GuestProfile, container: ContainerFacts | None = None) -> None:
        self._disk = disk
        self.profile = profile
        self.container = container

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of readers; the disk stays the caller's."""

    @property
    def disk(self) -> DiskSource:
        """The disk; raises ``UnreadableError`` for a guest that is only a tree of files."""
        if self._disk is None:
            raise UnreadableError("there is no disk, only a tree of files")
        return self._disk

    @cached_property
    def table(self) -> PartitionTable:
        """The partition table."""
        return read_table(self.disk)

    @cached_property
    def tree(self) -> Tree:
        """The files, with everything mounted that fstab mounts; ``UnreadableError`` without a root."""
        raise UnreadableError("no root file system")

    @cached_property
    def os_release(self) -> OsRelease:
        """The distribution."""
        return read_os_release(self.tree)

    @property
    def architecture(self) -> Architecture | None:
        """Of the kernel."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader could not read."""
        return ()
