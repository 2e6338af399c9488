"""Bodies of the Jobs, claims and Secrets of an import, and what a Job's state means."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, SecretStr

from gallery_operator.api import GROUP, VERSION, VhdImport
from gallery_operator.api.disk_source import DiskSource, GuestStateSource, UrlDisk
from gallery_operator.api.meta import RECONCILE_ANNOTATION, LocalRef
from gallery_operator.contract import CONFIG_VARIABLE, ExitCode, Report, parse_report

COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "gallery-operator"
IMPORT_LABEL = f"{GROUP}/vhdimport"
EXPIRY_ANNOTATION = f"{GROUP}/expires-at"
"""On the Secret with the target's URL: when its SAS ends."""
ASKED_ANNOTATION = f"{GROUP}/asked"
"""On a Job: what the import's annotation that asks for another try said when the Job was made."""
PULL_SECRET_KEY = ".dockerconfigjson"  # noqa: S105 - a name
"""Where Kubernetes keeps the logins of registries in a Secret."""
PORT = 8080

_USER = 65532
CONTAINER = "worker"
_KEEP_FINISHED_SECONDS = 86_400
_DEADLINE_SECONDS = 86_400


@dataclass(frozen=True)
class WorkerSettings:
    """How worker pods are made; from the operator's command line.

    Attributes:
        image: Container image.
        pull_policy: ``imagePullPolicy``.
        service_account: Service account of the pods; its token is never mounted.
        allowed_cidrs: Non-public networks a source URL may point into.
        allowed_hosts: Hosts a source URL may name although their address is not public.
        scratch_storage_class: Class of scratch claims that name none.
        ca_pem: Private CA that the operator itself trusts for Azure, or None.
        storage_api_version: ``x-ms-version`` for storage, or None for the SDK's own.
        proxies: Variables of the pods' environment that name a proxy.
    """

    image: str
    pull_policy: str = "IfNotPresent"
    service_account: str = "default"
    allowed_cidrs: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    scratch_storage_class: str | None = None
    ca_pem: str | None = None
    storage_api_version: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)


Component = Literal["prepare", "upload"]


def labels(vhd_import: VhdImport, component: str) -> dict[str, str]:
    """Return the labels of everything an import makes."""
    return {
        "app.kubernetes.io/name": "gallery-operator",
        MANAGED_BY_LABEL: MANAGED_BY,
        COMPONENT_LABEL: component,
        # A label's value has at most 63 characters; the owner reference holds the whole name.
        IMPORT_LABEL: vhd_import.metadata.name[:63].rstrip("-."),
    }


def owner_reference(vhd_import: VhdImport) -> dict[str, Any]:
    """Return the owner reference that lets Kubernetes collect what an import made."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": vhd_import.kind_name,
        "name": vhd_import.metadata.name,
        "uid": vhd_import.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_owned(body: Mapping[str, Any], vhd_import: VhdImport) -> bool:
    """Whether an object was made for this very import."""
    return any(
        each.get("uid") == vhd_import.metadata.uid for each in body.get("metadata", {}).get("ownerReferences") or []
    )


def _metadata(vhd_import: VhdImport, name: str, component: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": vhd_import.metadata.namespace,
        "labels": labels(vhd_import, component),
        "ownerReferences": [owner_reference(vhd_import)],
    }


def scratch_claim(vhd_import: VhdImport, name: str, settings: WorkerSettings) -> dict[str, Any]:
    """Return the scratch PersistentVolumeClaim."""
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": vhd_import.spec.scratch.size}},
    }
    storage_class = vhd_import.spec.scratch.storage_class_name or settings.scratch_storage_class
    if storage_class:
        spec["storageClassName"] = storage_class
    return {"metadata": _metadata(vhd_import, name, "scratch"), "spec": spec}


def target_secret(
    vhd_import: VhdImport,
    name: str,
    url: SecretStr,
    guest_state_url: SecretStr | None,
    expires_at: str,
    settings: WorkerSettings,
) -> dict[str, Any]:
    """Return the Secret with the target's URL (a short-lived SAS for one blob), and that of its VM guest state."""
    metadata = _metadata(vhd_import, name, "upload")
    metadata["annotations"] = {EXPIRY_ANNOTATION: expires_at}
    data = {"url": _encoded(url.get_secret_value())}
    if guest_state_url is not None:
        data["guest-state-url"] = _encoded(guest_state_url.get_secret_value())
    if settings.ca_pem is not None:
        data["ca.crt"] = _encoded(settings.ca_pem)
    return {"metadata": metadata, "type": "Opaque", "data": data}


def source_secret(
    vhd_import: VhdImport, name: str, url: SecretStr, expires_at: str, settings: WorkerSettings
) -> dict[str, Any]:
    """Return the Secret with the URL of the source blob (a short-lived SAS that may read it)."""
    metadata = _metadata(vhd_import, name, "source")
    metadata["annotations"] = {EXPIRY_ANNOTATION: expires_at}
    data = {"url": _encoded(url.get_secret_value())}
    if settings.ca_pem is not None:
        data["ca.crt"] = _encoded(settings.ca_pem)
    return {"metadata": metadata, "type": "Opaque", "data": data}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def job(
    vhd_import: VhdImport,
    name: str,
    component: Component,
    config: BaseModel,
    scratch: str,
    target: str | None,
    settings: WorkerSettings,
    source: str | None = None,
) -> dict[str, Any]:
    """Return the Job of one step.

    The pod fits the restricted pod security profile, has no API token and no Azure identity.

    Args:
        vhd_import: For whom.
        name: Name of the Job.
        component: Which step.
        config: Its configuration; goes into the environment, so it holds no secret.
        scratch: Name of the scratch claim.
        target: Name of the Secret with the target's URL (upload only).
        settings: How pods are made.
        source: Name of the Secret with the source blob's URL, where the step reads it.
    """
    spec = vhd_import.spec
    volumes: list[dict[str, Any]] = [
        {"name": "scratch", "persistentVolumeClaim": {"claimName": scratch}},
        {"name": "tmp", "emptyDir": {}},
    ]
    mounts: list[dict[str, Any]] = [
        {"name": "scratch", "mountPath": "/scratch"},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
    ]
    devices: list[dict[str, Any]] = []
    if spec.source.pvc is not None:
        volumes.append(
            {"name": "source", "persistentVolumeClaim": {"claimName": spec.source.pvc.claim_name, "readOnly": True}}
        )
        if spec.source.pvc.path is None:
            devices.append({"name": "source", "devicePath": "/dev/source"})
        else:
            mounts.append({"name": "source", "mountPath": "/source", "readOnly": True})
    if component == "prepare" and spec.source.url is not None:
        _mount_url(spec.source.url, "", "/etc/worker", volumes, mounts)
    if component == "prepare":
        _mount_remote(spec.source, volumes, mounts)
    if component == "prepare" and spec.source.vm_guest_state is not None:
        _mount_guest_state(spec.source.vm_guest_state, volumes, mounts)
    if source is not None:
        volumes.append({"name": "blob", "secret": {"secretName": source}})
        mounts.append({"name": "blob", "mountPath": "/etc/worker/blob", "readOnly": True})
    if target is not None:
        volumes.append({"name": "target", "secret": {"secretName": target}})
        mounts.append({"name": "target", "mountPath": "/etc/worker/target", "readOnly": True})
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": ["worker", component],
        "env": [
            {"name": CONFIG_VARIABLE, "value": config.model_dump_json()},
            *({"name": name, "value": value} for name, value in sorted(settings.proxies.items())),
        ],
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": spec.job.resources or _resources(component),
        "terminationMessagePolicy": "File",
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    if devices:
        container["volumeDevices"] = devices
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": settings.service_account,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    if spec.job.node_selector:
        pod["nodeSelector"] = spec.job.node_selector
    if spec.job.tolerations:
        pod["tolerations"] = list(spec.job.tolerations)
    if spec.job.affinity:
        pod["affinity"] = spec.job.affinity
    metadata = _metadata(vhd_import, name, component)
    metadata["annotations"] = {ASKED_ANNOTATION: vhd_import.metadata.annotations.get(RECONCILE_ANNOTATION, "")}
    return {
        "metadata": metadata,
        "spec": {
            "backoffLimit": spec.job.retries,
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "ttlSecondsAfterFinished": _KEEP_FINISHED_SECONDS,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": CONTAINER,
                            "operator": "In",
                            "values": [int(ExitCode.FAILED)],
                        },
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": labels(vhd_import, component)}, "spec": pod},
        },
    }


def _mount_url(
    url: UrlDisk, prefix: str, folder: str, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]
) -> None:
    if url.headers_secret_ref is not None:
        volumes.append({"name": f"{prefix}headers", "secret": {"secretName": url.headers_secret_ref.name}})
        mounts.append({"name": f"{prefix}headers", "mountPath": f"{folder}/headers", "readOnly": True})
    if url.ca_bundle_ref is not None:
        _mount_ca(url.ca_bundle_ref, prefix, folder, volumes, mounts)
    if url.checksums is not None and url.checksums.signature is not None:
        signature, name = url.checksums.signature, f"{prefix}signing-key"
        if signature.secret_key_ref is not None:
            items = [{"key": signature.secret_key_ref.key, "path": "key"}]
            volumes.append({"name": name, "secret": {"secretName": signature.secret_key_ref.name, "items": items}})
        elif signature.config_map_key_ref is not None:
            items = [{"key": signature.config_map_key_ref.key, "path": "key"}]
            volumes.append({"name": name, "configMap": {"name": signature.config_map_key_ref.name, "items": items}})
        mounts.append({"name": name, "mountPath": f"{folder}/signing-key", "readOnly": True})


def _mount_remote(source: DiskSource, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]) -> None:
    secret: dict[str, Any] | None = None
    name, ca = "", None
    if source.s3 is not None:
        name, ca = "credentials", source.s3.ca_bundle_ref
        if source.s3.credentials_secret_ref is not None:
            secret = {"secretName": source.s3.credentials_secret_ref.name}
    elif source.oci is not None:
        name, ca = "pull-secret", source.oci.ca_bundle_ref
        if source.oci.pull_secret_ref is not None:
            items = [{"key": PULL_SECRET_KEY, "path": "config.json"}]
            secret = {"secretName": source.oci.pull_secret_ref.name, "items": items}
    if secret is not None:
        volumes.append({"name": name, "secret": secret})
        mounts.append({"name": name, "mountPath": f"/etc/worker/{name}", "readOnly": True})
    if ca is not None:
        _mount_ca(ca, "", "/etc/worker", volumes, mounts)


def _mount_ca(
    ref: LocalRef, prefix: str, folder: str, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]
) -> None:
    items = [{"key": "ca.crt", "path": "ca.crt"}]
    volumes.append({"name": f"{prefix}ca", "configMap": {"name": ref.name, "items": items}})
    mounts.append({"name": f"{prefix}ca", "mountPath": f"{folder}/ca", "readOnly": True})


def _mount_guest_state(source: GuestStateSource, volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]) -> None:
    if source.url is not None:
        _mount_url(source.url, "state-", "/etc/worker/guest-state", volumes, mounts)
    if source.pvc is not None:
        claim = {"claimName": source.pvc.claim_name, "readOnly": True}
        volumes.append({"name": "guest-state", "persistentVolumeClaim": claim})
        mounts.append({"name": "guest-state", "mountPath": "/guest-state", "readOnly": True})


def _resources(component: Component) -> dict[str, Any]:
    memory = "512Mi" if component == "prepare" else "256Mi"
    return {"requests": {"cpu": "250m", "memory": "192Mi"}, "limits": {"memory": memory}}


class JobPhase(StrEnum):
    """Where a Job is."""

    ABSENT = "Absent"
    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class JobState:
    """What a Job and its pods say.

    Attributes:
        phase: Where it is.
        report: The last report of a pod, if there is one.
        problem: Why nothing goes on, in words (an image that cannot be pulled, a claim that is not bound), or ``""``.
        attempts: Pods started so far.
        pod: Name of the pod whose report it is, or None.
        pod_ip: Address of the running pod, or None.
        started_at: When the Job started, as the API server wrote it, or None.
        finished_at: When it ended, or None.
        asked: What the import's annotation that asks for another try said when the Job was made.
        uid: The Job's uid, or None.
    """

    phase: JobPhase
    report: Report | None = None
    problem: str = ""
    attempts: int = 0
    pod_ip: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    asked: str = ""
    uid: str | None = None
    pod: str | None = None


def observe(body: Mapping[str, Any] | None, pods: Sequence[Mapping[str, Any]]) -> JobState:
    """Tell what a Job and its pods say.

    Args:
        body: The Job, or None.
        pods: Pods that carry its name; those of a predecessor of the same name may still be among them.
    """
    if body is None:
        return JobState(JobPhase.ABSENT)
    uid = body["metadata"].get("uid")
    pods = [pod for pod in pods if any(each.get("uid") == uid for each in pod["metadata"].get("ownerReferences") or ())]
    asked = (body["metadata"].get("annotations") or {}).get(ASKED_ANNOTATION, "")
    status = body.get("status") or {}
    finished = {each["type"] for each in status.get("conditions") or [] if each.get("status") == "True"}
    newest_first = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)
    told = ((found, pod["metadata"]["name"]) for pod in newest_first if (found := _report(pod)) is not None)
    report, pod_name = next(told, (None, None))
    who = {"uid": uid, "pod": pod_name}
    attempts = max(
        len(pods), int(status.get("failed") or 0) + int(status.get("active") or 0) + int(status.get("succeeded") or 0)
    )
    started = status.get("startTime")
    if "Complete" in finished or int(status.get("succeeded") or 0) > 0:
        ended_at = status.get("completionTime")
        return JobState(JobPhase.SUCCEEDED, report, "", attempts, None, started, ended_at, asked, **who)
    if "Failed" in finished or "FailureTarget" in finished:
        ended = [
            each.get("lastTransitionTime")
            for each in status.get("conditions") or []
            if each.get("type") in ("Failed", "FailureTarget")
        ]
        finished_at = ended[0] if ended else None
        problem = _failure(body, newest_first)
        return JobState(JobPhase.FAILED, report, problem, attempts, None, started, finished_at, asked, **who)
    running = next((pod for pod in newest_first if (pod.get("status") or {}).get("phase") == "Running"), None)
    if running is not None:
        return JobState(JobPhase.RUNNING, report, "", attempts, running["status"].get("podIP"), started)
    return JobState(JobPhase.PENDING, report, _problem(newest_first), attempts, None, started)


def _terminated(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    for each in (pod.get("status") or {}).get("containerStatuses") or []:
        state: Mapping[str, Any] = (each.get("state") or {}).get("terminated") or {}
        if state:
            return state
    return {}


def _report(pod: Mapping[str, Any]) -> Report | None:
    message = _terminated(pod).get("message")
    return parse_report(str(message)) if message else None


def _failure(body: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> str:
    for pod in pods:
        state = _terminated(pod)
        if state.get("reason") == "OOMKilled":
            return "the worker ran out of memory: raise spec.job.resources.limits.memory"
        reason = (pod.get("status") or {}).get("reason")
        if reason:
            return f"the worker's pod ended: {reason}: {(pod.get('status') or {}).get('message', '')}"
        if state:
            return f"the worker ended with exit code {state.get('exitCode')} and left no report; see its log"
    for each in (body.get("status") or {}).get("conditions") or []:
        if each.get("type") in ("Failed", "FailureTarget"):
            return f"the Job failed: {each.get('reason')}: {each.get('message')}"
    return "the Job failed"


def _problem(pods: Sequence[Mapping[str, Any]]) -> str:
    for pod in pods:
        status = pod.get("status") or {}
        for each in status.get("containerStatuses") or []:
            waiting = (each.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
                return f"the worker's pod cannot start: {waiting.get('reason')}: {waiting.get('message', '')}"
        for each in status.get("conditions") or []:
            if each.get("type") == "PodScheduled" and each.get("status") == "False":
                return f"the worker's pod cannot be scheduled: {each.get('message', '')}"
    return ""
