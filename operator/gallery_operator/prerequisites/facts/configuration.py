"""Facts about configuration that several topics share; each is computed when first asked for, once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property

from gallery_operator.prerequisites.facts.boot import Boot, grub_environment, read_entries
from gallery_operator.prerequisites.facts.chrony import Chrony, read_chrony
from gallery_operator.prerequisites.facts.grub_config import BootEntry
from gallery_operator.prerequisites.facts.grub_defaults import read_grub_defaults
from gallery_operator.prerequisites.facts.kernel import read_config
from gallery_operator.prerequisites.facts.network import Interface, read_interfaces
from gallery_operator.prerequisites.facts.repositories import Repository, read_repositories
from gallery_operator.prerequisites.readers.base import NotFoundError
from gallery_operator.prerequisites.tree import Tree

_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d")
_OLD_RULES = ("/lib/udev/rules.d",)
_PROGRAMS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin", "/usr/libexec")


class Configuration(ABC):
    """The part of a guest that is read from its configuration files."""

    @property
    @abstractmethod
    def tree(self) -> Tree:
        """The files."""

    @cached_property
    @abstractmethod
    def boot(self) -> Boot:
        """Default kernel and its command line."""

    @cached_property
    def boot_entries(self) -> tuple[BootEntry, ...]:
        """Entries of the Boot Loader Specification; empty where there are none."""
        return read_entries(self.tree)

    @cached_property
    def boot_environment(self) -> Mapping[str, str]:
        """Variables of GRUB's environment block."""
        return grub_environment(self.tree)

    @cached_property
    def grub_defaults(self) -> Mapping[str, tuple[str, str]]:
        """Value and place by variable of ``/etc/default/grub``: what GRUB's configuration is made from."""
        return read_grub_defaults(self.tree)

    @cached_property
    def kernel_config(self) -> Mapping[str, str] | None:
        """``CONFIG_*`` of the default kernel; None when they are not installed."""
        return read_config(self.tree, self.boot)

    @cached_property
    def chrony(self) -> Chrony:
        """Chrony's directives."""
        return read_chrony(self.tree)

    @cached_property
    def repositories(self) -> tuple[Repository, ...]:
        """Package repositories of apt, dnf, yum and zypper."""
        return read_repositories(self.tree)

    @cached_property
    def interfaces(self) -> tuple[Interface, ...]:
        """Configurations of network cards, of whatever program."""
        return read_interfaces(self.tree)

    def udev_rule(self, *names: str) -> str | None:
        """Path of the first of these rules files that udev reads; one that is masked counts for none."""
        for name in names:
            for folder in (*_RULES, *_OLD_RULES):
                path = f"{folder}/{name}"
                if self.tree.lexists(path):
                    if self.tree.is_file(path) and self.tree.stat(path).size:
                        return path
                    break
        return None

    def udev_rules(self) -> list[str]:
        """Paths of all rules files that udev reads."""
        names = {name for folder in (*_RULES, *_OLD_RULES) for name in self.tree.names(folder)}
        found = (self.udev_rule(name) for name in sorted(names) if name.endswith(".rules"))
        return [each for each in found if each]

    def program(self, *names: str) -> str | None:
        """Path of the first of these programs that is installed."""
        for name in names:
            for folder in _PROGRAMS:
                if self.tree.lexists(f"{folder}/{name}"):
                    return f"{folder}/{name}"
        return None

    def text_of(self, path: str) -> str:
        """A text file; empty when there is none."""
        try:
            return self.tree.text(path)
        except NotFoundError:
            return ""
