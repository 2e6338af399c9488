"""The link between this machine and the node, the only thing of it in the machine's own network."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hack.localcluster.errors import ClusterError
from hack.localcluster.shell import run

# Where the links' networks of four addresses are taken from; any that the machine has a route into is left out.
POOL = ipaddress.ip_network("10.213.0.0/16")
LOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Link:
    """A network of four addresses: this machine's end and the node's."""

    network: ipaddress.IPv4Network

    @classmethod
    def of(cls, text: str) -> Link:
        """The link over a network given as text.

        Raises:
            ValueError: it is not a network.
        """
        return cls(ipaddress.IPv4Network(text))

    @property
    def host(self) -> str:
        return str(self.network[1])

    @property
    def node(self) -> str:
        return str(self.network[2])


def choose(routes: list[dict[str, Any]], preferred: str | None = None) -> Link:
    """The first network of the pool that none of the machine's routes overlaps.

    Args:
        routes: output of `ip -json route show table all`.
        preferred: network to take if it is free, such as the one used before.

    Raises:
        ClusterError: none is free.
    """
    taken = []
    for route in routes:
        with contextlib.suppress(ValueError):  # "default" and the like are not networks
            network = ipaddress.ip_network(route.get("dst", ""), strict=False)
            # A route to everything, or most of it, says nothing about who uses an address.
            if network.version == 4 and network.prefixlen > 1:
                taken.append(network)
    candidates: list[ipaddress.IPv4Network] = []
    if preferred:
        candidates.append(ipaddress.IPv4Network(preferred))
    candidates.extend(ipaddress.IPv4Network((int(POOL[0]) + 256 * number, 30)) for number in range(256))
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in taken):
            return Link(candidate)
    raise ClusterError(f"all of {POOL} is in use by this machine's routes; the node needs four free addresses in it")


def routes() -> list[dict[str, Any]]:
    """This machine's routes."""
    text = run(["ip", "-json", "-4", "route", "show", "table", "all"])
    result: list[dict[str, Any]] = json.loads(text or "[]")
    return result


@contextlib.contextmanager
def allocation() -> Iterator[None]:
    """Keeps two instances, of whatever caches, from choosing the same network.

    Raises:
        ClusterError: another one did not end in a minute.
    """
    # A name in the abstract name space goes away with its owner and leaves no file.
    deadline = time.monotonic() + LOCK_SECONDS
    with socket.socket(socket.AF_UNIX) as guard:
        while True:
            try:
                guard.bind("\0gallery-operator-network-allocation")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise ClusterError("another 'hack/cluster up' seems stuck while making its network") from None
                time.sleep(0.05)
        yield


def connect(name: str, link: Link, pid: int) -> None:
    """Joins the network namespace of a process with this machine."""
    run(["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "address", "add", f"{link.host}/30", "dev", name])
    run(["ip", "link", "set", name, "up"])
    inside = ["nsenter", "--target", str(pid), "--net", "ip"]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "address", "add", f"{link.node}/30", "dev", "eth0"])
    run([*inside, "link", "set", "eth0", "up"])


def disconnect(name: str) -> None:
    """Removes this machine's end of the link, if there is one."""
    if name in {link["ifname"] for link in json.loads(run(["ip", "-json", "link"]))}:
        # The kernel removes it by itself when the namespace ends; it may do so between the two commands.
        with contextlib.suppress(ClusterError):
            run(["ip", "link", "delete", name])
