"""Counts what the operator writes while there is nothing to do."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from tests.support.e2e.cluster import Cluster
from tests.support.e2e.kube import OUR_KINDS, Json, condition

_WRITES = ("PUT", "POST", "PATCH", "DELETE")
_COUNTER = "gallery_operator_kubernetes_writes_total"


@dataclass(frozen=True)
class Snapshot:
    """What had been written at a moment.

    Attributes:
        versions: ``resourceVersion`` of each object, by kind, namespace and name.
        kubernetes: Writes the operator has counted itself, by kind and verb; the Lease is left out.
        azure: Writes to Azure, by method, path and answer.
        reads: Requests to Azure of any other kind.
        pods: The operator's pods with their restarts; the operator's own counts begin anew with each.
    """

    versions: dict[tuple[str, str, str], str]
    kubernetes: dict[tuple[str, str], float]
    azure: dict[tuple[str, str], int]
    reads: int
    pods: frozenset[tuple[str, int]]


@dataclass(frozen=True)
class Difference:
    """What was written between two snapshots; each text names one thing."""

    kubernetes: list[str]
    objects: list[str]
    azure: list[str]
    reads: int
    restarted: bool

    @property
    def writes(self) -> int:
        """Number of things that were written."""
        return len(self.kubernetes) + len(self.objects) + len(self.azure)

    @property
    def quiet(self) -> bool:
        """Whether nothing was written."""
        return self.writes == 0


def snapshot(cluster: Cluster) -> Snapshot:
    """Look at everything that a write would change."""
    versions = {
        (kind, item["metadata"]["namespace"], item["metadata"]["name"]): item["metadata"]["resourceVersion"]
        for kind in (*OUR_KINDS, "Job")
        for item in cluster.kube.list(kind)
    }
    samples = cluster.metrics().get(_COUNTER, [])
    kubernetes = {(labels["kind"], labels["verb"]): value for labels, value in samples if labels["kind"] != "Lease"}
    counts = cluster.simulator.counts()["counts"]
    azure = {
        (row["method"], row["path"]): row["count"]
        for row in counts
        if row["method"] in _WRITES and row["path"].startswith("/subscriptions")
    }
    reads = sum(
        row["count"] for row in counts if row["method"] not in _WRITES and row["path"].startswith("/subscriptions")
    )
    pods = frozenset(
        (pod["metadata"]["uid"], sum(each["restartCount"] for each in pod["status"].get("containerStatuses") or []))
        for pod in cluster.operator_pods()
    )
    return Snapshot(versions, kubernetes, azure, reads, pods)


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """Return what was written between two moments."""
    kubernetes = [
        f"{verb} {kind}: {value - before.kubernetes.get((kind, verb), 0):.0f}"
        for (kind, verb), value in sorted(after.kubernetes.items())
        if value != before.kubernetes.get((kind, verb), 0)
    ]
    objects = [
        f"{'/'.join(key)}: resourceVersion {before.versions.get(key)} became {after.versions.get(key)}"
        for key in sorted(before.versions.keys() | after.versions.keys())
        if before.versions.get(key) != after.versions.get(key)
    ]
    azure = [
        f"{method} {path}: {count - before.azure.get((method, path), 0)}"
        for (method, path), count in sorted(after.azure.items())
        if count != before.azure.get((method, path), 0)
    ]
    return Difference(kubernetes, objects, azure, after.reads - before.reads, before.pods != after.pods)


def is_stalled(document: Json) -> bool:
    """Whether an object waits for a person."""
    return bool(condition(document, "Stalled").get("status") == "True")


def watch(cluster: Cluster, seconds: float) -> Difference:
    """Return what is written in a span of time."""
    before = snapshot(cluster)
    # The span itself is what is measured; there is nothing to wait for.
    threading.Event().wait(seconds)
    return difference(before, snapshot(cluster))
