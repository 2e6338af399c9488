"""Drivers that configuration keeps from loading: modprobe.d and the kernel command line."""

from dataclasses import dataclass
from typing import Final

from gallery_operator.prerequisites.facts.boot import Boot
from gallery_operator.prerequisites.facts.kernel import normal
from gallery_operator.prerequisites.tree import Tree

_FOLDERS: Final = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
_OPTIONS: Final = ("modprobe.blacklist", "module_blacklist", "rd.driver.blacklist", "rdblacklist")
_NOTHING: Final = ("true", "false", ":")


@dataclass(frozen=True, slots=True)
class Disabled:
    """A line that keeps a driver from loading.

    Attributes:
        module: The driver.
        where: ``file:line`` or the option of the command line.
        how: ``blacklist`` (not loaded for its hardware, but on request) or ``install`` (never).
    """

    module: str
    where: str
    how: str

    def __str__(self) -> str:
        return f"{self.where}: {self.how} {self.module}"


def disabled_in_files(tree: Tree) -> tuple[Disabled, ...]:
    """Lines of modprobe.d(5); a file in a folder with precedence hides the one of the same name behind it."""
    files: dict[str, str] = {}
    for folder in _FOLDERS:
        for name in tree.names(folder):
            if name.endswith(".conf"):
                files.setdefault(name, f"{folder}/{name}")
    found = []
    for name in sorted(files):
        if not tree.is_file(files[name]):
            continue
        for number, line in tree.lines(files[name]):
            words = line.split()
            if len(words) >= 2 and words[0] == "blacklist":
                found.append(Disabled(normal(words[1]), f"{files[name]}:{number}", "blacklist"))
            if len(words) >= 3 and words[0] == "install" and words[2].rsplit("/", 1)[-1] in _NOTHING:
                found.append(Disabled(normal(words[1]), f"{files[name]}:{number}", "install"))
    return tuple(found)


def disabled_on_cmdline(boot: Boot) -> tuple[Disabled, ...]:
    """Drivers that the command line names in one of its blacklists."""
    return tuple(
        Disabled(normal(name), boot.source, f"{option}=")
        for option in _OPTIONS
        for value in boot.values(option)
        for name in value.split(",")
        if name
    )
