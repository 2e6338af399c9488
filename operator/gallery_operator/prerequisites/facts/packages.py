"""Versions of installed software, by files first: package databases differ between distributions."""

import re
from typing import Final

from gallery_operator.prerequisites.tree import Tree

_DPKG: Final = "/var/lib/dpkg/status"
_MAX_DPKG: Final = 64 * 1024 * 1024
_SITES: Final = (
    "/usr/lib/python3/dist-packages",
    "/usr/lib/python3*/site-packages",
    "/usr/lib/python3*/dist-packages",
    "/usr/local/lib/python3*/dist-packages",
    "/usr/local/lib/python3*/site-packages",
    "/usr/lib/python2*/site-packages",
    "/usr/lib64/python3*/site-packages",
)


def python_distribution(tree: Tree, name: str) -> tuple[str, str] | None:
    """(version, path) of a Python distribution by its ``.dist-info`` or ``.egg-info``."""
    pattern = re.compile(
        re.escape(name).replace("_", "[-_]") + r"-(?P<version>[0-9][^-]*?)(?:-py[\d.]+)?\.(?:dist|egg)-info$",
        re.IGNORECASE,
    )
    for site in _SITES:
        for folder in tree.glob(site):
            for entry in tree.names(folder):
                match = pattern.match(entry)
                if match:
                    return match["version"], f"{folder}/{entry}"
    return None


def dpkg_version(tree: Tree, *names: str) -> str | None:
    """Version of the first of these Debian packages that is installed."""
    if not tree.is_file(_DPKG):
        return None
    text = tree.text(_DPKG, _MAX_DPKG)
    for name in names:
        match = re.search(rf"^Package: {re.escape(name)}\n(?P<fields>(?:.+\n)*)", text, re.MULTILINE)
        if match and "\nStatus: install ok installed\n" in f"\n{match['fields']}":
            version = re.search(r"^Version: (.+)$", match["fields"], re.MULTILINE)
            if version:
                return version[1].strip()
    return None
