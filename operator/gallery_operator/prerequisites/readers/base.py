"""What a reader of a file system offers, and how it says that it cannot.

A path is followed by ``tree.Tree``, never by a reader: readers know nodes, their names and their bytes.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

MAX_DIRECTORY_ENTRIES = 200_000
"""More names in one directory than this are not read: no directory a check looks into is that large."""

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Default bound for reading a file in one go. Kernels and initramfs ask for more explicitly."""


class ReadError(Exception):
    """Something on the disk could not be read; the rows that need it are unknown."""


class NotFoundError(ReadError):
    """The disk was read, and the file is not there."""


class UnreadableError(ReadError):
    """A file system, directory or file is there but damaged, unsupported or beyond a bound."""


class Kind(StrEnum):
    """What a node is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    OTHER = "other"

    @staticmethod
    def of_mode(mode: int) -> "Kind":
        """The kind that the type bits of ``st_mode`` say."""
        if stat.S_ISREG(mode):
            return Kind.FILE
        if stat.S_ISDIR(mode):
            return Kind.DIRECTORY
        if stat.S_ISLNK(mode):
            return Kind.LINK
        return Kind.OTHER


@dataclass(frozen=True, slots=True)
class Stat:
    """Metadata of a node.

    Attributes:
        kind: What it is.
        size: Bytes.
        mode: Permission bits (12), or None where the reader cannot know them (FAT).
        uid: Owner, or None.
        gid: Group, or None.
    """

    kind: Kind
    size: int
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class Node(Protocol):
    """A file, directory or link of a file system."""

    @property
    def stat(self) -> Stat:
        """Metadata, of a link itself; raises ``UnreadableError``."""
        ...

    def child(self, name: str) -> "Node | None":
        """The entry of a directory, or None; raises ``UnreadableError``."""
        ...

    def names(self) -> Iterator[str]:
        """Names in a directory without ``.`` and ``..``; raises ``UnreadableError``."""
        ...

    def pread(self, length: int, offset: int) -> bytes:
        """Bytes of a file; raises ``UnreadableError``."""
        ...

    def link(self) -> str:
        """Target of a link; raises ``UnreadableError``."""
        ...


class FileSystem(Protocol):
    """A file system that can be read.

    Attributes:
        type: ``ext4`` (also for ext2 and ext3), ``xfs``, ``vfat``, ``btrfs``, ``folder``.
        reader: Name of the implementation, for messages.
    """

    @property
    def type(self) -> str:
        """As ``mount -t`` calls it."""
        ...

    @property
    def reader(self) -> str:
        """Name of the implementation."""
        ...

    def root(self) -> Node:
        """The root directory; raises ``UnreadableError``."""
        ...

    def close(self) -> None:
        """Let go of what is held open."""
        ...
