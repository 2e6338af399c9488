"""What is printed when an end-to-end test fails."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import yaml
from tests.support.e2e.names import OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from tests.support.e2e.kube import Json, Kube

_LOG_LINES = 60


def dump(kube: Kube, namespaces: Iterable[str]) -> str:
    """Return objects, events and logs of some namespaces, and the operator's log about them.

    It never raises: what cannot be read is said in its place.
    """
    names = list(namespaces)
    parts = [_guarded(f"namespace {name}", lambda name=name: _namespace(kube, name)) for name in names]
    parts.append(_guarded("operator", lambda: _operator(kube, names)))
    return "\n".join(parts)


def _guarded(title: str, make: object) -> str:
    try:
        return f"===== {title}\n{make()}"  # type: ignore[operator]
    except Exception as error:
        return f"===== {title}: {type(error).__name__}: {error}"


def _namespace(kube: Kube, namespace: str) -> str:
    from tests.support.e2e.kube import OUR_KINDS

    parts: list[str] = []
    for kind in (*OUR_KINDS, "Job", "PersistentVolumeClaim"):
        parts.extend(_short(kind, item) for item in kube.list(kind, namespace))
    for event in sorted(kube.list("Event", namespace), key=lambda each: str(each["metadata"]["creationTimestamp"])):
        about = event["involvedObject"]
        parts.append(
            f"event {event.get('type')} {about.get('kind')}/{about.get('name')} {event.get('reason')}: "
            f"{event.get('message')} (x{event.get('count') or 1})"
        )
    for pod in kube.list("Pod", namespace):
        name = pod["metadata"]["name"]
        states = [each.get("state") for each in pod.get("status", {}).get("containerStatuses") or []]
        parts.append(f"pod {name} {pod.get('status', {}).get('phase')} {states}")
        parts.append(_tail(kube.logs(namespace, name)))
    return "\n".join(parts)


def _short(kind: str, item: Json) -> str:
    metadata = item["metadata"]
    kept = {key: metadata[key] for key in ("name", "generation", "finalizers", "deletionTimestamp") if key in metadata}
    status = item.get("status") or {}
    document = {"kind": kind, "metadata": kept, "status": status}
    if kind not in ("Job", "PersistentVolumeClaim"):
        document["spec"] = item.get("spec")
    return yaml.safe_dump(document, sort_keys=False, width=160)


def _operator(kube: Kube, about: list[str]) -> str:
    parts: list[str] = []
    for pod in kube.list("Pod", OPERATOR_NAMESPACE):
        name = pod["metadata"]["name"]
        states = pod.get("status", {}).get("containerStatuses") or []
        parts.append(f"pod {name}: {[(each.get('state'), each.get('restartCount')) for each in states]}")
        for previous in (True, False):
            if previous and not any(each.get("restartCount") for each in states):
                continue
            text = kube.logs(OPERATOR_NAMESPACE, name, previous=previous)
            # All scenarios share one operator: what is about others only hides what matters.
            lines = [line for line in text.splitlines() if not about or any(each in line for each in about)]
            parts.append(_tail("\n".join(lines or text.splitlines())))
    return "\n".join(parts)


def _tail(text: str) -> str:
    return "\n".join(f"  | {line[:400]}" for line in text.splitlines()[-_LOG_LINES:])
