"""ext2/3/4, XFS and FAT by libyal's libraries.

libyal finds an entry by its path within one file system, case-insensitively on FAT, and does not follow
links; so a node here is a path that has been followed already.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any, Final

from gallery_operator.prerequisites.readers.base import (
    MAX_DIRECTORY_ENTRIES,
    Kind,
    Stat,
    UnreadableError,
)
from gallery_operator.prerequisites.readers.region import Region, RegionFile

_MODULES: Final = {"ext4": "pyfsext", "xfs": "pyfsxfs", "vfat": "pyfsfat"}
_FAT_DIRECTORY: Final = 0x10

# Directory blocks are read at once by the library, so the bound must come before it. 64 MiB of names are
# more than MAX_DIRECTORY_ENTRIES of usual length.
_MAX_DIRECTORY_BYTES: Final = 64 * 1024 * 1024
_MAX_LINK_CHARACTERS: Final = 4096

# By path, the library goes through every directory on the way from its beginning: 12 ms among 20,000 names. From this
# many names on, names are listed once (15 µs each) and found by their number (17 µs).
_MANY_ENTRIES: Final = 500

# What the bindings raise on damaged structures.
_ERRORS: Final = (OSError, ValueError, OverflowError, MemoryError, TypeError, SystemError)


class LibyalFileSystem:
    """One file system.

    Args:
        region: Where it is.
        type: ``ext4`` (any of ext2, ext3, ext4), ``xfs`` or ``vfat``.

    Raises:
        UnreadableError: It cannot be opened.
    """

    def __init__(self, region: Region, type: str) -> None:  # noqa: A002 - as ``mount -t`` calls it
        self._type = type
        self.separator = "\\" if type == "vfat" else "/"
        module = importlib.import_module(_MODULES[type])
        self.reader = module.__name__
        self._file = RegionFile(region)
        try:
            self.volume: Any = module.volume()
            self.volume.open_file_object(self._file)
        except _ERRORS as error:
            raise UnreadableError(f"{type} file system cannot be opened: {_reason(error)}") from error

    @property
    def type(self) -> str:
        """``ext4``, ``xfs`` or ``vfat``."""
        return self._type

    def root(self) -> LibyalNode:
        """The root directory."""
        try:
            entry = self.volume.get_root_directory()
        except _ERRORS as error:
            raise UnreadableError(f"root directory cannot be read: {_reason(error)}") from error
        if entry is None:
            raise UnreadableError("the file system has no root directory")
        return LibyalNode(self, "", entry)

    def close(self) -> None:
        """Let go of the library's buffers."""
        try:
            self.volume.close()
        except _ERRORS:  # nothing is left to be done about a read-only volume
            return


class LibyalNode:
    """An entry found by its path."""

    def __init__(self, owner: LibyalFileSystem, path: str, entry: Any, *, below_many: bool = False) -> None:
        self._owner = owner
        self._path = path
        self._entry = entry
        self._stat: Stat | None = None
        self._below_many = below_many
        self._numbers: dict[str, int] | None = None

    @property
    def stat(self) -> Stat:
        """Kind, size, and mode and owner where the file system has them."""
        if self._stat is None:
            try:
                self._stat = self._read_stat()
            except _ERRORS as error:
                raise self._unreadable("metadata", error) from error
        return self._stat

    def _read_stat(self) -> Stat:
        if self._owner.type == "vfat":
            # The root of a FAT has no entry of its own, hence no attributes.
            flags = self._entry.file_attribute_flags if self._path else _FAT_DIRECTORY
            directory = bool((flags or 0) & _FAT_DIRECTORY)
            return Stat(Kind.DIRECTORY if directory else Kind.FILE, 0 if directory else self._entry.size)
        mode = self._entry.file_mode
        return Stat(
            Kind.of_mode(mode),
            self._entry.size or 0,
            mode & 0o7777,
            self._entry.owner_identifier,
            self._entry.group_identifier,
        )

    def child(self, name: str) -> LibyalNode | None:
        """The entry of this directory with that name."""
        if self.stat.kind is not Kind.DIRECTORY:
            return None
        self._check_directory()
        path = self._path + self._owner.separator + name
        try:
            many = self._owner.type != "vfat" and (self._below_many or self._count() > _MANY_ENTRIES)
            entry = self._by_number(name) if many else self._owner.volume.get_file_entry_by_path(path)
        except _ERRORS as error:
            raise UnreadableError(f"{path} cannot be read: {_reason(error)}") from error
        return None if entry is None else LibyalNode(self._owner, path, entry, below_many=many)

    def _count(self) -> int:
        count = int(self._entry.number_of_sub_file_entries)
        if count > MAX_DIRECTORY_ENTRIES:
            raise UnreadableError(f"{self._path or '/'} has more than {MAX_DIRECTORY_ENTRIES} entries")
        return count

    def _by_number(self, name: str) -> Any:
        if self._numbers is None:
            numbers: dict[str, int] = {}
            for index in range(self._count()):
                # Of two entries with one name the first counts, as by path.
                numbers.setdefault(self._entry.get_sub_file_entry(index).name or "", index)
            self._numbers = numbers
        number = self._numbers.get(name)
        return None if number is None else self._entry.get_sub_file_entry(number)

    def names(self) -> Iterator[str]:
        """Names in this directory."""
        self._check_directory()
        try:
            for index in range(self._count()):
                name = self._entry.get_sub_file_entry(index).name
                if name and name not in (".", ".."):
                    yield name
        except _ERRORS as error:
            raise self._unreadable("directory", error) from error

    def pread(self, length: int, offset: int) -> bytes:
        """Bytes of this file."""
        if length <= 0 or offset >= self.stat.size:
            return b""
        try:
            data = self._entry.read_buffer_at_offset(min(length, self.stat.size - offset), offset)
        except _ERRORS as error:
            raise self._unreadable("content", error) from error
        return bytes(data)

    def link(self) -> str:
        """Target of this link."""
        if self.stat.size > _MAX_LINK_CHARACTERS:
            raise UnreadableError(f"{self._path} is a link of {self.stat.size} bytes")
        try:
            target = self._entry.symbolic_link_target
        except _ERRORS as error:
            raise self._unreadable("link", error) from error
        if not target:
            raise UnreadableError(f"{self._path} is a link to nothing")
        return str(target)

    def _check_directory(self) -> None:
        if self.stat.size > _MAX_DIRECTORY_BYTES:
            raise UnreadableError(f"{self._path or '/'} is a directory of {self.stat.size} bytes")

    def _unreadable(self, what: str, error: BaseException) -> UnreadableError:
        return UnreadableError(f"{what} of {self._path or '/'} cannot be read: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """The first sentence of libyal's long chains says what was wrong; the rest says where in its code."""
    text = " ".join(str(error).split())
    if ": " in text:
        text = text.split(": ", 1)[1]
    return (text.split(". ")[0] or type(error).__name__)[:200]
