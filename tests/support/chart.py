"""Rendering the Helm chart in tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.support.apiserver import ROOT, tool

CHART = ROOT / "charts/gallery-operator"
NAMESPACE = "gallery-operator-system"
RELEASE = "gallery-operator"

Json = dict[str, Any]


class ChartError(Exception):
    """Helm refused the values; the text is Helm's message."""


class Rendered(list[Json]):
    """The documents that a release consists of."""

    def of(self, kind: str, name: str | None = None) -> list[Json]:
        """Return the documents of a kind."""
        return [each for each in self if each["kind"] == kind and (name is None or each["metadata"]["name"] == name)]

    def one(self, kind: str, name: str | None = None) -> Json:
        """Return the only document of a kind."""
        found = self.of(kind, name)
        assert len(found) == 1, f"{len(found)} documents of kind {kind}"
        return found[0]

    @property
    def pod(self) -> Json:
        """The operator's pod template."""
        template: Json = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Json:
        """The operator's container."""
        container: Json = self.pod["spec"]["containers"][0]
        return container

    @property
    def env(self) -> dict[str, Any]:
        """The container's environment: value, or where it comes from."""
        return {each["name"]: each.get("value", each.get("valueFrom")) for each in self.container["env"]}


def render(folder: Path, values: Json | None = None, *, release: str = RELEASE) -> Rendered:
    """Return what the chart makes of values.

    Args:
        folder: For the values file.
        values: Values that differ from the chart's own.
        release: Name of the release.

    Raises:
        ChartError: Helm refused the values.
    """
    file = folder / "values.json"
    file.write_text(json.dumps(values or {}))
    done = subprocess.run(
        # Without a cluster Helm has to be told for which version it renders.
        [tool("helm"), "template", release, CHART, "-n", NAMESPACE, "-f", file, "--kube-version", "1.34.0"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ChartError(done.stderr)
    return Rendered(each for each in yaml.safe_load_all(done.stdout) if each)


CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
GUID = "00000000-0000-0000-0000-000000000001"

VALUE_SETS: dict[str, Json] = {
    "default": {},
    "namespaces": {"watchNamespaces": ["team-a", "team-b"]},
    "workload-identity": {"azure": {"workloadIdentity": {"enabled": True}, "clientId": GUID, "tenantId": GUID}},
    "projected-token": {
        "azure": {"workloadIdentity": {"enabled": True, "mode": "projected"}, "clientId": GUID, "tenantId": GUID}
    },
    "credential-secret": {"azure": {"credentialSecret": "azure", "subscriptionId": GUID}},
    "sovereign": {
        "azure": {
            "authorityHost": "https://login.microsoftonline.us",
            "resourceManagerEndpoint": "https://management.usgovcloudapi.net",
            "resourceManagerAudience": "https://management.core.usgovcloudapi.net",
            "storageApiVersion": "2025-01-05",
            "rateFactor": 0.5,
            "caBundle": CA,
        }
    },
    "everything": {
        "replicaCount": 2,
        "clusterName": "blue",
        "watchNamespaces": ["team-a"],
        "image": {"repository": "registry.example/gallery-operator", "digest": "sha256:" + "a" * 64},
        "imagePullSecrets": [{"name": "registry"}],
        "operator": {"workers": 4, "resyncSeconds": 60, "pollSeconds": 0.5, "logFormat": "text", "logLevel": "debug"},
        "azure": {"caBundleConfigMap": {"name": "corporate-ca", "key": "bundle.pem"}},
        "worker": {
            "image": "registry.example/worker:1",
            "imagePullPolicy": "Always",
            "serviceAccountName": "imports",
            "allowedSourceCidrs": ["10.20.0.0/16", "fd00::/8"],
            "allowedSourceHosts": ["*.corp.example"],
            "scratchStorageClass": "fast",
        },
        "proxy": {"httpsProxy": "http://proxy.corp.example:3128", "noProxy": [".corp.example"]},
        "jobs": {"networkPolicy": {"namespaces": ["team-a", "team-c"], "uploadPorts": [443, 10000]}},
        "networkPolicy": {"restrictEgress": True, "extraEgress": [{"ports": [{"port": 8443}]}]},
        "metrics": {
            "service": {"annotations": {"a": "b"}},
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "alertLabels": {"team": "platform"}},
        },
        "serviceAccount": {"name": "operator", "annotations": {"a": "b"}, "labels": {"c": "d"}},
        "commonLabels": {"team": "platform"},
        "podLabels": {"sidecar": "no"},
        "podAnnotations": {"a": "b"},
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "extraEnv": [{"name": "TZ", "value": "Europe/Berlin"}],
        "extraArgs": ["--log-level=info"],
    },
    "bare": {
        "rbac": {"create": False, "aggregateToUserRoles": False},
        "serviceAccount": {"create": False, "name": "existing"},
        "crds": {"install": False},
        "networkPolicy": {"enabled": False},
        "jobs": {"networkPolicy": {"enabled": False}},
        "podDisruptionBudget": {"enabled": False},
        "metrics": {"service": {"enabled": False}},
    },
}
"""Sets of values that between them use everything in the chart."""
