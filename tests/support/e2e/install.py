"""Puts the simulator, the disk server and the chart into a cluster."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from tests.support.e2e import disks, names
from tests.support.e2e.kube import Kube
from tests.support.e2e.shell import ROOT, run, tool
from tests.support.e2e.target import Target

TIME_SCALE = 100.0
RESYNC_SECONDS = 10
RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/enforce-version": "latest",
}
_lock = threading.Lock()


def install(target: Target, kube: Kube) -> None:
    """Install or upgrade everything; nothing of an earlier run has to be removed before."""
    with ThreadPoolExecutor(2) as pool:
        # Both wait for pods most of the time.
        served = pool.submit(disks.deploy, kube, target.images["operator"])
        simulator(target)
        served.result()
    chart(target, kube)


def simulator(target: Target) -> None:
    """Deploy the simulator and its storage, fresh and quick."""
    run(
        [ROOT / "hack/azure-simulator/deploy"],
        env={
            **environment(target),
            "AZURE_SIMULATOR_IMAGE": target.images["simulator"],
            "AZURITE_IMAGE": target.images["azurite"],
            "AZURE_SIMULATOR_TIME_SCALE": str(TIME_SCALE),
        },
    )


def environment(target: Target) -> dict[str, str]:
    """Return the environment for programs that talk to the cluster."""
    return {
        "KUBECONFIG": str(target.kubeconfig),
        "PATH": f"{Path(tool('kubectl')).parent}{os.pathsep}{os.environ['PATH']}",
    }


def chart(target: Target, kube: Kube, **changes: Any) -> None:
    """Install or upgrade the chart, and wait until the operator is ready.

    Args:
        target: The cluster.
        kube: The same, as a client.
        changes: Top-level values to put over those of the tests.
    """
    kube.apply(namespace(names.OPERATOR_NAMESPACE))
    authority = kube.get("ConfigMap", names.SIMULATOR_NAMESPACE, "azure-simulator-ca")
    assert authority is not None, "hack/azure-simulator/deploy left no ConfigMap azure-simulator-ca"
    document = values(target.images["operator"], authority["data"]["ca.crt"]) | changes
    with _lock, tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(document, file)
        file.flush()
        run(
            [
                *(tool("helm"), "upgrade", "--install", names.RELEASE, ROOT / "charts/gallery-operator"),
                *("--kube-context", target.context, "--namespace", names.OPERATOR_NAMESPACE, "--values", file.name),
                *("--wait", "--timeout", "3m"),
            ],
            env=environment(target),
        )
    # The tag of a development image stays the same when its content changes.
    restart_operator(kube)


def values(image: str, authority: str) -> dict[str, Any]:
    """Return the chart's values for the tests.

    Args:
        image: Image of the operator, with its tag.
        authority: PEM of the simulator's CA.
    """
    endpoint = f"https://azure-simulator.{names.SIMULATOR_NAMESPACE}.svc"
    return {
        "image": {**image_values(image), "pullPolicy": "IfNotPresent"},
        "clusterName": "e2e",
        "operator": {"pollSeconds": 1, "resyncSeconds": RESYNC_SECONDS, "logFormat": "text", "logLevel": "info"},
        "azure": {
            "tenantId": names.TENANT,
            "clientId": names.CLIENT,
            "subscriptionId": names.SUBSCRIPTION,
            "workloadIdentity": {"enabled": True, "mode": "projected"},
            "authorityHost": endpoint,
            "resourceManagerEndpoint": endpoint,
            "resourceManagerAudience": endpoint,
            "caBundle": authority,
            # The simulator's budgets count its own, quicker time.
            "rateFactor": TIME_SCALE,
        },
        "worker": {"allowedSourceHosts": [names.DISKS_HOST, names.EXAMPLES_HOST]},
    }


def image_values(reference: str) -> dict[str, str]:
    """Return the chart's values for an image reference, with a tag or a digest."""
    name, _, digest = reference.partition("@")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # a registry's port is no tag
        repository, tag = name, "" if digest else "latest"
    return {"repository": repository, "digest": digest} if digest else {"repository": repository, "tag": tag}


def namespace(name: str, **labels: str) -> dict[str, Any]:
    """Return a Namespace in which only restricted pods may run."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**RESTRICTED, **labels}},
    }


def restart_operator(kube: Kube) -> None:
    """Start the operator's pods anew and wait until one of them works."""
    selector = "app.kubernetes.io/name=gallery-operator"
    old = {pod["metadata"]["uid"] for pod in kube.list("Pod", names.OPERATOR_NAMESPACE, selector)}
    for pod in kube.list("Pod", names.OPERATOR_NAMESPACE, selector):
        kube.delete("Pod", names.OPERATOR_NAMESPACE, pod["metadata"]["name"])

    def ready() -> bool:
        pods = [
            pod
            for pod in kube.list("Pod", names.OPERATOR_NAMESPACE, selector)
            if pod["metadata"]["uid"] not in old and not pod["metadata"].get("deletionTimestamp")
        ]
        return bool(pods) and all(
            each.get("ready") for pod in pods for each in pod["status"].get("containerStatuses") or [{}]
        )

    kube.wait("a new operator that is ready", ready, seconds=120, namespaces=())


def certificates(folder: Path, *hosts: str) -> None:
    """Make a private CA and a server certificate."""
    arguments = [part for host in hosts for part in ("--name", host)]
    run(
        [sys.executable, "-m", "azure_simulator", "certs", folder, *arguments],
        env={"PYTHONPATH": str(ROOT / "hack/azure-simulator")},
    )


def canary(what: str) -> str:
    """Return a secret that is found again wherever it leaks."""
    return f"canary-{what}-{secrets.token_hex(16)}"
