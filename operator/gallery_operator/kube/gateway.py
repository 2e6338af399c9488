"""Requests to the Kubernetes API, in plain dictionaries.

The official client brings connection, TLS, credentials and token refresh; its models are not used: custom resources
have none, and dictionaries of the wire keep fields that the client's version does not know.
"""

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config

from gallery_operator import __version__, metrics
from gallery_operator.kube.errors import KubeError, KubeReason, from_status
from gallery_operator.kube.paths import path_of

Body = dict[str, Any]
_TIMEOUT_SECONDS = 30.0
_JSON_PATCH = "application/json-patch+json"


@dataclass(frozen=True)
class Connection:
    """How the gateway reaches the cluster, for kopf, which has a client of its own.

    Attributes:
        server: URL of the API server.
        ca_path: PEM file of its CA, or None for the system's.
        certificate_path: PEM file of the client's certificate, or None.
        private_key_path: PEM file of its key, or None.
        token: Bearer token, or None; fresh when asked for.
        insecure: The server's certificate is not verified, because the kubeconfig says so.
    """

    server: str
    ca_path: str | None = None
    certificate_path: str | None = None
    private_key_path: str | None = None
    token: str | None = field(default=None, repr=False)
    insecure: bool = False


class KubeGateway:
    """A client for the kinds of ``paths.py``.

    Use it as an asynchronous context manager; it belongs to the event loop it was opened in.
    """

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        """Remember where to connect to.

        Args:
            kubeconfig: Path of a kubeconfig; None: the pod's service account, else the default kubeconfig.
            context: Context in it; None: its current one.
        """
        self._kubeconfig = kubeconfig
        self._context = context
        self._client: client.ApiClient | None = None

    async def __aenter__(self) -> Self:
        """Load credentials and open the connection pool.

        Raises:
            KubeError: There is neither a service account nor a usable kubeconfig.
        """
        settings = client.Configuration()
        try:
            if self._kubeconfig is not None:
                await config.load_kube_config(self._kubeconfig, self._context, client_configuration=settings)
            else:
                try:
                    config.load_incluster_config(client_configuration=settings)
                except config.ConfigException:
                    await config.load_kube_config(context=self._context, client_configuration=settings)
        except config.ConfigException as error:
            raise KubeError(KubeReason.FORBIDDEN, f"no way to reach a cluster: {error}") from error
        settings.connection_pool_maxsize = 32
        self._client = client.ApiClient(settings)
        self._client.user_agent = f"gallery-operator/{__version__}"
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connection pool."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def connection(self) -> Connection:
        """Return how the cluster is reached; two clients of one process must never talk to two clusters."""
        if self._client is None:
            raise RuntimeError("the gateway is not open")
        settings = self._client.configuration
        token = await settings.get_api_key_with_prefix("BearerToken", alias="authorization")
        return Connection(
            server=settings.host,
            ca_path=settings.ssl_ca_cert,
            certificate_path=settings.cert_file,
            private_key_path=settings.key_file,
            # The in-cluster loader writes "bearer <token>", the kubeconfig loader "Bearer <token>".
            token=token.split(" ")[-1].strip() if token else None,
            insecure=not settings.verify_ssl,
        )

    async def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Return an object, live, or None when it does not exist.

        Raises:
            KubeError: Any other failure.
        """
        try:
            return await self._request("GET", path_of(kind).item(namespace, name), f"read {kind} {namespace}/{name}")
        except KubeError as error:
            if error.reason is KubeReason.NOT_FOUND:
                return None
            raise

    async def list(self, kind: str, namespace: str | None = None, selector: str | None = None) -> list[Body]:
        """Return all objects of a kind, in one namespace or in all, in pages of 500.

        Args:
            kind: Kind.
            namespace: Namespace; None: all.
            selector: Label selector.

        Raises:
            KubeError: The list could not be read whole.
        """
        items: list[Body] = []
        token = ""
        while True:
            query = [("limit", "500")]
            if selector:
                query.append(("labelSelector", selector))
            if token:
                query.append(("continue", token))
            where = namespace or "all namespaces"
            page = await self._request(
                "GET", path_of(kind).collection(namespace), f"list {kind} in {where}", query=query
            )
            for item in page.get("items") or []:
                item.setdefault("kind", kind)
                items.append(item)
            token = page.get("metadata", {}).get("continue") or ""
            if not token:
                return items

    async def create(self, kind: str, body: Mapping[str, Any]) -> Body:
        """Create an object.

        Raises:
            KubeError: ``ALREADY_EXISTS`` among others.
        """
        path = path_of(kind)
        meta = body["metadata"]
        whole = {"apiVersion": path.api_version, "kind": kind, **body}
        what = f"create {kind} {meta['namespace']}/{meta.get('name') or meta.get('generateName')}"
        created = await self._request("POST", path.collection(meta["namespace"]), what, body=whole)
        metrics.KUBERNETES_WRITES.labels(kind=kind, verb="create").inc()
        return created

    async def replace(self, kind: str, body: Mapping[str, Any]) -> Body:
        """Replace an object; with ``metadata.resourceVersion`` only if it has not changed since.

        Raises:
            KubeError: ``CONFLICT`` when it has.
        """
        path = path_of(kind)
        meta = body["metadata"]
        whole = {"apiVersion": path.api_version, "kind": kind, **body}
        what = f"update {kind} {meta['namespace']}/{meta['name']}"
        replaced = await self._request("PUT", path.item(meta["namespace"], meta["name"]), what, body=whole)
        metrics.KUBERNETES_WRITES.labels(kind=kind, verb="update").inc()
        return replaced

    async def json_patch(self, kind: str, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> Body:
        """Apply a JSON patch to an object.

        Raises:
            KubeError: ``CONFLICT`` when a ``test`` in it fails.
        """
        return await self._patch(kind, namespace, name, operations, "")

    async def patch_status(self, kind: str, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]) -> Body:
        """Apply a JSON patch to the ``status`` subresource; returns the whole object as the server has it.

        A merge patch cannot name the object it is meant for: the server ignores ``metadata`` in one of ``status``.

        Raises:
            KubeError: ``CONFLICT`` when a ``test`` in it fails.
        """
        return await self._patch(kind, namespace, name, operations, "/status")

    async def delete(
        self, kind: str, namespace: str, name: str, uid: str | None = None, *, foreground: bool = False
    ) -> bool:
        """Delete an object and its dependents.

        Args:
            kind: Kind.
            namespace: Namespace.
            name: Name.
            uid: Delete only this very object, not one that took its name.
            foreground: The object stays until its dependents are gone; else they go after it.

        Returns:
            False when it did not exist (or another one has its name).
        """
        options: Body = {"propagationPolicy": "Foreground" if foreground else "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._request(
                "DELETE", path_of(kind).item(namespace, name), f"delete {kind} {namespace}/{name}", body=options
            )
        except KubeError as error:
            if error.reason is KubeReason.NOT_FOUND or (uid is not None and error.reason is KubeReason.CONFLICT):
                return False
            raise
        metrics.KUBERNETES_WRITES.labels(kind=kind, verb="delete").inc()
        return True

    async def pod_log(self, namespace: str, name: str, container: str, *, lines: int, limit: int) -> str:
        """Return the end of a container's log.

        Args:
            namespace: Namespace.
            name: Name of the pod.
            container: Name of the container.
            lines: Most lines, counted from the end.
            limit: Most bytes of these; the server stops there.

        Raises:
            KubeError: ``NOT_FOUND``: there is no such pod; ``INVALID``: it has no such log (any more);
                ``UNAVAILABLE``: its node does not answer.
        """
        query = [("container", container), ("tailLines", str(lines)), ("limitBytes", str(limit))]
        path = path_of("Pod").item(namespace, name) + "/log"
        text = await self._send("GET", path, f"read the log of Pod {namespace}/{name}", query=query, accept="*/*")
        return text[:limit].decode("utf-8", "replace")

    async def raw(self, path: str) -> Body:
        """Return the JSON document at a path, for example discovery documents."""
        return await self._request("GET", path, f"read {path}")

    async def _patch(
        self, kind: str, namespace: str, name: str, operations: Sequence[Mapping[str, Any]], sub: str
    ) -> Body:
        patched = await self._request(
            "PATCH",
            path_of(kind).item(namespace, name) + sub,
            f"patch {kind} {namespace}/{name}{sub}",
            body=[dict(each) for each in operations],
            content_type=_JSON_PATCH,
        )
        metrics.KUBERNETES_WRITES.labels(kind=kind, verb="patch-status" if sub else "patch").inc()
        return patched

    async def _request(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content_type: str = "application/json",
    ) -> Body:
        text = await self._send(method, path, what, query=query, body=body, content_type=content_type)
        return _document(text)

    async def _send(
        self,
        method: str,
        path: str,
        what: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        if self._client is None:
            raise RuntimeError("the gateway is not open")
        headers = {"Accept": accept, "Content-Type": content_type}
        try:
            verb, url, full_headers, content, _ = await self._client.param_serialize(
                method, path, query_params=list(query), header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = await self._client.call_api(verb, url, full_headers, content, _request_timeout=_TIMEOUT_SECONDS)
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError, OSError) as error:
            raise KubeError(KubeReason.UNAVAILABLE, f"{what}: {type(error).__name__}: {error}") from error
        if answer.status >= 400:
            after = answer.headers.get("Retry-After")
            raise from_status(answer.status, _document(data), what, float(after) if after and after.isdigit() else None)
        return bytes(data)


def _document(data: bytes) -> Body:
    try:
        document = json.loads(data) if data else {}
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
