"""The part of a kubelet that hands out logs: the API server of the tests asks it, as it asks a real one."""

from __future__ import annotations

import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.apiserver import ApiServer


class Kubelet:
    """A node whose kubelet knows the logs that a test has put there.

    Attributes:
        node: Name of the node; a pod is on it when its ``spec.nodeName`` says so.
        logs: Text by pod; a pod that is not there has lost its log.
        asked: Query of each request, for the test to look at.
        broken: HTTP status that is answered instead, if not 0.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.logs: dict[str, str] = {}
        self.asked: list[dict[str, str]] = []
        self.broken = 0

    def answer(self, target: str) -> tuple[int, bytes]:
        """Answer ``/containerLogs/<namespace>/<pod>/<container>`` as a kubelet does."""
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append(query)
        pod = url.path.split("/")[3]
        if self.broken:
            return self.broken, b"broken by a test"
        if pod not in self.logs:
            return 404, b'pod not found ("%s")' % pod.encode()
        lines = self.logs[pod].splitlines(keepends=True)[-int(query.get("tailLines", "1000000")) :]
        return 200, "".join(lines).encode()[: int(query.get("limitBytes", "1000000000"))]


@contextmanager
def kubelet(api: ApiServer) -> Iterator[Kubelet]:
    """Register a node, and answer for it."""
    if api.pki is None or not (api.pki / "apiserver.key").exists():
        pytest.skip("the API server's authority is not here: no kubelet can be made that it trusts")
    found = Kubelet(f"node-{uuid.uuid4().hex[:8]}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = found.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # The API server's own certificate: of the authority that it trusts, and for this address.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(api.pki / "apiserver.crt", api.pki / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    node = {"metadata": {"name": found.node}, "spec": {"taints": []}}
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": server.server_address[1]}},
    }
    try:
        made = api.request("POST", "/api/v1/nodes", node)
        assert made.ok, made.message
        told = api.request(
            "PATCH", f"/api/v1/nodes/{found.node}/status", {"status": status}, "application/merge-patch+json"
        )
        assert told.ok, told.message
        yield found
    finally:
        api.request("DELETE", f"/api/v1/nodes/{found.node}")
        server.shutdown()
        server.server_close()
        thread.join()
