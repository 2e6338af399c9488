"""NET003, NET004, NET008, NET013: the network."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, listed
from gallery_operator.prerequisites.facts.units import UnitState
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import EE, WW, Outcome, failed, passed
from gallery_operator.prerequisites.registry import AppliesTo, check

_FILES = (
    ("/etc/sysconfig/network-scripts/ifcfg-*", re.compile(r"^(HWADDR|MACADDR)\s*=\s*\S", re.IGNORECASE)),
    ("/etc/sysconfig/network/ifcfg-*", re.compile(r"^(HWADDR|LLADDR)\s*=\s*['\"]?[0-9a-f]", re.IGNORECASE)),
    ("/etc/netplan/*.yaml", re.compile(r"^macaddress:\s*\S", re.IGNORECASE)),
    ("/etc/NetworkManager/system-connections/*", re.compile(r"^mac-address=\S", re.IGNORECASE)),
    ("/etc/systemd/network/*.network", re.compile(r"^(Permanent)?MACAddress=\S", re.IGNORECASE)),
    ("/etc/systemd/network/*.link", re.compile(r"^(Permanent)?MACAddress=\S", re.IGNORECASE)),
    ("/etc/network/interfaces", re.compile(r"^hwaddress\s+\S", re.IGNORECASE)),
)
_SERVICES = (
    "NetworkManager.service",
    "systemd-networkd.service",
    "networking.service",
    "network.service",
    "wicked.service",
    "wickedd.service",
)
_PERSISTENT = "/etc/udev/rules.d/70-persistent-net.rules"
_LOOPBACK = re.compile(r"(ifcfg-lo|lo\.nmconnection)$")


@check(
    "NET003",
    "no network configuration is bound to a MAC address",
    levels=EE,
    source="derived: every VM has another address",
    remedy="Remove HWADDR, macaddress, mac-address and MACAddress from the network configuration.",
    applies=ETC,
)
def mac_addresses(guest: Guest) -> Outcome:
    """A configuration for the card of the machine that made the image fits no card of a VM."""
    found = [
        f"{path}:{number} {line}"
        for pattern, line_of_mac in _FILES
        for path in guest.tree.glob(pattern)
        if guest.tree.is_file(path) and not _LOOPBACK.search(path)
        for number, line in guest.tree.lines(path)
        if line_of_mac.match(line)
    ]
    return failed(listed(found)) if found else passed("none")


@check(
    "NET004",
    "udev does not remember network cards",
    levels=EE,
    source="Prepare a CentOS, Oracle, SUSE VHD for Azure; LISA verify_udev_rules_moved",
    remedy=f"rm -f {_PERSISTENT}",
    applies=ETC,
)
def persistent_rules(guest: Guest) -> Outcome:
    """The card of a new VM becomes eth1, which has no configuration."""
    if guest.tree.is_file(_PERSISTENT) and guest.tree.lines(_PERSISTENT):
        return failed(f"{_PERSISTENT} exists")
    return passed(f"no {_PERSISTENT}")


@check(
    "NET008",
    "a network service starts at boot",
    levels=EE,
    source="Prepare a Red Hat, Oracle, CentOS VHD for Azure",
    remedy={
        "": "systemctl enable NetworkManager (or systemd-networkd)",
        "debian": "systemctl enable networking (or systemd-networkd)",
        "ubuntu": "systemctl enable systemd-networkd",
        "sles": "systemctl enable wicked",
    },
    applies=ETC,
)
def service(guest: Guest) -> Outcome:
    """Without one the VM never gets its address."""
    started, states = guest.units.any_enabled(*_SERVICES)
    if started:
        return passed(str(next(each for each in states if each.state is UnitState.ENABLED)))
    there = [str(each) for each in states if each.state is not UnitState.MISSING]
    return failed(listed(there) or f"there is none of {', '.join(_SERVICES)}")


@check(
    "NET013",
    "no netplan configuration of an earlier machine is left",
    levels=WW,
    source="Prepare an Ubuntu VHD for Azure (create-upload-ubuntu)",
    remedy="rm -f /etc/netplan/*.yaml",
    applies=AppliesTo(
        disk_roles=frozenset({"os"}), os_states=frozenset({"Generalized"}), distributions=frozenset({"ubuntu"})
    ),
)
def netplan(guest: Guest) -> Outcome:
    """cloud-init writes the configuration for each VM; files that are there already are merged with it."""
    found = [f"/etc/netplan/{name}" for name in guest.tree.names("/etc/netplan") if name.endswith(".yaml")]
    return failed(listed(found)) if found else passed("/etc/netplan is empty")
