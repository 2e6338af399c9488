"""A web server that misbehaves on demand."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Script:
    """What to do with one path; the first entries of ``faults`` are used up one request each.

    A fault is a status (int), ``("drop", n)`` to hang up after n bytes of the body, ``("truncate", n)`` to send
    a shorter body than announced, ``("pause", seconds)``, or a callable with the handler.
    """

    body: bytes = b""
    etag: str | None = '"1"'
    last_modified: str | None = None
    ranges: bool = True
    location: str | None = None
    status: int = 302
    announce: bool = True
    accept_ranges: bool = False
    faults: list[Any] = field(default_factory=list)
    always: Any = None
    chunk: int = 256 * 1024
    pace: float = 0.0
    endless: bool = False


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    sent: int = 0


class BadServer:
    def __init__(self, tls: tuple[Path, Path] | None = None, host: str = "127.0.0.1") -> None:
        self.scripts: dict[str, Script] = {}
        self.seen: list[Seen] = []
        self.head_status = 405
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                seen = Seen(self.path, {k.lower(): v for k, v in self.headers.items()})
                outer.seen.append(seen)
                script = outer.scripts.get(self.path.split("?")[0])
                # The client may hang up whenever it likes.
                with contextlib.suppress(OSError):
                    if script is None:
                        self._plain(404)
                    elif script.location is not None:
                        self._plain(script.status, {"Location": script.location})
                    else:
                        outer._serve(self, script, seen)

            def do_HEAD(self) -> None:
                with contextlib.suppress(OSError):
                    self._plain(outer.head_status)

            def _plain(self, status: int, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in {"Content-Length": "0", **(headers or {})}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                pass

        self.server = Server((host, 0), Handler)
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "http" if tls is None else "https"
        self.host = host
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str, host: str | None = None) -> str:
        return f"{self.scheme}://{host or self.host}:{self.port}{path}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def serve(self, path: str, body: bytes = b"", **options: Any) -> Script:
        self.scripts[path] = Script(body=body, **options)
        return self.scripts[path]

    def _serve(self, handler: Any, script: Script, seen: Seen) -> None:
        fault = script.faults.pop(0) if script.faults else script.always
        if isinstance(fault, int):
            handler._plain(fault, {"Retry-After": "0"} if fault in (429, 503) else None)
            return
        if callable(fault):
            fault(handler)
            return
        kind, amount = fault if fault else (None, 0)
        body, start, end, status = script.body, 0, len(script.body), 200
        wanted = seen.headers.get("range")
        condition = seen.headers.get("if-range")
        if wanted and script.ranges and condition in (None, script.etag, script.last_modified):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end = int(first), min(len(body), int(last) + 1) if last else len(body)
            if start >= len(body):
                handler._plain(416, {"Content-Range": f"bytes */{len(body)}"})
                return
            status = 206
        handler.send_response(status)
        if script.etag:
            handler.send_header("ETag", script.etag)
        if script.last_modified:
            handler.send_header("Last-Modified", script.last_modified)
        if script.accept_ranges:
            handler.send_header("Accept-Ranges", "bytes")
        if status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
        if script.announce and not script.endless:
            handler.send_header("Content-Length", str(end - start))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        part = body[start:end]
        if kind in ("drop", "truncate"):
            part = part[:amount]
        if kind == "pause":
            time.sleep(amount)
        self._send(handler, part, script, seen)
        if kind == "drop":
            handler.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, handler: Any, part: bytes, script: Script, seen: Seen) -> None:
        while True:
            for at in range(0, len(part), script.chunk):
                piece = part[at : at + script.chunk]
                handler.wfile.write(piece)
                seen.sent += len(piece)
                if script.pace:
                    time.sleep(script.pace)
            if not script.endless:
                return
