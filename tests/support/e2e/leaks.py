"""Looks for secrets where they must not be: in logs, events and every object but a Secret."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Mapping

import urllib3
from kubernetes.client import ApiException
from tests.support.e2e.kube import OUR_KINDS, Kube

# A pod that goes, an API server that goes.
_UNREADABLE = (ApiException, urllib3.exceptions.HTTPError, OSError, ValueError)
_KINDS = (*OUR_KINDS, "Pod", "Job", "Event", "ConfigMap", "PersistentVolumeClaim")
# Signatures of a SAS, keys, and bearer tokens; the simulator's tokens are JWT-shaped as Entra's are.
_FORMS = (
    re.compile(r"\bsig=(?!\*\*\*)[^&\s\"'\\]{4,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{12,}\.[A-Za-z0-9_-]+"),
    re.compile(r"(?i)AccountKey=[^*\s]{4,}"),
)


def in_text(where: str, text: str, secrets: Mapping[str, str]) -> list[str]:
    """Return what leaks in a text: where and which, never the secret itself."""
    found = [f"{where}: {what}" for what, value in secrets.items() if value in text]
    for form in _FORMS:
        if match := form.search(text):
            before = text[max(0, match.start() - 120) : match.start()].replace("\n", " ")
            found.append(f"{where}: something like {form.pattern!r} after: {before!r}")
    return found


def in_namespace(kube: Kube, namespace: str, secrets: Mapping[str, str]) -> list[str]:
    """Return what leaks in a namespace's objects, events and logs."""
    found = []
    for kind in _KINDS:
        for item in kube.list(kind, namespace):
            if kind == "ConfigMap" and item["metadata"]["name"] == "kube-root-ca.crt":
                continue
            where = f"{kind} {namespace}/{item['metadata']['name']}"
            found += in_text(where, json.dumps(item), secrets)
    for pod in kube.list("Pod", namespace):
        found += in_pod_logs(kube, namespace, pod["metadata"]["name"], secrets)
    return found


def in_pod_logs(kube: Kube, namespace: str, pod: str, secrets: Mapping[str, str]) -> list[str]:
    """Return what leaks in a pod's log, and in that of the container before it was restarted."""
    texts: Iterable[str] = (kube.logs(namespace, pod), kube.logs(namespace, pod, previous=True))
    return [leak for text in texts for leak in in_text(f"log of pod {namespace}/{pod}", text, secrets)]


class WorkerLogs:
    """Reads the logs of all worker pods while they run: a Job that has ended is removed with its pods.

    Attributes:
        found: What leaked.
        lines: Lines read, by pod.
    """

    def __init__(self, kube: Kube, secrets: Mapping[str, str]) -> None:
        """Prepare; ``start`` begins."""
        self.found: list[str] = []
        self.lines: dict[str, int] = {}
        self._kube = kube
        self._secrets = secrets
        self._seen: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="worker-logs", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Look for no more pods."""
        self._end.set()
        self._thread.join(timeout=30)

    def _work(self) -> None:
        while not self._end.wait(0.7):
            try:
                pods = self._kube.list(
                    "Pod", selector="app.kubernetes.io/managed-by=gallery-operator,batch.kubernetes.io/job-name"
                )
            except _UNREADABLE:
                continue
            for pod in pods:
                metadata = pod["metadata"]
                started = pod["status"].get("phase") in ("Running", "Succeeded", "Failed")
                if started and metadata["uid"] not in self._seen:
                    self._seen.add(metadata["uid"])
                    where = (metadata["namespace"], metadata["name"])
                    threading.Thread(target=self._read, args=where, daemon=True).start()

    def _read(self, namespace: str, pod: str) -> None:
        try:
            text = self._kube.follow(namespace, pod)
        except _UNREADABLE:
            return
        self.lines[f"{namespace}/{pod}"] = text.count("\n")
        self.found += in_text(f"log of pod {namespace}/{pod}", text, self._secrets)
