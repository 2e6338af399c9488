"""Package repositories: apt (both formats), dnf and yum, zypper."""

import re
from dataclasses import dataclass, field
from typing import Final

from gallery_operator.prerequisites.tree import Tree

APT: Final = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list")
DEB822: Final = "/etc/apt/sources.list.d/*.sources"
RPM: Final = ("/etc/yum.repos.d/*.repo", "/etc/zypp/repos.d/*.repo")

_MAX_BYTES: Final = 1024 * 1024
_MAX_REPOSITORIES: Final = 2000
_LINE: Final = re.compile(r"deb\s+(?:\[[^\]]*\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)")
_SECTION: Final = re.compile(r"\[(?P<id>[^\]]+)\]\s*$")
_OFF: Final = frozenset({"0", "no", "false", "off"})


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository.

    Attributes:
        where: ``file:line``.
        enabled: Whether packages are taken from it.
        urls: Base URLs, mirror lists.
        suites: Suites (apt).
        id: Name in brackets (dnf, zypper).
        kind: ``apt`` or ``rpm``.
    """

    where: str
    enabled: bool
    urls: tuple[str, ...]
    suites: tuple[str, ...] = field(default=())
    id: str = ""
    kind: str = "rpm"

    def mentions(self, *texts: str) -> bool:
        """Whether id or a URL contains one of these texts (small letters)."""
        words = " ".join((self.id, self.where, *self.urls)).lower()
        return any(each in words for each in texts)


def read_repositories(tree: Tree) -> tuple[Repository, ...]:
    """All repositories, by file."""
    found: list[Repository] = []
    for pattern in APT:
        for path in tree.glob(pattern):
            if tree.is_file(path):
                found += _one_line(tree, path)
    for path in tree.glob(DEB822):
        if tree.is_file(path):
            found += _stanzas(path, tree.text(path, _MAX_BYTES))
    for pattern in RPM:
        for path in tree.glob(pattern):
            if tree.is_file(path):
                found += _sections(path, tree.text(path, _MAX_BYTES))
    return tuple(found[:_MAX_REPOSITORIES])


def _one_line(tree: Tree, path: str) -> list[Repository]:
    return [
        Repository(f"{path}:{number}", True, (match["uri"],), (match["suite"],), kind="apt")
        for number, line in tree.lines(path)
        if (match := _LINE.match(line))
    ]


def _stanzas(path: str, text: str) -> list[Repository]:
    """deb822: fields of a paragraph; a line that starts with a blank belongs to the field above."""
    found: list[Repository] = []
    fields: dict[str, str] = {}
    start, last = 1, ""
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if "deb" in fields.get("types", "").split():
                found.append(
                    Repository(
                        f"{path}:{start}",
                        fields.get("enabled", "yes").lower() not in _OFF,
                        tuple(fields.get("uris", "").split()),
                        tuple(fields.get("suites", "").split()),
                        kind="apt",
                    )
                )
            fields, start = {}, number + 1
        elif line[0] in " \t":
            fields[last] = f"{fields.get(last, '')} {line.strip()}"
        else:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()
    return found


def _sections(path: str, text: str) -> list[Repository]:
    found: list[Repository] = []
    section, start = "", 0
    fields: dict[str, str] = {}

    def finish() -> None:
        if section and section != "main":
            urls = " ".join(fields.get(each, "") for each in ("baseurl", "mirrorlist", "metalink", "service"))
            enabled = fields.get("enabled", "1").lower() not in _OFF
            found.append(Repository(f"{path}:{start}", enabled, tuple(urls.split()), id=section))

    for number, line in enumerate(text.splitlines(), start=1):
        match = _SECTION.match(line.strip())
        if match:
            finish()
            section, start, fields = match["id"], number, {}
        elif "=" in line and not line.lstrip().startswith(("#", ";")):
            key, _, value = line.partition("=")
            fields[key.strip().lower()] = value.strip()
    finish()
    return found
