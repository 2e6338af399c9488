"""What a cluster needs besides its own programs: DNS and volumes."""

from __future__ import annotations

import hashlib
import string
import time
from pathlib import Path

from hack.localcluster import images
from hack.localcluster.controlplane import ask, log_hint
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import DNS_SERVICE_IP, Instance
from hack.localcluster.process import Record
from hack.localcluster.shell import run, tool

MANIFESTS = Path(__file__).parent / "manifests"
READY_SECONDS = 180


def apply(instance: Instance) -> None:
    """Applies the manifests of DNS and storage."""
    values = {
        "coredns_image": images.COREDNS_IMAGE,
        "provisioner_image": images.PROVISIONER_IMAGE,
        "volume_helper_image": images.VOLUME_HELPER_IMAGE,
        "dns_ip": DNS_SERVICE_IP,
        "volumes": str(instance.state / "volumes"),
    }
    texts = []
    for path in sorted(MANIFESTS.glob("*.yaml")):
        text = path.read_text()
        # Pods notice a changed ConfigMap after a minute, or never; a changed annotation replaces them at once.
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        texts.append(string.Template(text).substitute(values, digest=digest))
    run(
        [*kubectl(instance), "apply", "--server-side", "--force-conflicts", "-f", "-"], text_input="\n---\n".join(texts)
    )


def wait_node(instance: Instance, record: Record) -> None:
    """Waits until the kubelet has registered the node and it is ready for pods.

    Raises:
        ClusterError: it did not in time; carries the end of the kubelet's log.
    """
    deadline = time.monotonic() + READY_SECONDS
    # `kubectl wait` fails at once for an object that is not there yet.
    while ask(instance, record.address, f"/api/v1/nodes/{instance.name}")[0] != 200:
        if time.monotonic() > deadline:
            raise ClusterError(f"the node did not register; {log_hint(instance, 'kubelet')}")
        time.sleep(0.1)
    try:
        wait = [*kubectl(instance), "wait", "--for=condition=Ready", f"node/{instance.name}"]
        run([*wait, f"--timeout={READY_SECONDS}s"])
    except ClusterError as error:
        raise ClusterError(f"{error}; {log_hint(instance, 'kubelet')}") from None


def wait_deployments(instance: Instance) -> None:
    """Waits until DNS and storage serve.

    Raises:
        ClusterError: they did not in time.
    """
    for namespace, name in (("kube-system", "coredns"), ("local-path-storage", "local-path-provisioner")):
        try:
            rollout = [*kubectl(instance), "rollout", "status", "--namespace", namespace, f"deployment/{name}"]
            run([*rollout, f"--timeout={READY_SECONDS}s"])
        except ClusterError as error:
            pods = run([*kubectl(instance), "describe", "pods", "--namespace", namespace])
            raise ClusterError(f"{error}\n{pods[-3000:]}") from None


def kubectl(instance: Instance) -> list[str]:
    """Beginning of a kubectl command line for this cluster; a proxy of the machine does not lead to it."""
    return ["env", "NO_PROXY=*", str(tool("kubectl")), "--kubeconfig", str(instance.kubeconfig)]
