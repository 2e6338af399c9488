"""Follows paths inside an image: links and ``..`` never leave it, mount points are crossed as at run time."""

import fnmatch
import posixpath
from collections.abc import Iterator, Mapping
from typing import Final

from gallery_operator.prerequisites.readers.base import (
    MAX_DIRECTORY_ENTRIES,
    MAX_FILE_BYTES,
    FileSystem,
    Kind,
    Node,
    NotFoundError,
    ReadError,
    Stat,
    UnreadableError,
)

MAX_LINKS: Final = 40
"""As many links as Linux follows in one path (path_resolution(7))."""

_MAX_COMPONENTS: Final = 1000

# In all, over the life of a tree: a disk whose every file and directory is within its own bound could still keep the
# checks busy for days. The checks of an installed Debian read 100 MiB and list 20,000 names.
MAX_BYTES_IN_ALL: Final = 4 * 1024 * 1024 * 1024
MAX_NAMES_IN_ALL: Final = 2_000_000


class Tree:
    """The files of a guest as it would see them after boot.

    Args:
        root: The root file system.
        mounts: Further file systems by absolute mount point; an exception stands for one that could not be
            read: whatever is looked for below it is unreadable, not absent.
    """

    def __init__(self, root: FileSystem, mounts: Mapping[str, FileSystem | ReadError] | None = None) -> None:
        self._root = root
        self._mounts = dict(mounts or {})
        self._nodes: dict[str, Node] = {}
        self._bytes_left = MAX_BYTES_IN_ALL
        self._names_left = MAX_NAMES_IN_ALL

    def exists(self, path: str) -> bool:
        """Whether the path leads to something; links are followed."""
        try:
            self._find(path)
        except NotFoundError:
            return False
        return True

    def lexists(self, path: str) -> bool:
        """Whether there is such an entry, be it a dangling link."""
        try:
            self._find(path, follow=False)
        except NotFoundError:
            return False
        return True

    def is_file(self, path: str) -> bool:
        """Whether the path leads to a regular file."""
        return self._kind(path) is Kind.FILE

    def is_dir(self, path: str) -> bool:
        """Whether the path leads to a directory."""
        return self._kind(path) is Kind.DIRECTORY

    def is_link(self, path: str) -> bool:
        """Whether the path itself is a link."""
        try:
            return self._find(path, follow=False)[0].stat.kind is Kind.LINK
        except NotFoundError:
            return False

    def stat(self, path: str, *, follow: bool = True) -> Stat:
        """Metadata; raises ``NotFoundError``."""
        return self._find(path, follow=follow)[0].stat

    def node(self, path: str) -> Node:
        """What a path leads to, as its reader has it; raises ``NotFoundError``."""
        return self._find(path)[0]

    def readlink(self, path: str) -> str:
        """Target of a link as written; raises ``NotFoundError``."""
        return self._find(path, follow=False)[0].link()

    def real(self, path: str) -> str:
        """Path without links; raises ``NotFoundError``."""
        return self._find(path)[1]

    def file_system(self, path: str) -> tuple[FileSystem, str]:
        """The file system that holds a path, existing or not, and where that is mounted (``/`` for the root).

        Raises:
            UnreadableError: That file system could not be read.
        """
        # Two slashes at the beginning would stay two.
        folder = posixpath.normpath("/" + path.lstrip("/"))
        while folder != "/":
            mounted = self._mounts.get(folder)
            if isinstance(mounted, ReadError):
                raise UnreadableError(f"{folder}: {mounted}") from mounted
            if mounted is not None:
                return mounted, folder
            folder = posixpath.dirname(folder)
        return self._root, "/"

    def pread(self, path: str, length: int, offset: int = 0) -> bytes:
        """A piece of a file."""
        node = self._find(path)[0]
        self._spend(max(0, min(length, node.stat.size - offset)))
        return node.pread(length, offset)

    def _spend(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise UnreadableError(f"more than {MAX_BYTES_IN_ALL >> 30} GiB would be read from the files of this disk")

    def read(self, path: str, limit: int = MAX_FILE_BYTES) -> bytes:
        """A whole file.

        Raises:
            NotFoundError: There is no such file.
            UnreadableError: It is no regular file, damaged, or longer than ``limit`` bytes.
        """
        node, real = self._find(path)
        if node.stat.kind is not Kind.FILE:
            raise UnreadableError(f"{path} is a {node.stat.kind}, not a file")
        if node.stat.size > limit:
            raise UnreadableError(f"{path} has {node.stat.size} bytes, more than {limit} are not read")
        self._spend(node.stat.size)
        data = node.pread(node.stat.size, 0)
        if len(data) != node.stat.size:
            raise UnreadableError(f"{real} ends after {len(data)} of {node.stat.size} bytes")
        return data

    def text(self, path: str, limit: int = MAX_FILE_BYTES) -> str:
        """A whole text file; bytes that are not UTF-8 are replaced."""
        return self.read(path, limit).decode("utf-8", "replace")

    def text_or_none(self, path: str) -> str | None:
        """A whole text file, or None when there is none (a directory is none either)."""
        return self.text(path) if self.is_file(path) else None

    def lines(self, path: str) -> list[tuple[int, str]]:
        """Numbered lines without surrounding blanks, empty ones and those that start with ``#`` left out."""
        numbered = enumerate(self.text(path).splitlines(), start=1)
        return [
            (number, line.strip()) for number, line in numbered if line.strip() and not line.strip().startswith("#")
        ]

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory; empty when there is no such directory."""
        try:
            node, real = self._find(path)
        except NotFoundError:
            return []
        if node.stat.kind is not Kind.DIRECTORY:
            return []
        found: set[str] = set()
        for name in node.names():
            found.add(name)
            self._names_left -= 1
            if len(found) > MAX_DIRECTORY_ENTRIES:
                raise UnreadableError(f"{real} has more than {MAX_DIRECTORY_ENTRIES} entries")
            if self._names_left < 0:
                raise UnreadableError(f"more than {MAX_NAMES_IN_ALL} names would be listed on this disk")
        return sorted(found)

    def glob(self, pattern: str) -> list[str]:
        """Paths that match; ``*``, ``?`` and ``[`` stay within one component, a leading dot is like any."""
        paths = [""]
        for part in pattern.strip("/").split("/"):
            if any(each in part for each in "*?["):
                paths = [
                    f"{path}/{name}"
                    for path in paths
                    for name in self.names(path or "/")
                    if fnmatch.fnmatchcase(name, part)
                ]
            else:
                paths = [f"{path}/{part}" for path in paths if self.lexists(f"{path}/{part}")]
        return paths

    def walk(self, path: str, limit: int = MAX_DIRECTORY_ENTRIES) -> Iterator[tuple[str, Stat]]:
        """Everything below a directory, links not followed; ends with an error after ``limit`` entries."""
        pending = [path.rstrip("/")]
        count = 0
        while pending:
            folder = pending.pop()
            for name in self.names(folder or "/"):
                count += 1
                if count > limit:
                    raise UnreadableError(f"{path} has more than {limit} entries")
                entry = f"{folder}/{name}"
                facts = self.stat(entry, follow=False)
                yield entry, facts
                if facts.kind is Kind.DIRECTORY:
                    pending.append(entry)

    def _kind(self, path: str) -> Kind | None:
        try:
            return self._find(path)[0].stat.kind
        except NotFoundError:
            return None

    def _find(self, path: str, *, follow: bool = True) -> tuple[Node, str]:
        """The node and its canonical path."""
        pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        current = ""
        links = 0
        steps = 0
        while pending:
            steps += 1
            if steps > _MAX_COMPONENTS:
                raise UnreadableError(f"{path} has too many components")
            part = pending.pop()
            if part == "..":
                current = posixpath.dirname(current) if current else ""
                current = "" if current == "/" else current
                continue
            entry = f"{current}/{part}"
            node = self._node(entry, current, path)
            if node.stat.kind is Kind.LINK and (pending or follow):
                links += 1
                if links > MAX_LINKS:
                    raise UnreadableError(f"{path} goes through more than {MAX_LINKS} links")
                target = node.link()
                if target.startswith("/"):
                    current = ""
                pending += [each for each in reversed(target.split("/")) if each not in ("", ".")]
                continue
            current = entry
        return self._node(current, None, path), current or "/"

    def _node(self, entry: str, parent: str | None, asked: str) -> Node:
        """The node at a canonical path whose parent was found already."""
        known = self._nodes.get(entry)
        if known is not None:
            return known
        mounted = self._mounts.get(entry or "/")
        if isinstance(mounted, ReadError):
            raise UnreadableError(f"{entry}: {mounted}") from mounted
        if mounted is not None:
            node: Node | None = mounted.root()
        elif parent is None:
            node = self._root.root() if not entry else None
        else:
            above = self._node(parent, None, asked)
            node = above.child(entry.rsplit("/", 1)[1])
        if node is None:
            raise NotFoundError(f"{asked} does not exist")
        self._nodes[entry] = node
        return node
