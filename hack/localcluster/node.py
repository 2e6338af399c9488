"""The single-node cluster: control plane, containerd, kubelet and kube-proxy in namespaces of their own."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hack.localcluster import cgroups, controlplane, network, nodeconfig, pki
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import API_PORT, Instance
from hack.localcluster.lifecycle import CONTROL_PLANE, NODE, digest, start, stop
from hack.localcluster.namespaces import NodePlan
from hack.localcluster.process import Record, write_private
from hack.localcluster.shell import say, tools
from hack.localcluster.supervisor import Program, Spec

PORTS = {"api": API_PORT, "etcd": 2379, "etcd_peer": 2380}
BINARIES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"), Path("/usr/libexec/cni"))
CNI_PLUGINS = ("ptp", "host-local", "portmap", "loopback")

# Program -> Debian package that has it.
REQUIRED = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "openssl": "openssl",
    "conntrack": "conntrack",
}

CAP_SYS_RESOURCE = 24
# kube-proxy refuses its nftables mode on older kernels.
NFTABLES_KERNEL = (5, 13)

# Joins the cgroups named up to "--", then becomes the rest.
JOIN_CGROUPS = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
UNSHARE = ("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child=KILL", "--mount-proc")


def preflight() -> None:
    """Checks that this machine can carry a node.

    Raises:
        ClusterError: it cannot; lists all that is missing and what to do about it.
    """
    problems = []
    missing = sorted({package for program, package in REQUIRED.items() if not shutil.which(program, path=path())})
    if cni_folder() is None:
        missing.append("containernetworking-plugins")
    if missing:
        problems.append(f"missing Debian packages: {' '.join(missing)} ('hack/setup system' installs them)")
    if os.geteuid() != 0:
        problems.append("not root, and sudo does not work without a password")
    elif not missing:
        tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            problems.append(f"this machine does not let root make namespaces: {tried.stderr.strip()}")
    if problems:
        raise ClusterError(
            "cannot run a cluster here: no Docker engine answers, and a node without Docker is not possible:\n  - "
            + "\n  - ".join(problems)
            + "\nStart Docker, or put right what is listed. 'hack/cluster up --control-plane-only' needs neither."
        )


def up(instance: Instance) -> Record:
    """Makes sure that the node's programs run; the API server is ready when this returns.

    Raises:
        ClusterError: it is not possible, or did not become ready.
    """
    binaries = tools(*BINARIES)
    preflight()
    current = Record.load(instance.record)
    if current and current.mode == CONTROL_PLANE:
        raise ClusterError(
            f"'{instance.name}' is a control plane alone: take it down first, or set GALLERY_OPERATOR_CLUSTER to "
            "another name"
        )
    if current and current.supervisor.alive():
        link = saved_link(instance)
        if link and _digest(instance, binaries, link) == current.digest and _unexpired(instance):
            controlplane.wait_ready(instance, current)
            return current
        say("the cluster's programs have changed: starting it again with what it holds")
    clean(instance)

    instance.conf.mkdir(mode=0o700, parents=True, exist_ok=True)
    trees = cgroups.mounted()
    joined = cgroups.create(instance.cgroup, trees)
    with network.allocation():
        previous = saved_link(instance)
        link = network.choose(network.routes(), str(previous.network) if previous else None)
        write_private(instance.conf / "link", str(link.network))
        _write_configuration(instance, link)
        spec = _spec(instance, binaries, link)
        record = start(
            instance,
            spec,
            mode=NODE,
            identity=_digest(instance, binaries, link),
            address=f"{link.node}:{API_PORT}",
            prefix=["sh", "-c", JOIN_CGROUPS, "sh", *map(str, joined), "--", *UNSHARE, "--propagation=slave"],
            connect=lambda pid: network.connect(instance.link, link, pid),
            environment={"PATH": path(), "HOME": "/root", "LANG": "C.UTF-8"},
        )
    controlplane.wait_ready(instance, record)
    return record


def down(instance: Instance) -> None:
    """Ends the node and removes everything of it, its state folder too."""
    clean(instance)
    below = mounts_below(instance.state)
    if below:
        raise ClusterError(f"something is mounted below {instance.state} ({below[0]}): unmount it, then try again")
    if instance.state.exists():
        shutil.rmtree(instance.state)


def clean(instance: Instance) -> None:
    """Ends the node, as far as there is one, and removes all of it but its files."""
    record = Record.load(instance.record)
    if record:
        stop(record, gently=False)
    trees = cgroups.mounted()
    kill_group(instance.cgroup, trees)
    cgroups.remove(instance.cgroup, trees)
    network.disconnect(instance.link)
    with contextlib.suppress(FileNotFoundError):
        instance.record.unlink()


def kill_group(group: str, trees: Sequence[cgroups.Hierarchy]) -> None:
    """Ends what is left in the node's cgroups; nothing is, unless the record of the supervisor was lost."""
    for tree in trees:
        for procs in sorted((tree.root / group).rglob("cgroup.procs")):
            with contextlib.suppress(FileNotFoundError, OSError):
                for pid in procs.read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)


def init_pid(record: Record) -> int:
    """Process id of the node's first process, whose namespaces are the node's.

    Raises:
        ClusterError: the node has just ended.
    """
    parent = record.supervisor.pid
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except FileNotFoundError:
        children = []
    if not children:
        raise ClusterError("the cluster's node does not run; 'hack/cluster up' starts it")
    return int(children[0])


def inside(record: Record, *namespaces: str) -> list[str]:
    """Beginning of a command line that runs the rest in the node's namespaces, all of them unless named."""
    chosen = namespaces or ("mount", "net", "pid", "ipc", "uts")
    return ["nsenter", "--target", str(init_pid(record)), *(f"--{name}" for name in chosen), "--"]


def saved_link(instance: Instance) -> network.Link | None:
    """The link the node had or has."""
    try:
        return network.Link.of((instance.conf / "link").read_text().strip())
    except (FileNotFoundError, ValueError):
        return None


def mounts_below(folder: Path) -> list[str]:
    """Mount points at or below a folder, as this process sees them."""
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if Path(point.replace("\\040", " ")).is_relative_to(folder)]


def path() -> str:
    """Search path of everything the node runs."""
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def cni_folder() -> Path | None:
    """Where the CNI plugins are."""
    return next((one for one in CNI_FOLDERS if all((one / name).exists() for name in CNI_PLUGINS)), None)


def _unexpired(instance: Instance) -> bool:
    return not any(
        pki.expires_within(instance.pki / f"{name}.crt", pki.RENEW_SECONDS) for name in ("ca", "apiserver", "kubelet")
    )


def _kubelet_leaf(instance: Instance, link: network.Link) -> pki.Leaf:
    return pki.Leaf("kubelet", f"system:node:{instance.name}", "system:nodes", (instance.name,), (link.node,))


PROXY = pki.Leaf("kube-proxy", "system:kube-proxy")


def _write_configuration(instance: Instance, link: network.Link) -> None:
    """Writes all keys and configuration files of the node."""
    ports = controlplane.Ports(link.node, **PORTS)
    controlplane.make_keys(instance, ports)
    for leaf in (_kubelet_leaf(instance, link), PROXY):
        pki.make_leaf(instance.pki, leaf)
        controlplane.write_kubeconfig(instance, ports, leaf)
    (instance.conf / "cni").mkdir(exist_ok=True)
    for name, text in _configuration(instance).items():
        write_private(instance.conf / name, text)
    for folder in (instance.state / "kubelet", instance.state / "volumes", instance.state / "pod-logs"):
        folder.mkdir(exist_ok=True)


def _configuration(instance: Instance) -> dict[str, str]:
    """The configuration files: name in the configuration folder -> content."""
    containerd = nodeconfig.containerd(
        instance,
        cni_plugins=cni_folder() or CNI_FOLDERS[0],
        snapshotter=snapshotter(instance),
        restrict_oom=not has_capability(CAP_SYS_RESOURCE),
    )
    proxy = nodeconfig.kube_proxy(controlplane.kubeconfig_of(instance, PROXY), nftables=kernel() >= NFTABLES_KERNEL)
    return {
        "cni/10-pods.conflist": nodeconfig.cni(),
        "resolv.conf": "# The node reaches nothing but itself and its machine.\n",
        "containerd.toml": containerd,
        "kubelet.yaml": nodeconfig.kubelet(instance),
        "kube-proxy.yaml": proxy,
    }


def _digest(instance: Instance, binaries: dict[str, Path], link: network.Link) -> str:
    configuration = [*_configuration(instance).values(), controlplane.AUDIT_POLICY]
    return digest(_spec(instance, binaries, link), *configuration)


def _spec(instance: Instance, binaries: dict[str, Path], link: network.Link) -> Spec:
    """What the node runs."""
    ports = controlplane.Ports(link.node, **PORTS)
    api = f"tcp:{ports.api_server}"
    kubelet_options = {
        "config": instance.conf / "kubelet.yaml",
        "kubeconfig": controlplane.kubeconfig_of(instance, _kubelet_leaf(instance, link)),
        "hostname-override": instance.name,
        "node-ip": link.node,
        "root-dir": instance.state / "kubelet",
    }
    proxy_options = {"config": instance.conf / "kube-proxy.yaml", "hostname-override": instance.name}
    programs = (
        Program("containerd", ("containerd", "--config", str(instance.conf / "containerd.toml"))),
        controlplane.etcd(instance, binaries["etcd"], ports),
        controlplane.apiserver(instance, binaries["kube-apiserver"], ports),
        controlplane.controller_manager(instance, binaries["kube-controller-manager"], ports),
        controlplane.scheduler(instance, binaries["kube-scheduler"], ports),
        Program(
            "kubelet",
            controlplane.flags(binaries["kubelet"], kubelet_options),
            (f"unix:{nodeconfig.CONTAINERD_SOCKET}", api),
        ),
        Program("kube-proxy", controlplane.flags(binaries["kube-proxy"], proxy_options), (api,)),
    )
    return Spec(programs, instance.logs, instance.status_file, NodePlan(instance.name, instance.cache))


def has_capability(number: int) -> bool:
    """Whether this process has a Linux capability."""
    status = Path("/proc/self/status").read_text()
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)


def kernel() -> tuple[int, int]:
    """The kernel's version, its first two numbers."""
    major, minor, *_ = platform.release().split(".")
    return int(major), int(minor)


def snapshotter(instance: Instance) -> str:
    """Chooses containerd's snapshotter: overlayfs cannot lie on an overlay, as inside most containers."""
    done = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(instance.state)], capture_output=True, text=True, check=False
    )
    return "native" if done.stdout.strip() in {"overlayfs", "nfs", "fuseblk", "v9fs"} else "overlayfs"
