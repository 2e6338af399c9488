"""Which addresses a URL given by a user may lead to (server-side request forgery)."""

import fnmatch
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# IANA special-purpose registries, and Azure's wire server.
_DENIED = tuple(
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
_IPV6_GLOBAL = ipaddress.ip_network("2000::/3")

# Never by name: who rules the DNS of an allowed host must not reach a cloud's metadata service.
_NEVER_BY_NAME = tuple(
    ipaddress.ip_network(each)
    for each in ("0.0.0.0/8", "169.254.0.0/16", "168.63.129.16/32", "224.0.0.0/4", "240.0.0.0/4",
                 "::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AddressRule:
    """What the administrator allows beyond public addresses.

    Attributes:
        networks: Networks that may be reached although they are not public.
        hosts: Host names (exact, or ``*.suffix``) whose addresses need not be public.
    """

    networks: tuple[IPNetwork, ...] = ()
    hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, cidrs: Iterable[str], hosts: Iterable[str]) -> "AddressRule":
        """Read the rule.

        Raises:
            ValueError: A network is not in CIDR notation.
        """
        return cls(
            tuple(ipaddress.ip_network(each, strict=False) for each in cidrs),
            tuple(each.lower().rstrip(".") for each in hosts),
        )

    def allows(self, host: str, address: str) -> bool:
        """Whether a connection to an address, found under a name, is allowed.

        Args:
            host: Name in the URL.
            address: One of the addresses it resolved to.
        """
        ip = normalise(address)
        if any(ip.version == network.version and ip in network for network in self.networks):
            return True
        if _is_public(ip):
            return True
        return self.names(host) and not any(ip.version == each.version and ip in each for each in _NEVER_BY_NAME)

    def names(self, host: str) -> bool:
        """Whether the administrator has allowed a host by its name."""
        name = host.lower().rstrip(".")
        return any(name == each or (each.startswith("*.") and fnmatch.fnmatchcase(name, each)) for each in self.hosts)


def normalise(address: str) -> IPAddress:
    """Return the address that a packet would really go to: IPv4 inside IPv6 is taken out.

    Raises:
        ValueError: Not an address.
    """
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _is_public(ip: IPAddress) -> bool:
    if any(ip.version == each.version and ip in each for each in _DENIED):
        return False
    return isinstance(ip, ipaddress.IPv4Address) or ip in _IPV6_GLOBAL
