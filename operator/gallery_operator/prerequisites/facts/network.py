"""How network cards are configured: ifcfg files, NetworkManager, netplan, systemd-networkd, ifupdown."""

import re
from dataclasses import dataclass
from typing import Any, Final

from gallery_operator.prerequisites.facts.cloud_init import load_yaml
from gallery_operator.prerequisites.facts.os_release import parse
from gallery_operator.prerequisites.readers.base import UnreadableError
from gallery_operator.prerequisites.tree import Tree

_MAX_BYTES: Final = 256 * 1024
_MAX_FILES: Final = 500
_LOOPBACK: Final = re.compile(r"(?:^|[-/])(lo|loopback)(?:\.|$)")
_NETPLAN: Final = ("/etc/netplan", "/usr/lib/netplan", "/lib/netplan")
_NETWORKD: Final = ("/etc/systemd/network", "/usr/lib/systemd/network", "/lib/systemd/network")
_PROFILES: Final = ("/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections")
# Files that distributions ship for virtual interfaces of containers and VPNs, not for cards
_NOT_FOR_CARDS: Final = re.compile(r"container|wifi|wlan|6rd|tunnel|\bve-|\bvz-|\bvb-|usb|lldp-example")


@dataclass(frozen=True, slots=True)
class Interface:
    """A configuration of a card.

    Attributes:
        where: The file.
        program: ``ifcfg``, ``wicked``, ``NetworkManager``, ``netplan``, ``systemd-networkd`` or ``ifupdown``.
        dhcp: Whether it takes its IPv4 address by DHCP.
        text: What says so, for a message.
    """

    where: str
    program: str
    dhcp: bool
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


def read_interfaces(tree: Tree) -> tuple[Interface, ...]:
    """All configurations but those of the loopback; files that cannot be understood are left out."""
    found = [*_ifcfg(tree), *_profiles(tree), *_netplan(tree), *_networkd(tree), *_ifupdown(tree)]
    return tuple(found[:_MAX_FILES])


def _files(tree: Tree, *patterns: str) -> list[str]:
    paths = [path for pattern in patterns for path in tree.glob(pattern)]
    return [path for path in paths[:_MAX_FILES] if tree.is_file(path) and not _LOOPBACK.search(path)]


def ifcfg(tree: Tree, path: str) -> dict[str, str]:
    """Variables of an ifcfg file (or of ``/etc/sysconfig/network``)."""
    return parse(tree.text(path, _MAX_BYTES))


def _ifcfg(tree: Tree) -> list[Interface]:
    found = []
    for pattern, program in (
        ("/etc/sysconfig/network-scripts/ifcfg-*", "ifcfg"),
        ("/etc/sysconfig/network/ifcfg-*", "wicked"),
    ):
        for path in _files(tree, pattern):
            mode = ifcfg(tree, path).get("BOOTPROTO", "")
            if not path.endswith((".template", "~")):
                found.append(Interface(path, program, "dhcp" in mode.lower(), f"BOOTPROTO={mode}"))
    return found


def _profiles(tree: Tree) -> list[Interface]:
    found = []
    for path in _files(tree, *(f"{folder}/*" for folder in _PROFILES)):
        section, method, kind = "", "auto", ""
        for _, line in tree.lines(path):
            if line.startswith("["):
                section = line.strip("[] ")
            key, _, value = (part.strip() for part in line.partition("="))
            if section == "ipv4" and key == "method":
                method = value
            if section == "connection" and key == "type":
                kind = value
        if kind in ("", "ethernet", "802-3-ethernet"):
            found.append(Interface(path, "NetworkManager", method == "auto", f"[ipv4] method={method}"))
    return found


def _netplan(tree: Tree) -> list[Interface]:
    found = []
    for path in _files(tree, *(f"{folder}/*.yaml" for folder in _NETPLAN)):
        try:
            content = load_yaml(tree.text(path, _MAX_BYTES), path)
        except UnreadableError:
            continue
        cards = _below(_below(content, "network"), "ethernets")
        for name, card in list(cards.items())[:50]:
            dhcp = isinstance(card, dict) and card.get("dhcp4") in (True, "yes", "true", "on")
            found.append(Interface(path, "netplan", dhcp, f"{name}: dhcp4 is {'on' if dhcp else 'off'}"))
    return found


def _below(content: Any, key: str) -> dict[str, Any]:
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, dict) else {}


def _networkd(tree: Tree) -> list[Interface]:
    found = []
    seen: set[str] = set()
    for path in _files(tree, *(f"{folder}/*.network" for folder in _NETWORKD)):
        name = path.rsplit("/", 1)[1]
        if name in seen or _NOT_FOR_CARDS.search(name):
            continue
        seen.add(name)
        values = [line.partition("=")[2].strip().lower() for _, line in tree.lines(path) if re.match(r"DHCP\s*=", line)]
        mode = values[-1] if values else "no"
        found.append(Interface(path, "systemd-networkd", mode in ("yes", "true", "ipv4", "v4", "both"), f"DHCP={mode}"))
    return found


def _ifupdown(tree: Tree) -> list[Interface]:
    found = []
    for path in _files(tree, "/etc/network/interfaces", "/etc/network/interfaces.d/*"):
        for number, line in tree.lines(path):
            match = re.match(r"iface\s+(?P<name>\S+)\s+inet\s+(?P<method>\S+)", line)
            if match and match["name"] != "lo":
                found.append(Interface(f"{path}:{number}", "ifupdown", match["method"] == "dhcp", line))
    return found
