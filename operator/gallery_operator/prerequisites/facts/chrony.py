"""chrony's configuration with everything it includes (chrony.conf(5))."""

import posixpath
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.tree import Tree

MAIN: Final = ("/etc/chrony/chrony.conf", "/etc/chrony.conf")

_MAX_DEPTH: Final = 10
_MAX_FILES: Final = 256


@dataclass(frozen=True, slots=True)
class Directive:
    """One line: keyword in lower case, the rest, ``file:line``."""

    keyword: str
    value: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.keyword} {self.value}"


@dataclass(frozen=True, slots=True)
class Chrony:
    """The configuration.

    Attributes:
        path: The main file; None when there is none.
        directives: In the order they are read.
    """

    path: str | None
    directives: tuple[Directive, ...]

    def all(self, keyword: str) -> list[Directive]:
        """All lines with this keyword."""
        return [each for each in self.directives if each.keyword == keyword]


def read_chrony(tree: Tree) -> Chrony:
    """Read it.

    Raises:
        UnreadableError: Files include each other without end.
    """
    path = next((each for each in MAIN if tree.is_file(each)), None)
    found: list[Directive] = []
    if path is not None:
        _read(tree, path, found, 0, [_MAX_FILES])
    return Chrony(path, tuple(found))


def _read(tree: Tree, path: str, found: list[Directive], depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if depth > _MAX_DEPTH or budget[0] < 0:
        raise UnreadableError(f"{path} is included too deeply or too often")
    for number, line in tree.lines(path):
        if line[0] in "!;%":
            continue
        keyword, _, rest = line.partition(" ")
        keyword, value = keyword.lower(), rest.strip()
        for each in _included(tree, keyword, value):
            if tree.is_file(each):
                _read(tree, each, found, depth + 1, budget)
        found.append(Directive(keyword, value, f"{path}:{number}"))


def _included(tree: Tree, keyword: str, value: str) -> list[str]:
    if keyword == "include":
        return tree.glob(value)
    suffix = {"confdir": ".conf", "sourcedir": ".sources"}.get(keyword)
    if suffix is None:
        return []
    return [posixpath.join(folder, name) for folder in value.split() for name in tree.names(folder)
            if name.endswith(suffix)]  # fmt: skip
