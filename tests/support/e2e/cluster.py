"""The cluster of a test session, with everything installed in it."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from functools import cached_property

from prometheus_client.parser import text_string_to_metric_families
from tests.support.e2e import names
from tests.support.e2e.kube import Json, Kube
from tests.support.e2e.leaks import WorkerLogs
from tests.support.e2e.shell import CommandError, run, tool
from tests.support.e2e.simulator import Simulator
from tests.support.e2e.target import INSTANCE, Target

_SELECTOR = (
    "app.kubernetes.io/name=gallery-operator,app.kubernetes.io/component!=prepare,app.kubernetes.io/component!=upload"
)


@dataclass
class Cluster:
    """A cluster with the simulator, the disk server and the chart in it.

    Attributes:
        target: Which cluster.
        kube: Its API.
        secrets: Values that must not be found anywhere, by what they are.
        leaving: Namespaces of scenarios that have passed; each must go by itself.
    """

    target: Target
    kube: Kube
    secrets: dict[str, str] = field(default_factory=dict)
    leaving: list[str] = field(default_factory=list)

    @cached_property
    def simulator(self) -> Simulator:
        """The simulator's control endpoint."""
        return Simulator(self.kube)

    @cached_property
    def worker_logs(self) -> WorkerLogs:
        """Reader of the workers' logs."""
        return WorkerLogs(self.kube, self.secrets)

    @property
    def image(self) -> str:
        """Image of the operator."""
        return self.target.images["operator"]

    def kubectl(self, *arguments: str, stdin: bytes | None = None, seconds: float = 60.0) -> str:
        """Run kubectl and return its output."""
        base = [tool("kubectl"), "--kubeconfig", str(self.target.kubeconfig), "--context", self.target.context]
        return run([*base, *arguments], stdin=stdin, seconds=seconds)

    def operator_pods(self) -> list[Json]:
        """Return the operator's pods that are not on their way out."""
        pods = self.kube.list("Pod", names.OPERATOR_NAMESPACE, _SELECTOR)
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    def operator_at_work(self) -> Json | None:
        """Return the pod of the operator that holds the Lease, or None: one that stands by is ready, too."""
        lease = self.kube.get("Lease", names.OPERATOR_NAMESPACE, names.RELEASE) or {}
        spec = lease.get("spec") or {}
        for pod in self.operator_pods():
            states = (pod.get("status") or {}).get("containerStatuses") or []
            if pod["metadata"]["name"] != spec.get("holderIdentity") or not all(each.get("ready") for each in states):
                continue
            started = [each.get("state", {}).get("running", {}).get("startedAt") for each in states]
            # A container that was started again has its pod's name, but not yet the Lease. Both are RFC 3339 in UTC.
            if started and all(each is not None and each < str(spec.get("renewTime")) for each in started):
                return pod
        return None

    def metrics(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Return the operator's metrics: labels and values by sample name.

        Raises:
            ApiException: The operator does not answer.
        """
        pod = self.kube.wait("an operator at work", self.operator_at_work, seconds=90)
        text = self.kube.proxy("Pod", names.OPERATOR_NAMESPACE, f"{pod['metadata']['name']}:9090", "/metrics")
        found: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            found.setdefault(family.name, [])
            for sample in family.samples:
                found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return found

    def kill_operator(self, chance: random.Random) -> str:
        """Kill the operator at once (SIGKILL), or remove its pod without grace; returns what was done."""
        pods = self.operator_pods()
        if not pods:
            return "there was none to kill"
        pod = chance.choice(pods)
        name = pod["metadata"]["name"]
        state: Json = next(iter((pod.get("status") or {}).get("containerStatuses") or []), {})
        # A second crash of one container costs a back-off of 10 s and more, which tests only the kubelet.
        if state.get("restartCount", 0) == 0 and self._sigkill(str(state.get("containerID") or "")):
            return f"SIGKILL to {name}"
        self.kube.delete("Pod", names.OPERATOR_NAMESPACE, name, grace=0)
        return f"pod {name} removed without grace"

    def _sigkill(self, container: str) -> bool:
        """Send SIGKILL to a container's first process; whether there was a way to."""
        match = re.fullmatch(r"containerd://([0-9a-f]{64})", container)
        if not self.target.own or match is None:
            return False
        ctr = ("ctr", "--address", "/run/containerd/containerd.sock", "--namespace", "k8s.io")
        from tests.support.e2e.shell import ROOT

        try:
            run(
                [ROOT / "hack/cluster", "node", *ctr, "task", "kill", "--signal", "SIGKILL", match[1]],
                env={"GALLERY_OPERATOR_CLUSTER": INSTANCE},
                seconds=30,
            )
        except CommandError:
            return False
        return True

    def remove_sandboxes(self) -> None:
        """Ask for the removal of all namespaces that scenarios of an earlier run have left."""
        for item in self.kube.list("Namespace", selector=names.SANDBOX_LABEL):
            self.kube.delete("Namespace", None, item["metadata"]["name"])
