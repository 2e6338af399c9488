"""What the node's first process does inside its new namespaces, before anything else runs there.

The node is made by `unshare --mount --net --pid --ipc --uts`: its mounts, links, addresses, packet filter rules and
processes belong to namespaces that end when its first process is killed, so nothing of it can stay on the host.
The exception is its cgroup, see cgroups.py.
"""

from __future__ import annotations

import ctypes
import os
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Fixed paths of containerd's shims (/run/containerd/s), the kubelet (/var/lib/kubelet/device-plugins,
# /var/log/containers), CNI (/var/lib/cni) and runc: the node gets empty ones of its own.
HIDDEN = ("/run", "/var/lib", "/var/log")

# The kubelet sets these for the whole kernel (ContainerManager, setupKernelTunables). It finds the values it
# wants in files that stand in for them, and leaves the machine's settings alone.
KERNEL_SETTINGS = {
    "/proc/sys/vm/overcommit_memory": "1",
    "/proc/sys/vm/panic_on_oom": "0",
    "/proc/sys/kernel/panic": "10",
    "/proc/sys/kernel/panic_on_oops": "1",
    "/proc/sys/kernel/keys/root_maxkeys": "1000000",
    "/proc/sys/kernel/keys/root_maxbytes": "25000000",
}

# Settings of the node's own network namespace.
NETWORK_SETTINGS = {
    "/proc/sys/net/ipv4/ip_forward": "1",
    # A pod's address is routed to its own link; strict filtering drops what comes back through a service.
    "/proc/sys/net/ipv4/conf/all/rp_filter": "0",
    "/proc/sys/net/ipv4/conf/default/rp_filter": "0",
}

MS_BIND = 4096
MS_REC = 16384


@dataclass(frozen=True)
class NodePlan:
    """How to prepare the namespaces.

    Attributes:
        hostname: name of the node.
        keep: folder that has to stay visible where it is, even below a hidden one.
    """

    hostname: str
    keep: Path

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NodePlan:
        """Reads what `dataclasses.asdict` and JSON made of a plan."""
        return cls(data["hostname"], Path(data["keep"]))


def enter(plan: NodePlan) -> None:
    """Prepares the namespaces this process is the first of."""
    socket.sethostname(plan.hostname)
    descriptor = os.open(plan.keep, os.O_PATH | os.O_DIRECTORY)
    for folder in HIDDEN:
        mount("tmpfs", folder, "tmpfs", options="mode=0755")
    if any(plan.keep.is_relative_to(folder) for folder in HIDDEN):
        plan.keep.mkdir(parents=True)
        mount(f"/proc/self/fd/{descriptor}", str(plan.keep), flags=MS_BIND | MS_REC)
    os.close(descriptor)
    Path("/run/lock").mkdir()

    stand_ins = Path(tempfile.mkdtemp(prefix="sysctl-", dir="/run"))
    for number, (path, value) in enumerate(KERNEL_SETTINGS.items()):
        if Path(path).exists():
            file = stand_ins / str(number)
            file.write_text(value + "\n")
            mount(str(file), path, flags=MS_BIND)
    for path, value in NETWORK_SETTINGS.items():
        Path(path).write_text(value)


def mount(source: str, target: str, kind: str = "", *, flags: int = 0, options: str = "") -> None:
    """Mounts something: the system call of this name.

    Raises:
        OSError: the kernel refused; names the target.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    if libc.mount(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
