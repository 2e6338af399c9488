"""A client of the test cluster: requests, waits that say what they waited for, and dumps for when they fail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, ApiException
from kubernetes.config import list_kube_config_contexts, new_client_from_config

from gallery_operator.api import GROUP, KINDS, VERSION

Json = dict[str, Any]
_Value = TypeVar("_Value")

_OURS = {kind.kind_name: (f"/apis/{GROUP}/{VERSION}", kind.plural) for kind in KINDS}
_OTHERS = {
    "Namespace": ("/api/v1", "namespaces"),
    "Pod": ("/api/v1", "pods"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Service": ("/api/v1", "services"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "PersistentVolume": ("/api/v1", "persistentvolumes"),
    "Event": ("/api/v1", "events"),
    "Job": ("/apis/batch/v1", "jobs"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases"),
}
PATHS: Mapping[str, tuple[str, str]] = {**_OURS, **_OTHERS}
OUR_KINDS = tuple(_OURS)
_POLL_SECONDS = 0.4


class WaitError(AssertionError):
    """What was waited for did not come; the text holds what was seen last and what the cluster says."""


class Kube:
    """The cluster's API, with the rights of a kubeconfig. Safe to use from several threads.

    Attributes:
        kubeconfig: Path of the kubeconfig, for programs.
        context: Name of the context in it.
    """

    def __init__(self, kubeconfig: Path, context: str | None) -> None:
        """Connect with a context of a kubeconfig; None: its current one."""
        self.kubeconfig = kubeconfig
        self._api: ApiClient = new_client_from_config(config_file=str(kubeconfig), context=context)
        if context is None:
            context = list_kube_config_contexts(config_file=str(kubeconfig))[1]["name"]
        self.context: str = context
        self._host: str = self._api.configuration.host

    def close(self) -> None:
        """Close the connections."""
        self._api.rest_client.pool_manager.clear()

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content_type: str = "application/json",
        timeout: float = 30.0,
        raw: bool = False,
    ) -> Any:
        """Send a request and return the answer's JSON, or its text when ``raw`` is set.

        Raises:
            ApiException: The answer is an error.
        """
        headers = {"Accept": "*/*" if raw else "application/json", "Content-Type": content_type}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        data = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        # The pool knows addresses and certificates; the client's own methods would interpret body and answer.
        answer = self._api.rest_client.pool_manager.request(
            method, self._host + path, body=data, headers=headers, timeout=timeout, retries=False
        )
        text = answer.data.decode(errors="replace")
        if not 200 <= answer.status < 300:
            error = ApiException(status=answer.status, reason=answer.reason)
            error.body = text
            raise error
        return text if raw else json.loads(text or "null")

    def get(self, kind: str, namespace: str | None, name: str) -> Json | None:
        """Read an object; None if it is not there."""
        try:
            found: Json = self.request("GET", path_of(kind, namespace, name))
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return found

    def list(self, kind: str, namespace: str | None = None, selector: str = "") -> list[Json]:
        """List objects, of all namespaces when none is given."""
        query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
        document: Json = self.request("GET", path_of(kind, namespace) + query)
        items: list[Json] = document["items"]
        for item in items:
            item.setdefault("kind", kind)
        return items

    def create(self, document: Mapping[str, Any]) -> Json:
        """Create an object; unknown fields are an error, as with ``kubectl apply``."""
        path = path_of(document["kind"], document["metadata"].get("namespace"))
        created: Json = self.request("POST", f"{path}?fieldValidation=Strict", document)
        return created

    def apply(self, document: Mapping[str, Any]) -> Json:
        """Create an object or bring it to this form."""
        metadata = document["metadata"]
        path = path_of(document["kind"], metadata.get("namespace"), metadata["name"])
        applied: Json = self.request(
            "PATCH",
            f"{path}?fieldManager=e2e&force=true",
            document,
            content_type="application/apply-patch+yaml",
        )
        return applied

    def patch(self, kind: str, namespace: str | None, name: str, change: Mapping[str, Any]) -> Json:
        """Merge a change into an object."""
        patched: Json = self.request(
            "PATCH", path_of(kind, namespace, name), change, content_type="application/merge-patch+json"
        )
        return patched

    def delete(self, kind: str, namespace: str | None, name: str, *, grace: int | None = None) -> bool:
        """Ask for an object's deletion and do not wait; whether it was there."""
        body: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            self.request("DELETE", path_of(kind, namespace, name), body)
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    def logs(self, namespace: str, pod: str, *, previous: bool = False, container: str | None = None) -> str:
        """Return a pod's log; what is wrong in angle brackets if it has none."""
        query = urlencode({"previous": str(previous).lower()} | ({"container": container} if container else {}))
        try:
            text: str = self.request("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log?{query}", raw=True)
        except ApiException as error:
            return f"<no log: {error.status} {str(error.body)[:200]}>"
        return text

    def follow(self, namespace: str, pod: str) -> str:
        """Return a pod's log when the pod has ended; what could be read of it if the pod is removed before.

        Raises:
            ApiException: The pod has no log yet.
        """
        headers: dict[str, str] = {}
        self._api.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
        answer = self._api.rest_client.pool_manager.request(
            "GET",
            f"{self._host}/api/v1/namespaces/{namespace}/pods/{pod}/log?follow=true",
            headers=headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=10.0, read=600.0),
            retries=False,
        )
        chunks: list[bytes] = []
        try:
            if answer.status != 200:
                raise ApiException(status=answer.status, reason=answer.reason)
            chunks.extend(answer.stream(65536))
        except urllib3.exceptions.HTTPError:
            pass
        finally:
            answer.release_conn()
        return b"".join(chunks).decode(errors="replace")

    def proxy(
        self,
        kind: str,
        namespace: str,
        target: str,
        path: str,
        *,
        method: str = "GET",
        body: object = None,
        seconds: float = 60.0,
    ) -> str:
        """Send a request through the API server to a pod (``name:port``) or a service (``https:name:port``).

        Raises:
            ApiException: The answer is an error, or there is none.
        """
        plural = PATHS[kind][1]
        base = f"/api/v1/namespaces/{namespace}/{plural}/{target}/proxy"
        text: str = self.request(method, base + path, body, raw=True, timeout=seconds)
        return text

    def wait(
        self,
        what: str,
        look: Callable[[], _Value | None],
        *,
        seconds: float,
        namespaces: Iterable[str] = (),
        give_up: Callable[[], str | None] = lambda: None,
    ) -> _Value:
        """Look until something is there.

        Args:
            what: What is waited for, for the message.
            look: Returns it, or None (or False) as long as it is not there.
            seconds: How long to wait at most.
            namespaces: What to dump when it does not come.
            give_up: Returns why it will never come, or None.

        Raises:
            WaitError: It did not come.
        """
        started = time.monotonic()
        reason = f"did not happen within {seconds:.0f} s"
        while True:
            try:
                value = look()
                if value is not None and value is not False:
                    return value
                why = give_up()
                if why is not None:
                    reason = why
                    break
            except ApiException as error:
                # A proxied pod that restarts, a slow API server: looked at again.
                if error.status is not None and error.status < 500 and error.status != 429:
                    raise
            if time.monotonic() - started > seconds:
                break
            time.sleep(_POLL_SECONDS)
        raise WaitError(f"{what}: {reason}\n{self.dump(namespaces)}")

    def dump(self, namespaces: Iterable[str]) -> str:
        """Return all that helps to understand a failure: objects, events and pods' logs of some namespaces."""
        from tests.support.e2e.dump import dump

        return dump(self, namespaces)


def path_of(kind: str, namespace: str | None, name: str | None = None) -> str:
    """Return the REST path of an object, or of a collection when there is no name."""
    prefix, plural = PATHS[kind]
    scope = f"/namespaces/{namespace}" if namespace and kind not in ("Namespace", "PersistentVolume") else ""
    return f"{prefix}{scope}/{plural}" + (f"/{name}" if name else "")


def condition(document: Mapping[str, Any] | None, kind: str = "Ready") -> Json:
    """Return a condition of an object, or ``{}``."""
    found: list[Json] = ((document or {}).get("status") or {}).get("conditions") or []
    return next((each for each in found if each["type"] == kind), {})


def is_ready(document: Mapping[str, Any] | None) -> bool:
    """Whether an object is Ready, and says so about its present spec."""
    if document is None:
        return False
    status = document.get("status") or {}
    current = status.get("observedGeneration") == document["metadata"].get("generation")
    return current and condition(document).get("status") == "True"
