"""A proxy before the storage emulator that counts what is sent and does harm on demand."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}

Fault = Callable[["Request"], Any]


class Request:
    """One request on its way; a fault may answer it, change its body, or drop it."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.query = parse_qs(urlsplit(path).query)

    @property
    def is_put_page(self) -> bool:
        return (
            self.method == "PUT" and self.query.get("comp") == ["page"] and self.headers["x-ms-page-write"] == "update"
        )

    @property
    def range(self) -> tuple[int, int]:
        """First byte, and the one after the last."""
        first, _, last = self.headers["x-ms-range"].removeprefix("bytes=").partition("-")
        return int(first), int(last) + 1

    @property
    def is_read(self) -> bool:
        return self.method == "GET" and "comp" not in self.query

    @property
    def operation(self) -> str:
        return "put-page" if self.is_put_page else f"{self.method} {self.query.get('comp', ['blob'])[0]}"


class Answer:
    """Stands for the service's answer."""

    def __init__(self, status: int, code: str = "", headers: dict[str, str] | None = None) -> None:
        self.status, self.code, self.headers = status, code, headers or {}


class Change:
    """Lets the service answer, and changes the body on its way back."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self.change = change


DROP = object()
"""Hang up without asking the service."""

DROP_AFTER = object()
"""Let the service do it, then hang up before its answer."""


class BlobProxy:
    def __init__(self, target: str, ca_file: Path) -> None:
        parts = urlsplit(target)
        context = ssl.create_default_context(cafile=str(ca_file))
        self.lock = threading.Lock()
        self.faults: list[Fault] = []
        self.page_bytes = 0
        self.operations: list[str] = []
        self.in_flight = self.most_in_flight = 0
        self.on_page: Callable[[int], None] = lambda sent: None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                with contextlib.suppress(OSError, http.client.HTTPException):
                    self._forward()

            def _forward(self) -> None:
                headers = {k.lower(): v for k, v in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                request = Request(self.command, self.path, headers, body)
                outcome = outer._begin(request)
                if outcome is DROP:
                    self._hang_up()
                    return
                if isinstance(outcome, Answer):
                    self._answer(outcome)
                    return
                connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, context=context, timeout=60)
                try:
                    passed = {k: v for k, v in request.headers.items() if k not in _HOP}
                    connection.request(self.command, self.path, body=request.body or None, headers=passed)
                    response = connection.getresponse()
                    data = response.read()
                finally:
                    connection.close()
                outer._end(request, response.status)
                if outcome is DROP_AFTER:
                    self._hang_up()
                    return
                if isinstance(outcome, Change):
                    data = outcome.change(data)
                self.send_response(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in _HOP or (name.lower() == "content-length" and self.command == "HEAD"):
                        self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_PUT = do_HEAD = do_DELETE = _handle  # noqa: N815 - the names are http.server's

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

            def _answer(self, answer: Answer) -> None:
                data = f"<?xml version='1.0'?><Error><Code>{answer.code}</Code><Message>m</Message></Error>".encode()
                self.send_response(answer.status)
                for name, value in {"x-ms-error-code": answer.code, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def reset(self) -> None:
        with self.lock:
            self.page_bytes, self.operations = 0, []

    def _begin(self, request: Request) -> object:
        with self.lock:
            self.operations.append(request.operation)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            faults = list(self.faults)
        outcome = None
        for fault in faults:
            outcome = fault(request)
            if outcome is not None:
                break
        if outcome is not None and outcome is not DROP_AFTER and not isinstance(outcome, Change):
            with self.lock:
                self.in_flight -= 1
        return outcome

    def _end(self, request: Request, status: int) -> None:
        with self.lock:
            self.in_flight -= 1
            if request.is_put_page:
                self.page_bytes += len(request.body)
            sent = self.page_bytes
        if request.is_put_page and status == 201:
            self.on_page(sent)
