"""NET014-NET016: what an earlier network left, and what blocks Azure's own addresses."""

import re

from gallery_operator.prerequisites.checks.scopes import ETC, GENERALIZED_ETC, listed
from gallery_operator.prerequisites.guest import Guest
from gallery_operator.prerequisites.model import II, WW, Outcome, failed, not_applicable, passed
from gallery_operator.prerequisites.registry import check

_RESOLV = "/etc/resolv.conf"
_STUBS = ("127.0.0.53", "127.0.0.54", "127.0.0.1", "::1")
_LEASES = (
    "/var/lib/dhclient/*",
    "/var/lib/dhcpcd/*",
    "/var/lib/dhcp/*.leases",
    "/var/lib/dhcp/*.lease",
    "/var/lib/NetworkManager/*.lease",
    "/var/lib/wicked/lease-*",
)
_AZURE = re.compile(r"168\.63\.129\.16|169\.254\.169\.254")
_FIREWALLS = (
    "/etc/nftables.conf",
    "/etc/nftables/*.nft",
    "/etc/sysconfig/nftables.conf",
    "/etc/sysconfig/iptables",
    "/etc/iptables/rules.v4",
    "/etc/ufw/before.rules",
    "/etc/ufw/user.rules",
    "/etc/firewalld/direct.xml",
    "/etc/firewalld/zones/*.xml",
)
_MAX_BYTES = 1024 * 1024


@check(
    "NET014",
    "no name server of an earlier network is left",
    levels=WW,
    source="Azure Linux Agent, deprovision; WALinuxAgent",
    remedy=f"rm -f {_RESOLV}",
    applies=GENERALIZED_ETC,
)
def name_server(guest: Guest) -> Outcome:
    """A name server that is not reachable from the VM makes everything slow, or fail."""
    if guest.tree.is_link(_RESOLV):
        return passed(f"{_RESOLV} is a link")
    if guest.family == "ubuntu" and guest.os_release.number[:2] >= (18, 4):
        return not_applicable("Ubuntu 18.04 and later: systemd-resolved writes it at boot")
    if not guest.tree.is_file(_RESOLV):
        return passed(f"no {_RESOLV}")
    found = [
        f"{_RESOLV}:{number} {line}"
        for number, line in guest.tree.lines(_RESOLV)
        if line.startswith("nameserver") and line.split()[-1] not in _STUBS
    ]
    return failed(listed(found)) if found else passed(f"{_RESOLV} names none")


@check(
    "NET015",
    "no leases of an earlier network are left",
    levels=WW,
    source="Azure Linux Agent, deprovision; WALinuxAgent, del_dhcp_lease",
    remedy="rm -f /var/lib/dhclient/* /var/lib/dhcpcd/* /var/lib/dhcp/*.leases /var/lib/NetworkManager/*.lease",
    applies=GENERALIZED_ETC,
)
def leases(guest: Guest) -> Outcome:
    """A client asks for its last address again, and names the network it was in."""
    found = [path for pattern in _LEASES for path in guest.tree.glob(pattern) if guest.tree.is_file(path)]
    return failed(listed(found)) if found else passed("none")


@check(
    "NET016",
    "nothing blocks Azure's platform addresses",
    levels=II,
    source="Azure Linux Agent, requirements (168.63.129.16); image-builder (CAPI) blocks it on purpose",
    remedy="Allow 168.63.129.16 and 169.254.169.254 for root and for the agent; take them out of /etc/hosts.",
    applies=ETC,
)
def platform_addresses(guest: Guest) -> Outcome:
    """Agent and cloud-init speak to the platform at these addresses (a search for text: best effort)."""
    found = [
        f"/etc/hosts:{number} {line}"
        for number, line in (guest.tree.lines("/etc/hosts") if guest.tree.is_file("/etc/hosts") else [])
        if _AZURE.search(line)
    ]
    for path in (each for pattern in _FIREWALLS for each in guest.tree.glob(pattern)):
        if guest.tree.is_file(path) and guest.tree.stat(path).size <= _MAX_BYTES:
            found += [
                f"{path}:{number} {line}"
                for number, line in guest.tree.lines(path)
                if _AZURE.search(line) and re.search(r"drop|reject", line, re.IGNORECASE)
            ]
    return failed(listed(found)) if found else passed("none of the known files does")
