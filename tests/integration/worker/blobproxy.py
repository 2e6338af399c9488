"""A proxy before the storage emulator that counts what is sent and does harm on demand.

It also does what Azurite answers 501 to: Put Page From URL. It reads the range of the source from Azurite, compares
version and checksum, and writes it by Put Page; its answers are those that Azure's documentation and recordings of the
real service have (`azure-sdk-for-python`, `test_upload_pages_from_url_*`): 412 `CannotVerifyCopySource` for another
ETag, 400 `Md5Mismatch` or `Crc64Mismatch` for other bytes, the source's own status with `CannotVerifyCopySource` where
it cannot be read.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import http.server
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from awscrt.checksums import crc64nvme

_MOST_BYTES = 4 * 1024 * 1024
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
    def _writes_pages(self) -> bool:
        return (
            self.method == "PUT" and self.query.get("comp") == ["page"] and self.headers["x-ms-page-write"] == "update"
        )

    @property
    def is_read(self) -> bool:
        return self.method == "GET" and "comp" not in self.query

    @property
    def is_put_page(self) -> bool:
        return self._writes_pages and "x-ms-copy-source" not in self.headers

    @property
    def is_copy(self) -> bool:
        return self._writes_pages and "x-ms-copy-source" in self.headers

    @property
    def span(self) -> tuple[int, int]:
        """First byte and the one after the last that are asked for or written."""
        text = self.headers.get("x-ms-range") or self.headers["range"]
        first, last = text.removeprefix("bytes=").split("-")
        return int(first), int(last) + 1

    @property
    def operation(self) -> str:
        if self._writes_pages:
            return "copy-page" if self.is_copy else "put-page"
        return f"{self.method} {self.query.get('comp', ['blob'])[0]}"


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
        self.source_faults: list[Fault] = []
        self.page_bytes = self.copied_bytes = 0
        self.copies = True
        self.operations: list[str] = []
        self.reads: list[tuple[int, int]] = []
        self.in_flight = self.most_in_flight = 0
        self.on_page: Callable[[int], None] = lambda sent: None
        self._parts, self._context = parts, context
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
                if request.is_copy and outer.copies:
                    refused = outer._read_source(request)
                    if refused is not None:
                        outer._end(request, refused.status)
                        self._answer(refused)
                        return
                response, data = outer._ask(request.method, request.path, request.headers, request.body)
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
            self.page_bytes, self.copied_bytes, self.operations, self.reads = 0, 0, [], []

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
            elif request.is_copy and status == 201:
                self.copied_bytes += len(request.body)
            elif request.operation == "GET blob" and status == 206:
                self.reads.append(request.span)
            sent = self.page_bytes
        if request.is_put_page and status == 201:
            self.on_page(sent)

    def _ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPSConnection(
            self._parts.hostname or "", self._parts.port, context=self._context, timeout=60
        )
        try:
            passed = {name: value for name, value in headers.items() if name not in _HOP}
            if self.copies:
                # Azurite would not do it; what it gets is the page that has been read.
                passed = {
                    k: v for k, v in passed.items() if k != "x-ms-copy-source" and not k.startswith("x-ms-source-")
                }
            connection.request(method, path, body=body or None, headers=passed)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def _read_source(self, request: Request) -> Answer | None:
        """Put the bytes of the source into a request; an answer when that is not possible."""
        headers = request.headers
        start, end = request.span
        source_range = headers["x-ms-source-range"]
        first, last = (int(each) for each in source_range.removeprefix("bytes=").split("-"))
        checksums = [
            headers[name] for name in ("x-ms-source-content-md5", "x-ms-source-content-crc64") if name in headers
        ]
        if request.body or headers.get("content-length") != "0" or len(checksums) > 1:
            return Answer(400, "InvalidHeaderValue")
        if last + 1 - first != end - start or start % 512 or end % 512 or end - start > _MOST_BYTES:
            return Answer(416, "InvalidPageRange")
        parts = urlsplit(headers["x-ms-copy-source"])
        asked = {"range": source_range, "x-ms-version": headers["x-ms-version"]}
        if "x-ms-source-if-match" in headers:
            asked["if-match"] = headers["x-ms-source-if-match"]
        reading = Request("GET", f"{parts.path}?{parts.query}", asked, b"")
        told = next((answer for fault in self.source_faults if (answer := fault(reading)) is not None), None)
        if told is not None:
            return _unverified(told.status, told.code)
        response, data = self._ask("GET", reading.path, asked, b"")
        if response.status == 412:
            # Azurite does not look first whether there is a blob; Azure does.
            response, _ = self._ask("HEAD", reading.path, {}, b"")
            return _unverified(404, "BlobNotFound") if response.status == 404 else _unverified(412, "ConditionNotMet")
        if response.status != 206:
            return _unverified(response.status, response.getheader("x-ms-error-code") or "")
        if "x-ms-source-content-md5" in headers:
            if base64.b64encode(hashlib.md5(data).digest()).decode() not in checksums:
                return Answer(400, "Md5Mismatch")
        elif checksums and base64.b64encode(crc64nvme(data).to_bytes(8, "little")).decode() not in checksums:
            return Answer(400, "Crc64Mismatch")
        request.body = data
        return None


def _unverified(status: int, code: str) -> Answer:
    inner = {"x-ms-copy-source-status-code": str(status), "x-ms-copy-source-error-code": code}
    return Answer(status, "CannotVerifyCopySource", inner)
