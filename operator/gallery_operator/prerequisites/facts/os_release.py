"""Which distribution it is."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.tree import Tree

PATHS: Final = ("/etc/os-release", "/usr/lib/os-release")

FAMILIES: Final[Mapping[str, str]] = {
    "debian": "debian",
    "ubuntu": "ubuntu",
    "rhel": "rhel",
    "redhat": "rhel",
    "almalinux": "rhel",
    "rocky": "rhel",
    "fedora": "rhel",
    "centos": "centos",
    "ol": "oracle",
    "oracle": "oracle",
    "sles": "sles",
    "sle-micro": "sles",
    "opensuse": "opensuse",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
    "flatcar": "flatcar",
}
"""Family by os-release ``ID``; the rows of the catalogue speak of families."""

_MAX_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class OsRelease:
    """os-release(5).

    Attributes:
        id: ``ID``, for example ``debian``.
        version: ``VERSION_ID``; empty on rolling distributions.
        like: ``ID_LIKE`` as words.
        path: The file it was read from.
    """

    id: str
    version: str
    like: tuple[str, ...]
    path: str

    @property
    def name(self) -> str:
        """For example ``debian 12``."""
        return f"{self.id} {self.version}".strip()

    @property
    def number(self) -> tuple[int, ...]:
        """``VERSION_ID`` as numbers, for example ``(22, 4)``; empty without one."""
        match = re.match(r"\d{1,6}(?:\.\d{1,6}){0,3}", self.version)
        return tuple(int(each) for each in match[0].split(".")) if match else ()

    @property
    def family(self) -> str:
        """One of the values of ``FAMILIES``, or ``other``."""
        for each in (self.id, *self.like):
            if each in FAMILIES:
                return FAMILIES[each]
        return "other"


def family_of(os_id: str) -> str:
    """Family of a distribution's ``ID`` (or of a family's own name)."""
    name = os_id.lower()
    return name if name in FAMILIES.values() else FAMILIES.get(name, "other")


def read_os_release(tree: Tree) -> OsRelease:
    """Read the first of ``PATHS`` that exists.

    Raises:
        NotFoundError: There is none, or it has no ``ID``.
    """
    for path in PATHS:
        if tree.is_file(path):
            fields = parse(tree.text(path, _MAX_BYTES))
            if fields.get("ID"):
                return OsRelease(
                    id=fields["ID"].lower(),
                    version=fields.get("VERSION_ID", ""),
                    like=tuple(fields.get("ID_LIKE", "").lower().split()),
                    path=path,
                )
    raise NotFoundError(f"there is no {' or '.join(PATHS)} with an ID")


def parse(text: str) -> dict[str, str]:
    """``KEY=value`` lines as a shell would read them; lines that are not are left out."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, separator, value = line.strip().partition("=")
        if not separator or not key.isidentifier():
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            words = [value.strip("\"'")]
        fields[key] = words[0] if words else ""
    return fields
