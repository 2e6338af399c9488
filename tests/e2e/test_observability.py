"""What the operator tells about itself, and what it must never tell."""

from __future__ import annotations

from tests.support.e2e import journeys, leaks, names
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.sandbox import Sandbox

_METRICS = {
    "gallery_operator_reconcile_total",
    "gallery_operator_reconcile_duration_seconds_count",
    "gallery_operator_queue_depth",
    "gallery_operator_queue_oldest_seconds",
    "gallery_operator_kubernetes_writes_total",
    "gallery_operator_events_total",
    "gallery_operator_azure_requests_total",
    "gallery_operator_azure_throttle_wait_seconds_total",
    "gallery_operator_import_uploaded_bytes_total",
    "gallery_operator_import_skipped_bytes_total",
    "gallery_operator_import_read_back_bytes_total",
    "gallery_operator_import_repaired_bytes_total",
    "gallery_operator_import_attempts_total",
    "gallery_operator_import_retried_requests_total",
    "gallery_operator_imports_running",
    "gallery_operator_prerequisite_checks_total",
    "gallery_operator_leader",
    "gallery_operator_objects",
    "gallery_operator_regions",
}
_BOUNDED = {
    "kind",
    "outcome",
    "operation",
    "code",
    "verb",
    "type",
    "state",
    "phase",
    # As many as the galleries' places in Azure.
    "region",
    "subscription",
    "resource",
    "job",
    "check",
    "result",
    "step",
    "le",
}


def test_metrics(cluster: Cluster) -> None:
    """After an image was made, all metrics are there, with bounded labels only."""
    with Sandbox.make(cluster, "metrics") as sandbox:
        journeys.small_image(sandbox)
        found = cluster.metrics()
        ours = {name: rows for name, rows in found.items() if name.startswith("gallery_operator_")}
        assert not {name for name in _METRICS if not any(key.startswith(name) for key in ours)}, sorted(ours)
        for name, rows in ours.items():
            for labels, _ in rows:
                assert not set(labels) - _BOUNDED, f"{name} has a label that may be without bounds: {labels}"
                assert sandbox.namespace not in labels.values(), name
        assert found["gallery_operator_leader"] == [({}, 1.0)]
        kinds = {labels["kind"] for labels, value in found["gallery_operator_reconcile_total"] if value}
        assert kinds == {"Gallery", "GalleryImageDefinition", "VhdImport", "ImageVersion"}
        uploaded = sum(value for _, value in found["gallery_operator_import_uploaded_bytes_total"])
        assert uploaded >= 3 * 1024 * 1024


def test_no_secret_in_the_operators_log(cluster: Cluster) -> None:
    """No SAS, token or client secret of any scenario is in the operator's log, its events or objects."""
    assert cluster.secrets, "no scenario has used a secret: run the others, too"
    found = leaks.in_namespace(cluster.kube, names.OPERATOR_NAMESPACE, cluster.secrets)
    assert not found, "\n".join(found)
    steps = {step for pod in cluster.worker_logs.lines for step in ("prepare", "upload") if f"-{step}-" in pod}
    assert steps == {"prepare", "upload"}, f"the workers' logs were not read: {cluster.worker_logs.lines}"
    assert not cluster.worker_logs.found, "\n".join(cluster.worker_logs.found)


def test_namespaces_go(cluster: Cluster) -> None:
    """The namespaces of all scenarios that have passed are gone by themselves."""
    cluster.kube.wait(
        "all namespaces of scenarios to go",
        lambda: not [name for name in cluster.leaving if cluster.kube.get("Namespace", None, name)],
        seconds=90,
    )


def test_only_restricted_pods(cluster: Cluster) -> None:
    """Operator, simulator and Jobs run in namespaces that enforce the restricted profile, and were not refused."""
    for space in (names.OPERATOR_NAMESPACE, names.SIMULATOR_NAMESPACE, names.DISKS_NAMESPACE):
        labels = (cluster.kube.get("Namespace", None, space) or {})["metadata"]["labels"]
        assert labels.get("pod-security.kubernetes.io/enforce") == "restricted", space
        refused = [
            event["message"]
            for event in cluster.kube.list("Event", space)
            if "violates PodSecurity" in (event.get("message") or "")
        ]
        assert not refused, refused
