"""Looks for secrets where they must not be: in logs, events and every object but a Secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from tests.support.e2e.kube import OUR_KINDS, Kube

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
