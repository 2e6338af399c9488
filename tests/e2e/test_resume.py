"""An upload whose pod is killed goes on where it was."""

from __future__ import annotations

import json

from kubernetes.client import ApiException
from tests.support.e2e import disks, journeys, names
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.kube import Json
from tests.support.e2e.sandbox import Sandbox

_MEBIBYTES = 256
_MIB = 1024 * 1024


def received_by_storage(cluster: Cluster) -> int:
    """Return the bytes that the storage's pod has received over the network since it started."""
    pods = [
        pod
        for pod in cluster.kube.list("Pod", names.SIMULATOR_NAMESPACE)
        if pod["metadata"]["name"].startswith("azurite") and pod["status"].get("phase") == "Running"
    ]
    table = cluster.kubectl(
        "exec", "-n", names.SIMULATOR_NAMESPACE, pods[0]["metadata"]["name"], "--", "cat", "/proc/net/dev"
    )
    rows = [line.split(":") for line in table.splitlines() if ":" in line]
    return sum(int(numbers.split()[0]) for name, numbers in rows if name.strip() != "lo")


def test_killed_upload_goes_on(cluster: Cluster, measured: list[str]) -> None:
    """The pod is killed at half; all pods together send less than 1.2 times the data."""
    with Sandbox.make(cluster, "resume") as sandbox:
        # A share of a processor makes the upload slow enough to be caught at half.
        job = {"resources": {"requests": {"cpu": "20m"}, "limits": {"cpu": "350m", "memory": "256Mi"}}, "retries": 3}
        before = received_by_storage(cluster)
        sandbox.small_import("data", 77, mebibytes=_MEBIBYTES, diskRole="data", job=job, **journeys.managed(sandbox))

        def half_way() -> Json | None:
            for pod in uploads(sandbox):
                if pod["status"].get("phase") != "Running":
                    continue
                try:
                    text = cluster.kube.proxy("Pod", sandbox.namespace, f"{pod['metadata']['name']}:8080", "/progress")
                except ApiException:
                    return None
                progress = json.loads(text)
                if progress["bytes_total"] and progress["bytes_done"] * 2 >= progress["bytes_total"]:
                    return {"pod": pod, "progress": progress}
            return None

        caught = sandbox.wait("the upload to be half done", half_way, seconds=240)
        assert caught["progress"]["phase"] == "Uploading", caught["progress"]
        first = caught["pod"]["metadata"]["name"]
        sandbox.kube.delete("Pod", sandbox.namespace, first, grace=0)
        sandbox.note(f"killed {first} at {caught['progress']}")
        status = sandbox.ready("VhdImport", "data", seconds=300)["status"]
        data = status["disk"]["dataBytes"]
        received = received_by_storage(cluster) - before
        assert status["disk"]["sha256"] == disks.random_sha256(_MEBIBYTES, 77)
        assert set(cluster.simulator.digests(status["target"]["resourceId"]).values()) == {status["disk"]["sha256"]}
        measured.append(
            f"upload killed at half: {received / data:.3f} times the data ({data / _MIB:.0f} MiB) went over the wire"
        )
        assert received >= data, "the measurement missed something"
        assert received < 1.2 * data
        assert status["attempts"] >= 2


def uploads(sandbox: Sandbox) -> list[Json]:
    """Return the upload pods."""
    return sandbox.kube.list("Pod", sandbox.namespace, "app.kubernetes.io/component=upload")
