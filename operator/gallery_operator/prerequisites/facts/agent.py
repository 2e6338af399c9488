"""The Azure Linux Agent: its program, its configuration, its version."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.facts.packages import dpkg_version, python_distribution
from gallery_operator.prerequisites.tree import Tree

CONFIG: Final = "/etc/waagent.conf"
UNITS: Final = ("walinuxagent.service", "waagent.service")

_PROGRAMS: Final = ("/usr/sbin/waagent", "/usr/bin/waagent", "/usr/share/oem/bin/waagent", "/opt/waagent/waagent")
_CONFIGS: Final = (CONFIG, "/usr/share/oem/waagent.conf", "/usr/lib/waagent/waagent.conf")
_MAX_BYTES: Final = 1024 * 1024
_VERSION_FILES: Final = (
    "/usr/lib/python3*/*-packages/azurelinuxagent/common/version.py",
    "/usr/local/lib/python3*/*-packages/azurelinuxagent/common/version.py",
)


@dataclass(frozen=True, slots=True)
class Waagent:
    """The agent.

    Attributes:
        program: Path of the program; None when it is not installed.
        config_path: The configuration that was read; None without one.
        config: Options by name.
        lines: Line number of each option.
        version: Its version; None when it cannot be told.
        version_source: What says so.
    """

    program: str | None
    config_path: str | None
    config: Mapping[str, str]
    lines: Mapping[str, int]
    version: tuple[int, ...] | None
    version_source: str

    def option(self, name: str, default: str) -> str:
        """Value of an option in lower case."""
        return self.config.get(name, default).lower()

    def is_on(self, name: str, *, default: bool) -> bool:
        """Whether an option is ``y``."""
        value = self.config.get(name)
        return default if value is None else value.lower().startswith(("y", "t"))

    def where(self, name: str) -> str:
        """``file:line`` of an option, or that it is not set."""
        if name in self.lines:
            return f"{self.config_path}:{self.lines[name]}"
        return f"{self.config_path or CONFIG} (not set)"


def read_waagent(tree: Tree) -> Waagent:
    """Read what there is of the agent."""
    program = next((path for path in _PROGRAMS if tree.is_file(path)), None)
    config_path = next((path for path in _CONFIGS if tree.is_file(path)), None)
    config: dict[str, str] = {}
    lines: dict[str, int] = {}
    if config_path is not None:
        for number, line in enumerate(tree.text(config_path, _MAX_BYTES).splitlines(), start=1):
            # As the agent reads it (conf.py): "#" starts a comment anywhere, the last value wins.
            key, separator, value = line.split("#", 1)[0].partition("=")
            if separator:
                config[key.strip()] = value.strip().strip("\"'")
                lines[key.strip()] = number
    version, source = _version(tree) if program is not None else (None, "")
    return Waagent(program, config_path, config, lines, version, source)


def _version(tree: Tree) -> tuple[tuple[int, ...] | None, str]:
    found = python_distribution(tree, "WALinuxAgent")
    if found is not None:
        return _numbers(found[0]), found[1]
    for pattern in _VERSION_FILES:
        for path in tree.glob(pattern):
            match = re.search(r"^AGENT_VERSION = ['\"]([\d.]+)", tree.text(path, _MAX_BYTES), re.MULTILINE)
            if match:
                return _numbers(match[1]), path
    package = dpkg_version(tree, "walinuxagent", "waagent")
    if package is not None:
        return _numbers(package), f"dpkg: {package}"
    return None, ""


def _numbers(text: str) -> tuple[int, ...] | None:
    match = re.match(r"\d+(?:\.\d+)*", text.split(":", 1)[-1])
    return tuple(int(each) for each in match[0].split(".")[:6]) if match else None
