"""A folder of the host in the place of a file system: for unit tests, and for trees laid out by hand.

Links are never followed here; every component is opened relative to its parent without following links.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from gallery_operator.prerequisites.readers.base import Kind, Stat, UnreadableError


class FolderFileSystem:
    """A folder as a file system.

    Args:
        path: The folder.
        ignore_case: Names match regardless of case, as on FAT.
    """

    reader = "folder"

    def __init__(self, path: str | os.PathLike[str], *, ignore_case: bool = False) -> None:
        self._path = Path(path)
        self.ignore_case = ignore_case

    @property
    def type(self) -> str:
        """``folder``, or ``vfat`` where case is ignored."""
        return "vfat" if self.ignore_case else "folder"

    def root(self) -> FolderNode:
        """The folder."""
        return FolderNode(self, self._path)

    def close(self) -> None:
        """Nothing is held open."""


class FolderNode:
    """An entry of the folder; its path has been checked component by component by the caller."""

    def __init__(self, owner: FolderFileSystem, path: Path) -> None:
        self._owner = owner
        self._path = path

    @property
    def stat(self) -> Stat:
        """Metadata without following a link."""
        try:
            facts = self._path.lstat()
        except OSError as error:
            raise UnreadableError(f"{self._path.name} cannot be read: {error.strerror}") from error
        return Stat(
            Kind.of_mode(facts.st_mode),
            facts.st_size,
            stat.S_IMODE(facts.st_mode),
            facts.st_uid,
            facts.st_gid,
        )

    def child(self, name: str) -> FolderNode | None:
        """The entry with that name."""
        if self.stat.kind is not Kind.DIRECTORY:
            return None
        if self._owner.ignore_case:
            matches = [each for each in self.names() if each.casefold() == name.casefold()]
            if not matches:
                return None
            name = matches[0]
        path = self._path / name
        return FolderNode(self._owner, path) if os.path.lexists(path) else None

    def names(self) -> Iterator[str]:
        """Names in this folder."""
        try:
            yield from (each.name for each in self._path.iterdir())
        except OSError as error:
            raise UnreadableError(f"{self._path.name} cannot be listed: {error.strerror}") from error

    def pread(self, length: int, offset: int) -> bytes:
        """Bytes of this file."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise UnreadableError(f"{self._path.name} cannot be opened: {error.strerror}") from error
        try:
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)

    def link(self) -> str:
        """Target of this link."""
        try:
            return str(self._path.readlink())
        except OSError as error:
            raise UnreadableError(f"{self._path.name} is no link: {error.strerror}") from error
