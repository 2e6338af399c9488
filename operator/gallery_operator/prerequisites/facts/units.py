"""Which systemd units start at boot."""

import fnmatch
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Final

from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.tree import Tree

_ETC: Final = "/etc/systemd/system"
_FOLDERS: Final = (
    _ETC,
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_PRESETS: Final = (
    "/etc/systemd/system-preset",
    "/usr/lib/systemd/system-preset",
    "/lib/systemd/system-preset",
)
_MACHINE_ID: Final = "/etc/machine-id"


class UnitState(StrEnum):
    """Whether a unit starts at boot."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    MASKED = "masked"
    MISSING = "not installed"


@dataclass(frozen=True, slots=True)
class Unit:
    """State of a unit and the path that says so."""

    name: str
    state: UnitState
    evidence: str = ""

    def __str__(self) -> str:
        where = f" ({self.evidence})" if self.evidence else ""
        return f"{self.name} is {self.state}{where}"


class Units:
    """The units of a guest.

    Args:
        tree: Its files.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    @cached_property
    def _folders(self) -> tuple[str, ...]:
        # /lib is a link to /usr/lib on most; the same folder need not be looked through twice.
        real: dict[str, str] = {}
        for folder in _FOLDERS:
            if self._tree.is_dir(folder):
                real.setdefault(self._tree.real(folder), folder)
        return tuple(real.values())

    @cached_property
    def _wanted(self) -> dict[str, str]:
        """Path of a ``.wants`` or ``.requires`` entry by the name of the unit."""
        found: dict[str, str] = {}
        for folder in self._folders:
            for name in self._tree.names(folder):
                if name.endswith((".wants", ".requires")):
                    for unit in self._tree.names(f"{folder}/{name}"):
                        found.setdefault(unit, f"{folder}/{name}/{unit}")
        return found

    @cached_property
    def _aliases(self) -> dict[str, set[str]]:
        """Names of links in ``/etc/systemd/system`` by the name they lead to, and the other way."""
        found: dict[str, set[str]] = {}
        for folder in self._folders:
            for name in self._tree.names(folder):
                path = f"{folder}/{name}"
                if "." not in name or not self._tree.is_link(path):
                    continue
                target = self._tree.readlink(path).rsplit("/", 1)[-1]
                if target not in (name, "null"):
                    found.setdefault(target, set()).add(name)
                    found.setdefault(name, set()).add(target)
        return found

    def state(self, name: str) -> Unit:
        """Whether a unit starts at boot: masks first, then wants, aliases, presets, System V links."""
        masked = self._masked(name)
        if masked is not None:
            return Unit(name, UnitState.MASKED, masked)
        names = {name, *self._aliases.get(name, ())}
        for each in sorted(names):
            if each in self._wanted:
                return Unit(name, UnitState.ENABLED, self._wanted[each])
        path = self._file(name)
        if path is None:
            return self._system_v(name) or Unit(name, UnitState.MISSING)
        if self._first_boot and self._preset(name) and self._installable(path):
            return Unit(name, UnitState.ENABLED, "by preset at first boot")
        return Unit(name, UnitState.DISABLED, path)

    def any_enabled(self, *names: str) -> tuple[bool, list[Unit]]:
        """Whether one of several units starts at boot, and the state of each."""
        states = [self.state(each) for each in names]
        return any(each.state is UnitState.ENABLED for each in states), states

    def _masked(self, name: str) -> str | None:
        path = f"{_ETC}/{name}"
        if self._tree.is_link(path):
            return path if self._tree.readlink(path).endswith("/dev/null") else None
        if self._tree.is_file(path) and self._tree.stat(path).size == 0:
            return path
        return None

    def _file(self, name: str) -> str | None:
        return next((p for f in self._folders if self._tree.lexists(p := f"{f}/{name}")), None)

    def _system_v(self, name: str) -> Unit | None:
        if not name.endswith(".service"):
            return None
        script = name.removesuffix(".service")
        if not self._tree.is_file(f"/etc/init.d/{script}"):
            return None
        for level in "2345":
            for folder in (f"/etc/rc{level}.d", f"/etc/rc.d/rc{level}.d", f"/etc/init.d/rc{level}.d"):
                for link in self._tree.names(folder):
                    if link[:1] == "S" and link[3:] == script:
                        return Unit(name, UnitState.ENABLED, f"{folder}/{link}")
        return Unit(name, UnitState.DISABLED, f"/etc/init.d/{script}")

    @cached_property
    def _first_boot(self) -> bool:
        """machine-id(5): presets are applied when the file is missing or says ``uninitialized``."""
        try:
            return self._tree.text(_MACHINE_ID, 4096).strip() == "uninitialized"
        except NotFoundError:
            return True

    @cached_property
    def _rules(self) -> list[tuple[bool, str]]:
        files: dict[str, str] = {}
        for folder in _PRESETS:
            for name in self._tree.names(folder):
                if name.endswith(".preset"):
                    files.setdefault(name, f"{folder}/{name}")
        rules: list[tuple[bool, str]] = []
        for name in sorted(files):
            for _, line in self._tree.lines(files[name]):
                words = line.split()
                if len(words) >= 2 and words[0] in ("enable", "disable"):
                    rules.append((words[0] == "enable", words[1]))
        return rules

    def _preset(self, name: str) -> bool:
        """The first rule that matches counts; without one a unit is enabled (systemd.preset(5))."""
        return next((enable for enable, pattern in self._rules if fnmatch.fnmatchcase(name, pattern)), True)

    def _installable(self, path: str) -> bool:
        if not self._tree.is_file(path):
            return False
        return any(line == "[Install]" for _, line in self._tree.lines(path))
