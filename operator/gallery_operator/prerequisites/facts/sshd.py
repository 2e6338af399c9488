"""sshd's effective configuration: ``Include`` where it stands, and the first value of a keyword wins."""

import posixpath
from typing import Final

from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.tree import Tree

MAIN: Final = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")

_MAX_DEPTH: Final = 16
_MAX_FILES: Final = 256


def read_sshd(tree: Tree) -> dict[str, tuple[str, str]]:
    """Value and ``file:line`` by keyword in lower case (sshd_config(5)); what is below ``Match`` is left out.

    Raises:
        UnreadableError: Files include each other without end.
    """
    found: dict[str, tuple[str, str]] = {}
    budget = [_MAX_FILES]
    for path in MAIN:
        if tree.is_file(path):
            _read(tree, path, found, 0, budget)
            break
    return found


def _read(tree: Tree, path: str, found: dict[str, tuple[str, str]], depth: int, budget: list[int]) -> None:
    budget[0] -= 1
    if depth > _MAX_DEPTH or budget[0] < 0:
        raise UnreadableError(f"{path} is included too deeply or too often")
    for number, line in tree.lines(path):
        words = line.replace("=", " ", 1).split(None, 1)
        if len(words) < 2:
            continue
        keyword, value = words[0].lower(), words[1].strip().strip('"')
        if keyword == "match":
            return
        if keyword == "include":
            for pattern in value.split():
                # Relative names are below /etc/ssh.
                for each in tree.glob(posixpath.join("/etc/ssh", pattern)):
                    if tree.is_file(each):
                        _read(tree, each, found, depth + 1, budget)
            continue
        found.setdefault(keyword, (value, f"{path}:{number}"))
