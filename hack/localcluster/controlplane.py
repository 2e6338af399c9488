"""The programs of the control plane, their keys, and waiting for them."""

from __future__ import annotations

import http.client
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from hack.localcluster import pki
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import API_SERVICE_IP, POD_CIDR, SERVICE_CIDR, Instance
from hack.localcluster.process import Record, write_private
from hack.localcluster.supervisor import Program

ADMIN = pki.Leaf("admin", "gallery-operator-local-admin", "system:masters")
CONTROLLER_MANAGER = pki.Leaf("controller-manager", "system:kube-controller-manager")
SCHEDULER = pki.Leaf("scheduler", "system:kube-scheduler")
ETCD_CLIENT = pki.Leaf("etcd-client", "kube-apiserver-etcd-client")
KUBELET_CLIENT = pki.Leaf("kubelet-client", "kube-apiserver-kubelet-client", "system:masters")

READY_SECONDS = 120.0

# Who writes what, for tests that count writes: everything but reads and the cluster's own upkeep.
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, verbs: [get, list, watch]}
- {level: None, userGroups: ["system:nodes", "system:serviceaccounts:kube-system"]}
- level: None
  users: ["system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "system:apiserver"]
- {level: Metadata}
"""


@dataclass(frozen=True)
class Ports:
    """Where the control plane listens."""

    host: str
    api: int
    etcd: int
    etcd_peer: int

    @property
    def api_server(self) -> str:
        return f"{self.host}:{self.api}"


def make_keys(instance: Instance, ports: Ports) -> None:
    """Makes all keys and kubeconfigs the control plane and its users need.

    Leaves are made anew at every start: it takes a quarter of a second, and addresses may have changed.
    """
    folder = instance.pki
    pki.ensure_authority(folder)
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    addresses = tuple(sorted({"127.0.0.1", API_SERVICE_IP, ports.host}))
    pki.make_leaf(folder, pki.Leaf("apiserver", "kube-apiserver", names=(*names, "localhost"), addresses=addresses))
    pki.make_leaf(folder, pki.Leaf("etcd", "etcd", addresses=("127.0.0.1",)))
    for leaf in (ADMIN, CONTROLLER_MANAGER, SCHEDULER, ETCD_CLIENT, KUBELET_CLIENT):
        pki.make_leaf(folder, leaf)
    write_kubeconfig(instance, ports, CONTROLLER_MANAGER)
    write_kubeconfig(instance, ports, SCHEDULER)
    pki.write_kubeconfig(
        instance.kubeconfig,
        server=f"https://{ports.api_server}",
        context=instance.context,
        folder=folder,
        leaf=ADMIN,
    )
    write_private(instance.conf / "audit.yaml", AUDIT_POLICY)


def kubeconfig_of(instance: Instance, leaf: pki.Leaf) -> Path:
    """Where the kubeconfig of one of the cluster's own components is."""
    return instance.conf / f"{leaf.file}.kubeconfig"


def write_kubeconfig(instance: Instance, ports: Ports, leaf: pki.Leaf) -> None:
    """Writes the kubeconfig of one of the cluster's own components."""
    path = kubeconfig_of(instance, leaf)
    server = f"https://{ports.api_server}"
    pki.write_kubeconfig(path, server=server, context=leaf.file, folder=instance.pki, leaf=leaf)


def etcd(instance: Instance, binary: Path, ports: Ports) -> Program:
    """etcd, on the loopback address, for holders of a certificate only."""
    url, peer = f"https://127.0.0.1:{ports.etcd}", f"http://127.0.0.1:{ports.etcd_peer}"
    keys = instance.pki
    options = {
        "name": "default",
        "data-dir": instance.state / "etcd",
        "listen-client-urls": url,
        "advertise-client-urls": url,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "client-cert-auth": "true",
        "trusted-ca-file": keys / "ca.crt",
        "cert-file": keys / "etcd.crt",
        "key-file": keys / "etcd.key",
        # A crash of the machine may cost this cluster its data. In return a busy disk does not slow it down.
        "unsafe-no-fsync": "true",
        "auto-compaction-retention": "1h",
        "log-level": "warn",
    }
    return Program("etcd", flags(binary, options))


def apiserver(instance: Instance, binary: Path, ports: Ports) -> Program:
    """kube-apiserver."""
    keys = instance.pki
    options = {
        "etcd-servers": f"https://127.0.0.1:{ports.etcd}",
        "etcd-cafile": keys / "ca.crt",
        "etcd-certfile": keys / "etcd-client.crt",
        "etcd-keyfile": keys / "etcd-client.key",
        "bind-address": "0.0.0.0" if ports.host != "127.0.0.1" else ports.host,
        "secure-port": ports.api,
        "advertise-address": ports.host,
        # The default endpoint reconciler refuses a loopback address, and a control plane alone has no other.
        "endpoint-reconciler-type": "none" if ports.host == "127.0.0.1" else "lease",
        "service-cluster-ip-range": SERVICE_CIDR,
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": keys / "sa.pub",
        "service-account-signing-key-file": keys / "sa.key",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "client-ca-file": keys / "ca.crt",
        "tls-cert-file": keys / "apiserver.crt",
        "tls-private-key-file": keys / "apiserver.key",
        "kubelet-certificate-authority": keys / "ca.crt",
        "kubelet-client-certificate": keys / "kubelet-client.crt",
        "kubelet-client-key": keys / "kubelet-client.key",
        "kubelet-preferred-address-types": "InternalIP",
        "allow-privileged": "true",
        "profiling": "false",
        "audit-policy-file": instance.conf / "audit.yaml",
        "audit-log-path": instance.logs / "audit.log",
        "audit-log-maxsize": 50,
        "audit-log-maxbackup": 1,
    }
    return Program("kube-apiserver", flags(binary, options), (f"tcp:127.0.0.1:{ports.etcd}",))


def controller_manager(instance: Instance, binary: Path, ports: Ports) -> Program:
    """kube-controller-manager."""
    keys = instance.pki
    options = {
        "kubeconfig": kubeconfig_of(instance, CONTROLLER_MANAGER),
        "bind-address": "127.0.0.1",
        "service-account-private-key-file": keys / "sa.key",
        "root-ca-file": keys / "ca.crt",
        "cluster-signing-cert-file": keys / "ca.crt",
        "cluster-signing-key-file": keys / "ca.key",
        "use-service-account-credentials": "true",
        "cluster-cidr": POD_CIDR,
        # Its default is a folder of the machine, which it would make.
        "flex-volume-plugin-dir": instance.state / "kubelet" / "volume-plugins",
        "leader-elect": "false",
        "profiling": "false",
    }
    return Program("kube-controller-manager", flags(binary, options), (f"tcp:{ports.api_server}",))


def scheduler(instance: Instance, binary: Path, ports: Ports) -> Program:
    """kube-scheduler."""
    options = {
        "kubeconfig": kubeconfig_of(instance, SCHEDULER),
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "profiling": "false",
    }
    return Program("kube-scheduler", flags(binary, options), (f"tcp:{ports.api_server}",))


def flags(binary: Path, options: dict[str, object]) -> tuple[str, ...]:
    """A command line: `--name=value` for each option."""
    return (str(binary), *(f"--{name}={value}" for name, value in options.items()))


def ask(instance: Instance, address: str, path: str) -> tuple[int, str]:
    """GETs a path from the API server as its administrator; 0 and the reason where it cannot be reached."""
    host, _, port = address.rpartition(":")
    try:
        context = ssl.create_default_context(cafile=str(instance.pki / "ca.crt"))
        context.load_cert_chain(instance.pki / "admin.crt", instance.pki / "admin.key")
        connection = http.client.HTTPSConnection(host, int(port), timeout=10, context=context)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


def wait_ready(instance: Instance, record: Record) -> None:
    """Waits until the API server says it is ready.

    Raises:
        ClusterError: it did not in time, or the supervisor ended; carries the end of the most telling log.
    """
    deadline = time.monotonic() + READY_SECONDS
    while True:
        status, answer = ask(instance, record.address, "/readyz")
        if status == 200:
            return
        if not record.supervisor.alive():
            raise ClusterError(f"the cluster's processes ended while starting; {log_hint(instance, 'supervisor')}")
        if time.monotonic() > deadline:
            raise ClusterError(
                f"the API server at {record.address} was not ready within {READY_SECONDS:.0f} s: "
                f"{answer.strip()[-500:]}; {log_hint(instance, 'kube-apiserver')}"
            )
        time.sleep(0.1)


def log_hint(instance: Instance, name: str) -> str:
    """Where a component's log is, and its last lines."""
    path = instance.logs / f"{name}.log"
    try:
        lines = path.read_text(errors="replace").splitlines()[-15:]
    except FileNotFoundError:
        return f"there is no log in {instance.logs}"
    return "\n".join([f"the end of {path}:", *lines])
