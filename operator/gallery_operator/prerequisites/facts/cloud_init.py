"""cloud-init: its files, its merged configuration, its version."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gallery_operator.prerequisites.facts.packages import dpkg_version, python_distribution
from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.tree import Tree

MAIN: Final = "/etc/cloud/cloud.cfg"
FOLDER: Final = "/etc/cloud/cloud.cfg.d"
DISABLED: Final = "/etc/cloud/cloud-init.disabled"

UNITS: Final = ("cloud-init-local.service", "cloud-init.service", "cloud-config.service", "cloud-final.service")
UNITS_24_3: Final = (
    "cloud-init-main.service",
    "cloud-init-local.service",
    "cloud-init-network.service",
    "cloud-config.service",
    "cloud-final.service",
)
"""Since 24.3 one process does all stages, and cloud-init.service is called cloud-init-network.service."""

_PROGRAMS: Final = ("/usr/bin/cloud-init", "/usr/local/bin/cloud-init")
_MAX_BYTES: Final = 256 * 1024
_MAX_FILES: Final = 200
# Aliases and merge keys can make a small YAML file enormous ("billion laughs"); real ones use a handful.
_MAX_ALIASES: Final = 100


@dataclass(frozen=True)
class CloudInit:
    """cloud-init.

    Attributes:
        program: Path of the program; None when it is not installed.
        config: Configuration as cloud-init merges it from files: a later file wins, key by key.
        sources: The file that has the last say, by top-level key.
        faults: Files that could not be read as YAML, as sentences.
        version: Its version; None when it cannot be told.
    """

    program: str | None
    config: Mapping[str, Any]
    sources: Mapping[str, str]
    faults: tuple[str, ...]
    version: tuple[int, ...] | None

    @property
    def installed(self) -> bool:
        """Whether the program is there."""
        return self.program is not None

    def setting(self, key: str) -> Any:
        """A top-level setting; ``UnreadableError`` when a file that may set it is damaged."""
        if self.faults:
            raise UnreadableError("; ".join(self.faults))
        return self.config.get(key)

    def datasources(self) -> list[str] | None:
        """``datasource_list``; None when no file has one (then cloud-init looks for the platform itself)."""
        value = self.setting("datasource_list")
        if value is None:
            return None
        if isinstance(value, str):
            value = re.split(r"[\s,]+", value.strip("[] "))
        return [str(each) for each in value] if isinstance(value, list) else None


def read_cloud_init(tree: Tree) -> CloudInit:
    """Read what there is of cloud-init."""
    program = next((path for path in _PROGRAMS if tree.is_file(path)), None)
    config: dict[str, Any] = {}
    sources: dict[str, str] = {}
    faults: list[str] = []
    paths = [MAIN] if tree.is_file(MAIN) else []
    paths += [f"{FOLDER}/{name}" for name in tree.names(FOLDER) if name.endswith(".cfg")]
    for path in paths[:_MAX_FILES]:
        try:
            content = load_yaml(tree.text(path, _MAX_BYTES), path)
        except UnreadableError as error:
            faults.append(str(error))
            continue
        if isinstance(content, dict):
            _merge(config, content)
            sources.update({str(key): path for key in content})
    return CloudInit(program, config, sources, tuple(faults), _version(tree) if program else None)


def load_yaml(text: str, path: str) -> Any:
    """Read YAML safely and within bounds.

    Raises:
        UnreadableError: It is no YAML, or has suspiciously many aliases.
    """
    # Imported here: the operator loads the catalogue without it.
    import yaml

    if len(re.findall(r"(?:^|[\s\[,{])\*\w", text)) > _MAX_ALIASES:
        raise UnreadableError(f"{path} has more than {_MAX_ALIASES} YAML aliases")
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnreadableError(f"{path} is no YAML: {reason}") from error


def _merge(base: dict[str, Any], over: Mapping[Any, Any], depth: int = 0) -> None:
    """Dictionaries are merged key by key, everything else is replaced."""
    for key, value in over.items():
        known = base.get(str(key))
        if isinstance(known, dict) and isinstance(value, dict) and depth < 10:
            _merge(known, value, depth + 1)
        else:
            base[str(key)] = dict(value) if isinstance(value, dict) else value


def _version(tree: Tree) -> tuple[int, ...] | None:
    found = python_distribution(tree, "cloud_init")
    text = found[0] if found else dpkg_version(tree, "cloud-init")
    match = re.match(r"\d+(?:\.\d+)*", text or "")
    return tuple(int(each) for each in match[0].split(".")[:4]) if match else None
