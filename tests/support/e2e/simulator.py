"""The simulator in the cluster, asked through the API server so that no port has to be forwarded."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from tests.support.e2e.kube import Json, Kube
from tests.support.e2e.names import SIMULATOR_NAMESPACE

# Gibibytes are read out of a storage that is busy with uploads.
_READING = 300.0
_TAG = "gallery-operator.dev-namespace"


class Simulator:
    """The simulator's control endpoint."""

    def __init__(self, kube: Kube) -> None:
        """Ask it through a cluster's API server."""
        self._kube = kube

    def request(self, method: str, path: str, body: object = None, *, seconds: float = 60.0) -> Any:
        """Send a request to the simulator and return the JSON of its answer."""
        text = self._kube.proxy(
            "Service", SIMULATOR_NAMESPACE, "https:azure-simulator:443", path, method=method, body=body, seconds=seconds
        )
        return json.loads(text or "null")

    def resources(self, kind: str = "", *, namespace: str | None = None) -> list[Json]:
        """Return what there is in Azure.

        Args:
            kind: Only of this ARM type.
            namespace: Only what the operator's ownership tags say was made for this Kubernetes namespace.
        """
        rows: list[Json] = self.request("GET", "/_control/state")["resources"]
        if kind:
            rows = [row for row in rows if row["type"].lower() == kind.lower()]
        if namespace is not None:
            rows = [row for row in rows if (row["body"].get("tags") or {}).get(_TAG) == namespace]
        return rows

    def resource(self, resource_id: str) -> Json | None:
        """Return the body of one resource, or None."""
        wanted = resource_id.lower()
        return next((row["body"] for row in self.resources() if row["id"].lower() == wanted), None)

    def add_fault(self, **fault: object) -> int:
        """Put a fault in force; see ``azure_simulator.faults`` for the fields."""
        return int(self.request("POST", "/_control/faults", fault)["id"])

    def remove_fault(self, number: int) -> None:
        """Take a fault out of force."""
        self.request("DELETE", f"/_control/faults/{number}")

    def counts(self) -> Json:
        """Return the numbers of requests since the simulator started or ``clear_counts``."""
        document: Json = self.request("GET", "/_control/requests")
        return document

    def log(self) -> list[Json]:
        """Return the last requests one by one."""
        entries: list[Json] = self.request("GET", "/_control/log")["entries"]
        return entries

    def blob_digest(self, url: str) -> str:
        """Return the SHA-256 of a blob."""
        return str(self.request("GET", f"/_control/digest?{urlencode({'url': url})}", seconds=_READING)["sha256"])

    def digests(self, resource_id: str) -> dict[int | None, str]:
        """Return the SHA-256 of each disk behind a resource, by LUN (None: the OS disk)."""
        document = self.request("GET", f"/_control/digest?{urlencode({'id': resource_id})}", seconds=_READING)
        return {row["lun"]: row["sha256"] for row in document["disks"]}
